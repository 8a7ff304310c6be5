"""Models and directories: MLflow's MLmodel format, both ways. Knows no storage and no settings.

`save_model`, `load_model` and `load_pyfunc` are what the rest of the package uses. Consent to run a model's code comes
from the caller alone, as ``allow_code=True``.
"""

from registry.flavors.found import flavor_names, forget_flavors, get_flavor
from registry.flavors.guard import check_directory, is_looked_into
from registry.flavors.infer import infer_signature
from registry.flavors.load import load_model, load_pyfunc
from registry.flavors.mlmodel import Model
from registry.flavors.model_info import ModelInfo
from registry.flavors.pyfunc import PyFuncModel
from registry.flavors.python_model import PythonModel, PythonModelContext
from registry.flavors.role import Flavor, Predictor
from registry.flavors.save import save_model

__all__ = [
    "Flavor",
    "Model",
    "ModelInfo",
    "Predictor",
    "PyFuncModel",
    "PythonModel",
    "PythonModelContext",
    "check_directory",
    "flavor_names",
    "forget_flavors",
    "get_flavor",
    "infer_signature",
    "is_looked_into",
    "load_model",
    "load_pyfunc",
    "save_model",
]
