"""Imports of databases that MLflow wrote on PostgreSQL and on MariaDB, from dumps, into both kinds of registry."""

import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow_stores import RENAMES, MlflowStore
from postgres_server import PostgresServer

from registry.exceptions import UnavailableError
from registry.mlflow_bridge import TransferReport, import_mlflow

Unpack = Callable[[str], MlflowStore]

COUNTS = {
    "experiments": 4,
    "runs": 6,
    "params": 12,
    "tags": 25,
    "points": 76,
    "data set inputs": 1,
    "logged models": 2,
    "registered models": 3,
    "versions": 6,
    "aliases": 1,
}


def check(report: TransferReport) -> None:
    assert (report.problems, report.differences, report.is_complete) == ([], [], True)
    assert {count.kind: count.here for count in report.counts} == COUNTS
    assert "secret" not in report.place


def test_a_database_on_postgresql_arrives_whole(
    database_url: str, unpack: Unpack, postgres_server: PostgresServer
) -> None:
    store = unpack("3.17-postgresql")
    name = postgres_server.create()
    postgres_server.execute(store.sql, name)
    source = f"postgresql://postgres:secret@127.0.0.1:{postgres_server.port}/{name}"
    check(import_mlflow(source, tracking_uri=database_url, rename=RENAMES, deleted=True))
    again = import_mlflow(source, tracking_uri=database_url, rename=RENAMES, deleted=True)
    assert {count.kind: count.added for count in again.counts if count.added} == {}


def test_a_server_that_does_not_answer_is_one_error_without_the_password(registry_url: str) -> None:
    with pytest.raises(UnavailableError, match="cannot be read") as caught:
        import_mlflow("postgresql://ann:secret@127.0.0.1:1/mlflow", tracking_uri=registry_url)
    assert "secret" not in str(caught.value)
    with pytest.raises(UnavailableError, match="cannot be read") as caught:
        import_mlflow("mysql://ann:secret@127.0.0.1:1/mlflow", tracking_uri=registry_url)
    assert "secret" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["mysql", "mariadb"])
def test_a_database_on_mariadb_arrives_whole(
    scheme: str, registry_url: str, unpack: Unpack, mariadb: Callable[[str], str]
) -> None:
    store = unpack("3.7-mariadb")
    source = mariadb(store.sql).replace("mysql:", f"{scheme}:")
    check(import_mlflow(source, tracking_uri=registry_url, rename=RENAMES, deleted=True))


@pytest.fixture(scope="module")
def mariadb_port() -> Iterator[int]:
    """Run Debian's MariaDB on loopback; skip where it is not installed."""
    if shutil.which("mariadbd") is None:
        pytest.skip("needs MariaDB: apt-get install mariadb-server")
    directory = Path(tempfile.mkdtemp(prefix="registry-mariadb-"))
    user = "mysql"
    shutil.chown(directory, user, pwd.getpwnam(user).pw_gid)
    data = f"--datadir={directory / 'data'}"
    install = [
        "mariadb-install-db",
        "--no-defaults",
        f"--user={user}",
        data,
        "--auth-root-authentication-method=normal",
    ]
    subprocess.run(install, check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [data, f"--socket={directory / 's'}", f"--port={port}", "--bind-address=127.0.0.1", f"--user={user}"]
    with (directory / "log").open("w") as log:
        server = subprocess.Popen(["mariadbd", "--no-defaults", *options], stdout=log, stderr=log)
    try:
        _wait(port)
        root = ["mariadb", "--no-defaults", "-uroot", f"--socket={directory / 's'}"]
        subprocess.run(
            [*root, "-e", "CREATE USER ml@127.0.0.1 IDENTIFIED BY 'secret'; GRANT ALL ON *.* TO ml@127.0.0.1"],
            check=True,
        )
        yield port
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(directory)


@pytest.fixture
def mariadb(mariadb_port: int) -> Callable[[str], str]:
    """Return a function that makes a database of a dump, and returns its URL."""
    import pymysql

    def load(dump: str) -> str:
        name = f"mlflow_{time.monotonic_ns()}"
        address = {"host": "127.0.0.1", "port": mariadb_port, "user": "ml", "password": "secret", "autocommit": True}
        connection = pymysql.connect(**address)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
                cursor.execute(f"USE {name}")
                for statement in dump.split(";\n"):
                    if statement.strip():
                        cursor.execute(statement)
        finally:
            connection.close()
        return f"mysql://ml:secret@127.0.0.1:{mariadb_port}/{name}"

    return load


def _wait(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("MariaDB did not start")
