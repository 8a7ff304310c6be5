"""Runs for searches to find, some by hand and many in bulk, and the statements that a search sends."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import insert
from statements_heard import record_statements

from registry import MlflowClient
from registry.entities import Metric, Param, RunTag
from registry.store.dialects import table
from registry.store.engine import Database
from registry.store.tables import ExperimentRow, LatestMetricRow, ParamRow, RunRow, TagRow

NAN = float("nan")


def log_run(
    client: MlflowClient,
    name: str,
    *,
    start: int,
    experiment: str = "0",
    metrics: Mapping[str, float] | None = None,
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    end: int | None = None,
) -> str:
    """Log a run with these values; return its id. Times are milliseconds."""
    run_id = str(client.create_run(experiment, start_time=start, run_name=name).info.run_id)
    client.log_batch(
        run_id,
        metrics=[Metric(key, value, 1) for key, value in (metrics or {}).items()],
        params=[Param(key, value) for key, value in (params or {}).items()],
        tags=[RunTag(key, value) for key, value in (tags or {}).items()],
    )
    if end is not None:
        client.set_terminated(run_id, end_time=end)
    return run_id


def insert_runs(database: Database, experiments: int, runs: int) -> None:
    """Insert experiments (ids from 1) with runs, each with five metrics, three params and two tags."""

    def fill(connection: Any) -> None:
        for experiment in range(1, experiments + 1):
            _insert_experiment(connection, experiment, range((experiment - 1) * runs + 1, experiment * runs + 1))

    database.write(fill)


def gather_statistics(database: Database) -> None:
    """Run ANALYZE on PostgreSQL, which does so itself some time after a table has grown; SQLite never does."""
    if not database.is_sqlite:
        with database.engine.connect() as connection:
            connection.connection.cursor().execute("ANALYZE")


def _insert_experiment(connection: Any, experiment: int, keys: range) -> None:
    row = {"id": experiment, "name": f"e{experiment}", "artifact_location": "/a", "lifecycle_stage": "active"}
    connection.execute(insert(table(ExperimentRow)), {**row, "creation_time": 0, "last_update_time": 0})
    run = {"experiment_id": experiment, "user_id": "u", "status": "FINISHED", "lifecycle_stage": "active"}
    connection.execute(
        insert(table(RunRow)),
        [{**run, "id": key, "run_id": f"{key:032x}", "name": f"r{key}", "start_time": key} for key in keys],
    )
    point = {"experiment_id": experiment, "step": 0, "timestamp": 0}
    connection.execute(
        insert(table(LatestMetricRow)),
        [
            {**point, "run_id": key, "key": f"m{number}", "value": float((key * 7919 + number) % 10_007)}
            for key in keys
            for number in range(5)
        ],
    )
    for kind, count in ((ParamRow, 3), (TagRow, 2)):
        connection.execute(
            insert(table(kind)),
            [{"run_id": key, "key": f"k{number}", "value": str(key % 10)} for key in keys for number in range(count)],
        )


@contextlib.contextmanager
def sent_statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Collect the statements that the block sends, with their parameters, without BEGIN."""
    with record_statements(database.engine) as heard:
        yield heard
    heard[:] = [one for one in heard if not one[0].startswith("BEGIN")]


def plan_of(database: Database, statement: str, parameters: Any) -> list[str]:
    """Return the lines of the database's plan for a statement; PostgreSQL's with the rows and loops of each step."""
    explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN ANALYZE "
    with database.engine.begin() as connection:
        return [str(row[-1]).strip() for row in connection.exec_driver_sql(explain + statement, parameters)]
