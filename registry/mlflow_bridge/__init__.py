"""The ways between MLflow and this registry: MLflow's stores on this database, imports of MLflow's, and exports to it.

Imports of other trackers are among them, as they are read the same way.

Guarantees: MLflow itself is imported only by the modules that MLflow loads as its plugins.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from registry.mlflow_bridge.exporting import export_mlflow
    from registry.mlflow_bridge.importing import import_mlflow
    from registry.mlflow_bridge.other_trackers import import_runs
    from registry.mlflow_bridge.report import Count, TransferReport

# Lazy, so that MLflow's plugins load nothing of the import.
__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "exporting": ["export_mlflow"],
        "importing": ["import_mlflow"],
        "other_trackers": ["import_runs"],
        "report": ["Count", "TransferReport"],
    },
)

__all__ = ["Count", "TransferReport", "export_mlflow", "import_mlflow", "import_runs"]
