"""Searching: MLflow's client methods for it, over one filter language (`registry.filters`).

Owns the bounds of `max_results` and what callers may leave out. Invariant: filter, order and bounds are checked before
the database is asked, or even opened.
"""

import difflib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from registry.client.backend import Backend
from registry.client.base import ClientBase
from registry.client.tracking.dataframes import check_columns, check_format, table_columns, to_arrow, to_pandas
from registry.entities import Experiment, LoggedModel, PagedList, Run, ViewType
from registry.entities.model_registry import ModelVersion, RegisteredModel
from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.filters import Field, Kind, Subject, parse_filter, parse_order_by
from registry.store.search import LoggedModelScope, MetricDataset, RunScope, SearchRequest
from registry.store.tracking.experiments import experiment_key
from registry.validation.arguments import check_list

MAX_RUNS: Final = 50_000
MAX_EXPERIMENTS: Final = 50_000
MAX_LOGGED_MODELS: Final = 50_000
MAX_MODELS: Final = 1_000
MAX_VERSIONS: Final = 200_000

_SHOWN_KEYS: Final = 5
_VALUES: Final[Mapping[Kind, Callable[[Run], Mapping[str, object]]]] = {
    Kind.METRIC: lambda run: run.data.metrics,
    Kind.PARAM: lambda run: run.data.params,
    Kind.TAG: lambda run: run.data.tags,
}
_logger = logging.getLogger("registry")
_ORDER_FIELDS: Final = frozenset({"field_name", "ascending", "dataset_name", "dataset_digest"})


class SearchMethods(ClientBase):
    """What a client finds."""

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1_000,
        filter_string: str | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Experiment]:
        """A page of experiments; without an order by creation time, newest first.

        Raises:
            InvalidFilterError: the filter or the order is not of the language.
            InvalidParameterError: `max_results` is not 1 to 50,000, or the token is not of this query.
        """
        limit = _bounded(max_results, MAX_EXPERIMENTS)
        wanted = _wanted(Subject.EXPERIMENTS, filter_string, order_by, limit, page_token)
        return self.backend.search.experiments(ViewType.stages(view_type), wanted)

    def search_runs(
        self,
        experiment_ids: Sequence[str] | str | int,
        filter_string: str | None = "",
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1_000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[Run]:
        """A page of the runs of some experiments; without an order by start time, newest first.

        Raises:
            InvalidFilterError: the filter or the order is not of the language.
            InvalidParameterError: `max_results` is not 1 to 50,000, an id is not an integer, or the token is not of
                this query.
        """
        limit = _bounded(max_results, MAX_RUNS)
        wanted = _wanted(Subject.RUNS, filter_string, order_by, limit, page_token)
        found = self.backend.search.runs(_run_scope(experiment_ids, run_view_type), wanted)
        if page_token is None:
            warn_of_unknown_keys(self, found, experiment_ids, run_view_type, [key.field for key in wanted.order_by])
        return found

    def search_runs_frame(
        self,
        experiment_ids: Sequence[str],
        *,
        filter_string: str | None = "",
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 100_000,
        order_by: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        output_format: Literal["pandas", "arrow"] = "pandas",
    ) -> Any:
        """Runs as one DataFrame or Arrow table, read in one snapshot; `max_results` has no upper bound.

        Columns are ``run_id, experiment_id, status, artifact_uri, start_time, end_time``, then ``metrics.<key>``
        (float64, NaN where a run has none), ``params.<key>`` and ``tags.<key>`` (None where a run has none), each
        sorted; or those of `columns`, which may also be ``run_name``, ``user_id``, ``lifecycle_stage``, and
        ``metrics.*`` for all metrics. Only what is asked for is read.

        Raises:
            InvalidFilterError, InvalidParameterError: as in `search_runs`; or there is no such column or format.
            MissingDependencyError: Arrow is asked for and pyarrow is not installed.
        """
        check_format(output_format)
        names = check_columns(columns)
        wanted = _wanted(Subject.RUNS, filter_string, order_by, _bounded(max_results, None), None)
        scope = _run_scope(experiment_ids, run_view_type)
        table = self.backend.search.run_table(scope, wanted, table_columns(names))
        if table.rows:
            _warn_of_unknown_keys(self.backend, scope, [key.field for key in wanted.order_by])
        return to_arrow(table, names) if output_format == "arrow" else to_pandas(table, names)

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int = 100,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[RegisteredModel]:
        """A page of registered models with their tags, aliases and latest versions; without an order by name.

        Raises:
            InvalidFilterError: the filter or the order is not of the language.
            InvalidParameterError: `max_results` is not 0 to 1,000, or the token is not of this query.
        """
        limit = _bounded(max_results, MAX_MODELS, least=0)
        wanted = _wanted(Subject.REGISTERED_MODELS, filter_string, order_by, limit, page_token)
        return self.backend.search.models(wanted)

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int = 10_000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[ModelVersion]:
        """A page of model versions with their tags and aliases; without an order those last updated come first.

        A version is also found by ``stage``, ``alias``, ``ever_stage`` (a stage that it held at any time), and by the
        ``metrics.<key>`` and ``params.<key>`` of its run.

        Raises:
            InvalidFilterError: the filter or the order is not of the language.
            InvalidParameterError: `max_results` is not 1 to 200,000, or the token is not of this query.
        """
        limit = _bounded(max_results, MAX_VERSIONS)
        wanted = _wanted(Subject.MODEL_VERSIONS, filter_string, order_by, limit, page_token)
        return self.backend.search.versions(wanted)

    def search_logged_models(
        self,
        experiment_ids: Sequence[str],
        filter_string: str | None = None,
        datasets: Sequence[Mapping[str, Any]] | None = None,
        max_results: int | None = None,
        order_by: Sequence[Mapping[str, Any]] | None = None,
        page_token: str | None = None,
    ) -> PagedList[LoggedModel]:
        """A page of the logged models of some experiments; without an order by creation time, newest first.

        `datasets` are ``{"dataset_name": …, "dataset_digest": …}`` (the digest may be left out): metrics in the filter
        count if they were measured on one of them. `order_by` has ``{"field_name": "metrics.f1", "ascending": False}``,
        for a metric also with ``dataset_name`` and ``dataset_digest``.

        Raises:
            InvalidFilterError: the filter or the order is not of the language.
            InvalidParameterError: `max_results` is not 1 to 50,000, a data set has no name, or the token is not of
                this query.
        """
        clauses = [_order_clause(clause) for clause in check_list(order_by, "order_by", Mapping)]
        keys = parse_order_by([text for text, _ in clauses], Subject.LOGGED_MODELS)
        scope = LoggedModelScope(
            experiments=_experiment_keys(experiment_ids),
            datasets=tuple(_dataset(dataset) for dataset in check_list(datasets, "datasets", Mapping)),
            ordering=tuple((key.field.key, on) for key, (_, on) in zip(keys, clauses, strict=True) if on is not None),
        )
        limit = _bounded(100 if max_results is None else max_results, MAX_LOGGED_MODELS)
        wanted = SearchRequest(parse_filter(filter_string, Subject.LOGGED_MODELS), keys, limit, page_token)
        return self.backend.search.logged_models(scope, wanted)


def warn_of_unknown_keys(
    client: ClientBase,
    found: Sequence[Run],
    experiment_ids: Sequence[str] | str | int,
    run_view_type: int,
    fields: Iterable[Field],
) -> None:
    """Warn of each metric, param or tag that no run in some experiments has, with the nearest key that some have.

    The database is asked only about a field that none of the runs which were found has.
    """
    missing = [field for field in fields if field.kind in _VALUES and not any(_has(run, field) for run in found)]
    if found and missing:
        _warn_of_unknown_keys(client.backend, _run_scope(experiment_ids, run_view_type), missing)


def _warn_of_unknown_keys(backend: Backend, scope: RunScope, fields: Iterable[Field]) -> None:
    for field in fields:
        keys = backend.search.known_keys_without(scope, field) if field.kind in _VALUES else None
        if keys is not None:
            close = difflib.get_close_matches(field.key, keys, n=1, cutoff=0.5)
            there_are = ", ".join(sorted(keys)[:_SHOWN_KEYS]) or "none"
            hint = f"did you mean {close[0]!r}?" if close else f"there are: {there_are}."
            _logger.warning("No run in these experiments has the %s %r; %s", field.kind, field.key, hint)


def _has(run: Run, field: Field) -> bool:
    return field.key in _VALUES[field.kind](run)


def _wanted(
    subject: Subject, filter_string: str | None, order_by: Sequence[str] | None, limit: int, page_token: object
) -> SearchRequest:
    return SearchRequest(parse_filter(filter_string, subject), parse_order_by(order_by, subject), limit, page_token)


def _bounded(max_results: object, most: int | None, least: int = 1) -> int:
    if not isinstance(max_results, int) or isinstance(max_results, bool) or max_results < least:
        raise InvalidParameterError(
            f"Invalid value {max_results!r} for parameter 'max_results' supplied. It must be a positive integer."
        )
    if most is not None and max_results > most:
        raise InvalidParameterError(
            f"Invalid value {max_results} for parameter 'max_results' supplied. It must be at most {most}; get the "
            "rest with page_token."
        )
    return min(max_results, 2**31)


def _run_scope(experiment_ids: Sequence[str] | str | int, view_type: int) -> RunScope:
    return RunScope(_experiment_keys(experiment_ids), ViewType.stages(view_type))


def _experiment_keys(experiment_ids: Sequence[str] | str | int) -> tuple[int, ...]:
    if isinstance(experiment_ids, str | int):
        experiment_ids = [str(experiment_ids)]
    if not isinstance(experiment_ids, Sequence):
        raise InvalidTypeError(f"experiment_ids must be a list of ids, such as ['0'], got {experiment_ids!r}.")
    return tuple(sorted({experiment_key(each) for each in experiment_ids}))


def _dataset(given: Mapping[str, Any]) -> MetricDataset:
    name = given.get("dataset_name") if isinstance(given, Mapping) else None
    if not name:
        raise InvalidParameterError(f"`dataset_name` in the `datasets` clause must be specified, got {given!r}.")
    digest = given.get("dataset_digest")
    return MetricDataset(str(name), None if digest is None else str(digest))


def _order_clause(clause: Mapping[str, Any]) -> tuple[str, MetricDataset | None]:
    """The clause as text, and the data set that its metric is about."""
    if not isinstance(clause, Mapping) or not clause.get("field_name") or not set(clause) <= _ORDER_FIELDS:
        raise InvalidParameterError(
            f"Invalid order_by clause {clause!r}; write it like {{'field_name': 'metrics.f1', 'ascending': False}}, "
            "for a metric also with 'dataset_name' and 'dataset_digest'."
        )
    name = clause["field_name"]
    text = f"{name} {'ASC' if clause.get('ascending', True) else 'DESC'}"
    if clause.get("dataset_name") is None and clause.get("dataset_digest") is None:
        return text, None
    if not str(name).startswith("metrics."):
        raise InvalidParameterError(f"A data set is given for {name!r}, which is no metric; leave it out.")
    return text, _dataset(clause)
