"""What users' own models derive from (``mlflow.pyfunc.model``)."""

from typing import TYPE_CHECKING

from registry.flavors import PythonModel, PythonModelContext

__all__ = ["PythonModel", "PythonModelContext"]

if not TYPE_CHECKING:
    from registry.unsupported import attributes

    __getattr__ = attributes(__name__, __all__)
