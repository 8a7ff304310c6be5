"""MLflow's path of `RegisteredModelAlias`."""

from registry.entities.model_registry.registered_model import RegisteredModelAlias as RegisteredModelAlias
