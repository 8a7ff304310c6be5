"""What a list of runs shows, as its address says it, and the rows that it reads. No markup.

Guarantees: the whole state of the page is in its address; a page reads no more runs than it shows.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from registry.client import MlflowClient
from registry.client.tracking.search import run_scope, search_request
from registry.entities import Experiment, ViewType
from registry.exceptions import InvalidFilterError, InvalidParameterError
from registry.filters import Kind, Subject, parse_filter
from registry.store.search import RunTable, TableColumns

PAGE: Final = 100
MAX_COLUMNS: Final = 60
MAX_CSV_ROWS: Final = 100_000
MAX_CHART_RUNS: Final = 2_000
MAX_EXPERIMENTS: Final = 1_000
MAX_SELECTED: Final = 200
_DEFAULT_PARAMS: Final = 4
_DEFAULT_METRICS: Final = 6
PARENT: Final = "mlflow.parentRunId"
NOTE: Final = "mlflow.note.content"
GROUPS: Final[Mapping[str, Kind]] = {"params": Kind.PARAM, "metrics": Kind.METRIC, "tags": Kind.TAG}
ATTRIBUTES: Final = ("start_time", "end_time", "run_name", "status", "user_id")
_VIEWS: Final = {"active": ViewType.ACTIVE_ONLY, "deleted": ViewType.DELETED_ONLY, "all": ViewType.ALL}
CHARTS: Final = ("trend", "parallel", "scatter")


@dataclass(frozen=True, slots=True)
class RunsView:
    """The state of a list of runs: what is in its address.

    Attributes:
        experiments: The ids of the experiments; none means all.
        filter: The filter, as it was typed.
        order: A column (``metrics.<key>``, ``params.<key>``, ``tags.<key>`` or an attribute).
        descending: Whether the greatest come first.
        columns: The chosen columns; None for the most frequent keys.
        lifecycle: ``active``, ``deleted`` or ``all``.
        hides_failed: Whether failed and killed runs are left out.
        after: The token of the page before.
        chart: The chart beside the table, or an empty text.
        axes: The fields of the chart.
        selected: The ids of the ticked runs, on this page or on others.
    """

    experiments: tuple[str, ...] = ()
    filter: str = ""
    order: str = "start_time"
    descending: bool = True
    columns: tuple[str, ...] | None = None
    lifecycle: str = "active"
    hides_failed: bool = False
    after: str = ""
    chart: str = ""
    axes: tuple[str, ...] = ()
    selected: tuple[str, ...] = ()

    @classmethod
    def of(cls, query: QueryParams) -> "RunsView":
        """Read the state from a query string.

        Raises:
            InvalidParameterError: A part of it cannot be.
        """
        order = query.get("order") or "start_time"
        chart = query.get("chart", "")
        lifecycle = query.get("view") or "active"
        if lifecycle not in _VIEWS:
            raise InvalidParameterError(f"There is no view {lifecycle[:40]!r}; there are {', '.join(_VIEWS)}.")
        if order not in ATTRIBUTES:
            check_column(order)
        columns = tuple(dict.fromkeys(column for column in query.getlist("column") if column))
        return cls(
            experiments=tuple(dict.fromkeys(query.getlist("experiment"))),
            filter=query.get("filter", "").strip(),
            order=order,
            descending=query.get("desc", "1" if order == "start_time" else "") == "1",
            columns=tuple(map(check_column, columns[:MAX_COLUMNS])) if columns else None,
            lifecycle=lifecycle,
            hides_failed=query.get("failed") == "hide",
            after=query.get("after", ""),
            chart=chart if chart in CHARTS else "",
            axes=tuple(map(check_axis, filter(None, query.getlist("axis"))))[:MAX_COLUMNS],
            selected=tuple(dict.fromkeys(query.getlist("select")))[:MAX_SELECTED],
        )

    def pairs(self) -> list[tuple[str, str]]:
        """Return the state as pairs of a query string, without what is usual."""
        pairs = [("experiment", experiment) for experiment in self.experiments]
        pairs += [("filter", self.filter)] if self.filter else []
        if (self.order, self.descending) != ("start_time", True):
            pairs += [("order", self.order), ("desc", "1" if self.descending else "0")]
        pairs += [("column", column) for column in self.columns or ()]
        pairs += [("view", self.lifecycle)] if self.lifecycle != "active" else []
        pairs += [("failed", "hide")] if self.hides_failed else []
        pairs += [("after", self.after)] if self.after else []
        pairs += [("chart", self.chart)] if self.chart else []
        pairs += [("axis", axis) for axis in self.axes]
        return pairs + [("select", run_id) for run_id in self.selected]

    def url(self, path: str = "/runs", **changes: Any) -> str:
        """Return the address of this list with some changes; another list than this one begins at its first page."""
        if not changes.keys() <= {"after", "chart", "axes", "selected"}:
            changes.setdefault("after", "")
        query = urlencode(replace(self, **changes).pairs())
        return f"{path}?{query}" if query else path

    def hidden(self, *without: str) -> list[tuple[str, str]]:
        """Return what a form must carry to keep the state, but for the fields that it has itself."""
        return [(name, value) for name, value in self.pairs() if name not in {"after", *without}]

    @property
    def order_by(self) -> list[str]:
        """Return the order as the search takes it."""
        name = self.order if self.order in ATTRIBUTES else quoted_field(self.order)
        return [f"{name} {'DESC' if self.descending else 'ASC'}"]

    @property
    def whole_filter(self) -> str:
        """Return the filter that is searched with.

        Raises:
            InvalidFilterError: The typed filter cannot be parsed; the caret points into what was typed.
        """
        if not self.hides_failed:
            return self.filter
        parse_filter(self.filter, Subject.RUNS)
        shown = "attributes.status NOT IN ('FAILED', 'KILLED')"
        return f"({self.filter}) AND {shown}" if self.filter else shown

    @property
    def view_type(self) -> int:
        """Return the client's name of the lifecycle stages."""
        return _VIEWS[self.lifecycle]


def check_column(name: str) -> str:
    """Return the name of a column of a param, metric or tag.

    Raises:
        InvalidParameterError: It names none.
    """
    group, _, key = name.partition(".")
    if group not in GROUPS or not key:
        raise InvalidParameterError(f"Unknown column {name[:60]!r}; write params.<key>, metrics.<key> or tags.<key>.")
    return name


def check_axis(name: str) -> str:
    """Return the name of a field that a chart can have: a column or ``start_time``."""
    return name if name == "start_time" else check_column(name)


def quoted_field(column: str) -> str:
    """Return a column as the filter language writes it, whatever its key holds."""
    group, _, key = column.partition(".")
    escaped = key.replace("`", "``")
    return f"{group}.`{escaped}`"


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run of the list, with the values of the columns; `depth` is 1 below its parent."""

    run_id: str
    name: str
    status: str
    lifecycle_stage: str
    experiment_id: str
    user_id: str
    start_time: int
    end_time: int | None
    parent_id: str | None
    note: str
    cells: tuple[float | str | None, ...]
    depth: int = 0


@dataclass(frozen=True, slots=True)
class RunsPage:
    """What one page of the list shows.

    Attributes:
        lines: The runs.
        columns: The shown columns.
        keys: The keys that the first runs have, by group.
        token: The token of the next page, or None.
        error: What is wrong with the filter or the order, with a caret, or None.
        experiments: The experiments that are searched.
    """

    lines: Sequence[RunLine] = ()
    columns: Sequence[str] = ()
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    token: str | None = None
    error: str | None = None
    experiments: Mapping[str, Experiment] = field(default_factory=dict)


def find_experiments(client: MlflowClient, view: RunsView) -> dict[str, Experiment]:
    """Return the experiments of a view by id: the named ones, or the newest 1,000."""
    if view.experiments:
        return {
            experiment.experiment_id: experiment
            for experiment in map(client.get_experiment, view.experiments[:MAX_EXPERIMENTS])
        }
    return {experiment.experiment_id: experiment for experiment in client.search_experiments()}


def read_page(client: MlflowClient, view: RunsView, size: int = PAGE) -> RunsPage:
    """Read one page. An error of the filter is part of the page, so that it can be mended where it was typed."""
    experiments = find_experiments(client, view)
    chosen: list[str] = []
    keys: dict[str, Sequence[str]] = {}

    def choose(found: Mapping[Kind, Sequence[str]]) -> TableColumns:
        keys.update({group: found.get(kind, ()) for group, kind in GROUPS.items()})
        chosen.extend(_columns(view, keys))
        return _read_columns([*chosen, f"tags.{PARENT}", f"tags.{NOTE}"])

    try:
        request = search_request(Subject.RUNS, view.whole_filter, view.order_by, size, view.after or None)
    except InvalidFilterError as error:
        return RunsPage(error=error.message, experiments=experiments)
    table = client.backend.search.run_page(run_scope(list(experiments), view.view_type), request, choose)
    lines = nest(list(_lines(table, chosen)))
    return RunsPage(lines, chosen, keys, table.token, None, experiments)


def read_columns(client: MlflowClient, view: RunsView, names: Sequence[str], limit: int) -> tuple[RunTable, bool]:
    """Read some columns of the first runs of a view, and whether there are more runs."""
    request = search_request(Subject.RUNS, view.whole_filter, view.order_by, limit, None)
    scope = run_scope(list(find_experiments(client, view)), view.view_type)
    table = client.backend.search.run_page(scope, request, lambda _: _read_columns(names))
    return table, table.token is not None


def iterate_lines(client: MlflowClient, view: RunsView, columns: Sequence[str]) -> Iterator[RunLine]:
    """Yield the runs of a view, page by page, at most `MAX_CSV_ROWS`."""
    token: str | None = None
    scope = run_scope(list(find_experiments(client, view)), view.view_type)
    for _ in range(0, MAX_CSV_ROWS, 1_000):
        request = search_request(Subject.RUNS, view.whole_filter, view.order_by, 1_000, token)
        table = client.backend.search.run_page(scope, request, lambda _: _read_columns(columns))
        yield from _lines(table, columns)
        token = table.token
        if token is None:
            return


def column_values(table: RunTable, name: str) -> list[float | str | None]:
    """Return a column of a table. A missing metric is None."""
    if name in ATTRIBUTES:
        return list(table.info(name))
    group, _, key = name.partition(".")
    if group != "metrics":
        return list(table.text(group, key))
    nans = frozenset(table.nans.get(key, ()))
    return [
        None if math.isnan(value) and position not in nans else value
        for position, value in enumerate(table.metric(key))
    ]


def _columns(view: RunsView, keys: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if view.columns is not None:
        yield from view.columns
        return
    usual = [f"params.{key}" for key in keys["params"][:_DEFAULT_PARAMS]]
    usual += [f"metrics.{key}" for key in keys["metrics"][:_DEFAULT_METRICS]]
    if view.order not in ATTRIBUTES and view.order not in usual:
        usual.append(view.order)
    yield from usual


def _read_columns(names: Iterable[str]) -> TableColumns:
    read: dict[str, set[str]] = {group: set() for group in GROUPS}
    for name in names:
        group, _, key = name.partition(".")
        if group in read:
            read[group].add(key)
    return TableColumns(frozenset(read["metrics"]), frozenset(read["params"]), frozenset(read["tags"]))


def _lines(table: RunTable, columns: Sequence[str]) -> Iterator[RunLine]:
    cells = list(zip(*(column_values(table, name) for name in columns), strict=True)) or [()] * len(table.rows)
    parents, notes = table.text("tags", PARENT), table.text("tags", NOTE)
    for row, values, parent, note in zip(table.rows, cells, parents, notes, strict=True):
        yield RunLine(
            run_id=row.run_id,
            name=row.name,
            status=row.status,
            lifecycle_stage=row.lifecycle_stage,
            experiment_id=str(row.experiment_id),
            user_id=row.user_id,
            start_time=row.start_time,
            end_time=row.end_time,
            parent_id=parent,
            note=note or "",
            cells=values,
        )


def nest(lines: list[RunLine]) -> list[RunLine]:
    """Put child runs below their parent, where it is on the same page. Loops of parents end."""
    by_id = {line.run_id: line for line in lines}
    children: dict[str, list[RunLine]] = {}
    for line in lines:
        if line.parent_id in by_id and line.parent_id != line.run_id:
            children.setdefault(line.parent_id, []).append(line)
    nested: list[RunLine] = []
    placed: set[str] = set()

    def place(line: RunLine, depth: int) -> None:
        if line.run_id in placed:
            return
        placed.add(line.run_id)
        nested.append(replace(line, depth=depth))
        for child in children.get(line.run_id, ()):
            place(child, min(depth + 1, 5))

    below = {child.run_id for group in children.values() for child in group}
    for line in [*(line for line in lines if line.run_id not in below), *lines]:
        place(line, 0)
    return nested
