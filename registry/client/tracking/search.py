"""Client methods that search experiments, runs and models.

Guarantees: filter, order and `max_results` are checked before the database is opened.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from registry.client.base import ClientBase
from registry.client.tracking.dataframes import check_columns, check_format, table_columns, to_arrow, to_pandas
from registry.entities import ViewType
from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.filters import Kind, Subject, parse_filter, parse_order_by
from registry.store.tracking.experiments import experiment_key
from registry.validation.arguments import check_list

if TYPE_CHECKING:
    from registry.client.backend import Backend
    from registry.entities import Experiment, LoggedModel, PagedList, Run
    from registry.entities.model_registry import ModelVersion, RegisteredModel
    from registry.filters import Field
    from registry.store.search import MetricDataset, RunScope, SearchRequest

MAX_RUNS: Final = 50_000
MAX_EXPERIMENTS: Final = 50_000
MAX_LOGGED_MODELS: Final = 50_000
MAX_MODELS: Final = 1_000
MAX_VERSIONS: Final = 200_000

_SHOWN_KEYS: Final = 5
_VALUES: Final[Mapping[Kind, Callable[["Run"], Mapping[str, object]]]] = {
    Kind.METRIC: lambda run: run.data.metrics,
    Kind.PARAM: lambda run: run.data.params,
    Kind.TAG: lambda run: run.data.tags,
}
_logger = logging.getLogger("registry")
_ORDER_FIELDS: Final = frozenset({"field_name", "ascending", "dataset_name", "dataset_digest"})


class SearchMethods(ClientBase):
    """Client methods for searching."""

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1_000,
        filter_string: str | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> "PagedList[Experiment]":
        """Return one page of the experiments that match a filter.

        Args:
            view_type: ``ViewType.ACTIVE_ONLY`` (the default), ``DELETED_ONLY`` or ``ALL``.
            max_results: The size of the page, 1 to 50,000. Default: 1,000.
            filter_string: A filter such as ``"name LIKE 'games%' AND tags.season = '2026'"``. Default: no filter.
            order_by: Sort keys such as ``["name ASC"]``. Default: creation time, newest first.
            page_token: The ``token`` of the page before. Default: the first page.

        Returns:
            The experiments. Their ``token`` is None on the last page.

        Raises:
            InvalidFilterError: The filter or a sort key cannot be parsed.
            InvalidParameterError: `max_results` is out of range, or the token belongs to another query.

        Example:
            >>> [experiment.name for experiment in client.search_experiments(order_by=["name ASC"])]
            ['Default', 'games']
        """
        limit = _check_limit(max_results, MAX_EXPERIMENTS)
        request = search_request(Subject.EXPERIMENTS, filter_string, order_by, limit, page_token)
        return self.backend.search.experiments(ViewType.stages(view_type), request)

    def search_runs(
        self,
        experiment_ids: Sequence[str] | str | int,
        filter_string: str | None = "",
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1_000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> "PagedList[Run]":
        """Return one page of the runs that match a filter.

        Args:
            experiment_ids: The experiments to search in: one id or several.
            filter_string: A filter such as ``"metrics.auc > 0.75 AND params.max_depth = '4'"``. Default: no filter.
            run_view_type: ``ViewType.ACTIVE_ONLY`` (the default), ``DELETED_ONLY`` or ``ALL``.
            max_results: The size of the page, 1 to 50,000. Default: 1,000.
            order_by: Sort keys such as ``["metrics.auc DESC"]``. Default: start time, newest first.
            page_token: The ``token`` of the page before. Default: the first page.

        Returns:
            The runs. Their ``token`` is None on the last page.

        Raises:
            InvalidFilterError: The filter or a sort key cannot be parsed.
            InvalidParameterError: `max_results` is out of range, an id is not an integer, or the token belongs to
                another query.

        Example:
            >>> best = client.search_runs(["1"], "metrics.auc > 0.7", order_by=["metrics.auc DESC"], max_results=2)
            >>> [run.info.run_name for run in best]
            ['depth-4', 'depth-3']
            >>> rest = client.search_runs(
            ...     ["1"], "metrics.auc > 0.7", order_by=["metrics.auc DESC"], max_results=2, page_token=best.token
            ... )
            >>> [run.info.run_name for run in rest], rest.token
            (['depth-2'], None)
        """
        limit = _check_limit(max_results, MAX_RUNS)
        request = search_request(Subject.RUNS, filter_string, order_by, limit, page_token)
        page = self.backend.search.runs(run_scope(experiment_ids, run_view_type), request)
        if page_token is None:
            warn_of_unknown_keys(self, page, experiment_ids, run_view_type, [key.field for key in request.order_by])
        return page

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
        """Return the runs that match a filter as one DataFrame or Arrow table, read in one snapshot.

        Args:
            experiment_ids: The ids of the experiments to search in.
            filter_string: A filter as in `search_runs`. Default: no filter.
            run_view_type: ``ViewType.ACTIVE_ONLY`` (the default), ``DELETED_ONLY`` or ``ALL``.
            max_results: The most rows. Any positive integer; the default is 100,000.
            order_by: Sort keys as in `search_runs`. Default: start time, newest first.
            columns: The columns to read: ``run_id``, ``experiment_id``, ``status``, ``artifact_uri``, ``start_time``,
                ``end_time``, ``run_name``, ``user_id``, ``lifecycle_stage``, ``metrics.<key>``, ``params.<key>``,
                ``tags.<key>``, or ``metrics.*``, ``params.*``, ``tags.*`` for all keys. Default: the first six, then
                all metrics, params and tags, each sorted by key.
            output_format: ``pandas`` (the default) or ``arrow``.

        Returns:
            A table with a row per run. Metrics are float64, NaN where a run has none (null in Arrow). Params and tags
            are text, None where a run has none. Times are in UTC.

        Raises:
            InvalidFilterError: The filter or a sort key cannot be parsed.
            InvalidParameterError: A column or the format is unknown, or an argument is out of range.
            MissingDependencyError: ``arrow`` needs the package pyarrow.

        Example:
            >>> columns = ["run_name", "metrics.auc"]
            >>> client.search_runs_frame(["1"], columns=columns, order_by=["metrics.auc DESC"]).round(2)
              run_name  metrics.auc
            0  depth-4         0.80
            1  depth-3         0.78
            2  depth-2         0.76
        """
        check_format(output_format)
        names = check_columns(columns)
        request = search_request(Subject.RUNS, filter_string, order_by, _check_limit(max_results, None), None)
        scope = run_scope(experiment_ids, run_view_type)
        table = self.backend.search.run_table(scope, request, table_columns(names))
        if table.rows:
            _warn_of_unknown_keys(self.backend, scope, [key.field for key in request.order_by])
        return to_arrow(table, names) if output_format == "arrow" else to_pandas(table, names)

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int = 100,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> "PagedList[RegisteredModel]":
        """Return one page of the registered models that match a filter.

        Args:
            filter_string: A filter such as ``"name LIKE 'churn%' AND tags.team = 'analytics'"``. Default: no filter.
            max_results: The size of the page, 0 to 1,000. Default: 100.
            order_by: Sort keys such as ``["last_updated_timestamp DESC"]``. Default: by name.
            page_token: The ``token`` of the page before. Default: the first page.

        Returns:
            The models with their tags, aliases and latest versions. Their ``token`` is None on the last page.

        Raises:
            InvalidFilterError: The filter or a sort key cannot be parsed.
            InvalidParameterError: `max_results` is out of range, or the token belongs to another query.

        Example:
            >>> [model.name for model in client.search_registered_models("name LIKE 'ch%'")]
            ['churn']
        """
        limit = _check_limit(max_results, MAX_MODELS, least=0)
        request = search_request(Subject.REGISTERED_MODELS, filter_string, order_by, limit, page_token)
        return self.backend.search.models(request)

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int = 10_000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> "PagedList[ModelVersion]":
        """Return one page of the model versions that match a filter.

        Besides MLflow's attributes, a filter may use ``stage``, ``alias``, ``ever_stage`` (a stage that the version
        held at any time), and ``metrics.<key>`` and ``params.<key>`` of the version's run.

        Args:
            filter_string: A filter such as ``"name = 'churn' AND metrics.auc > 0.75"``. Default: no filter.
            max_results: The size of the page, 1 to 200,000. Default: 10,000.
            order_by: Sort keys such as ``["version_number DESC"]``. Default: last update, newest first.
            page_token: The ``token`` of the page before. Default: the first page.

        Returns:
            The versions with their tags and aliases. Their ``token`` is None on the last page.

        Raises:
            InvalidFilterError: The filter or a sort key cannot be parsed.
            InvalidParameterError: `max_results` is out of range, or the token belongs to another query.

        Example:
            >>> versions = client.search_model_versions("name = 'churn' AND ever_stage = 'Production'")
            >>> sorted((version.version, version.current_stage) for version in versions)
            [(1, 'Archived'), (2, 'Production')]
        """
        limit = _check_limit(max_results, MAX_VERSIONS)
        request = search_request(Subject.MODEL_VERSIONS, filter_string, order_by, limit, page_token)
        return self.backend.search.versions(request)

    def search_logged_models(
        self,
        experiment_ids: Sequence[str],
        filter_string: str | None = None,
        datasets: Sequence[Mapping[str, Any]] | None = None,
        max_results: int | None = None,
        order_by: Sequence[Mapping[str, Any]] | None = None,
        page_token: str | None = None,
    ) -> "PagedList[LoggedModel]":
        """Return one page of the logged models that match a filter.

        Args:
            experiment_ids: The ids of the experiments to search in.
            filter_string: A filter such as ``"name = 'model' AND metrics.auc > 0.75"``. Default: no filter.
            datasets: Data sets as ``{"dataset_name": …, "dataset_digest": …}``; the digest may be left out. Metrics in
                the filter then count only if they were measured on one of these.
            max_results: The size of the page, 1 to 50,000. Default: 100.
            order_by: Sort keys such as ``{"field_name": "metrics.auc", "ascending": False}``; a metric may also have
                ``dataset_name`` and ``dataset_digest``. Default: creation time, newest first.
            page_token: The ``token`` of the page before. Default: the first page.

        Returns:
            The logged models. Their ``token`` is None on the last page.

        Raises:
            InvalidFilterError: The filter or a sort key cannot be parsed.
            InvalidParameterError: `max_results` is out of range, a data set has no name, or the token belongs to
                another query.

        Example:
            >>> models = client.search_logged_models(["1"], "name = 'model'")
            >>> [model.source_run_id for model in models] == run_ids[::-1]
            True
        """
        from registry.store.search import LoggedModelScope, SearchRequest

        clauses = [_parse_order_clause(clause) for clause in check_list(order_by, "order_by", Mapping)]
        keys = parse_order_by([text for text, _ in clauses], Subject.LOGGED_MODELS)
        scope = LoggedModelScope(
            experiments=_experiment_keys(experiment_ids),
            datasets=tuple(_parse_dataset(dataset) for dataset in check_list(datasets, "datasets", Mapping)),
            ordering=tuple((key.field.key, on) for key, (_, on) in zip(keys, clauses, strict=True) if on is not None),
        )
        limit = _check_limit(100 if max_results is None else max_results, MAX_LOGGED_MODELS)
        request = SearchRequest(parse_filter(filter_string, Subject.LOGGED_MODELS), keys, limit, page_token)
        return self.backend.search.logged_models(scope, request)


def warn_of_unknown_keys(
    client: ClientBase,
    runs: Sequence["Run"],
    experiment_ids: Sequence[str] | str | int,
    run_view_type: int,
    fields: Iterable["Field"],
) -> None:
    """Warn of each metric, param or tag that no run of these experiments has, and name the nearest key that exists.

    The database is asked only about fields that none of these `runs` has.
    """
    missing = [field for field in fields if field.kind in _VALUES and not any(_has(run, field) for run in runs)]
    if runs and missing:
        _warn_of_unknown_keys(client.backend, run_scope(experiment_ids, run_view_type), missing)


def _warn_of_unknown_keys(backend: "Backend", scope: "RunScope", fields: Iterable["Field"]) -> None:
    for field in fields:
        keys = backend.search.known_keys_without(scope, field) if field.kind in _VALUES else None
        if keys is not None:
            import difflib

            close = difflib.get_close_matches(field.key, keys, n=1, cutoff=0.5)
            there_are = ", ".join(sorted(keys)[:_SHOWN_KEYS]) or "none"
            hint = f"did you mean {close[0]!r}?" if close else f"there are: {there_are}."
            _logger.warning("No run in these experiments has the %s %r; %s", field.kind, field.key, hint)


def _has(run: "Run", field: "Field") -> bool:
    return field.key in _VALUES[field.kind](run)


def search_request(
    subject: Subject, filter_string: str | None, order_by: Sequence[str] | None, limit: int, page_token: object
) -> "SearchRequest":
    """Parse a filter and an order.

    Raises:
        InvalidFilterError: One of them cannot be parsed.
    """
    from registry.store.search import SearchRequest

    return SearchRequest(parse_filter(filter_string, subject), parse_order_by(order_by, subject), limit, page_token)


def _check_limit(max_results: object, most: int | None, least: int = 1) -> int:
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


def run_scope(experiment_ids: Sequence[str] | str | int, view_type: int) -> "RunScope":
    """Return the scope of a search in some experiments, given by id."""
    from registry.store.search import RunScope

    return RunScope(_experiment_keys(experiment_ids), ViewType.stages(view_type))


def _experiment_keys(experiment_ids: Sequence[str] | str | int) -> tuple[int, ...]:
    if isinstance(experiment_ids, str | int):
        experiment_ids = [str(experiment_ids)]
    if not isinstance(experiment_ids, Sequence):
        raise InvalidTypeError(f"experiment_ids must be a list of ids, such as ['0'], got {experiment_ids!r}.")
    return tuple(sorted({experiment_key(experiment_id) for experiment_id in experiment_ids}))


def _parse_dataset(dataset: Mapping[str, Any]) -> "MetricDataset":
    from registry.store.search import MetricDataset

    name = dataset.get("dataset_name") if isinstance(dataset, Mapping) else None
    if not name:
        raise InvalidParameterError(f"`dataset_name` in the `datasets` clause must be specified, got {dataset!r}.")
    digest = dataset.get("dataset_digest")
    return MetricDataset(str(name), None if digest is None else str(digest))


def _parse_order_clause(clause: Mapping[str, Any]) -> tuple[str, "MetricDataset | None"]:
    """Return the clause as text, and the data set of its metric."""
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
        raise InvalidParameterError(f"A data set is given for {name!r}, which is not a metric; leave it out.")
    return text, _parse_dataset(clause)
