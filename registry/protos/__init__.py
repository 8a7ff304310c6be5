"""Where MLflow's scripts find error codes: ``protos.databricks_pb2``. There are no protocol buffers."""

from typing import TYPE_CHECKING

if not TYPE_CHECKING:
    from registry.unsupported import attributes

    __getattr__ = attributes(__name__, ["databricks_pb2"])
