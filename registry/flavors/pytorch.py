"""The PyTorch flavor: a program of ``torch.export``, or a module as its weights (safetensors) or as a pickle.

Guarantees: only weights that are loaded into a module of the caller's own are read without consent. A program is no
mere data: ``torch.export.load`` unpickles parts of the file, and has SymPy evaluate the expressions in its graph.
"""

import copy
import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from registry.exceptions import InvalidModelError, InvalidParameterError, InvalidTypeError
from registry.flavors.allow_code import require_consent
from registry.flavors.mlmodel import PYTHON_FUNCTION, inside
from registry.flavors.optional_imports import optional_import
from registry.flavors.protocol import Predictor

_DIRECTORY: Final = "data"
# The file of each format. MLflow has the first and the last one.
_FILES: Final = {"pt2": "model.pt2", "safetensors": "model.safetensors", "pickle": "model.pth"}
# MLflow imports the module that this file names; these are read by the standard pickle.
_PICKLE_MODULE_FILE: Final = "pickle_module_info.txt"
_PICKLE_MODULES: Final = (b"pickle", b"cloudpickle", b"mlflow.pytorch.pickle_module")
_REASONS: Final = {
    "pt2": "torch.export.load unpickles parts of the file, and evaluates expressions in it",
    "safetensors": "it calls {factory!r} to build the module that the weights belong to",
    "pickle": "it is a pickle",
}
_INSTEAD: Final = {
    "safetensors": "To load only the weights, give a module of your own: load_model(…, module=Net()).",
}


class PyTorchFlavor:
    """MLflow's ``pytorch`` flavor in its formats ``pt2`` and ``pickle``, and in ours, ``safetensors``."""

    name = "pytorch"
    loader_module = "mlflow.pytorch"

    def save(
        self,
        model: Any,
        directory: Path,
        *,
        serialization_format: str = "pt2",
        factory: Callable[..., Any] | None = None,
        factory_arguments: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Write one file into ``data``. Further options go to ``torch.export.save`` or ``torch.save``.

        `factory` and `factory_arguments` are of the format ``safetensors`` alone: the class or function that builds the
        module again, and its keyword arguments. Default: the module's class, without arguments.

        Raises:
            InvalidParameterError: `model` is not of the kind that the format holds, or cannot be built again; or the
                format has no such option.
        """
        torch = _torch()
        if serialization_format not in _FILES:
            raise InvalidParameterError(
                f"The serialization_format of a PyTorch model is one of {', '.join(_FILES)}; got "
                f"{serialization_format!r}."
            )
        if serialization_format == "pt2" and not isinstance(model, torch.export.ExportedProgram):
            raise InvalidParameterError(
                f"Expected a torch.export.ExportedProgram, got {type(model).__name__}. Export the module first: "
                "torch.export.export(model.eval(), (example,)), or give pytorch.log_model or pytorch.save_model an "
                "input_example (a DataFrame, an array or a tensor). Or save its weights alone: "
                'serialization_format="safetensors".'
            )
        if serialization_format != "pt2" and not isinstance(model, torch.nn.Module):
            raise InvalidParameterError(
                f"Expected a torch.nn.Module for the format {serialization_format}, got {type(model).__name__}."
            )
        if serialization_format == "safetensors" and options:
            raise InvalidParameterError(
                f"The format safetensors has no option {', '.join(map(repr, sorted(options)))}; it takes factory and "
                "factory_arguments."
            )
        (directory / _DIRECTORY).mkdir()
        file = directory / _DIRECTORY / _FILES[serialization_format]
        entry = {"model_data": _DIRECTORY, "pytorch_version": str(torch.__version__)}
        try:
            if serialization_format == "pt2":
                torch.export.save(model, file, **options)
            elif serialization_format == "safetensors":
                entry |= _save_weights(model, file, factory or type(model), dict(factory_arguments or {}))
            else:
                torch.save(model, file, **options)
                (file.parent / _PICKLE_MODULE_FILE).write_bytes(_PICKLE_MODULES[0])
        except (InvalidParameterError, OSError):
            raise
        except Exception as error:
            # The model's own code and the packages have errors without a common base.
            raise InvalidParameterError(
                f"The PyTorch model cannot be saved as {serialization_format}: {type(error).__name__}: {error}"
            ) from error
        return {
            self.name: entry,
            PYTHON_FUNCTION: {"loader_module": self.loader_module, "data": _DIRECTORY, "config": {"device": None}},
        }

    def load(
        self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, module: Any = None, **options: Any
    ) -> Any:
        """Load the ``torch.export.ExportedProgram``, or the ``torch.nn.Module`` on the CPU and in evaluation mode.

        `module` is a module of the caller's own that the weights of a safetensors file are loaded into.

        Raises:
            CodeExecutionRefusedError: `allow_code` is False, and the weights are not loaded into `module`.
            InvalidModelError: the file is damaged, or its weights belong to another module.
            ArtifactNotFoundError: the directory that the MLmodel file names is missing.
        """
        del options
        data = inside(directory, config.get("model_data", _DIRECTORY), "flavors.pytorch.model_data")
        model_format = next((name for name, file in _FILES.items() if (data / file).is_file()), None)
        if model_format is None:
            raise InvalidModelError(
                f"The PyTorch model in {str(directory)!r} has none of the files {', '.join(_FILES.values())} in "
                f"{data.name!r}."
            )
        file = inside(directory, f"{data.relative_to(directory)}/{_FILES[model_format]}", "flavors.pytorch.model_data")
        if model_format != "safetensors" and module is not None:
            raise InvalidParameterError(f"A module can be given for a safetensors file, and this is {file.name!r}.")
        if module is None:
            reason = _REASONS[model_format].format(factory=config.get("factory"))
            instead = _INSTEAD.get(model_format, "A model in the ONNX format loads without it.")
            require_consent(allow_code, directory, reason, instead)
        torch = _torch()
        try:
            if model_format == "pt2":
                return torch.export.load(file)
            if model_format == "safetensors":
                return _load_weights(_built(config) if module is None else module, file)
            named = (data / _PICKLE_MODULE_FILE).read_bytes()
            if named not in _PICKLE_MODULES:
                raise InvalidModelError(f"{_PICKLE_MODULE_FILE} names {named!r}, which is none of {_PICKLE_MODULES}.")
            # weights_only allows tensors alone; consent to more was given above.
            return torch.load(file, map_location="cpu", weights_only=False).eval()
        except InvalidModelError:
            raise
        except Exception as error:
            # The file's parts and the module's own code have errors without a common base.
            raise InvalidModelError(f"PyTorch {torch.__version__} cannot load {str(file)!r}: {error}") from error

    def wrap(self, model: Any, config: Mapping[str, Any]) -> Predictor:
        """Wrap the model that is being saved, as `predictor` would."""
        del config
        return PyTorchPredictor(as_module(model))

    def predictor(self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, **options: Any) -> Predictor:
        """Load the model for `pyfunc`."""
        return PyTorchPredictor(as_module(self.load(directory, config, allow_code=allow_code, **options)))

    def requirements(self, config: Mapping[str, Any]) -> list[str]:
        """Return torch, and safetensors for a model in that format."""
        return ["torch", "safetensors"] if "factory" in config else ["torch"]


class PyTorchPredictor:
    """Predict as MLflow's pyfunc does: a DataFrame (read as 32-bit floats) for a DataFrame, an array for an array."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def get_raw_model(self) -> Any:
        """Return the ``torch.nn.Module``."""
        return self._module

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return what the module makes of `data`. Params are its keyword arguments, as in MLflow.

        Raises:
            InvalidTypeError: `data` is no DataFrame or array, or the module returns no tensor.
        """
        import numpy as np
        import pandas as pd

        is_frame = isinstance(data, pd.DataFrame)
        if not is_frame and not isinstance(data, np.ndarray):
            raise InvalidTypeError(f"A PyTorch model predicts a DataFrame or an array, got {type(data).__name__}.")
        torch = _torch()
        with torch.no_grad():
            answer = self._module(_as_tensor(data, self._module), **(params or {}))
        if not isinstance(answer, torch.Tensor):
            raise InvalidTypeError(f"The PyTorch model returns {type(answer).__name__}, and should return one tensor.")
        values = answer.cpu().numpy()
        return pd.DataFrame(values, index=data.index) if is_frame else values


def as_array(example: Any) -> Any:
    """Return a tensor as an array, as examples are stored; anything else as it is."""
    return example.detach().cpu().numpy() if hasattr(example, "detach") else example


def exported(model: Any, example: Any) -> Any:
    """Return a module as a program for its input; anything else, or a module without an example, as it is.

    The program is made in evaluation mode from a copy, and for any number of rows if the module allows it.

    Raises:
        InvalidParameterError: torch cannot export the module.
    """
    import numpy as np
    import pandas as pd

    torch = _torch()
    if not isinstance(model, torch.nn.Module) or not isinstance(example, (pd.DataFrame, np.ndarray)):
        return model
    try:
        rows = _as_tensor(example, model)
        if rows.dim() and len(rows) == 1:  # torch.export takes a size of 1 for a constant
            rows = torch.cat([rows, rows])
        sizes = {0: torch.export.Dim.AUTO} if rows.dim() else None
        return torch.export.export(copy.deepcopy(model).eval(), (rows,), dynamic_shapes=(sizes,))
    except Exception as error:
        # The model's own code and the packages have errors without a common base.
        raise InvalidParameterError(
            f"The PyTorch module cannot be exported with its input_example: {type(error).__name__}: {error} Export it "
            'yourself with torch.export.export, or save its weights alone: serialization_format="safetensors".'
        ) from error


def _as_tensor(data: Any, module: Any) -> Any:
    """Return a copy, as the module may write to its input: on the module's device, a DataFrame as 32-bit floats."""
    weight = next(module.parameters(), None)
    values = data.to_numpy(dtype="float32") if hasattr(data, "to_numpy") else data
    return _torch().tensor(values, device=None if weight is None else weight.device)


def as_module(model: Any) -> Any:
    """Return the ``torch.nn.Module`` of a program, or the module itself."""
    return model.module() if type(model).__name__ == "ExportedProgram" else model


def _save_weights(model: Any, file: Path, factory: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Write the weights, check that they fit what `factory` builds, and return what the MLmodel file says of it.

    Raises:
        InvalidParameterError: the factory cannot be imported, its arguments are no JSON, or it builds another module.
    """
    safetensors = _safetensors()
    reference = f"{getattr(factory, '__module__', None)}:{getattr(factory, '__qualname__', None)}"
    try:
        entry = {"factory": reference, "factory_arguments": json.loads(json.dumps(arguments))}
        if factory.__module__ == "__main__" or _imported(reference) is not factory:
            raise ImportError("it is not what this name imports")
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise InvalidParameterError(
            f"The module is built again by importing {reference} and calling it with {arguments}; that will fail "
            f"({error}). Put the class into a Python file of its own, give it by code_paths, and use arguments of "
            "JSON: numbers, texts, lists and dicts."
        ) from error
    safetensors.save_model(model, str(file))
    try:
        _load_weights(_built(entry), file)
    except Exception as error:
        reason = " ".join(str(error).split())  # torch's has lines
        raise InvalidParameterError(
            f"{reference} with the arguments {arguments} does not build the module again ({reason}). Give the class "
            "or function that does by factory=…, and its arguments by factory_arguments=…."
        ) from error
    return entry


def _load_weights(module: Any, file: Path) -> Any:
    _safetensors().load_model(module, str(file), strict=True)
    return module.eval()


def _built(config: Mapping[str, Any]) -> Any:
    """Call the factory that an entry names. This runs code: call `require_consent` first."""
    return _imported(str(config.get("factory")))(**(config.get("factory_arguments") or {}))


def _imported(reference: str) -> Any:
    module, _, path = reference.partition(":")
    value: Any = importlib.import_module(module)
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _torch() -> Any:
    return optional_import("torch", "torch")


def _safetensors() -> Any:
    return optional_import("safetensors.torch", "torch")
