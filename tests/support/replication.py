"""A PostgreSQL primary and a standby with streaming replication; the primary can be killed.

`fail_over` kills every process of the primary and promotes the standby; `rebuild_standby` makes a new one.
"""

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from postgres_server import _INITDB, _account, _free_port, _programs, _run, _runnable

_OPTIONS = (
    "-c max_connections=50 -c shared_buffers=16MB -c fsync=off -c full_page_writes=on -c wal_level=replica "
    "-c max_wal_senders=4 -c wal_keep_size=256MB -c hot_standby=on -c wal_receiver_timeout=5s -c wal_sender_timeout=0"
)


class ReplicatedServers:
    """Two servers below one directory; `port` is the primary's."""

    def __init__(self, directory: Path, programs: Path, *, synchronous: bool) -> None:
        self._directory, self._programs, self._account = directory, programs, _account()
        self._ports = {name: _free_port() for name in "ab"}
        self.synchronous = synchronous
        self._primary, self._standby = "a", "b"
        self._pg("initdb", "-D", self._data("a"), *_INITDB)
        with (self._data("a") / "pg_hba.conf").open("a") as rules:
            rules.write("host replication postgres 127.0.0.1/32 trust\n")
        self._start("a")
        self.rebuild_standby()

    @property
    def port(self) -> int:
        """Return the port of the primary."""
        return self._ports[self._primary]

    @property
    def standby_port(self) -> int:
        """Return the port of the standby."""
        return self._ports[self._standby]

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement on the primary bypassing the library; return its rows."""
        address = f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"
        with psycopg.connect(address, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def hold_back_wal(self) -> None:
        """Stop the primary's WAL sender: later writes never reach the standby."""
        ((sender,),) = self.execute("SELECT pid FROM pg_stat_replication")
        os.kill(sender, signal.SIGSTOP)

    def catch_up(self) -> None:
        """Wait until the standby has everything that the primary wrote."""
        query = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()"
        wait_until(lambda: self.execute(query) == [(1,)])

    def kill_primary(self) -> None:
        """Kill all processes of the primary at once, without a shutdown."""
        postmaster = int((self._data(self._primary) / "postmaster.pid").read_text().split()[0])
        for pid in [postmaster, *_children(postmaster)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{postmaster}/stat").exists() or " Z " in _stat(postmaster))

    def promote_standby(self) -> None:
        """Make the standby the primary."""
        self._pg("pg_ctl", "-w", "-D", self._data(self._standby), "promote")
        self._primary, self._standby = self._standby, self._primary

    def rebuild_standby(self) -> None:
        """Copy the primary to the other server and let it follow."""
        data = self._data(self._standby)
        shutil.rmtree(data, ignore_errors=True)
        source = f"host=127.0.0.1 port={self.port} user=postgres"
        self._pg("pg_basebackup", "-D", data, "-d", source, "-R", "-c", "fast", "-X", "stream", "--no-sync")
        self._start(self._standby)
        wait_until(lambda: self.execute("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == [(1,)])
        if self.synchronous:
            self.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            self.execute("SELECT pg_reload_conf()")
            wait_until(lambda: self.execute("SELECT sync_state FROM pg_stat_replication") == [("sync",)])

    def stop(self) -> None:
        """Stop both servers and remove their directory."""
        for name in "ab":
            with contextlib.suppress(Exception):
                self._pg("pg_ctl", "-D", self._data(name), "-m", "immediate", "stop")
        shutil.rmtree(self._directory, ignore_errors=True)

    def _start(self, name: str) -> None:
        options = f"-h 127.0.0.1 -p {self._ports[name]} -c unix_socket_directories='' {_OPTIONS}"
        log = self._directory / f"{name}.log"
        self._pg("pg_ctl", "-w", "-D", self._data(name), "-l", log, "-o", options, "start")

    def _data(self, name: str) -> Path:
        return self._directory / name

    def _pg(self, program: str, *arguments: Any) -> None:
        _run([self._programs / program, *arguments], self._directory, self._account)


@contextlib.contextmanager
def replicated_servers(*, synchronous: bool) -> Iterator[ReplicatedServers]:
    """Run two servers until the block ends."""
    directory = Path(tempfile.mkdtemp(prefix="registry-replication-"))
    account = _account()
    if account is not None:
        os.chown(directory, account.pw_uid, account.pw_gid)
    servers = ReplicatedServers(directory, _runnable(_programs(), directory, account), synchronous=synchronous)
    try:
        yield servers
    finally:
        servers.stop()


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: it did not hold in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the condition did not come to hold")
        time.sleep(0.02)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _stat(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return " Z "
