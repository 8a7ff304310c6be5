"""The tables as classes with typed columns, and the meaning of the columns.

`migrations/` creates them (`create_all` is never used), and `alembic check` compares both. Rows never leave the store;
other rooms see entities. Kinds of columns:

- `Id`: an integer surrogate key, used in joins and large tables; callers never see it.
- `Key`: text compared and sorted by code point (collation ``C`` on PostgreSQL, BINARY on SQLite).
- `Millis`: milliseconds since the epoch, UTC. `Micros`: microseconds since the epoch, for the order of events.

"""

from registry.store.tables.base import KEY, Base
from registry.store.tables.evidence import EvaluationDatasetRow, EvidenceRow
from registry.store.tables.governance import (
    ApprovalRow,
    ArtifactRootRow,
    CommitMarkerRow,
    HistoryRow,
    ImportedEventRow,
    PromotionRulesRow,
    RegistryIdRow,
    StagePeriodRow,
    TrustedPageRow,
)
from registry.store.tables.logged_models import (
    LoggedModelMetricRow,
    LoggedModelParamRow,
    LoggedModelRow,
    LoggedModelTagRow,
    ModelFileRow,
    ModelSignatureRow,
    RemovalRow,
    RunModelRow,
    TombstoneRow,
    UploadRow,
)
from registry.store.tables.monitoring import (
    IncidentRow,
    MonitorCheckRow,
    MonitorGuardRow,
    MonitorRow,
    TriggerDeliveryRow,
)
from registry.store.tables.registered_models import (
    ModelAliasRow,
    ModelVersionRow,
    ModelVersionTagRow,
    RegisteredModelRow,
    RegisteredModelTagRow,
)
from registry.store.tables.runs import (
    AdoptedFileRow,
    DatasetInputRow,
    DatasetInputTagRow,
    DatasetRow,
    ExperimentRow,
    ExperimentTagRow,
    LatestMetricRow,
    MetricRow,
    ParamRow,
    RunRow,
    TagRow,
)

__all__ = [
    "KEY",
    "AdoptedFileRow",
    "ApprovalRow",
    "ArtifactRootRow",
    "Base",
    "CommitMarkerRow",
    "DatasetInputRow",
    "DatasetInputTagRow",
    "DatasetRow",
    "EvaluationDatasetRow",
    "EvidenceRow",
    "ExperimentRow",
    "ExperimentTagRow",
    "HistoryRow",
    "ImportedEventRow",
    "IncidentRow",
    "LatestMetricRow",
    "LoggedModelMetricRow",
    "LoggedModelParamRow",
    "LoggedModelRow",
    "LoggedModelTagRow",
    "MetricRow",
    "ModelAliasRow",
    "ModelFileRow",
    "ModelSignatureRow",
    "ModelVersionRow",
    "ModelVersionTagRow",
    "MonitorCheckRow",
    "MonitorGuardRow",
    "MonitorRow",
    "ParamRow",
    "PromotionRulesRow",
    "RegisteredModelRow",
    "RegisteredModelTagRow",
    "RegistryIdRow",
    "RemovalRow",
    "RunModelRow",
    "RunRow",
    "StagePeriodRow",
    "TagRow",
    "TombstoneRow",
    "TriggerDeliveryRow",
    "TrustedPageRow",
    "UploadRow",
]
