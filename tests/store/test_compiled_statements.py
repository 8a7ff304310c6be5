"""Statements on the driver's own cursor behave like SQLAlchemy's own."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from governed_models import raw_connection, raw_sql
from sqlalchemy import Connection, bindparam, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError

from registry import MlflowClient
from registry.exceptions import UnavailableError
from registry.store import connections, engine
from registry.store.compiled_statements import Compiled, all_rows
from registry.store.dialects import table
from registry.store.driver_sql import copy, end_with_next, run, run_many
from registry.store.engine import Database
from registry.store.tables import ExperimentRow

EXPERIMENTS = table(ExperimentRow)
NEW = Compiled(insert(EXPERIMENTS).returning(EXPERIMENTS.c.name))
BY_NAME = Compiled(
    select(EXPERIMENTS.c.name, EXPERIMENTS.c.lifecycle_stage).where(
        EXPERIMENTS.c.name == bindparam("name"), EXPERIMENTS.c.lifecycle_stage == "active"
    )
)
TIMES = {"creation_time": 1, "last_update_time": 1}
ROW = {"name": "a", "artifact_location": "/x", "lifecycle_stage": "active", **TIMES}


@pytest.fixture
def database(client: MlflowClient) -> Database:
    return client.backend.database


def test_columns_come_by_name_and_constants_need_no_value(database: Database) -> None:
    assert database.write(lambda connection: NEW.value(connection, ROW)) == "a"

    row = database.read(lambda connection: BY_NAME.first(connection, {"name": "a"}))

    assert row is not None
    assert (row.name, row.lifecycle_stage) == ("a", "active")
    assert database.read(lambda connection: BY_NAME.first(connection, {"name": "b"})) is None


def test_one_statement_inserts_rows_of_different_columns(database: Database) -> None:
    def work(connection: Connection) -> None:
        NEW.write_many(connection, [{**ROW, "name": "b"}, {**ROW, "name": "c"}])
        NEW.write(connection, {**ROW, "name": "d", "deleted_time": 5})

    database.write(work)

    names = database.read(lambda connection: [row.name for row in connection.execute(select(EXPERIMENTS.c.name))])
    assert {"b", "c", "d"} <= set(names)


def test_a_statement_that_travels_with_one_of_sqlalchemy_has_its_answer(database: Database) -> None:
    def work(connection: Connection) -> tuple[list[tuple[object, ...]], list[str]]:
        waiting = BY_NAME.send(connection, {"name": "Default"})
        end_with_next(connection)
        names = connection.execute(select(EXPERIMENTS.c.name)).scalars().all()
        return [tuple(row) for row in all_rows(waiting)], list(names)

    assert database.read(work) == ([("Default", "active")], ["Default"])


def test_a_value_that_is_forgotten_is_not_null(database: Database) -> None:
    with pytest.raises((KeyError, DBAPIError)):
        with database.engine.connect() as connection:
            BY_NAME.rows(connection, {})


def test_errors_are_those_of_sqlalchemy(database: Database) -> None:
    with database.engine.connect() as connection:
        NEW.write(connection, ROW)
        with pytest.raises(IntegrityError):
            NEW.write(connection, ROW)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT nothing FROM nowhere", {"sqlite": OperationalError, "postgresql": ProgrammingError}),
        ("INSERT INTO registry_id SELECT * FROM registry_id", {"sqlite": IntegrityError, "postgresql": IntegrityError}),
        ("SELEKT", {"sqlite": OperationalError, "postgresql": ProgrammingError}),
    ],
)
def test_an_error_has_the_class_and_the_cause_that_sqlalchemy_gives_it(
    statement: str, kind: dict[str, type[DBAPIError]], database: Database
) -> None:
    errors: list[DBAPIError] = []
    for execute in (run, Connection.exec_driver_sql):
        with database.engine.connect() as connection, pytest.raises(DBAPIError) as caught:
            execute(connection, statement)
        errors.append(caught.value)

    ours, theirs = errors
    assert type(ours) is type(theirs) is kind[database.engine.dialect.name]
    assert type(ours.orig) is type(theirs.orig)
    assert str(ours.orig) == str(theirs.orig)
    assert not ours.connection_invalidated


def test_an_error_that_is_not_the_drivers_passes_unchanged(postgres_url: str) -> None:
    with MlflowClient(postgres_url).backend.database.engine.connect() as connection:
        with pytest.raises(ZeroDivisionError):
            run_many(connection, "SELECT %s", ((1 / 0,) for _ in range(1)))  # type: ignore[arg-type]


def test_one_lost_connection_takes_its_idle_neighbours_with_it(postgres_url: str) -> None:
    database = MlflowClient(postgres_url).backend.database
    idle = [database.engine.connect() for _ in range(6)]
    numbers = [connection.execute(text("SELECT pg_backend_pid()")).scalar_one() for connection in idle]
    for connection in idle:
        connection.close()
    database.write(
        lambda connection: (
            connection.execute(
                text("SELECT pg_terminate_backend(n) FROM unnest(CAST(:ns AS int[])) AS n WHERE n <> pg_backend_pid()"),
                {"ns": numbers},
            ).all()
            and None
        )
    )
    met: list[str] = []

    def work(connection: Connection) -> int:
        met.append("tried")
        return int(run(connection, "SELECT 1").rows[0][0])

    with database.engine.connect():  # the one that is still alive
        assert database.look_up(work) == 1
    assert met == ["tried", "tried"]


def test_an_interrupted_statement_takes_its_connection_with_it(postgres_url: str) -> None:
    client = MlflowClient(postgres_url)
    run_id = client.create_run("0").info.run_id

    def work(connection: Connection) -> None:
        def blocks() -> Iterator[str]:
            yield "1\n"
            raise KeyboardInterrupt  # while the server waits for more

        run(connection, "CREATE TEMPORARY TABLE numbers (number int)")
        copy(connection, "COPY numbers FROM STDIN", blocks())

    for scope in (client.backend.database.look_up, client.backend.database.write):
        with pytest.raises(KeyboardInterrupt):
            scope(work)
        assert client.get_run(run_id).info.run_id == run_id


def test_an_interruption_between_statements_leaves_no_transaction_open(database: Database) -> None:
    def work(connection: Connection) -> None:
        run(connection, "SELECT 1")
        raise KeyboardInterrupt

    for scope in (database.read, database.write):
        with pytest.raises(KeyboardInterrupt):
            scope(work)
        assert database.write(lambda connection: len(run(connection, "SELECT 1").rows)) == 1


def test_a_commit_that_fails_leaves_no_transaction_open(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BUSY_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(engine, "ATTEMPTS", 1)
    client = MlflowClient(sqlite_url)
    run_id = client.create_run("0").info.run_id
    with raw_connection(sqlite_url) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM runs").fetchall()
        with pytest.raises(UnavailableError, match="stayed locked"):
            client.log_metric(run_id, "a", 1.0)
        reader.execute("COMMIT")

    raw_sql(sqlite_url)("UPDATE experiments SET last_update_time = 1")  # no lock is left
    client.log_metric(run_id, "b", 1.0)
    assert client.get_run(run_id).data.metrics == {"b": 1.0}


def test_a_connection_that_was_closed_behind_the_pool_is_replaced(database: Database) -> None:
    with database.engine.connect() as connection:
        closed: Any = connection.connection.driver_connection
    closed.close()

    assert database.look_up(lambda connection: len(run(connection, "SELECT 1").rows)) == 1


def test_threads_take_turns_with_a_database_in_memory() -> None:
    client = MlflowClient("sqlite://")
    run_id = client.create_run("0").info.run_id

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: client.log_metric(run_id, "a", number, step=number), range(100)))

    assert len(client.get_metric_history(run_id, "a")) == 100
