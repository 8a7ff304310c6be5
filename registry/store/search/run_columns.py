"""Metrics, params and tags of many runs as columns, without an entity per run.

The database returns one row per key and 1,000 runs, with the values as an array, so no value needs a row object.
Guarantees: every column has one element per run, in the order of the runs.
"""

import functools
import json
import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, Table, Text, func, select

from registry.store.compiled_statements import Compiled
from registry.store.dialects import AnyRow, table
from registry.store.driver_sql import Answer, Statement, end_with_next, run_all
from registry.store.long_lists import in_keys, keys_parameter
from registry.store.search.query import CHUNK
from registry.store.tables import LatestMetricRow, ParamRow, TagRow
from registry.store.tracking.run_read import run_location

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
    """Read the columns of rows of `select_runs`; 1,000 runs in one round trip, and the last one ends it."""
    positions = {row.id: position for position, row in enumerate(rows)}
    metrics: dict[str, array[float]] = {}
    nans: dict[str, list[int]] = {}
    texts: dict[KeyedRow, dict[str, list[str | None]]] = {ParamRow: {}, TagRow: {}}
    interned: dict[str, str] = {}
    requested: dict[KeyedRow, frozenset[str] | None] = {
        LatestMetricRow: columns.metrics,
        ParamRow: columns.params,
        TagRow: columns.tags,
    }
    kinds = [kind for kind, keys in requested.items() if keys is None or keys]
    dialect = connection.dialect.name
    for start in range(0, len(rows) if kinds else 0, CHUNK):
        runs = [row.id for row in rows[start : start + CHUNK]]
        if start + CHUNK >= len(rows):
            end_with_next(connection)
        answers = run_all(connection, *(_statement(connection, kind, runs, requested[kind]) for kind in kinds))
        for kind, answer in zip(kinds, answers, strict=True):
            if kind is LatestMetricRow:
                _add_metrics(metrics, nans, positions, _metric_slices(dialect, answer))
            else:
                _add_texts(texts[kind], interned, positions, _text_slices(dialect, answer))
    return RunTable(
        rows=rows,
        metrics=dict(sorted(metrics.items())),
        params=dict(sorted(texts[ParamRow].items())),
        tags=dict(sorted(texts[TagRow].items())),
        nans=nans,
    )


def _add_metrics(
    columns: dict[str, "array[float]"],
    nans: dict[str, list[int]],
    positions: Mapping[int, int],
    slices: Iterable[Slice],
) -> None:
    for key, runs, values in slices:
        column = columns.get(key)
        if column is None:
            column = columns[key] = array("d", [math.nan]) * len(positions)
        for run, value in zip(runs, values, strict=True):
            if value is None:
                nans.setdefault(key, []).append(positions[run])
            else:
                column[positions[run]] = value


def _add_texts(
    columns: dict[str, list[str | None]],
    interned: dict[str, str],
    positions: Mapping[int, int],
    slices: Iterable[Slice],
) -> None:
    for key, runs, values in slices:
        column = columns.get(key)
        if column is None:
            column = columns[key] = [None] * len(positions)
        for run, value in zip(runs, values, strict=True):
            # Equal values share one object, because settings repeat from run to run.
            column[positions[run]] = interned.setdefault(value, value)


def _metric_slices(dialect: str, answer: Answer) -> Iterable[Slice]:
    if dialect != "sqlite":
        return answer.rows
    slices: dict[str, tuple[list[int], list[float | None]]] = {}
    for key, run, value in answer.rows:
        slice_ = slices.get(key)
        if slice_ is None:
            slice_ = slices[key] = ([], [])
        slice_[0].append(run)
        slice_[1].append(value)
    return ((key, runs, values) for key, (runs, values) in slices.items())


def _text_slices(dialect: str, answer: Answer) -> Iterable[Slice]:
    if dialect != "sqlite":
        return answer.rows
    return ((key, json.loads(runs), json.loads(values)) for key, runs, values in answer.rows)


def _statement(connection: Connection, kind: KeyedRow, runs: Sequence[int], keys: frozenset[str] | None) -> Statement:
    dialect = connection.dialect.name
    parameters = keys_parameter(dialect, runs)
    if keys is not None:
        parameters |= keys_parameter(dialect, sorted(keys), "names")
    return _query(dialect, table(kind), some_keys=keys is not None).statement(connection, parameters)


@functools.cache
def _query(dialect: str, target: Table, *, some_keys: bool) -> Compiled:
    columns = target.c
    if dialect != "sqlite":
        query = select(columns.key, func.array_agg(columns.run_id), func.array_agg(columns.value)).group_by(columns.key)
    elif target is table(LatestMetricRow):  # row by row, because SQLite's JSON rounds doubles to 15 digits
        query = select(columns.key, columns.run_id, columns.value)
    else:
        arrays = (func.json_group_array(columns.run_id), func.json_group_array(columns.value))
        query = select(columns.key, *arrays).group_by(columns.key)
    query = query.where(in_keys(dialect, columns.run_id))
    return Compiled(query.where(in_keys(dialect, columns.key, "names", Text())) if some_keys else query)


__all__ = ["RunTable", "TableColumns", "read_table"]
