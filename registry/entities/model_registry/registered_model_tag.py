"""MLflow's path of `RegisteredModelTag`."""

from registry.entities.model_registry.registered_model import RegisteredModelTag as RegisteredModelTag
