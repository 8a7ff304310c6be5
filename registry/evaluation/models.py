"""The model of an evaluation: what it predicts, and which logged model it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from registry.exceptions import InvalidParameterError, InvalidTypeError, LoggedModelNotFoundError, NotSupportedError
from registry.flavors import PyFuncModel
from registry.flavors.mlmodel import PYTHON_FUNCTION
from registry.flavors.signatures.enforce import enforce_schema
from registry.fluent import models, state
from registry.uris import LocalUri, S3Uri, parse

Predict = Callable[[pd.DataFrame], Any]


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """A model to evaluate. `model_id` and `digest` name its logged model in this registry, None outside one.

    `native` is the model behind a flavor, such as a scikit-learn estimator, and `loader` the flavor's loader.
    """

    uri: str
    predict: Predict
    predict_proba: Predict | None = None
    model_id: str | None = None
    digest: str | None = None
    native: Any = None
    loader: str | None = None

    def predictions(self, features: pd.DataFrame, column: str | None = None) -> "np.ndarray[Any, Any]":
        """Return one prediction per row; `column` chooses one of several columns.

        Raises:
            InvalidParameterError: The model returns several columns and `column` is none of them, or it returns another
                number of predictions than rows.
        """
        found = self.predict(features.copy())
        if isinstance(found, list) and found and all(isinstance(item, Mapping) for item in found):
            found = pd.DataFrame(found)
        if isinstance(found, pd.DataFrame | Mapping):
            names = list(found)
            chosen = column if column in names else names[0] if len(names) == 1 else None
            if chosen is None:
                raise InvalidParameterError(
                    f"The model returns the columns {list(map(str, names))}; name the one to evaluate: predictions='…'."
                )
            found = found[chosen]
        values = np.asarray(found)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.shape[:1] != (len(features),):
            raise InvalidParameterError(
                f"The model returned predictions of the shape {values.shape} for {len(features)} rows; one per row is "
                "expected."
            )
        return values

    def probabilities(self, features: pd.DataFrame) -> "np.ndarray[Any, Any] | None":
        """Return a column of probabilities per class, or None for a model that has none."""
        return None if self.predict_proba is None else np.asarray(self.predict_proba(features.copy()))


def open_model(
    model: Any, *, allow_code: bool | None = None, model_config: Mapping[str, Any] | None = None
) -> EvaluatedModel:
    """Open a model: a URI, a model of `pyfunc.load_model`, or a function from a DataFrame to predictions.

    A stage or alias is resolved once, so that the model is the one that is named in the result.

    Raises:
        InvalidTypeError: The value is none of these.
    """
    if isinstance(model, str):
        if isinstance(parse(model), LocalUri | S3Uri):
            return _open(models.load_function(model, allow_code=allow_code, model_config=model_config), uri=model)
        resolved = models.resolve(model)
        loaded = models.load_function(f"models:/{resolved.model_id}", allow_code=allow_code, model_config=model_config)
        return _open(loaded, uri=model, model_id=resolved.model_id, digest=resolved.digest)
    if isinstance(model, PyFuncModel):
        model_id, digest = _find_logged(model.model_id)
        uri = "a loaded model" if model_id is None else f"models:/{model_id}"
        return _open(model, uri=uri, model_id=model_id, digest=digest)
    if callable(model):
        return EvaluatedModel(getattr(model, "__name__", "a function"), model)
    raise InvalidTypeError(
        "The model argument must be a string URI referring to a model, a model of pyfunc.load_model, a function, or "
        f"None, got {type(model).__name__}. Log an estimator with log_model first, or give its predict method."
    )


def _find_logged(model_id: str | None) -> tuple[str | None, str | None]:
    """Return the id and digest of a logged model, if this registry has it: a directory may come from another one."""
    if model_id is None:
        return None, None
    try:
        return model_id, state.client().get_logged_model(model_id).digest
    except LoggedModelNotFoundError:
        return None, None


def _open(model: PyFuncModel, **names: Any) -> EvaluatedModel:
    schema = model.metadata.get_input_schema()

    def checked(function: Callable[[Any], Any]) -> Predict:
        return lambda data: function(data if schema is None else enforce_schema(data, schema))

    try:
        native = model.get_raw_model()
    except NotSupportedError:
        native = None
    probabilities = getattr(native, "predict_proba", None)
    entry = model.metadata.flavors.get(PYTHON_FUNCTION, {})
    predict: Predict = model.predict
    if native is not None and entry.get("predict_fn", "predict") != "predict" and hasattr(native, "predict"):
        predict = checked(native.predict)  # the model was logged to return probabilities or scores
    return EvaluatedModel(
        predict=predict,
        predict_proba=None if probabilities is None else checked(probabilities),
        native=native,
        loader=model.loader_module,
        **names,
    )
