"""Search in SQL: pages of entities, or columns of runs, for a parsed filter and order.

Parsing belongs to `registry.filters`, reading entities to the neighbouring rooms. Each kind of entity declares once how
its fields map to columns (`field_mapping`); conditions, order and paging are shared.
"""

from registry.store.search.models import LoggedModelScope, LoggedModelSearch, MetricDataset, ModelSearch, VersionSearch
from registry.store.search.query import SearchRequest
from registry.store.search.run_columns import RunTable, TableColumns
from registry.store.search.runs import ExperimentSearch, RunScope, RunSearch

__all__ = ["LoggedModelScope", "MetricDataset", "RunScope", "RunTable", "SearchRequest", "SearchStore", "TableColumns"]


class SearchStore(RunSearch, ExperimentSearch, ModelSearch, VersionSearch, LoggedModelSearch):
    """All searches of a database."""
