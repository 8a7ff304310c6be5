"""What users' own models derive from (``mlflow.pyfunc.model``)."""

from registry.flavors import PythonModel, PythonModelContext

__all__ = ["PythonModel", "PythonModelContext"]
