"""`RegisteredModelAlias`, at MLflow's module path."""

from registry.entities.model_registry.registered_model import RegisteredModelAlias as RegisteredModelAlias
