"""The MLmodel file and what is known of a model (``mlflow.models.model``)."""

from typing import TYPE_CHECKING

from registry.flavors import Model, ModelInfo, set_model
from registry.fluent.models import get_model_info

__all__ = ["Model", "ModelInfo", "get_model_info", "set_model"]

if not TYPE_CHECKING:
    from registry.unsupported import attributes

    __getattr__ = attributes(__name__, __all__)
