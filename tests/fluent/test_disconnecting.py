"""`registry.disconnect`: nothing of the library stays open, and the next call opens it again."""

import contextlib
import gc
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from postgres_server import PostgresServer
from s3_servers import S3Server

import registry
from registry import MlflowClient
from registry.exceptions import UnavailableError

OPEN_FILES = Path("/proc/self/fd")

needs_proc = pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="which files a process has open is asked of /proc")


def open_descriptors() -> list[str]:
    """Return what each file descriptor of this process leads to."""
    targets = []
    for descriptor in OPEN_FILES.iterdir():
        with contextlib.suppress(FileNotFoundError):  # the descriptor of this listing
            targets.append(str(descriptor.readlink()))
    return targets


def open_files(below: Path) -> list[str]:
    """Return the files below a directory that this process has open."""
    return sorted(Path(target).name for target in open_descriptors() if Path(target).is_relative_to(below))


def connections(port: int) -> int:
    """Return how many connections to a local port this process has open."""
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{row[9]}]" for row in rows if int(row[2].rpartition(":")[2], 16) == port}
    return sum(target in sockets for target in open_descriptors())


@needs_proc
def test_no_database_file_stays_open(sqlite_url: str, tmp_path: Path) -> None:
    held = MlflowClient(sqlite_url)
    held.search_experiments()
    MlflowClient(sqlite_url, read_only=True).search_experiments()
    assert "registry.db" in open_files(tmp_path)

    registry.disconnect()

    assert open_files(tmp_path) == []


@needs_proc
def test_a_client_that_opened_again_is_disconnected_again(sqlite_url: str, tmp_path: Path) -> None:
    held = MlflowClient(sqlite_url)
    held.search_experiments()
    registry.disconnect()
    held.search_experiments()
    assert "registry.db" in open_files(tmp_path)

    registry.disconnect()

    assert open_files(tmp_path) == []


def test_a_server_has_no_session_of_this_process_left(postgres_url: str, postgres_server: PostgresServer) -> None:
    MlflowClient(postgres_url).search_experiments()
    name = postgres_url.rpartition("/")[2]

    registry.disconnect()

    # PostgreSQL drops no database that somebody is connected to; it waits 5 seconds for sessions that are ending.
    postgres_server.execute(f"DROP DATABASE {name}")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        postgres_server.execute("SELECT 1", name)


def test_the_next_call_opens_again_and_runs_stay_active(database_url: str) -> None:
    registry.set_tracking_uri(database_url)
    held = MlflowClient()
    with registry.start_run() as run:
        registry.log_metric("auc", 0.5)
        registry.disconnect()
        registry.log_metric("auc", 0.75)

    assert registry.active_run() is None
    assert [point.value for point in held.get_metric_history(run.info.run_id, "auc")] == [0.5, 0.75]


def test_what_is_queued_is_written_first(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    run = client.create_run("0").info.run_id
    for step in range(100):
        client.log_metric(run, "auc", step / 100, step=step, synchronous=False)

    registry.disconnect()

    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as raw:
        count = raw.execute("SELECT count(*) FROM metrics").fetchone()
    raw.close()
    assert count == (100,)


def test_the_threads_of_queues_end_and_start_again(sqlite_url: str) -> None:
    def threads() -> set[threading.Thread]:
        names = ("registry-log-queue", "registry-task-queue")
        return {thread for thread in threading.enumerate() if thread.name in names}

    client = MlflowClient(sqlite_url)
    before = threads()
    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "loss", 0.5, synchronous=False)
    client.backend.tasks.put(lambda: None)
    ours = threads() - before
    assert len(ours) == 2

    registry.disconnect()
    for thread in ours:
        thread.join(30)
    assert ours & threads() == set()

    client.log_metric(run_id, "loss", 0.25, synchronous=False)
    client.flush_async_logging()
    assert [point.value for point in client.get_metric_history(run_id, "loss")] == [0.5, 0.25]


def test_a_queue_that_cannot_be_written_in_time_is_an_error_and_connections_are_closed(
    sqlite_url: str, tmp_path: Path
) -> None:
    client = MlflowClient(sqlite_url)
    run = client.create_run("0").info.run_id
    raw = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    raw.execute("BEGIN IMMEDIATE")
    operation = client.log_metric(run, "auc", 0.5, synchronous=False)

    with pytest.raises(UnavailableError, match="1 queued values could not be logged in 0 seconds"):
        registry.disconnect(timeout=0)

    raw.execute("ROLLBACK")
    raw.close()
    assert operation is not None
    operation.wait()
    assert client.get_run(run).data.metrics == {"auc": 0.5}


@needs_proc
def test_connections_to_an_object_store_are_closed_and_opened_again(
    seaweedfs: S3Server, s3_environment: Callable[[S3Server], S3Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", s3_environment(seaweedfs).fresh_root())
    port = urlsplit(seaweedfs.endpoint_url).port or 0
    registry.set_tracking_uri("sqlite:///registry.db")
    with registry.start_run() as run:
        registry.log_text("one", "a.txt")
        gc.collect()  # clients of the fixtures that nobody holds any more
        before = connections(port)
        registry.disconnect()
        after = connections(port)
        registry.log_text("two", "b.txt")

    assert (before > 0, after) == (True, 0)
    assert registry.artifacts.load_text(f"{run.info.artifact_uri}/b.txt") == "two"


def test_a_process_that_opened_nothing_has_nothing_to_close() -> None:
    program = "import sys, registry; registry.disconnect(); print('boto3' in sys.modules)"

    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "False\n"
