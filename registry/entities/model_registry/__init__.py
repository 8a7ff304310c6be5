"""Registered models and model versions, with the names of ``mlflow.entities.model_registry``."""

from registry.entities.model_registry.model_version import (
    ModelVersion as ModelVersion,
    ModelVersionTag as ModelVersionTag,
)
from registry.entities.model_registry.model_version_status import ModelVersionStatus as ModelVersionStatus
from registry.entities.model_registry.registered_model import (
    RegisteredModel as RegisteredModel,
    RegisteredModelAlias as RegisteredModelAlias,
    RegisteredModelTag as RegisteredModelTag,
)
from registry.entities.model_registry.resolved_model import ResolvedModel as ResolvedModel
from registry.unsupported import explain_missing

explain_missing(globals())
