"""`registry db backup`: a file, stdout, or the line for PostgreSQL."""

import io
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import registry
from registry.cli import main


@pytest.fixture
def live(own_place: Path) -> Path:
    registry.MlflowClient().create_experiment("before")
    return own_place / "mlruns" / "registry.db"


def test_a_backup_is_written_and_named(cli: Callable, live: Path) -> None:
    outcome = cli("db", "backup", "copy.db")

    assert (outcome.code, outcome.out) == (0, "copy.db\n")
    assert outcome.err.startswith(f"sqlite:///{live}: copied to copy.db (")
    assert cli("experiments", "list", "-q", "--tracking-uri", "sqlite:///copy.db").out.split() == ["1", "0"]


def test_an_existing_file_is_exit_code_5(cli: Callable, live: Path) -> None:
    Path("copy.db").write_text("precious")

    assert cli("db", "backup", "copy.db").code == 5
    assert cli("db", "backup", "copy.db", "--force", "--json").json["file"] == "copy.db"


def test_a_backup_goes_to_stdout(cli: Callable, live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", stdout)
    assert main(["db", "backup", "-"]) == 0

    Path("copy.db").write_bytes(stdout.buffer.getvalue())
    connection = sqlite3.connect("copy.db")
    assert connection.execute("SELECT count(*) FROM experiments").fetchone() == (2,)
    connection.close()


def test_for_postgresql_the_command_is_printed(cli: Callable, own_place: Path) -> None:
    outcome = cli("db", "backup", "copy.dump", "--tracking-uri", "postgresql://ana:secret@db:5433/registry")

    assert outcome.out == "pg_dump --format=custom --file=copy.dump postgresql://ana@db:5433/registry\n"
    assert "its own program" in outcome.err
