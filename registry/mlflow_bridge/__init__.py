"""Move in from MLflow: import its databases, file stores and servers, without MLflow itself.

Guarantees: nothing is written to the source.
"""

from registry.mlflow_bridge.importing import import_mlflow
from registry.mlflow_bridge.report import Count, ImportReport

__all__ = ["Count", "ImportReport", "import_mlflow"]
