"""Search in SQL: from checked filters and orders to pages of entities, or to columns.

Leaves the language to `registry.filters` and the reading of entities to its neighbours. What a field is in the tables
is said once per subject (`places` and one file each); conditions, order and paging are the same for all of them.
"""

from registry.store.search.columnar import RunTable, TableColumns
from registry.store.search.models import LoggedModelScope, LoggedModelSearch, MetricDataset, ModelSearch, VersionSearch
from registry.store.search.query import SearchRequest
from registry.store.search.runs import ExperimentSearch, RunScope, RunSearch

__all__ = ["LoggedModelScope", "MetricDataset", "RunScope", "RunTable", "SearchRequest", "SearchStore", "TableColumns"]


class SearchStore(RunSearch, ExperimentSearch, ModelSearch, VersionSearch, LoggedModelSearch):
    """All searches of one database."""
