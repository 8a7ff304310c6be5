"""The client: the only place where metadata, bytes and formats meet. One file per noun, joined here."""

from typing import TYPE_CHECKING

from registry.client.auditing import AuditMethods
from registry.client.comparing import ComparingMethods
from registry.client.copying import CopyingMethods
from registry.client.events import EventMethods
from registry.client.experiments import ExperimentMethods
from registry.client.exporting import ExportMethods
from registry.client.figures import FigureMethods
from registry.client.garbage import GarbageMethods
from registry.client.governance import GovernanceMethods
from registry.client.importing import ImportMethods
from registry.client.logged_models import LoggedModelMethods
from registry.client.metric_history import MetricHistoryMethods
from registry.client.models import ModelVersionMethods, RegisteredModelMethods
from registry.client.relocation import RelocationMethods
from registry.client.runs import RunMethods
from registry.client.saving import SavingMethods
from registry.client.search import SearchMethods
from registry.client.signing import SigningMethods
from registry.client.tables import TableMethods

__all__ = ["MlflowClient"]


class MlflowClient(
    ExperimentMethods,
    RunMethods,
    MetricHistoryMethods,
    LoggedModelMethods,
    RegisteredModelMethods,
    ModelVersionMethods,
    SavingMethods,
    FigureMethods,
    TableMethods,
    SearchMethods,
    ComparingMethods,
    CopyingMethods,
    ExportMethods,
    ImportMethods,
    SigningMethods,
    GarbageMethods,
    RelocationMethods,
    GovernanceMethods,
    AuditMethods,
    EventMethods,
):
    """MLflow's client over a database and a byte store, without a server.

    Safe to share between threads and cheap to make; connections are pooled per process. Everything it returns is a
    frozen value; every error is a `RegistryError`.
    """

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            from registry.absent import refuse_method

            refuse_method(type(self), name)
