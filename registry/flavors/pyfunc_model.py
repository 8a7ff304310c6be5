"""Models as functions from data to predictions, whatever their flavor (MLflow's pyfunc).

Owns `PyFuncModel`; loading belongs to ``flavors.load``. Invariant: what reaches the model fits its signature, and the
caller's data are not changed.
"""

from collections.abc import Mapping
from typing import Any

from registry.exceptions import InvalidParameterError, NotSupportedError
from registry.flavors.example import StoredExample
from registry.flavors.mlmodel import PYTHON_FUNCTION, Model
from registry.flavors.protocol import Predictor
from registry.flavors.signatures.enforce import enforce_params, enforce_schema


class PyFuncModel:
    """A loaded model with its metadata; made by ``load_pyfunc``."""

    def __init__(
        self,
        metadata: Model,
        predictor: Predictor,
        *,
        example: StoredExample | None = None,
        model_config: Mapping[str, Any] | None = None,
    ) -> None:
        self._metadata = metadata
        self._predictor = predictor
        self._example = example
        self._model_config = dict(model_config or {})

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Predictions for `data` after it was held against the model's signature.

        `data` is a DataFrame, Series, ndarray, sparse matrix, list or dict; columns are reordered and surplus ones
        dropped as the signature says. `params` are held against the signature's params, defaults filled in.

        Raises:
            SchemaEnforcementError: `data` or `params` do not fit the signature.
        """
        schema = self._metadata.get_input_schema()
        fitting = data if schema is None else enforce_schema(data, schema)
        return self._predictor.predict(fitting, enforce_params(params, self._metadata.get_params_schema()))

    @property
    def metadata(self) -> Model:
        """The content of the MLmodel file."""
        return self._metadata

    @property
    def model_id(self) -> str | None:
        """The id of the logged model, if it is one."""
        return self._metadata.model_id

    @property
    def model_config(self) -> dict[str, Any]:
        """The configuration that the model was loaded with."""
        return dict(self._model_config)

    @property
    def loader_module(self) -> str | None:
        """What the MLmodel file names as loader; compared with a table, not imported."""
        loader = self._metadata.flavors.get(PYTHON_FUNCTION, {}).get("loader_module")
        return None if loader is None else str(loader)

    @property
    def input_example(self) -> Any:
        """The input example that was saved with the model, or None."""
        return self._example.read() if self._example else None

    def get_raw_model(self) -> Any:
        """The native model.

        Raises:
            NotSupportedError: the model has none, as a Python function.
        """
        getter = getattr(self._predictor, "get_raw_model", None)
        if getter is None:
            raise NotSupportedError("This model has no native model; use unwrap_python_model() or predict().")
        return getter()

    def unwrap_python_model(self) -> Any:
        """The user's own object behind a Python-function model.

        Raises:
            InvalidParameterError: the model is of another kind.
        """
        model = getattr(self._predictor, "python_model", None)
        if model is None:
            raise InvalidParameterError("Unable to retrieve base model object from pyfunc: use get_raw_model().")
        return model

    def __repr__(self) -> str:
        lines = {"run_id": self._metadata.run_id, "artifact_path": self._metadata.artifact_path}
        known = "".join(f"  {key}: {value}\n" for key, value in lines.items() if value is not None)
        return f"registry.pyfunc.loaded_model:\n{known}  flavor: {self.loader_module}\n"
