"""Registered models and model versions, with the names of ``mlflow.entities.model_registry``."""

from typing import TYPE_CHECKING

from registry.entities.model_registry.model_version import ModelVersion, ModelVersionTag
from registry.entities.model_registry.model_version_status import ModelVersionStatus
from registry.entities.model_registry.registered_model import (
    RegisteredModel,
    RegisteredModelAlias,
    RegisteredModelTag,
)
from registry.entities.model_registry.resolved_model import ResolvedModel

__all__ = [
    "ModelVersion",
    "ModelVersionStatus",
    "ModelVersionTag",
    "RegisteredModel",
    "RegisteredModelAlias",
    "RegisteredModelTag",
    "ResolvedModel",
]

if not TYPE_CHECKING:
    from registry.unsupported import attributes

    __getattr__ = attributes(__name__, __all__)
