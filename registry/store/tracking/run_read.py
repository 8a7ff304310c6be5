"""Read runs with their params, metrics, tags, inputs and outputs, many in one round trip.

Statements find a run by its public id, so they need not wait for its key.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from registry.entities import Manifest, ManifestEntry, Run, RunInfo
from registry.exceptions import RunNotFoundError
from registry.store.compiled_statements import Compiled, first_value, named_rows
from registry.store.dialects import AnyRow, AnySelect, table
from registry.store.driver_sql import Answer, end_with_next, run_all
from registry.store.long_lists import keys_parameter
from registry.store.tables import AdoptedFileRow, ExperimentRow, RunRow, TagRow
from registry.store.tracking.run_data import PARENT_TAG, Which, group_run_data, of_runs, run_data_query
from registry.store.tracking.run_inputs import group_inputs_and_outputs, inputs_and_outputs_queries


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Where the files of a run are; `adopted` has the digests of files that stay where another program put them."""

    artifact_uri: str
    experiment_id: str
    lifecycle_stage: str
    adopted: Manifest | None


def run_location(artifact_location: str, run_id: str, adopted_location: str | None = None) -> str:
    """Return the artifact location of a run: below that of its experiment, or where its files were adopted."""
    return adopted_location or f"{artifact_location.rstrip('/')}/{run_id}/artifacts"


def select_runs() -> AnySelect:
    """Return a query with all columns that `read_runs` needs."""
    return select(RunRow.__table__, ExperimentRow.artifact_location).join(ExperimentRow)


def read_runs(connection: Connection, rows: Iterable[AnyRow]) -> list[Run]:
    """Build runs with their data, inputs and outputs from rows of `select_runs`, in their order; one round trip."""
    run_rows = list(rows)
    keys = [row.id for row in run_rows]
    if not keys:
        return []
    dialect = connection.dialect.name
    parameter = keys_parameter(dialect, keys)
    queries = [run_data_query(dialect), *inputs_and_outputs_queries(dialect)]
    data, *uses = run_all(connection, *(query.statement(connection, parameter) for query in queries))
    return _build_runs(run_rows, data, uses)


def read_which(connection: Connection, which: Which, given: Mapping[str, Any]) -> list[Run]:
    """Return runs with all that belongs to them; the round trip ends the transaction."""
    dialect = connection.dialect.name
    queries = [_runs_query(dialect, which), run_data_query(dialect, which), *inputs_and_outputs_queries(dialect, which)]
    end_with_next(connection)
    runs, data, *uses = run_all(connection, *(query.statement(connection, given) for query in queries))
    return _build_runs(named_rows(runs), data, uses)


@functools.cache
def _runs_query(dialect: str, which: Which) -> Compiled:
    return _BY_ID if which == "id" else Compiled(select_runs().where(of_runs(dialect, table(RunRow).c.id, which)))


def _build_runs(rows: Sequence[AnyRow], data: Answer, uses: Sequence[Answer]) -> list[Run]:
    keys = [row.id for row in rows]
    run_data = group_run_data(data.rows, keys)
    inputs, outputs = group_inputs_and_outputs(uses, keys)
    return [Run(_run_info(row), run_data[row.id], inputs[row.id], outputs[row.id]) for row in rows]


def _run_info(row: AnyRow) -> RunInfo:
    """Build the RunInfo of one row of `select_runs`."""
    return RunInfo(
        run_id=row.run_id,
        experiment_id=str(row.experiment_id),
        user_id=row.user_id,
        status=row.status,
        start_time=row.start_time,
        end_time=row.end_time,
        lifecycle_stage=row.lifecycle_stage,
        artifact_uri=run_location(row.artifact_location, row.run_id, row.adopted_location),
        run_name=row.name,
    )


def read_parent(connection: Connection, run_id: str) -> Run | None:
    """Return the run that the tag of a nested run names, or None without the tag; the round trip ends the transaction.

    Raises:
        RunNotFoundError: There is no such run, or its parent is gone.
    """
    child = _PARENT_ID.send(connection, {"given_id": run_id})
    runs = read_which(connection, "parent", {"given_id": run_id})
    if not child.rows:
        raise run_not_found(run_id)
    parent_id = first_value(child)
    if parent_id is not None and not runs:
        raise run_not_found(parent_id)
    return runs[0] if runs else None


def read_files(connection: Connection, run_id: str) -> RunFiles:
    """Return where the files of a run are.

    Raises:
        RunNotFoundError: There is no such run.
    """
    rows = _FILES.rows(connection, {"given_id": run_id})
    if not rows:
        raise run_not_found(run_id)
    row, adopted = rows[0], None
    if row.adopted_location is not None:
        adopted = Manifest.of(ManifestEntry(one.path, one.size, one.sha256) for one in rows if one.path is not None)
    artifact_uri = run_location(row.artifact_location, run_id, row.adopted_location)
    return RunFiles(artifact_uri, str(row.experiment_id), row.lifecycle_stage, adopted)


def run_not_found(run_id: str) -> RunNotFoundError:
    """Return the error for a missing run."""
    return RunNotFoundError(f"Run with id={run_id} not found")


_GIVEN: Final = RunRow.run_id == bindparam("given_id")
_BY_ID: Final = Compiled(select_runs().where(_GIVEN))
_PARENT_ID: Final = Compiled(
    select(TagRow.value)
    .select_from(RunRow)
    .outerjoin(TagRow, (TagRow.run_id == RunRow.id) & (TagRow.key == PARENT_TAG))
    .where(_GIVEN)
)
_FILES: Final = Compiled(
    select(
        RunRow.experiment_id,
        RunRow.lifecycle_stage,
        RunRow.adopted_location,
        ExperimentRow.artifact_location,
        AdoptedFileRow.path,
        AdoptedFileRow.size,
        AdoptedFileRow.sha256,
    )
    .join(ExperimentRow, ExperimentRow.id == RunRow.experiment_id)
    .outerjoin(AdoptedFileRow, AdoptedFileRow.run_id == RunRow.id)
    .where(_GIVEN)
)
