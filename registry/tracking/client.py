"""The client under MLflow's path (``mlflow.tracking.client``)."""

from registry.client import MlflowClient as MlflowClient
from registry.unsupported import explain_missing

explain_missing(globals())
