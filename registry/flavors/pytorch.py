"""The PyTorch flavor: a ``torch.export.ExportedProgram``, saved as MLflow's ``data/model.pt2``.

Guarantees: nothing is loaded before `require_consent` passed: ``torch.export.load`` unpickles parts of the file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from registry.exceptions import InvalidModelError, InvalidParameterError, InvalidTypeError
from registry.flavors.allow_code import require_consent
from registry.flavors.mlmodel import PYTHON_FUNCTION, inside
from registry.flavors.optional_imports import optional_import
from registry.flavors.protocol import Predictor

_DIRECTORY: Final = "data"
_FILE: Final = "model.pt2"


class PyTorchFlavor:
    """MLflow's ``pytorch`` flavor in its format ``pt2``."""

    name = "pytorch"
    loader_module = "mlflow.pytorch"

    def save(self, model: Any, directory: Path, **options: Any) -> dict[str, Any]:
        """Write ``data/model.pt2``. Further options go to ``torch.export.save``.

        Raises:
            InvalidParameterError: `model` is not a ``torch.export.ExportedProgram``.
        """
        if type(model).__name__ != "ExportedProgram":
            raise InvalidParameterError(
                f"Expected a torch.export.ExportedProgram, got {type(model).__name__}. Export the module first: "
                "torch.export.export(model.eval(), (example,))."
            )
        torch = _torch()
        (directory / _DIRECTORY).mkdir()
        torch.export.save(model, directory / _DIRECTORY / _FILE, **options)
        return {
            self.name: {"model_data": _DIRECTORY, "pytorch_version": str(torch.__version__)},
            PYTHON_FUNCTION: {
                "loader_module": self.loader_module,
                "data": _DIRECTORY,
                "config": {"device": None},
            },
        }

    def load(self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, **options: Any) -> Any:
        """Load the ``torch.export.ExportedProgram``. Its ``module()`` is called with tensors.

        Raises:
            CodeExecutionRefusedError: `allow_code` is False.
            InvalidModelError: the directory holds another format, or the file is damaged.
            ArtifactNotFoundError: the directory that the MLmodel file names is missing.
        """
        del options
        require_consent(
            allow_code,
            directory,
            "torch.export.load unpickles parts of the file",
            "A model in the ONNX format loads without it.",
        )
        data = config.get("model_data", _DIRECTORY)
        if not inside(directory, data, "flavors.pytorch.model_data").joinpath(_FILE).is_file():
            raise InvalidModelError(
                f"The PyTorch model in {str(directory)!r} has no {data}/{_FILE}. If MLflow saved it as a pickle, load "
                'it there and save it again with serialization_format="pt2".'
            )
        file = inside(directory, f"{data}/{_FILE}", "flavors.pytorch.model_data")
        torch = _torch()
        try:
            return torch.export.load(file)
        except Exception as error:
            # The zip file, the pickles and the graph in it have errors without a common base.
            raise InvalidModelError(f"PyTorch {torch.__version__} cannot read {str(file)!r}: {error}") from error

    def predictor(self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, **options: Any) -> Predictor:
        """Load the model for `pyfunc`."""
        return PyTorchPredictor(self.load(directory, config, allow_code=allow_code, **options).module())

    def requirements(self, config: Mapping[str, Any]) -> list[str]:
        """Return torch."""
        del config
        return ["torch"]


class PyTorchPredictor:
    """Predict as MLflow's pyfunc does: a DataFrame (read as 32-bit floats) for a DataFrame, an array for an array."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def get_raw_model(self) -> Any:
        """Return the ``torch.nn.Module``."""
        return self._module

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return what the module makes of `data`. Params have no effect.

        Raises:
            InvalidTypeError: `data` is no DataFrame or array, or the module returns no tensor.
        """
        del params
        import numpy as np
        import pandas as pd

        is_frame = isinstance(data, pd.DataFrame)
        if not is_frame and not isinstance(data, np.ndarray):
            raise InvalidTypeError(f"A PyTorch model predicts a DataFrame or an array, got {type(data).__name__}.")
        torch = _torch()
        with torch.no_grad():
            answer = self._module(torch.tensor(data.to_numpy(dtype=np.float32) if is_frame else data))
        if not isinstance(answer, torch.Tensor):
            raise InvalidTypeError(f"The PyTorch model returns {type(answer).__name__}, and should return one tensor.")
        values = answer.cpu().numpy()
        return pd.DataFrame(values, index=data.index) if is_frame else values


def _torch() -> Any:
    return optional_import("torch", "torch")
