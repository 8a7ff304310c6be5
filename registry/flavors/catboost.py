"""The CatBoost flavor: a ``CatBoost`` object or one of its scikit-learn classes, saved in CatBoost's own format.

Guarantees: the loaded class is one of the table below, regardless of the MLmodel file, and the model file is data for
CatBoost's parser.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from registry.exceptions import InvalidModelError, InvalidParameterError
from registry.flavors.mlmodel import PYTHON_FUNCTION, inside
from registry.flavors.optional_imports import optional_import
from registry.flavors.protocol import Predictor
from registry.flavors.untrusted.model_directory import check_catboost_bytes

FILE_NAME: Final = "model.cb"
# The formats that CatBoost can load again.
FORMATS: Final = ("cbm", "json")
_CLASSES: Final = ("CatBoost", "CatBoostClassifier", "CatBoostRanker", "CatBoostRegressor")


class CatBoostFlavor:
    """MLflow's ``catboost`` flavor."""

    name = "catboost"
    loader_module = "mlflow.catboost"

    def save(self, model: Any, directory: Path, *, format: str = "cbm", **options: Any) -> dict[str, Any]:
        """Write ``model.cb``. Further options go to the model's own ``save_model``.

        Raises:
            InvalidParameterError: `model` is not a CatBoost model or not trained, or the format is unknown.
        """
        catboost = _catboost()
        class_name = type(model).__name__
        if class_name not in _CLASSES or type(model) is not getattr(catboost, class_name):
            raise InvalidParameterError(
                f"Expected a CatBoost model ({', '.join(_CLASSES)}), got {class_name}. For a class of your own, save "
                "the whole object with registry.pyfunc.save_model."
            )
        if format not in FORMATS:
            raise InvalidParameterError(
                f"A model in CatBoost's format {format!r} cannot be loaded again; use one of {', '.join(FORMATS)}."
            )
        try:
            model.save_model(str(directory / FILE_NAME), format=format, **options)
        except (catboost.CatBoostError, TypeError, ValueError) as error:
            raise InvalidParameterError(f"The CatBoost model could not be saved: {error}") from error
        return {
            self.name: {
                "data": FILE_NAME,
                "model_type": class_name,
                "save_format": format,
                "catboost_version": catboost.__version__,
            },
            PYTHON_FUNCTION: {"loader_module": self.loader_module, "data": FILE_NAME},
        }

    def load(
        self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, sealed: bool = False, **options: Any
    ) -> Any:
        """Load an object of the class that was saved. `sealed` says that the bytes were verified, and are not checked.

        Raises:
            InvalidModelError: the MLmodel file names another class or format, or CatBoost cannot read the model file.
            ArtifactNotFoundError: the model file is missing.
        """
        del allow_code, options  # this format holds no code
        file = inside(directory, config.get("data", FILE_NAME), "flavors.catboost.data")
        class_name, model_format = config.get("model_type"), config.get("save_format", "cbm")
        if class_name not in _CLASSES or model_format not in FORMATS:
            raise InvalidModelError(
                f"The MLmodel file in {str(directory)!r} names the class {class_name!r} and the format "
                f"{model_format!r}; CatBoost models of the classes {', '.join(_CLASSES)} in the formats "
                f"{', '.join(FORMATS)} can be loaded."
            )
        catboost = _catboost()
        model = getattr(catboost, class_name)()
        try:
            data = file.read_bytes()
            if model_format == "cbm":
                if not sealed:
                    check_catboost_bytes(data, file)
                model.load_model(blob=data)
            else:
                json.loads(data)  # CatBoost takes the first half of a file for a model
                model.load_model(str(file), format=model_format)
        except (catboost.CatBoostError, ValueError, TypeError, KeyError) as error:
            raise InvalidModelError(f"CatBoost {catboost.__version__} cannot read {str(file)!r}: {error}") from error
        return model

    def wrap(self, model: Any, config: Mapping[str, Any]) -> Predictor:
        """Wrap the model that is being saved, as `predictor` would."""
        del config
        return CatBoostPredictor(model)

    def predictor(self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, **options: Any) -> Predictor:
        """Load the model for `pyfunc`."""
        return CatBoostPredictor(self.load(directory, config, allow_code=allow_code, **options))

    def requirements(self, config: Mapping[str, Any]) -> list[str]:
        """Return catboost."""
        del config
        return ["catboost"]


class CatBoostPredictor:
    """Predict as MLflow's pyfunc does: the model's own ``predict``."""

    only_computes = True

    def __init__(self, model: Any) -> None:
        self._model = model
        self._threads = -1  # CatBoost's word for all

    def get_raw_model(self) -> Any:
        """Return the CatBoost object."""
        return self._model

    def limit_threads(self, count: int) -> None:
        """Let the next predictions use `count` threads."""
        self._threads = count

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return the model's predictions. Params have no effect, as in MLflow."""
        del params
        return self._model.predict(data, thread_count=self._threads)


def _catboost() -> Any:
    return optional_import("catboost", "catboost")
