"""MLflow's path of the client (``mlflow.tracking.client``)."""

from typing import TYPE_CHECKING

from registry.client import MlflowClient

__all__ = ["MlflowClient"]

if not TYPE_CHECKING:
    from registry.unsupported import attributes

    __getattr__ = attributes(__name__, __all__)
