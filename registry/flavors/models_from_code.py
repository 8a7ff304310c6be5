"""Models from code: a Python file that makes a model and passes it to `set_model` (MLflow's models from code).

Guarantees: only `load_code_model` runs a file; its callers call `require_consent` first.
"""

import importlib.util
import sys
import uuid
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

from registry.exceptions import InvalidModelError, InvalidTypeError
from registry.flavors.python_model import FunctionModel

LOADER_MODULE: Final = "mlflow.pyfunc.loaders.code_model"
_models: ContextVar[list[Any] | None] = ContextVar("registry_code_model", default=None)


def set_model(model: Any) -> None:
    """Set the model of this file, for models from code.

    A file that is run on its own may call it too; the call then has no effect.

    Args:
        model: An object with a `predict` method, such as a `PythonModel`, or a function of the input.

    Raises:
        InvalidTypeError: it is neither.

    Example:
        >>> import registry as mlflow
        >>> mlflow.models.set_model(lambda model_input: [1.0] * len(model_input))
    """
    if isinstance(model, type) or not (callable(model) or hasattr(model, "predict")):
        raise InvalidTypeError(f"set_model takes a PythonModel or a function, got {type(model).__name__}.")
    models = _models.get()
    if models is not None:
        models.append(model)


def load_code_model(file: Path) -> Any:
    """Run a file and return the model that it set.

    Raises:
        InvalidModelError: the file fails, or sets no model.
    """
    models: list[Any] = []
    token = _models.set(models)
    name = f"registry_code_model_{uuid.uuid4().hex}"
    try:
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise InvalidModelError(f"{str(file)!r} is no Python file; the name of a model from code ends in .py.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # classes look up their module by name
        spec.loader.exec_module(module)
    except InvalidModelError:
        raise
    except Exception as error:
        raise InvalidModelError(f"The code of the model in {str(file)!r} failed: {error!r}") from error
    finally:
        _models.reset(token)
    if not models:
        raise InvalidModelError(f"The file {str(file)!r} sets no model; end it with registry.models.set_model(model).")
    model = models[-1]
    return model if hasattr(model, "predict") else FunctionModel(model)
