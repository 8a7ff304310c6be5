"""The LightGBM flavor: a Booster or a scikit-learn wrapper, saved as LightGBM's own text.

MLflow stores wrappers with skops or as pickles; here the text holds the trees, and a JSON file beside it the rest.
Guarantees: the loaded class is one of the table below, regardless of the MLmodel file, and no file runs code.
"""

import json
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from registry.exceptions import InvalidModelError, InvalidParameterError
from registry.flavors.mlmodel import PYTHON_FUNCTION, inside
from registry.flavors.optional_imports import optional_import
from registry.flavors.protocol import Predictor
from registry.flavors.untrusted.model_directory import check_lightgbm_bytes
from registry.flavors.xgboost_parameters import from_json, to_json

FILE_NAME: Final = "model.lgb"
WRAPPER_FILE: Final = "wrapper.json"
_BOOSTER: Final = "lightgbm.basic.Booster"
_CLASSES: Final = {
    _BOOSTER: "Booster",
    "lightgbm.sklearn.LGBMModel": "LGBMModel",
    "lightgbm.sklearn.LGBMClassifier": "LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor": "LGBMRegressor",
    "lightgbm.sklearn.LGBMRanker": "LGBMRanker",
}
# What a fit leaves in a wrapper beside its parameters and its Booster.
_FITTED: Final = (
    "_best_iteration",
    "_best_score",
    "_evals_result",
    "_fitted_with_feature_names",
    "_n_classes",
    "_n_features",
    "_n_features_in",
    "_objective",
)
_MAX_BYTES: Final = 64 * 1024 * 1024
_logger = logging.getLogger(__name__)


class LightGBMFlavor:
    """MLflow's ``lightgbm`` flavor."""

    name = "lightgbm"
    loader_module = "mlflow.lightgbm"

    def save(
        self, model: Any, directory: Path, *, serialization_format: str | None = None, **options: Any
    ) -> dict[str, Any]:
        """Write ``model.lgb``. Further options go to the Booster's own ``save_model``.

        Raises:
            InvalidParameterError: `model` is not a LightGBM model or not trained.
        """
        del serialization_format  # a pickle is not needed
        lightgbm = _lightgbm()
        class_name = _class_name(model)
        booster = model
        wrapper: dict[str, Any] = {}
        if class_name != _BOOSTER:
            booster = vars(model).get("_Booster")
            if booster is None:
                raise InvalidParameterError("The LightGBM model is not trained; fit it before saving.")
            wrapper = {"wrapper": WRAPPER_FILE}
            _save_wrapper(model, directory / WRAPPER_FILE)
        try:
            booster.save_model(str(directory / FILE_NAME), **options)
        except (lightgbm.basic.LightGBMError, TypeError, ValueError) as error:
            raise InvalidParameterError(f"The LightGBM model could not be saved: {error}") from error
        return {
            self.name: {
                "data": FILE_NAME,
                "model_class": class_name,
                "lgb_version": lightgbm.__version__,
                **wrapper,
            },
            PYTHON_FUNCTION: {"loader_module": self.loader_module, "data": FILE_NAME},
        }

    def load(
        self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, sealed: bool = False, **options: Any
    ) -> Any:
        """Load the Booster or wrapper. `sealed` says that the bytes were verified, and are not checked again.

        Raises:
            InvalidModelError: the MLmodel file names another class, or LightGBM cannot read the model file.
            ArtifactNotFoundError: the model file is missing.
        """
        del allow_code, options  # this format holds no code
        file = inside(directory, config.get("data"), "flavors.lightgbm.data")
        class_name = config.get("model_class") or _BOOSTER
        if not isinstance(class_name, str) or class_name not in _CLASSES:
            raise InvalidModelError(
                f"The MLmodel file in {str(directory)!r} names the class {class_name!r}; LightGBM models of these "
                f"classes can be loaded: {', '.join(sorted(_CLASSES))}."
            )
        if class_name != _BOOSTER and "wrapper" not in config:
            raise InvalidModelError(
                f"The LightGBM model in {str(directory)!r} was saved by MLflow with "
                f"{config.get('serialization_format', 'a pickle')}. Load it there, and save it again as "
                "model.booster_, which is text."
            )
        lightgbm = _lightgbm()
        data = file.read_bytes()
        if not sealed:
            check_lightgbm_bytes(data, file)
        try:
            booster = _load_booster(data.decode("utf-8"))
        except (lightgbm.basic.LightGBMError, ValueError, TypeError, KeyError) as error:
            raise InvalidModelError(f"LightGBM {lightgbm.__version__} cannot read {str(file)!r}: {error}.") from error
        if class_name == _BOOSTER:
            return booster
        optional_import("sklearn", "lightgbm")
        wrapper = inside(directory, config["wrapper"], "flavors.lightgbm.wrapper")
        return _load_wrapper(getattr(lightgbm, _CLASSES[class_name])(), booster, wrapper)

    def wrap(self, model: Any, config: Mapping[str, Any]) -> Predictor:
        """Wrap the model that is being saved, as `predictor` would."""
        del config
        return LightGBMPredictor(model)

    def predictor(self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, **options: Any) -> Predictor:
        """Load the model for `pyfunc`."""
        return LightGBMPredictor(self.load(directory, config, allow_code=allow_code, **options))

    def requirements(self, config: Mapping[str, Any]) -> list[str]:
        """Return lightgbm, and scikit-learn for its wrappers."""
        return ["lightgbm"] if config.get("model_class") == _BOOSTER else ["lightgbm", "scikit-learn"]


class LightGBMPredictor:
    """Predict as MLflow's pyfunc does. Text for features of categories becomes a category, so data from JSON work."""

    only_computes = True

    def __init__(self, model: Any) -> None:
        self._model = model
        booster = model if isinstance(model, _lightgbm().Booster) else model.booster_
        self._has_categories = bool(booster.pandas_categorical)
        self._options: dict[str, Any] = {}

    def get_raw_model(self) -> Any:
        """Return the Booster or wrapper."""
        return self._model

    def limit_threads(self, count: int) -> None:
        """Let the next predictions use `count` threads."""
        self._options = {"num_threads": count}

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return the model's predictions. Params have no effect, as in MLflow."""
        del params
        if self._has_categories and hasattr(data, "columns"):
            text = {name: "category" for name in data.columns if _is_text(data[name])}
            data = data.astype(text) if text else data
        return self._model.predict(data, **self._options)


def _load_booster(text: str) -> Any:
    """Load a Booster in a thread of its own.

    LightGBM reads trees with as many OpenMP threads as it last predicted with, and offers no other number. In a forked
    child the thread that forked would wait forever for those of its parent; a new thread has none to wait for.
    """
    booster = _lightgbm().Booster
    with ThreadPoolExecutor(1, "registry-lightgbm") as threads:
        try:
            loading = threads.submit(booster, model_str=text)
        except RuntimeError:  # the interpreter is ending, and starts no thread any more
            return booster(model_str=text)
        return loading.result()


def _save_wrapper(model: Any, file: Path) -> None:
    parameters, fitted, left_out = {}, {}, []
    # Read attributes: get_params() of a subclass may do more than read.
    own = {name: getattr(model, name, None) for name in _parameter_names(model)}
    for name, value in own.items():
        try:
            parameters[name] = to_json(name, value)
        except TypeError:
            left_out.append(name)
    for name in _FITTED:
        try:
            fitted[name] = to_json("", vars(model).get(name))
        except TypeError:  # an objective of the user's own, which predictions do not call
            left_out.append(name)
    classes = vars(model).get("_classes")
    content = {"parameters": parameters, "fitted": fitted, "classes": _classes_to_json(classes)}
    file.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
    if left_out:
        _logger.warning(
            "%s of this %s are code and are not saved; the loaded model is without them.",
            ", ".join(left_out),
            type(model).__name__,
        )


def _load_wrapper(model: Any, booster: Any, file: Path) -> Any:
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES} bytes")
        content = json.loads(file.read_text(encoding="utf-8"))
        parameters = {name: from_json(value) for name, value in content["parameters"].items()}
        fitted = {name: from_json(value) for name, value in content["fitted"].items() if name in _FITTED}
        classes = _classes_from_json(content["classes"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise InvalidModelError(
            f"The wrapper of the LightGBM model in {str(file)!r} cannot be read: {error!r}"
        ) from None
    known = set(_parameter_names(model))
    for name in known & parameters.keys():
        setattr(model, name, parameters[name])
    others = {
        name: value for name, value in parameters.items() if name.isidentifier() and not hasattr(type(model), name)
    }
    model.set_params(**{name: value for name, value in others.items() if name not in known})
    vars(model).update(fitted)
    model._Booster = booster
    model.fitted_ = True
    if classes is not None:
        encoder = optional_import("sklearn.preprocessing", "lightgbm").LabelEncoder()
        encoder.classes_ = classes
        model._le, model._classes = encoder, classes
        model._class_map = dict(zip(classes, range(len(classes)), strict=True))
    return model


def _parameter_names(model: Any) -> list[str]:
    """Return the names of the constructor's parameters, and of the further ones that this model has."""
    names: list[str] = type(model)._get_param_names()
    return sorted({*names, *vars(model).get("_other_params", {})})


def _classes_to_json(classes: Any) -> Any:
    if classes is None:
        return None
    values = classes.tolist()
    if classes.dtype.kind not in "biufUO" or not all(isinstance(value, str | int | float) for value in values):
        raise InvalidParameterError(f"Labels of the type {classes.dtype} cannot be saved; use numbers or texts.")
    return {"dtype": classes.dtype.str if classes.dtype.kind != "O" else "O", "values": values}


def _classes_from_json(content: Any) -> Any:
    import numpy as np

    if content is None:
        return None
    dtype = np.dtype(content["dtype"])
    if dtype.kind not in "biufUO" or not all(isinstance(value, str | int | float) for value in content["values"]):
        raise ValueError(f"labels of the type {dtype} are not known")
    return np.array(content["values"], dtype=dtype)


def _is_text(column: Any) -> bool:
    return column.dtype == object or column.dtype.name in ("str", "string")


def _lightgbm() -> Any:
    return optional_import("lightgbm", "lightgbm")


def _class_name(model: Any) -> str:
    kind = type(model)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name in _CLASSES:
        return name
    raise InvalidParameterError(
        f"Expected a LightGBM model (a Booster, LGBMClassifier, LGBMRegressor, LGBMRanker), got {name}. For a class of "
        "your own, save model.booster_, or the whole object with registry.pyfunc.save_model."
    )
