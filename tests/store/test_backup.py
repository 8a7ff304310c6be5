"""Backups: consistent while others write, whole or not at all."""

import contextlib
import os
import shlex
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

import registry
from registry.exceptions import (
    IntegrityError,
    InvalidParameterError,
    NotSupportedError,
    PathExistsError,
    StorageError,
    UnavailableError,
)
from registry.store import connections, engine
from registry.store.backup import back_up, pg_dump_command
from registry.store.engine import Database, connect


@pytest.fixture
def database(own_place: Path) -> Database:
    registry.MlflowClient("sqlite:///live.db").create_experiment("before")
    return connect(f"sqlite:///{own_place}/live.db", read_only=True)


def names(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return sorted(name for (name,) in connection.execute("SELECT name FROM experiments"))


def test_a_backup_is_a_registry_of_its_own(database: Database, own_place: Path) -> None:
    size = back_up(database, own_place / "copy.db")

    assert size == (own_place / "copy.db").stat().st_size
    copied = registry.MlflowClient("sqlite:///copy.db").search_experiments()
    assert sorted(experiment.name for experiment in copied) == ["Default", "before"]


def test_a_backup_is_one_snapshot_while_others_write(database: Database, own_place: Path) -> None:
    client = registry.MlflowClient("sqlite:///live.db")
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            run = client.create_run("0", run_name=f"run-{number}")
            client.log_metric(run.info.run_id, "m", 1.0)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            back_up(database, own_place / f"copy-{number}.db")
    finally:
        stop.set()
        writer.join()

    for number in range(5):
        with contextlib.closing(sqlite3.connect(own_place / f"copy-{number}.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_database_in_wal_mode_is_copied_with_what_lies_in_the_wal(own_place: Path) -> None:
    url = f"sqlite:///{own_place}/live.db?journal_mode=wal"
    client = registry.MlflowClient(url)
    client.create_experiment("in-the-wal")
    back_up(connect(url, read_only=True), own_place / "copy.db")

    assert "in-the-wal" in names(own_place / "copy.db")
    assert sorted(path.name for path in own_place.glob("*copy.db*")) == ["copy.db"]


def test_a_backup_has_the_rights_of_the_database(database: Database, own_place: Path) -> None:
    (own_place / "live.db").chmod(0o600)
    back_up(database, own_place / "copy.db")

    assert stat.S_IMODE((own_place / "copy.db").stat().st_mode) == 0o600


def test_an_existing_file_is_replaced_only_if_asked(database: Database, own_place: Path) -> None:
    (own_place / "copy.db").write_text("precious")

    with pytest.raises(PathExistsError, match="--force"):
        back_up(database, own_place / "copy.db")
    assert (own_place / "copy.db").read_text() == "precious"
    back_up(database, own_place / "copy.db", replace=True)
    assert "before" in names(own_place / "copy.db")


def test_a_backup_never_takes_the_place_of_the_database(database: Database, own_place: Path) -> None:
    os.link(own_place / "live.db", own_place / "same.db")

    with pytest.raises(InvalidParameterError, match="the database itself"):
        back_up(database, own_place / "same.db", replace=True)


def test_a_file_that_appears_meanwhile_is_not_overwritten(
    database: Database, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(self: Path, target: Path) -> None:
        raise FileExistsError(17, "File exists")

    monkeypatch.setattr(Path, "hardlink_to", link)
    with pytest.raises(PathExistsError, match="meanwhile"):
        back_up(database, own_place / "copy.db")
    assert not list(own_place.glob(".copy*"))


def test_a_file_system_without_hard_links_gets_its_backup(
    database: Database, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(self: Path, target: Path) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "hardlink_to", link)
    back_up(database, own_place / "copy.db")
    assert "before" in names(own_place / "copy.db")


def test_a_directory_that_is_not_there_is_an_error_of_ours(database: Database, own_place: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        back_up(database, own_place / "none" / "copy.db")


def test_a_full_disk_leaves_no_file(database: Database) -> None:
    """`/dev/full` is no place for a directory, so the limit on a file's size plays the full disk, in a child."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)); from registry.cli import main; "
        "sys.exit(main(['db', 'backup', 'copy.db', '--tracking-uri', 'sqlite:///live.db']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert sorted(path.name for path in Path().glob("*copy.db*")) == []


def test_a_damaged_database_is_not_backed_up_as_if_it_were_whole(database: Database, own_place: Path) -> None:
    registry.disconnect()
    content = bytearray((own_place / "live.db").read_bytes())
    content[4096 * 4 : 4096 * 6] = b"\xff" * 4096 * 2
    (own_place / "live.db").write_bytes(content)

    with pytest.raises(IntegrityError, match=r"^The copy of the database is damaged, .*: \S.*\.$"):
        back_up(connect(f"sqlite:///{own_place}/live.db", read_only=True), own_place / "copy.db")
    assert not (own_place / "copy.db").exists()


def test_a_database_that_stays_locked_is_unavailable_and_no_fault_of_the_backup(
    database: Database, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.disconnect()
    monkeypatch.setattr(connections, "BUSY_TIMEOUT_SECONDS", 0.0)
    monkeypatch.setattr(engine, "GIVE_UP_SECONDS", 0.0)
    with contextlib.closing(sqlite3.connect(own_place / "live.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UnavailableError, match=r"^The database sqlite:///.*live.db stayed locked"):
            back_up(connect(f"sqlite:///{own_place}/live.db", read_only=True), own_place / "copy.db")
    assert sorted(path.name for path in own_place.glob("*copy*")) == []


def test_a_database_in_memory_and_postgresql_have_no_file() -> None:
    for url in ("sqlite://", "postgresql://u@h/d"):
        with pytest.raises(NotSupportedError):
            back_up(connect(url), Path("copy.db"))


def test_the_command_for_postgresql_has_no_password() -> None:
    database = connect("postgresql://u:secret@h:5433/db?sslmode=require&sslpassword=secret")

    assert pg_dump_command(database, "a b.dump") == (
        "pg_dump --format=custom '--file=a b.dump' 'postgresql://u@h:5433/db?sslmode=require'"
    )
    assert pg_dump_command(database, "-") == ("pg_dump --format=custom 'postgresql://u@h:5433/db?sslmode=require'")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_printed_command_backs_up_postgresql(database_url: str, own_place: Path) -> None:
    registry.MlflowClient(database_url).create_experiment("dumped")
    command = [sys.executable, "-m", "registry", "db", "backup", "copy.dump", "--tracking-uri", database_url]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shlex.split(printed)[:3] == ["pg_dump", "--format=custom", "--file=copy.dump"]

    if shutil.which("pg_dump") is None:
        pytest.skip("pg_dump is not installed here")
    password = make_url(database_url).password
    dumped = subprocess.run(
        printed,
        shell=True,
        env=os.environ | {"PGPASSWORD": password or ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if "server version mismatch" in dumped.stderr:
        pytest.skip("the pg_dump of this machine is older than the server")
    assert (dumped.returncode, dumped.stderr) == (0, "")
    assert (own_place / "copy.dump").read_bytes()[:5] == b"PGDMP"


def test_a_backup_goes_to_stdout(database: Database, own_place: Path) -> None:
    command = [sys.executable, "-m", "registry", "db", "backup", "-", "--tracking-uri", "sqlite:///live.db"]
    (own_place / "copy.db").write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)

    assert names(own_place / "copy.db") == ["Default", "before"]


def test_a_mistyped_place_is_no_empty_backup(own_place: Path) -> None:
    command = [sys.executable, "-m", "registry", "db", "backup", "copy.db", "--tracking-uri", "sqlite:///typo.db"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert list(own_place.iterdir()) == []
