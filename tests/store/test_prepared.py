"""Frequent statements are prepared on PostgreSQL, unless a pooler is in between, until they become stale."""

import psycopg
import pytest
from lossy_proxy import LossyProxy
from postgres_server import PostgresServer
from sqlalchemy import text

from registry import MlflowClient

PREPARED = text("SELECT statement FROM pg_prepared_statements")


def prepared(client: MlflowClient) -> list[str]:
    """The statements that the server has prepared for this thread's connection."""
    return client.backend.database.look_up(lambda connection: list(connection.execute(PREPARED).scalars()))


def look_up_often(client: MlflowClient, run_id: str) -> None:
    for _ in range(10):
        client.get_run(run_id)


def test_frequent_statements_are_prepared(postgres_url: str) -> None:
    client = MlflowClient(postgres_url)

    look_up_often(client, client.create_run("0").info.run_id)

    assert [statement for statement in prepared(client) if "FROM runs" in statement] != []


def test_nothing_is_prepared_through_a_pooler(
    postgres_url: str, proxy: LossyProxy, postgres_server: PostgresServer
) -> None:
    proxy.poses_as_pooler = True
    client = MlflowClient(postgres_url.replace(f":{postgres_server.port}/", f":{proxy.port}/"))

    look_up_often(client, client.create_run("0").info.run_id)

    assert prepared(client) == []


def test_a_column_that_changes_under_a_prepared_statement_causes_no_error(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    client = MlflowClient(postgres_url)
    run_id = client.create_run("0", run_name="first").info.run_id
    look_up_often(client, run_id)

    with psycopg.connect(postgres_url.replace("+psycopg", "")) as other:
        other.execute('ALTER TABLE runs ALTER COLUMN name TYPE varchar(300) COLLATE "C"')

    assert client.get_run(run_id).info.run_name == "first"


def test_a_server_that_forgot_a_prepared_statement_causes_no_error(postgres_url: str) -> None:
    client = MlflowClient(postgres_url)
    run_id = client.create_run("0", run_name="first").info.run_id
    look_up_often(client, run_id)

    # In a block, where the driver does not see it.
    forget = text("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
    client.backend.database.look_up(lambda connection: connection.execute(forget) and None)

    assert client.get_run(run_id).info.run_name == "first"


@pytest.mark.parametrize(("pooled", "outside"), [(False, "30s"), (True, "0")])
def test_a_write_waits_for_no_lock_for_ever_and_leaves_a_pooler_no_settings(
    pooled: bool, outside: str, postgres_url: str, proxy: LossyProxy, postgres_server: PostgresServer
) -> None:
    proxy.poses_as_pooler = pooled
    database = MlflowClient(postgres_url.replace(f":{postgres_server.port}/", f":{proxy.port}/")).backend.database
    limit = text("SHOW lock_timeout")

    assert database.write(lambda connection: connection.execute(limit).scalar_one()) == "30s"
    assert database.look_up(lambda connection: connection.execute(limit).scalar_one()) == outside
