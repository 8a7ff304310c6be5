"""Runs as columns: what was logged to many runs, by key, without an entity per run.

The database hands out one row per key and thousand runs, with the values as an array; so no value passes through a row
object. Invariant: every column is as long as there are runs, in their order.
"""

import json
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, func, select

from registry.store.dialects import AnyRow, AnySelect, table
from registry.store.long_lists import among
from registry.store.search.query import chunks
from registry.store.tables import LatestMetricRow, ParamRow, TagRow
from registry.store.tracking.run_data import in_keys, keys_parameter
from registry.store.tracking.runs import run_location

KeyedRow: TypeAlias = type[LatestMetricRow] | type[ParamRow] | type[TagRow]
# A key, the keys of runs, and the value that each of these has.
Slice: TypeAlias = tuple[str, Sequence[int], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class TableColumns:
    """Which keys of each kind are asked for; None is all that there are."""

    metrics: frozenset[str] | None = None
    params: frozenset[str] | None = None
    tags: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class RunTable:
    """Columns over the same runs. Times are milliseconds since the epoch.

    A metric that a run lacks is NaN, like one whose value is NaN; `nans` has the positions of the latter. A param or
    tag that a run lacks is None.
    """

    rows: Sequence[AnyRow]
    metrics: Mapping[str, "array[float]"]
    params: Mapping[str, Sequence[str | None]]
    tags: Mapping[str, Sequence[str | None]]
    nans: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def info(self, name: str) -> Sequence[Any]:
        """Return a column of `RunInfo`, such as ``run_id``, ``status`` or ``artifact_uri``."""
        if name == "artifact_uri":
            return [run_location(row.artifact_location, row.run_id) for row in self.rows]
        if name == "experiment_id":
            return [str(row.experiment_id) for row in self.rows]
        return [row._mapping[_INFO.get(name, name)] for row in self.rows]

    def metric(self, key: str) -> "array[float]":
        """A metric; NaN everywhere if no run has it."""
        return self.metrics[key] if key in self.metrics else array("d", [math.nan]) * len(self.rows)

    def text(self, group: str, key: str) -> Sequence[str | None]:
        """A param or tag (`group` is ``params`` or ``tags``); None everywhere if no run has it."""
        columns = self.params if group == "params" else self.tags
        return columns[key] if key in columns else [None] * len(self.rows)


_INFO: Final = {"run_name": "name"}


def read_table(connection: Connection, rows: Sequence[AnyRow], columns: TableColumns) -> RunTable:
    """The columns of these rows of `select_runs`."""
    places = {row.id: position for position, row in enumerate(rows)}
    nans: dict[str, list[int]] = {}
    return RunTable(
        rows=rows,
        metrics=_metrics(connection, places, columns.metrics, nans),
        params=_texts(connection, ParamRow, places, columns.params),
        tags=_texts(connection, TagRow, places, columns.tags),
        nans=nans,
    )


def _metrics(
    connection: Connection, places: Mapping[int, int], keys: frozenset[str] | None, nans: dict[str, list[int]]
) -> dict[str, "array[float]"]:
    empty = array("d", [math.nan]) * len(places)
    found: dict[str, array[float]] = {}
    for key, runs, values in _slices(connection, LatestMetricRow, list(places), keys):
        column = found.get(key)
        if column is None:
            column = found[key] = array("d", empty)
        for run, value in zip(runs, values, strict=True):
            if value is None:
                nans.setdefault(key, []).append(places[run])
            else:
                column[places[run]] = value
    return dict(sorted(found.items()))


def _texts(
    connection: Connection, kind: KeyedRow, places: Mapping[int, int], keys: frozenset[str] | None
) -> dict[str, list[str | None]]:
    found: dict[str, list[str | None]] = {}
    known: dict[str, str] = {}
    for key, runs, values in _slices(connection, kind, list(places), keys):
        column = found.get(key)
        if column is None:
            column = found[key] = [None] * len(places)
        for run, value in zip(runs, values, strict=True):
            # Equal values share one object: settings repeat from run to run.
            column[places[run]] = known.setdefault(value, value)
    return dict(sorted(found.items()))


def _slices(
    connection: Connection, kind: KeyedRow, runs: Sequence[int], keys: frozenset[str] | None
) -> Iterator[Slice]:
    if keys is not None and not keys:
        return
    on_sqlite = connection.dialect.name == "sqlite"
    for chunk in chunks(runs):
        if not on_sqlite:
            yield from _aggregated(connection, kind, chunk, keys)
        elif kind is LatestMetricRow:
            yield from _grouped(connection, kind, chunk, keys)
        else:
            yield from _as_json(connection, kind, chunk, keys)


def _aggregated(
    connection: Connection, kind: KeyedRow, runs: Sequence[int], keys: frozenset[str] | None
) -> Iterable[Slice]:
    query = select(kind.key, func.array_agg(kind.run_id), func.array_agg(kind.value)).group_by(kind.key)
    return _fetched(connection, query, kind, runs, keys)


def _as_json(
    connection: Connection, kind: KeyedRow, runs: Sequence[int], keys: frozenset[str] | None
) -> Iterator[Slice]:
    query = select(kind.key, func.json_group_array(kind.run_id), func.json_group_array(kind.value)).group_by(kind.key)
    for key, runs_, values in _fetched(connection, query, kind, runs, keys):
        yield key, json.loads(runs_), json.loads(values)


def _grouped(
    connection: Connection, kind: KeyedRow, runs: Sequence[int], keys: frozenset[str] | None
) -> Iterator[Slice]:
    """Row by row: SQLite's JSON cuts a double to 15 digits."""
    found: dict[str, tuple[list[int], list[float | None]]] = {}
    for key, run, value in _fetched(connection, select(kind.key, kind.run_id, kind.value), kind, runs, keys):
        slice_ = found.get(key)
        if slice_ is None:
            slice_ = found[key] = ([], [])
        slice_[0].append(run)
        slice_[1].append(value)
    return ((key, runs_, values) for key, (runs_, values) in found.items())


def _fetched(
    connection: Connection, query: AnySelect, kind: KeyedRow, runs: Sequence[int], keys: frozenset[str] | None
) -> Iterator[Any]:
    dialect = connection.dialect.name
    query = query.where(in_keys(dialect, table(kind).c.run_id))
    if keys is not None:
        query = query.where(among(kind.key, sorted(keys), dialect))
    yield from connection.execute(query, keys_parameter(dialect, runs))


__all__ = ["RunTable", "TableColumns", "read_table"]
