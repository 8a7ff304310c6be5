"""The Prophet flavor: a fitted ``Prophet``, saved as the JSON of ``prophet.serialize``.

Guarantees: the file is data. Prophet sets the attributes of a new forecaster from it, and unpickles nothing.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from registry.exceptions import InvalidModelError, InvalidParameterError
from registry.flavors.mlmodel import PYTHON_FUNCTION, inside
from registry.flavors.optional_imports import optional_import
from registry.flavors.protocol import Predictor

FILE_NAME: Final = "model.pr"


class ProphetFlavor:
    """MLflow's ``prophet`` flavor."""

    name = "prophet"
    loader_module = "mlflow.prophet"

    def save(self, model: Any, directory: Path, **options: Any) -> dict[str, Any]:
        """Write ``model.pr``. There are no options.

        Raises:
            InvalidParameterError: `model` is not a Prophet model, or not fitted.
        """
        prophet = _prophet()
        if type(model) is not prophet.Prophet:
            raise InvalidParameterError(
                f"Expected a Prophet model, got {type(model).__name__}. For a class of your own, save the whole object "
                "with registry.pyfunc.save_model."
            )
        if options:
            raise InvalidParameterError(f"The prophet flavor has no option {', '.join(options)}.")
        try:
            text = prophet.serialize.model_to_json(model)
        except (ValueError, TypeError, AttributeError) as error:
            raise InvalidParameterError(f"The Prophet model could not be saved: {error} Fit it first.") from error
        # A JSON text of the JSON text, as MLflow writes it.
        (directory / FILE_NAME).write_text(json.dumps(text), encoding="utf-8")
        return {
            self.name: {"model_type": "Prophet", "data": FILE_NAME, "prophet_version": prophet.__version__},
            PYTHON_FUNCTION: {"loader_module": self.loader_module, "data": FILE_NAME},
        }

    def load(self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, **options: Any) -> Any:
        """Load the ``Prophet`` model. It predicts, and cannot be fitted again.

        Raises:
            InvalidModelError: Prophet cannot read the file.
            ArtifactNotFoundError: the file is missing.
        """
        del allow_code, options  # this format holds no code
        file = inside(directory, config.get("data", FILE_NAME), "flavors.prophet.data")
        prophet = _prophet()
        try:
            return prophet.serialize.model_from_json(json.loads(file.read_text(encoding="utf-8")))
        except Exception as error:
            # Prophet follows the text without checks, through pandas, with errors without a common base.
            raise InvalidModelError(f"Prophet {prophet.__version__} cannot read {str(file)!r}: {error}") from error

    def predictor(self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, **options: Any) -> Predictor:
        """Load the model for `pyfunc`."""
        return ProphetPredictor(self.load(directory, config, allow_code=allow_code, **options))

    def requirements(self, config: Mapping[str, Any]) -> list[str]:
        """Return prophet."""
        del config
        return ["prophet"]


class ProphetPredictor:
    """Predict as MLflow's pyfunc does: the forecast for a DataFrame with a column ``ds``. Its intervals are random."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def get_raw_model(self) -> Any:
        """Return the ``Prophet`` model."""
        return self._model

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return Prophet's table of the forecast. Params have no effect, as in MLflow."""
        del params
        return self._model.predict(data)


def _prophet() -> Any:
    optional_import("prophet.serialize", "prophet")
    return optional_import("prophet", "prophet")
