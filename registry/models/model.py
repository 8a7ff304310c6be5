"""The MLmodel file and what is known of a model (``mlflow.models.model``)."""

from registry.flavors import Model, ModelInfo
from registry.fluent.models import get_model_info

__all__ = ["Model", "ModelInfo", "get_model_info"]
