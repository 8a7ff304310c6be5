"""The tables, as typed declarative classes; what a column means is said here once.

`migrations/` makes them (`create_all` appears nowhere) and `alembic check` holds the two together. Rows never leave
this room: other rooms see entities. Column kinds:

- `Id`: an integer surrogate key. Joins and big tables use it; callers never see it.
- `Key`: text that is compared and ordered by code point (collation ``C`` on PostgreSQL, BINARY on SQLite).
- `Millis`: milliseconds since the epoch, UTC. `Micros`: the same in microseconds, for the order of events.
"""

from registry.store.tables.base import KEY, Base
from registry.store.tables.governance import (
    ApprovalRow,
    ArtifactRootRow,
    CommitMarkerRow,
    HistoryRow,
    ImportedEventRow,
    PromotionRulesRow,
    RegistryIdRow,
    StagePeriodRow,
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
    UploadRow,
)
from registry.store.tables.registered_models import (
    ModelAliasRow,
    ModelVersionRow,
    ModelVersionTagRow,
    RegisteredModelRow,
    RegisteredModelTagRow,
)
from registry.store.tables.runs import (
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
    "ApprovalRow",
    "ArtifactRootRow",
    "Base",
    "CommitMarkerRow",
    "DatasetInputRow",
    "DatasetInputTagRow",
    "DatasetRow",
    "ExperimentRow",
    "ExperimentTagRow",
    "HistoryRow",
    "ImportedEventRow",
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
    "UploadRow",
]
