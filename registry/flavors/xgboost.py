"""The XGBoost flavor: a Booster or a scikit-learn wrapper, saved in XGBoost's own format (UBJSON by default).

Guarantees: the loaded class is one of the table below, regardless of the MLmodel file, and the model file is data for
XGBoost's parser, which recognises its format by its bytes.
"""

import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from registry.exceptions import InvalidModelError, InvalidParameterError
from registry.flavors.mlmodel import PYTHON_FUNCTION, inside
from registry.flavors.optional_imports import optional_import
from registry.flavors.protocol import Predictor
from registry.flavors.untrusted.model_directory import check_xgboost_bytes
from registry.flavors.xgboost_parameters import FILE_NAME as PARAMETERS_FILE, WrapperParameters, save_wrapper_parameters

FORMATS: Final = ("ubj", "json", "xgb", "deprecated")
_BOOSTER: Final = "xgboost.core.Booster"
_CLASSES: Final[dict[str, str]] = {
    _BOOSTER: "Booster",
    "xgboost.sklearn.XGBModel": "XGBModel",
    "xgboost.sklearn.XGBClassifier": "XGBClassifier",
    "xgboost.sklearn.XGBRegressor": "XGBRegressor",
    "xgboost.sklearn.XGBRanker": "XGBRanker",
    "xgboost.sklearn.XGBRFClassifier": "XGBRFClassifier",
    "xgboost.sklearn.XGBRFRegressor": "XGBRFRegressor",
}
# Every integer below this one has an exact double.
_EXACT: Final = 2**53
_logger = logging.getLogger(__name__)


class XGBoostFlavor:
    """MLflow's ``xgboost`` flavor."""

    name = "xgboost"
    loader_module = "mlflow.xgboost"

    def save(self, model: Any, directory: Path, *, model_format: str = "ubj", **options: Any) -> dict[str, Any]:
        """Write ``model.<model_format>``. Further options go to the model's own ``save_model``.

        Raises:
            InvalidParameterError: `model` is not an XGBoost model or not trained, or the format is unknown.
        """
        xgboost = _xgboost()
        class_name = _class_name(model)
        if model_format not in FORMATS:
            raise InvalidParameterError(f"Unknown model_format {model_format!r}; use one of {', '.join(FORMATS)}.")
        file_name = f"model.{model_format}"
        try:
            model.save_model(str(directory / file_name), **options)
        except (xgboost.core.XGBoostError, TypeError, ValueError) as error:
            raise InvalidParameterError(f"The XGBoost model could not be saved: {_first_line(error)}") from error
        except Exception as error:
            # scikit-learn's NotFittedError, without importing scikit-learn for it.
            if type(error).__name__ != "NotFittedError":
                raise
            raise InvalidParameterError(f"The XGBoost model is not trained: {error}") from error
        wrapper: dict[str, Any] = {}
        if class_name != _BOOSTER:
            wrapper = {"wrapper_parameters": PARAMETERS_FILE}
            if left_out := save_wrapper_parameters(model, directory):
                _logger.warning(
                    "The parameters %s of this %s are code and are not saved; the loaded model is without them. "
                    "Its predictions need none of them, but a new fit() or score() may.",
                    left_out,
                    type(model).__name__,
                )
        return {
            self.name: {
                "data": file_name,
                "model_class": class_name,
                "model_format": model_format,
                "xgb_version": xgboost.__version__,
                **wrapper,
            },
            PYTHON_FUNCTION: {"loader_module": self.loader_module, "data": file_name},
        }

    def load(
        self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, sealed: bool = False, **options: Any
    ) -> Any:
        """Load the Booster or wrapper.

        `sealed` says that the bytes were verified; then a file that this XGBoost wrote is not checked again.

        Raises:
            InvalidModelError: the MLmodel file names another class, or XGBoost cannot read the model file.
            ArtifactNotFoundError: the model file is missing.
        """
        del allow_code, options  # this format holds no code
        file = inside(directory, config.get("data"), "flavors.xgboost.data")
        class_name = config.get("model_class") or _BOOSTER
        if not isinstance(class_name, str) or class_name not in _CLASSES:
            raise InvalidModelError(
                f"The MLmodel file in {str(directory)!r} names the class {class_name!r}; XGBoost models of these "
                f"classes can be loaded: {', '.join(sorted(_CLASSES))}."
            )
        xgboost = _xgboost()
        if class_name != _BOOSTER:
            optional_import("sklearn", "sklearn")
        model = getattr(xgboost, _CLASSES[class_name])()
        parameters = None
        if class_name != _BOOSTER and "wrapper_parameters" in config:
            where = "flavors.xgboost.wrapper_parameters"
            parameters = WrapperParameters.read(inside(directory, config["wrapper_parameters"], where))
            parameters.apply(model)  # the Booster takes its number of threads from it
        data = file.read_bytes()
        # A newer XGBoost can crash even on an undamaged file of an older one.
        if not sealed or config.get("xgb_version") != xgboost.__version__:
            check_xgboost_bytes(data, file)
        try:
            # Load from memory: XGBoost then recognises the format by the bytes. From a file it trusts the extension.
            model.load_model(bytearray(data))
        except (xgboost.core.XGBoostError, ValueError, TypeError, KeyError) as error:
            raise InvalidModelError(
                f"XGBoost {xgboost.__version__} cannot read {str(file)!r}: {_first_line(error)}."
            ) from error
        if parameters:
            parameters.apply(model)  # loading overwrites some with values of the model file
        return model

    def wrap(self, model: Any, config: Mapping[str, Any]) -> Predictor:
        """Wrap the model that is being saved, as `predictor` would."""
        del config
        return XGBoostPredictor(model)

    def predictor(self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, **options: Any) -> Predictor:
        """Load the model for `pyfunc`."""
        return XGBoostPredictor(self.load(directory, config, allow_code=allow_code, **options))

    def requirements(self, config: Mapping[str, Any]) -> list[str]:
        """Return xgboost, and scikit-learn for its wrappers."""
        return ["xgboost"] if config.get("model_class") == _BOOSTER else ["scikit-learn", "xgboost"]


class XGBoostPredictor:
    """Predict as MLflow's pyfunc does: a Booster gets a DMatrix, and feature names are validated.

    A frame of numbers goes to XGBoost as an array, which is several times faster. Text for a feature of categories
    becomes a category, so that data from JSON work.
    """

    only_computes = True

    def __init__(self, model: Any) -> None:
        self._model = model
        self._is_booster = isinstance(model, _xgboost().Booster)
        self._threads: int | None = None
        self._accepted = frozenset(inspect.signature(model.predict).parameters)
        booster = model if self._is_booster else model.get_booster()
        self._names: list[str] | None = booster.feature_names
        types = booster.feature_types or []
        self._categorical = [name for name, kind in zip(self._names or [], types, strict=False) if kind == "c"]
        # gblinear's wrapper makes a DMatrix itself, which has no feature names if made from an array.
        self._is_plain = getattr(type(model), "predict", None) is _xgboost().XGBModel.predict
        self._takes_arrays = not self._categorical and (self._is_booster or model.booster != "gblinear")

    def get_raw_model(self) -> Any:
        """Return the Booster or wrapper."""
        return self._model

    def limit_threads(self, count: int) -> None:
        """Let the model, and the matrices that are made for it, use `count` threads."""
        self._threads = count
        limit_xgboost_threads(self._model, count)

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return the model's predictions. Params that its ``predict`` does not take are ignored with a warning."""
        rows = self._rows(data)
        if rows is not None:
            return self.predict_rows(rows, params)
        return self._predict(self._with_categories(data), None, params)

    def takes_rows(self, names: list[Any]) -> bool:
        """Tell whether an array with columns of these names is what the model takes."""
        return self._takes_arrays and names == self._names

    def predict_rows(self, rows: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Predict an array that has the model's features as its columns."""
        if self._is_plain and not params:
            # What the wrapper does, without setting XGBoost's verbosity and back, which takes a sixth of one row.
            model = self._model
            best = getattr(model, "best_iteration", None)
            rounds = (0, 0) if best is None else (0, best + 1)
            return model.get_booster().inplace_predict(rows, iteration_range=rounds, missing=model.missing)
        return self._predict(rows, self._names, params)

    def _predict(self, data: Any, names: list[str] | None, params: Mapping[str, Any] | None) -> Any:
        known = {key: value for key, value in (params or {}).items() if key in self._accepted}
        if params and len(known) < len(params):
            ignored = sorted(params.keys() - known.keys())
            _logger.warning("Params %s are not accepted by the xgboost model, ignoring them during predict.", ignored)
        if self._is_booster:
            data = _xgboost().DMatrix(data, feature_names=names, enable_categorical=True, nthread=self._threads)
        return self._model.predict(data, **{"validate_features": True, **known})

    def _rows(self, data: Any) -> Any:
        """Return the values of a frame of numbers that has exactly the model's features; None for other data.

        XGBoost compares 32-bit floats, and gets the same ones from doubles as from integers that doubles hold exactly.
        """
        import numpy as np

        if not hasattr(getattr(data, "columns", None), "tolist") or not self.takes_rows(data.columns.tolist()):
            return None
        types = data.dtypes.tolist()
        if not all(isinstance(dtype, np.dtype) and dtype.kind in "iuf" and dtype.itemsize <= 8 for dtype in types):
            return None
        if all(dtype.kind == "f" for dtype in types):
            return data.to_numpy()
        rows = data.to_numpy(dtype=np.float64)
        has_wide = any(dtype.kind != "f" and dtype.itemsize == 8 for dtype in types)
        return None if has_wide and (np.abs(rows) >= _EXACT).any() else rows

    def _with_categories(self, data: Any) -> Any:
        if not self._categorical or not hasattr(data, "columns"):
            return data
        text = {name: "category" for name in self._categorical if name in data.columns and _is_text(data[name])}
        return data.astype(text) if text else data


def limit_xgboost_threads(model: Any, count: int) -> None:
    """Let a Booster or a wrapper use `count` threads, also the unfitted wrapper that a search or ensemble keeps."""
    if hasattr(model, "get_booster"):
        model.n_jobs = count  # set_params would hand the booster all parameters, and it takes no list of metrics
        if not model.__sklearn_is_fitted__():
            return
        model = model.get_booster()
    model.set_param({"nthread": count})


def _is_text(column: Any) -> bool:
    return column.dtype == object or column.dtype.name in ("str", "string")


def _xgboost() -> Any:
    return optional_import("xgboost", "xgboost")


def _class_name(model: Any) -> str:
    kind = type(model)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name in _CLASSES:
        return name
    raise InvalidParameterError(
        f"Expected an XGBoost model (a Booster, XGBClassifier, XGBRegressor, XGBRanker …), got {name}. For a class "
        "of your own, save model.get_booster(), or the whole object with registry.pyfunc.save_model."
    )


def _first_line(error: Exception) -> str:
    """Return the first line of an XGBoost error, which says what is wrong; a C++ stack trace follows it."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
