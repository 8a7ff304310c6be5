"""MLflow's path of `ModelVersionTag`."""

from registry.entities.model_registry.model_version import ModelVersionTag as ModelVersionTag
