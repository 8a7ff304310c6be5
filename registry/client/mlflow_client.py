"""Joins the client's methods into `MlflowClient`."""

from typing import TYPE_CHECKING

from registry.client.artifacts.figures import FigureMethods
from registry.client.artifacts.tables import TableMethods
from registry.client.maintenance.gc import GcMethods
from registry.client.maintenance.relocate import RelocationMethods
from registry.client.models.evidence import EvidenceMethods
from registry.client.models.log_and_register import LogAndRegisterMethods
from registry.client.models.logged_models import LoggedModelMethods
from registry.client.models.signing import SigningMethods
from registry.client.monitoring.incidents import IncidentMethods
from registry.client.monitoring.monitors import MonitorMethods
from registry.client.registry.comparison import ComparisonMethods
from registry.client.registry.events import EventMethods
from registry.client.registry.history import HistoryMethods
from registry.client.registry.model_versions import ModelVersionMethods
from registry.client.registry.promotion import PromotionMethods
from registry.client.registry.registered_models import RegisteredModelMethods
from registry.client.registry.verification import VerificationMethods
from registry.client.tracking.experiments import ExperimentMethods
from registry.client.tracking.logging import LoggingMethods
from registry.client.tracking.metric_history import MetricHistoryMethods
from registry.client.tracking.runs import RunMethods
from registry.client.tracking.search import SearchMethods
from registry.client.transfer import background_sync as background_sync
from registry.client.transfer.copying import CopyingMethods
from registry.client.transfer.copying_runs import RunCopyingMethods
from registry.client.transfer.exporting import ExportMethods
from registry.client.transfer.importing import ImportMethods

__all__ = ["MlflowClient"]


class MlflowClient(
    ExperimentMethods,
    RunMethods,
    LoggingMethods,
    MetricHistoryMethods,
    LoggedModelMethods,
    EvidenceMethods,
    RegisteredModelMethods,
    ModelVersionMethods,
    LogAndRegisterMethods,
    FigureMethods,
    TableMethods,
    SearchMethods,
    ComparisonMethods,
    CopyingMethods,
    RunCopyingMethods,
    ExportMethods,
    ImportMethods,
    SigningMethods,
    GcMethods,
    RelocationMethods,
    PromotionMethods,
    HistoryMethods,
    VerificationMethods,
    EventMethods,
    MonitorMethods,
    IncidentMethods,
):
    """MLflow's client over a database and a byte store, without a server.

    Making one opens nothing; the first call connects, and creates the tables of an empty SQLite file. Connections are
    pooled per process, and threads may share a client. Methods return frozen values. Every error is a `RegistryError`.

    Args:
        tracking_uri: Where runs and models live: a directory, ``sqlite:///file.db`` or ``postgresql://…``. Default:
            the URI that is set (`set_tracking_uri`, ``REGISTRY_TRACKING_URI``), else ``./mlruns``.
        registry_uri: The same URI or None: runs and models share one database.
        read_only: Refuse every change with a `ReadOnlyError`.

    Example:
        >>> client = registry.MlflowClient()
        >>> client.get_model_version_by_alias("churn", "champion").version
        2
        >>> auditor = registry.MlflowClient(read_only=True)
        >>> auditor.delete_registered_model("churn", force=True)
        Traceback (most recent call last):
        registry.exceptions.ReadOnlyError: ...
    """

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            from registry.unsupported import refuse_method

            refuse_method(type(self), name)
