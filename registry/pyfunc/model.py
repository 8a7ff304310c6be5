"""Base classes of users' own models (``mlflow.pyfunc.model``)."""

from registry.flavors import PythonModel as PythonModel, PythonModelContext as PythonModelContext
from registry.unsupported import explain_missing

explain_missing(globals())
