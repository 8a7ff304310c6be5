"""The error codes under MLflow's path (``mlflow.protos.databricks_pb2``), without protocol buffers."""

from registry.unsupported import explain_missing

__all__ = ["databricks_pb2"]

explain_missing(globals())
