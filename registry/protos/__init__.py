"""MLflow's path of the error codes (``mlflow.protos.databricks_pb2``). There are no protocol buffers."""

from registry.unsupported import explain_missing

__all__ = ["databricks_pb2"]

explain_missing(globals())
