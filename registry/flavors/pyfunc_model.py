"""`PyFuncModel`: a model of any flavor as a function from data to predictions (MLflow's pyfunc).

`flavors.load` makes it. Guarantees: data that reach the model fit its signature, and the caller's data are not changed.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from registry.entities.schema import DataType
from registry.exceptions import InvalidParameterError, NotSupportedError
from registry.flavors.example import StoredExample
from registry.flavors.mlmodel import PYTHON_FUNCTION, Model
from registry.flavors.protocol import Predictor
from registry.flavors.signatures.enforce import enforce_params, enforce_schema

if TYPE_CHECKING:
    import numpy as np


class PyFuncModel:
    """A loaded model with its metadata. Made by ``registry.pyfunc.load_model``.

    Example:
        >>> served = registry.pyfunc.load_model("models:/churn/Production")
        >>> served.predict(X.head(3)).shape
        (3,)
    """

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
        # No cached_property: until Python 3.12 it has a lock, which a fork would copy while another thread holds it.
        self._takes_rows = _takes_rows(metadata, predictor)

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Check `data` against the model's signature, and predict.

        Args:
            data: A DataFrame, Series, ndarray, sparse matrix, list or dict. Columns are put in the signature's order;
                columns that it does not name are dropped.
            params: Params that the signature names; defaults are filled in for others.

        Returns:
            The predictions, in the form that the flavor returns.

        Raises:
            SchemaEnforcementError: `data` or `params` do not fit the signature.
        """
        schema = self._metadata.get_input_schema()
        fitting = data if schema is None else enforce_schema(data, schema)
        if schema is not None and self._takes_rows and hasattr(fitting, "to_numpy"):
            rows = fitting.to_numpy()
            if rows.dtype == "float64" and rows.shape[1:] == (len(schema),):  # an optional column may be missing
                return self.predict_rows(rows, params)
        return self._predictor.predict(fitting, enforce_params(params, self._metadata.get_params_schema()))

    def predict_rows(self, rows: "np.ndarray[Any, Any]", params: Mapping[str, Any] | None = None) -> Any:
        """Predict as `predict` does a frame of doubles, without making one; only where `takes_rows` is true.

        Args:
            rows: Doubles, with one column per column of the signature, in its order.
            params: Params that the signature names; defaults are filled in for others.

        Returns:
            The predictions, in the form that the flavor returns.

        Raises:
            SchemaEnforcementError: `params` do not fit the signature.
        """
        predictor: Any = self._predictor
        return predictor.predict_rows(rows, enforce_params(params, self._metadata.get_params_schema()))

    @property
    def takes_rows(self) -> bool:
        """Tell whether the signature has doubles alone, and the flavor takes an array of them: XGBoost does."""
        return self._takes_rows

    @property
    def only_computes(self) -> bool:
        """Tell whether a prediction waits for nothing, such as a file, a lock or a service."""
        return bool(getattr(self._predictor, "only_computes", False))

    def limit_threads(self, count: int) -> None:
        """Let predictions use at most `count` threads, if the flavor knows how.

        Those of XGBoost, LightGBM, CatBoost and scikit-learn do.

        Args:
            count: The number of threads, from 1.
        """
        limit = getattr(self._predictor, "limit_threads", None)
        if limit is not None:
            limit(count)

    @property
    def metadata(self) -> Model:
        """Return the content of the MLmodel file."""
        return self._metadata

    @property
    def model_id(self) -> str | None:
        """Return the id of the logged model, or None if it is not one."""
        return self._metadata.model_id

    @property
    def model_config(self) -> dict[str, Any]:
        """Return the configuration that the model was loaded with."""
        return dict(self._model_config)

    @property
    def loader_module(self) -> str | None:
        """Return the loader that the MLmodel file names; it is compared with a table, not imported."""
        loader = self._metadata.flavors.get(PYTHON_FUNCTION, {}).get("loader_module")
        return None if loader is None else str(loader)

    @property
    def input_example(self) -> Any:
        """Return the input example that was saved with the model, or None."""
        return self._example.read() if self._example else None

    def predict_example(self) -> Any:
        """Return the prediction of the input example with its params; None for a model that was saved without one."""
        return None if self._example is None else self.predict(self._example.read(), self._example.read_params())

    def get_raw_model(self) -> Any:
        """Return the native model.

        Raises:
            NotSupportedError: the model has no native model, as a Python function.
        """
        getter = getattr(self._predictor, "get_raw_model", None)
        if getter is None:
            raise NotSupportedError("This model has no native model; use unwrap_python_model() or predict().")
        return getter()

    def unwrap_python_model(self) -> Any:
        """Return the user's own object behind a Python-function model.

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


def _takes_rows(metadata: Model, predictor: Predictor) -> bool:
    schema = metadata.get_input_schema()
    takes_rows = getattr(predictor, "takes_rows", None)
    if schema is None or takes_rows is None or schema.is_tensor_spec() or not schema.has_input_names():
        return False
    return all(spec.type is DataType.double for spec in schema) and bool(takes_rows(schema.input_names()))
