"""Transactions of a database: reads, writes, retries, and how failures are named."""

import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from postgres_server import PostgresServer
from sqlalchemy import Connection, make_url, text

from registry import MlflowClient, disconnect
from registry.exceptions import (
    InvalidParameterError,
    PermissionDeniedError,
    ReadOnlyError,
    RegistryError,
    StorageError,
    UnavailableError,
    UnsupportedStoreError,
)
from registry.store import connections, engine
from registry.store.engine import Database, connect
from registry.store.schema import downgrade, upgrade
from registry.store.urls import parse_database_url

COUNT = text("SELECT count(*) FROM experiments")
ADD = text(
    "INSERT INTO experiments (name, artifact_location, lifecycle_stage, creation_time, last_update_time) "
    "VALUES (:name, '/x', 'active', 0, 0)"
)


def count(database: Database) -> int:
    return database.read(lambda connection: connection.execute(COUNT).scalar_one())


def add(name: str) -> "object":
    return lambda connection: connection.execute(ADD, {"name": name}) and None


def run_python(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_write_is_there_when_it_returns(database_url: str) -> None:
    database = connect(database_url)
    database.write(add("a"))
    disconnect()

    assert count(connect(database_url)) == 1


def test_a_write_that_raises_leaves_nothing(database_url: str) -> None:
    database = connect(database_url)

    def work(connection: Connection) -> None:
        connection.execute(ADD, {"name": "a"})
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        database.write(work)

    assert count(database) == 0


def test_a_read_sees_one_moment(database_url: str) -> None:
    database = connect(database_url)
    if database.is_sqlite:  # without WAL a reader would keep the writer out
        database = connect(f"{database_url}?journal_mode=wal")

    def work(connection: Connection) -> list[int]:
        before = connection.execute(COUNT).scalar_one()
        thread = threading.Thread(target=database.write, args=(add("meanwhile"),))
        thread.start()
        thread.join()
        return [before, connection.execute(COUNT).scalar_one()]

    assert database.read(work) == [0, 0]
    assert count(database) == 1


def test_one_database_per_place_and_mode(database_url: str) -> None:
    assert connect(database_url) is connect(database_url)
    assert connect(database_url, read_only=True) is not connect(database_url)


@pytest.mark.parametrize("state", ["40001", "40P01", "57P01"])
def test_a_write_that_lost_a_race_is_tried_again_from_its_beginning(state: str, postgres_url: str) -> None:
    database = connect(postgres_url)
    attempts: list[int] = []

    def work(connection: Connection) -> int:
        attempts.append(connection.execute(COUNT).scalar_one())
        connection.execute(ADD, {"name": "a"})
        if len(attempts) < 3:
            connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '{state}'; END $$")
        return len(attempts)

    assert database.write(work) == 3
    assert attempts == [0, 0, 0]
    assert count(database) == 1


def test_writers_that_block_each_other_both_get_through(postgres_url: str) -> None:
    database = connect(postgres_url)
    for name in "ab":
        database.write(add(name))
    met = threading.Barrier(2)
    tries: list[str] = []

    def rename(first: str, second: str) -> None:
        def work(connection: Connection) -> None:
            tries.append(first)
            update = text("UPDATE experiments SET last_update_time = last_update_time + 1 WHERE name = :name")
            connection.execute(update, {"name": first})
            if len(tries) <= 2:
                met.wait(10)
            connection.execute(update, {"name": second})

        database.write(work)

    threads = [threading.Thread(target=rename, args=pair) for pair in ("ab", "ba")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(tries) == 3
    times = database.read(lambda c: c.execute(text("SELECT last_update_time FROM experiments")).scalars().all())
    assert times == [2, 2]


def test_an_sqlite_file_that_stays_locked_is_unavailable(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BUSY_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(engine, "GIVE_UP_SECONDS", 0.2)
    database = Database(parse_database_url(sqlite_url))
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(UnavailableError, match="stayed locked by another process; retry later") as caught:
        database.write(add("a"))

    assert caught.value.error_code == "TEMPORARILY_UNAVAILABLE"
    other.execute("ROLLBACK")
    other.close()
    database.write(add("a"))
    assert count(database) == 1
    database.dispose()


def test_a_read_only_client_reads_and_changes_nothing(database_url: str) -> None:
    MlflowClient(database_url).create_experiment("a")
    client = MlflowClient(database_url, read_only=True)

    assert [found.name for found in client.search_experiments()] == ["a", "Default"]
    with pytest.raises(ReadOnlyError, match="read_only=True") as caught:
        client.create_experiment("b")
    assert caught.value.error_code == "PERMISSION_DENIED"
    assert client.get_experiment_by_name("b") is None


def test_a_read_only_client_makes_no_file(own_place: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be opened"):
        MlflowClient(f"sqlite:///{own_place}/none/a.db", read_only=True).search_experiments()

    assert list(own_place.iterdir()) == []


def test_a_path_with_signs_of_urls_is_one_file(own_place: Path) -> None:
    url = f"sqlite:///{own_place}/a%20#b.db"
    MlflowClient(url).create_experiment("a")

    assert (own_place / "a%20#b.db").is_file()
    assert MlflowClient(url, read_only=True).get_experiment_by_name("a") is not None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_database_without_the_right_to_write_says_so(sqlite_url: str) -> None:
    Path(sqlite_url.removeprefix("sqlite:///")).chmod(0o400)

    with pytest.raises(PermissionDeniedError, match="refused the change"):
        connect(sqlite_url).write(add("a"))


@pytest.mark.parametrize(
    "default",
    [
        "default_transaction_isolation = 'serializable'",
        "default_transaction_isolation = 'repeatable read'",
        "default_transaction_read_only = on",
        "default_transaction_deferrable = on",
    ],
)
def test_a_write_does_not_depend_on_the_defaults_of_the_database(
    default: str, postgres_url: str, postgres_server: PostgresServer
) -> None:
    postgres_server.execute(f"ALTER DATABASE {postgres_url.rpartition('/')[2]} SET {default}")
    client = MlflowClient(postgres_url)
    run_id = client.create_run("0").info.run_id
    found: list[object] = []

    def work(connection: Connection) -> None:
        found.append(connection.execute(text("SHOW transaction_isolation")).scalar_one())
        with ThreadPoolExecutor(1) as other:  # in a transaction that reads once, this point would be missed
            other.submit(client.log_metric, run_id, "loss", 0.5).result()
        found.append(connection.execute(text("SELECT count(*) FROM metrics")).scalar_one())

    client.backend.database.write(work)

    assert found == ["read committed", 1]
    connect(postgres_url).dispose()
    downgrade(connect(postgres_url), "0006")
    upgrade(connect(postgres_url))
    assert client.get_run(run_id).data.metrics == {"loss": 0.5}


def test_a_role_without_rights_is_refused_by_name(postgres_url: str, postgres_server: PostgresServer) -> None:
    name = postgres_url.rpartition("/")[2]
    role = f"reader_{name}"
    postgres_server.execute(f"CREATE ROLE {role} LOGIN")
    postgres_server.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}", database=name)
    MlflowClient(postgres_url).search_experiments()
    reader = MlflowClient(postgres_url.replace("postgres@", f"{role}@"))

    assert reader.get_experiment("0").name == "Default"
    with pytest.raises(PermissionDeniedError, match="permission denied for table commit_markers.*role 'writer'"):
        reader.create_experiment("a")
    disconnect()
    postgres_server.execute(f"DROP OWNED BY {role}", database=name)
    postgres_server.execute(f"DROP ROLE {role}")


def test_an_unreachable_server_is_unavailable_and_its_password_is_not_told() -> None:
    client = MlflowClient("postgresql://me:s3cret@127.0.0.1:1/db")

    with pytest.raises(UnavailableError, match=r"postgresql\+psycopg://me:\*\*\*@127.0.0.1:1/db") as caught:
        client.search_experiments()

    assert caught.value.error_code == "TEMPORARILY_UNAVAILABLE"
    assert "s3cret" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_a_database_that_is_not_there_is_unavailable(postgres_server: PostgresServer) -> None:
    with pytest.raises(UnavailableError, match='database "nothing" does not exist. Create it with createdb'):
        MlflowClient(postgres_server.url("nothing")).search_experiments()


def test_a_file_that_a_reader_misses_is_told_as_missing(own_place: Path) -> None:
    reader = MlflowClient("sqlite:///missing.db", read_only=True)

    with pytest.raises(UnavailableError) as caught:
        reader.search_experiments()

    place = own_place / "missing.db"
    assert caught.value.message == (
        f"The database sqlite:///{place} cannot be opened: there is no such file. Check the tracking URI, and that its "
        "directory is writable if it shall be created."
    )
    assert not place.exists()


def test_a_user_that_is_not_there_is_told_to_look_at_user_and_password(postgres_server: PostgresServer) -> None:
    stranger = make_url(postgres_server.url("postgres")).set(username="stranger").render_as_string(hide_password=False)

    with pytest.raises(UnavailableError, match="Check the user, and the password in the URL, PGPASSWORD or the file"):
        MlflowClient(stranger).search_experiments()


def test_a_file_that_is_no_database_is_refused_and_stays(own_place: Path) -> None:
    file = own_place / "a.db"
    file.write_text("not a database, but a long enough text that one could take for it" * 20)
    before = file.read_bytes()

    with pytest.raises(StorageError, match="damaged or not an SQLite database"):
        MlflowClient(f"sqlite:///{file}").search_experiments()

    assert file.read_bytes() == before


@pytest.mark.parametrize("value", ["half \ud800 a pair", "a\0b"])
def test_text_that_no_database_holds_is_the_callers_mistake(value: str, postgres_url: str) -> None:
    with pytest.raises(InvalidParameterError):
        connect(postgres_url).write(add(value))


def test_a_number_that_no_database_holds_is_the_callers_mistake(database_url: str) -> None:
    query = text("SELECT * FROM experiments WHERE id = CAST(:id AS bigint)")

    with pytest.raises(InvalidParameterError):
        connect(database_url).read(lambda connection: connection.execute(query, {"id": 2**64}).all())


def test_no_message_has_sql_or_values(database_url: str) -> None:
    with pytest.raises(RegistryError) as caught:
        connect(database_url).read(lambda c: c.execute(text("SELECT nothing FROM nowhere WHERE 'v4lue' = 'x'")))

    assert "v4lue" not in caught.value.message
    assert "SELECT" not in caught.value.message


FORK = """
    import os, sys
    from registry import MlflowClient
    client = MlflowClient(sys.argv[1])
    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "m", 1.0)
    child = os.fork()
    if child == 0:
        client.log_metric(run_id, "m", 2.0)
        MlflowClient(sys.argv[1]).log_metric(run_id, "m", 3.0)
        sys.exit(0)
    client.log_metric(run_id, "m", 4.0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    client.log_metric(run_id, "m", 5.0)
    print(sorted(metric.value for metric in client.get_metric_history(run_id, "m")))
"""


def test_a_child_of_fork_has_connections_of_its_own(database_url: str) -> None:
    done = run_python(FORK, database_url)

    assert done.stderr == ""
    assert done.stdout == "[1.0, 2.0, 3.0, 4.0, 5.0]\n"


FULL_DISK = """
    import pathlib, resource, sys
    from registry import MlflowClient
    from registry.entities import Param
    from registry.exceptions import StorageError
    client = MlflowClient(sys.argv[1])
    run_id = client.create_run("0").info.run_id
    client.set_tag(run_id, "before", "x")
    size = pathlib.Path(sys.argv[2]).stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        client.log_batch(run_id, params=[Param(f"p{n}", "x" * 6000) for n in range(200)])
    except StorageError as error:
        print(error.error_code, "Free space and retry" in str(error))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    client.set_tag(run_id, "after", "x")
    run = client.get_run(run_id)
    print(len(run.data.params), run.data.tags["before"], run.data.tags["after"])
"""


def test_a_full_disk_is_a_clean_error_and_the_next_write_works(sqlite_url: str) -> None:
    done = run_python(FULL_DISK, sqlite_url, sqlite_url.removeprefix("sqlite:///"))

    assert done.stderr == ""
    assert done.stdout == "IO_ERROR True\n0 x x\n"


def test_wal_is_used_where_the_url_asks_for_it(sqlite_url: str) -> None:
    database = connect(f"{sqlite_url}?journal_mode=wal")
    database.write(add("a"))

    mode = database.read(lambda connection: connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())
    assert mode == "wal"
    assert connect(f"{sqlite_url}?journal_mode=wal", read_only=True).read(lambda c: c.execute(COUNT).scalar_one()) == 1


def test_sqlite_connections_have_the_protective_settings(sqlite_url: str) -> None:
    names = ("foreign_keys", "synchronous", "trusted_schema")
    found = connect(sqlite_url).read(
        lambda connection: [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names]
    )

    assert found == [1, 2, 0]


def test_many_threads_share_one_database(database_url: str) -> None:
    database = connect(database_url)
    threads = [threading.Thread(target=database.write, args=(add(f"e{number}"),)) for number in range(30)]
    with warnings.catch_warnings():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert count(database) == 30


def test_a_pooler_in_statement_mode_is_refused_by_name(postgres_url: str) -> None:
    refusal = (
        "DO $$ BEGIN RAISE EXCEPTION 'transaction blocks not allowed in statement pooling mode' "
        "USING ERRCODE = '08P01'; END $$"  # what pgbouncer answers to BEGIN
    )
    tries: list[int] = []

    def work(connection: Connection) -> None:
        tries.append(1)
        connection.exec_driver_sql(refusal)

    with pytest.raises(UnsupportedStoreError, match=r"runs in statement mode.*pool_mode = transaction"):
        connect(postgres_url).read(work)

    assert tries == [1]
