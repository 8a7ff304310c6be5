"""Metrics, params and tags of many runs as columns, without an entity per run.

The database returns one row per key and 1,000 runs, with the values as an array, so no value needs a row object.
Guarantees: every column has one element per run, in the order of the runs.
"""

import json
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, func, select

from registry.store.dialects import AnyRow, AnySelect, table
from registry.store.long_lists import among, in_keys, keys_parameter
from registry.store.search.query import chunks
from registry.store.tables import LatestMetricRow, ParamRow, TagRow
from registry.store.tracking.runs import run_location

KeyedRow: TypeAlias = type[LatestMetricRow] | type[ParamRow] | type[TagRow]
# The key of a metric, param or tag; surrogate keys of runs; the value of each of these runs.
Slice: TypeAlias = tuple[str, Sequence[int], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class TableColumns:
    """The requested keys of each kind; None requests all keys."""

    metrics: frozenset[str] | None = None
    params: frozenset[str] | None = None
    tags: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class RunTable:
    """Columns over the same runs. Times are milliseconds since the epoch.

    A missing metric is NaN; `nans` has the positions where the logged value itself is NaN. A missing param or tag is
    None. `token` is the page token of the runs that follow, if these are a page.
    """

    rows: Sequence[AnyRow]
    metrics: Mapping[str, "array[float]"]
    params: Mapping[str, Sequence[str | None]]
    tags: Mapping[str, Sequence[str | None]]
    nans: Mapping[str, Sequence[int]] = field(default_factory=dict)
    token: str | None = None

    def info(self, name: str) -> Sequence[Any]:
        """Return a column of `RunInfo`, such as ``run_id``, ``status`` or ``artifact_uri``."""
        if name == "artifact_uri":
            return [run_location(row.artifact_location, row.run_id, row.adopted_location) for row in self.rows]
        if name == "experiment_id":
            return [str(row.experiment_id) for row in self.rows]
        return [row._mapping[_INFO.get(name, name)] for row in self.rows]

    def metric(self, key: str) -> "array[float]":
        """Return the column of a metric; all NaN if no run has it."""
        return self.metrics[key] if key in self.metrics else array("d", [math.nan]) * len(self.rows)

    def text(self, group: str, key: str) -> Sequence[str | None]:
        """Return the column of a param or tag (`group` is ``params`` or ``tags``); all None if no run has it."""
        columns = self.params if group == "params" else self.tags
        return columns[key] if key in columns else [None] * len(self.rows)


_INFO: Final = {"run_name": "name"}


def read_table(connection: Connection, rows: Sequence[AnyRow], columns: TableColumns) -> RunTable:
    """Read the columns of rows of `select_runs`."""
    positions = {row.id: position for position, row in enumerate(rows)}
    nans: dict[str, list[int]] = {}
    return RunTable(
        rows=rows,
        metrics=_read_metrics(connection, positions, columns.metrics, nans),
        params=_read_texts(connection, ParamRow, positions, columns.params),
        tags=_read_texts(connection, TagRow, positions, columns.tags),
        nans=nans,
    )


def _read_metrics(
    connection: Connection, positions: Mapping[int, int], keys: frozenset[str] | None, nans: dict[str, list[int]]
) -> dict[str, "array[float]"]:
    empty = array("d", [math.nan]) * len(positions)
    columns: dict[str, array[float]] = {}
    for key, runs, values in _read_slices(connection, LatestMetricRow, list(positions), keys):
        column = columns.get(key)
        if column is None:
            column = columns[key] = array("d", empty)
        for run, value in zip(runs, values, strict=True):
            if value is None:
                nans.setdefault(key, []).append(positions[run])
            else:
                column[positions[run]] = value
    return dict(sorted(columns.items()))


def _read_texts(
    connection: Connection, kind: KeyedRow, positions: Mapping[int, int], keys: frozenset[str] | None
) -> dict[str, list[str | None]]:
    columns: dict[str, list[str | None]] = {}
    interned: dict[str, str] = {}
    for key, runs, values in _read_slices(connection, kind, list(positions), keys):
        column = columns.get(key)
        if column is None:
            column = columns[key] = [None] * len(positions)
        for run, value in zip(runs, values, strict=True):
            # Equal values share one object, because settings repeat from run to run.
            column[positions[run]] = interned.setdefault(value, value)
    return dict(sorted(columns.items()))


def _read_slices(
    connection: Connection, kind: KeyedRow, runs: Sequence[int], keys: frozenset[str] | None
) -> Iterator[Slice]:
    if keys is not None and not keys:
        return
    on_sqlite = connection.dialect.name == "sqlite"
    for chunk in chunks(runs):
        if not on_sqlite:
            yield from _fetch_arrays(connection, kind, chunk, keys)
        elif kind is LatestMetricRow:
            yield from _fetch_rows(connection, kind, chunk, keys)
        else:
            yield from _fetch_json_arrays(connection, kind, chunk, keys)


def _fetch_arrays(
    connection: Connection, kind: KeyedRow, runs: Sequence[int], keys: frozenset[str] | None
) -> Iterable[Slice]:
    query = select(kind.key, func.array_agg(kind.run_id), func.array_agg(kind.value)).group_by(kind.key)
    return _fetch(connection, query, kind, runs, keys)


def _fetch_json_arrays(
    connection: Connection, kind: KeyedRow, runs: Sequence[int], keys: frozenset[str] | None
) -> Iterator[Slice]:
    query = select(kind.key, func.json_group_array(kind.run_id), func.json_group_array(kind.value)).group_by(kind.key)
    for key, runs_, values in _fetch(connection, query, kind, runs, keys):
        yield key, json.loads(runs_), json.loads(values)


def _fetch_rows(
    connection: Connection, kind: KeyedRow, runs: Sequence[int], keys: frozenset[str] | None
) -> Iterator[Slice]:
    """Fetch doubles row by row, because SQLite's JSON rounds them to 15 digits."""
    slices: dict[str, tuple[list[int], list[float | None]]] = {}
    for key, run, value in _fetch(connection, select(kind.key, kind.run_id, kind.value), kind, runs, keys):
        slice_ = slices.get(key)
        if slice_ is None:
            slice_ = slices[key] = ([], [])
        slice_[0].append(run)
        slice_[1].append(value)
    return ((key, runs_, values) for key, (runs_, values) in slices.items())


def _fetch(
    connection: Connection, query: AnySelect, kind: KeyedRow, runs: Sequence[int], keys: frozenset[str] | None
) -> Iterator[Any]:
    dialect = connection.dialect.name
    query = query.where(in_keys(dialect, table(kind).c.run_id))
    if keys is not None:
        query = query.where(among(kind.key, sorted(keys), dialect))
    yield from connection.execute(query, keys_parameter(dialect, runs))


__all__ = ["RunTable", "TableColumns", "read_table"]
