"""The client: the only place where metadata, bytes and formats meet. One file per noun, joined here."""

from typing import TYPE_CHECKING

from registry.client.artifacts.figures import FigureMethods
from registry.client.artifacts.tables import TableMethods
from registry.client.maintenance.gc import GcMethods
from registry.client.maintenance.relocate import RelocationMethods
from registry.client.models.log_and_register import LogAndRegisterMethods
from registry.client.models.logged_models import LoggedModelMethods
from registry.client.models.signing import SigningMethods
from registry.client.registry.comparison import ComparisonMethods
from registry.client.registry.events import EventMethods
from registry.client.registry.history import HistoryMethods
from registry.client.registry.model_versions import ModelVersionMethods
from registry.client.registry.promotion import PromotionMethods
from registry.client.registry.registered_models import RegisteredModelMethods
from registry.client.registry.verification import VerificationMethods
from registry.client.tracking.experiments import ExperimentMethods
from registry.client.tracking.metric_history import MetricHistoryMethods
from registry.client.tracking.runs import RunMethods
from registry.client.tracking.search import SearchMethods
from registry.client.transfer.copying import CopyingMethods
from registry.client.transfer.exporting import ExportMethods
from registry.client.transfer.importing import ImportMethods

__all__ = ["MlflowClient"]


class MlflowClient(
    ExperimentMethods,
    RunMethods,
    MetricHistoryMethods,
    LoggedModelMethods,
    RegisteredModelMethods,
    ModelVersionMethods,
    LogAndRegisterMethods,
    FigureMethods,
    TableMethods,
    SearchMethods,
    ComparisonMethods,
    CopyingMethods,
    ExportMethods,
    ImportMethods,
    SigningMethods,
    GcMethods,
    RelocationMethods,
    PromotionMethods,
    HistoryMethods,
    VerificationMethods,
    EventMethods,
):
    """MLflow's client over a database and a byte store, without a server.

    It is safe to share between threads and cheap to make; connections are pooled per process. It returns frozen values,
    and every error is a `RegistryError`.

    Args:
        tracking_uri: Where runs and models are kept: a directory, a database URL, or ``s3://bucket/prefix``. Default:
            the tracking URI that is set.
        registry_uri: For MLflow's scripts; it must be the tracking URI.
        read_only: Refuse every change. Default: False.

    Example:
        >>> client = mlflow.MlflowClient()
        >>> client.get_model_version_by_stage("churn", "Production").version
        2
    """

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            from registry.unsupported import refuse_method

            refuse_method(type(self), name)
