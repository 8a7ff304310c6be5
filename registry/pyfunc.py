"""Models as functions from data to predictions (``mlflow.pyfunc``)."""

from collections.abc import Mapping
from typing import Any

from registry.flavors import PyFuncModel, PythonModel, PythonModelContext
from registry.fluent.models import load_function

__all__ = ["PyFuncModel", "PythonModel", "PythonModelContext", "load_model"]


def load_model(
    model_uri: str,
    suppress_warnings: bool = False,
    dst_path: str | None = None,
    model_config: Mapping[str, Any] | None = None,
    *,
    allow_code: bool | None = None,
) -> PyFuncModel:
    """The model of a URI as a function; native formats run no code of the model.

    `allow_code` is the caller's consent to run code from the model's files (pickle, Python functions); by default
    ``REGISTRY_ALLOW_CODE`` says.

    Raises:
        NotFoundError: nothing is at the URI, or it has no Python function.
        CodeExecutionRefusedError: loading would run code of the model, without consent.
        IntegrityError: a stored file is not what was sealed.
    """
    del suppress_warnings
    return load_function(model_uri, dst_path=dst_path, allow_code=allow_code, model_config=model_config)
