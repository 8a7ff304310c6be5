"""`ModelVersionTag`, at MLflow's module path."""

from registry.entities.model_registry.model_version import ModelVersionTag as ModelVersionTag
