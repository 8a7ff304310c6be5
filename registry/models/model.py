"""The MLmodel file and a model's information (``mlflow.models.model``)."""

from registry.flavors import Model as Model, ModelInfo as ModelInfo, set_model as set_model
from registry.fluent.models import get_model_info as get_model_info
from registry.unsupported import explain_missing

explain_missing(globals())
