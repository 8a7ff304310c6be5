"""Convert models to directories in MLflow's MLmodel format and back. Knows no storage and no settings.

The rest of the package uses `save_model`, `load_model` and `load_pyfunc`. Only the caller can allow a model's code to
run, by ``allow_code=True``.
"""

from registry.flavors.discovery import flavor_names, forget_flavors, get_flavor
from registry.flavors.load import load_model, load_pyfunc
from registry.flavors.mlmodel import Model, ModelInfo
from registry.flavors.models_from_code import set_model
from registry.flavors.protocol import Flavor, Predictor
from registry.flavors.pyfunc_model import PyFuncModel
from registry.flavors.python_model import PythonModel, PythonModelContext
from registry.flavors.requirements import Environment
from registry.flavors.save import save_model
from registry.flavors.signatures.infer import infer_signature
from registry.flavors.untrusted.model_directory import check_directory, needs_safety_check

__all__ = [
    "Environment",
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
    "load_model",
    "load_pyfunc",
    "needs_safety_check",
    "save_model",
    "set_model",
]
