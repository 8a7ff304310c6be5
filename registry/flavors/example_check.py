"""Predict the input example of a saved model, to infer the output's schema and to compare the model with the original.

Guarantees: saving never fails here. Errors of the model's own code are logged as warnings.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registry.entities.schema import Schema
from registry.entities.signature import ModelSignature
from registry.exceptions import RegistryError
from registry.flavors.example import InputExample
from registry.flavors.mlmodel import PYTHON_FUNCTION
from registry.flavors.protocol import Flavor, Predictor
from registry.flavors.signatures.enforce import enforce_params, enforce_schema
from registry.flavors.signatures.infer import infer_params, schema_or_any

_logger = logging.getLogger(__name__)


def check_example(
    flavor: Flavor,
    model: Any,
    directory: Path,
    entries: Mapping[str, Mapping[str, Any]],
    example: InputExample,
    signature: ModelSignature | None,
    *,
    infer: bool,
) -> ModelSignature | None:
    """Load the model back, predict its example, and warn if the original model predicts something else.

    Args:
        flavor: The flavor that saved the model.
        model: The original model, as the caller gave it.
        directory: The model's directory.
        entries: The entries of ``flavors:`` in the MLmodel file.
        example: The input example.
        signature: The caller's signature, or None.
        infer: Whether to infer a signature from the example and its prediction.

    Returns:
        The caller's signature, the inferred one, or None if the model cannot predict its example.
    """
    if infer:
        signature = _input_signature(example)
        if signature is None:
            return None
    if PYTHON_FUNCTION not in entries:
        return signature
    config = {**entries.get(flavor.name, {}), **entries[PYTHON_FUNCTION]}
    wrap = getattr(flavor, "wrap", None)
    original: Predictor | None = wrap(model, config) if wrap else None
    if original is None and not infer:
        return signature
    try:
        # We have just written the caller's own object, so loading it back runs only the caller's code.
        reloaded = flavor.predictor(directory, config, allow_code=True)
        prediction = _predict(reloaded, example, signature)
    except Exception as error:  # noqa: BLE001 - the model's own code; as in MLflow it is saved all the same
        _logger.warning(
            "The model%s cannot predict its input example (%s: %s).",
            " has no signature: it" if infer else "",
            type(error).__name__,
            error,
        )
        return None if infer else signature
    if original is not None:
        _warn_if_different(original, prediction, example, signature)
    if infer and signature is not None:
        return ModelSignature(signature.inputs, _output_schema(prediction, signature.inputs), signature.params)
    return signature


def _input_signature(example: InputExample) -> ModelSignature | None:
    try:
        return ModelSignature(schema_or_any(example.data, "inputs"), None, infer_params(example.params))
    except (RegistryError, TypeError, ValueError) as error:
        _logger.warning("The model has no signature: none can be inferred from its input example (%s).", error)
        return None


def _predict(predictor: Predictor, example: InputExample, signature: ModelSignature | None) -> Any:
    if signature is None:
        return predictor.predict(example.data, example.params)
    data = example.data if signature.inputs is None else enforce_schema(example.data, signature.inputs)
    return predictor.predict(data, enforce_params(example.params, signature.params))


def _warn_if_different(
    original: Predictor, reloaded: Any, example: InputExample, signature: ModelSignature | None
) -> None:
    try:
        expected = _predict(original, example, signature)
    except Exception as error:  # noqa: BLE001 - the model's own code
        _logger.debug("The model that was given cannot predict its example before it is loaded: %s", error)
        return
    if not _is_same(expected, reloaded):
        _logger.warning(
            "The saved model predicts something else for its input example than the model that was given. Some of its "
            "state was not saved, or its predictions are random. Compare the two before you use it."
        )


def _is_same(expected: Any, actual: Any) -> bool:
    """Tell whether two predictions are equal. Predictions that cannot be compared count as equal."""
    import numpy as np
    import pandas as pd

    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return expected.keys() == actual.keys() and all(_is_same(expected[key], actual[key]) for key in expected)
    if isinstance(expected, pd.DataFrame | pd.Series) and isinstance(actual, type(expected)):
        expected, actual = expected.to_numpy(), actual.to_numpy()
    elif hasattr(expected, "toarray") and hasattr(actual, "toarray"):
        expected, actual = expected.toarray(), actual.toarray()
    try:
        left, right = np.asarray(expected), np.asarray(actual)
        if left.dtype.kind == "f" and left.shape == right.shape:
            return bool(np.allclose(left, right, rtol=1e-5, equal_nan=True))
        return left.shape == right.shape and bool((left == right).all())
    except (TypeError, ValueError):
        return True


def _output_schema(prediction: Any, inputs: Schema | None) -> Schema | None:
    """Infer the schema of predictions. A plain array predicted for columns counts as a column (MLflow's rule)."""
    import numpy as np
    import pandas as pd

    is_columns = inputs is not None and not inputs.is_tensor_spec()
    if is_columns and isinstance(prediction, np.ndarray) and prediction.ndim == 1:
        prediction = pd.Series(prediction)
    return schema_or_any(prediction, "outputs")
