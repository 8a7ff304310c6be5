"""A real pgbouncer before the tests' PostgreSQL, for as long as a block lasts."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import PostgresServer

START_SECONDS = 30
_CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 2
max_client_conn = 200
logfile = {directory}/log.txt
"""


def pgbouncer_program() -> str:
    """The program of Debian's package; the test is skipped where it is not installed."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("pgbouncer is not installed; Debian's package is called pgbouncer")
    return found


@contextlib.contextmanager
def pooled(url: str, server: PostgresServer, mode: str) -> Iterator[str]:
    """The URL of a database through a pooler in this mode, which has two connections to the server."""
    program = pgbouncer_program()
    directory = server.directory / f"pgbouncer-{mode}"
    directory.mkdir()
    # It does not run as root: it runs as whoever owns the server's directory.
    owner = server.directory.stat()
    os.chown(directory, owner.st_uid, owner.st_gid)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(_CONFIGURATION.format(server=server.port, port=port, mode=mode, directory=directory))
    process = subprocess.Popen(
        [program, "-u", pwd.getpwuid(owner.st_uid).pw_name, str(configuration)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=directory,
    )
    try:
        _wait(port, process, directory / "log.txt")
        yield url.replace(f":{server.port}/", f":{port}/")
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(directory)


def _wait(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"pgbouncer did not start:\n{log.read_text(errors='replace') if log.exists() else ''}")
