"""Search in SQL: from checked filters and orders to pages of entities, or to columns.

Leaves the language to `registry.filters` and the reading of entities to its neighbours. What a field is in the tables
is said once per subject (`places` and one file each); conditions, order and paging are the same for all of them.
"""

from registry.store.search.experiments import ExperimentSearch
from registry.store.search.frames import RunTable, TableColumns
from registry.store.search.logged_models import LoggedModelScope, LoggedModelSearch, MetricDataset
from registry.store.search.models import ModelSearch
from registry.store.search.runs import RunScope, RunSearch
from registry.store.search.subject import Wanted
from registry.store.search.versions import VersionSearch

__all__ = ["LoggedModelScope", "MetricDataset", "RunScope", "RunTable", "SearchStore", "TableColumns", "Wanted"]


class SearchStore(RunSearch, ExperimentSearch, ModelSearch, VersionSearch, LoggedModelSearch):
    """All searches of one database."""
