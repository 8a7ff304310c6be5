"""Statements that the driver itself runs: nobody sees a difference to SQLAlchemy's own."""

from typing import Any

import pytest
from sqlalchemy import Connection, bindparam, event, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from registry import MlflowClient
from registry.store.driver import Compiled, run
from registry.store.engine import Database
from registry.store.statements import table
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


def test_a_value_that_is_forgotten_is_not_null(database: Database) -> None:
    with pytest.raises((KeyError, DBAPIError)):
        with database.engine.connect() as connection:
            BY_NAME.rows(connection, {})


def test_errors_are_those_of_sqlalchemy(database: Database) -> None:
    with database.engine.connect() as connection:
        NEW.write(connection, ROW)
        with pytest.raises(IntegrityError):
            NEW.write(connection, ROW)


def test_who_listens_to_statements_hears_these_too_and_may_change_them(database: Database) -> None:
    heard: list[str] = []

    def listen(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> tuple[str, Any]:
        heard.append(statement)
        return statement.replace("1", "2"), parameters

    event.listen(database.engine, "before_cursor_execute", listen, retval=True)
    with database.engine.connect() as connection:
        _, rows = run(connection, "SELECT 1")

    assert heard == ["SELECT 1"]
    assert [tuple(row) for row in rows] == [(2,)]


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
        return int(run(connection, "SELECT 1")[1][0][0])

    with database.engine.connect():  # the one that is still alive
        assert database.look_up(work) == 1
    assert met == ["tried", "tried"]
