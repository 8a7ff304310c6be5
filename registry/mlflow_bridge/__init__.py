"""The two ways between MLflow and this registry: MLflow's stores on this database, and imports of MLflow's.

Guarantees: MLflow itself is imported only by the modules that MLflow loads as its plugins.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from registry.mlflow_bridge.importing import import_mlflow
    from registry.mlflow_bridge.report import Count, ImportReport

# Lazy, so that MLflow's plugins load nothing of the import.
__getattr__, __dir__, _ = lazy_loader.attach(
    __name__, submod_attrs={"importing": ["import_mlflow"], "report": ["Count", "ImportReport"]}
)

__all__ = ["Count", "ImportReport", "import_mlflow"]
