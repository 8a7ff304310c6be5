"""MLflow's path of the client (``mlflow.tracking.client``)."""

from registry.client import MlflowClient

__all__ = ["MlflowClient"]
