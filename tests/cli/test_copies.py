"""``registry db adopt`` and ``registry models correct-clock``, and the doctor's findings about a copy."""

import shutil
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from governed_models import register

from registry import MlflowClient
from registry.client.maintenance.doctor import examine
from registry.store import clock


@pytest.fixture
def copy(own_place: Path) -> str:
    """Copy a directory with its database; return the tracking URI of the copy."""
    original = MlflowClient(f"file:{own_place}/original")
    original.log_text(original.create_run("0").info.run_id, "scratch", "notes.txt")
    shutil.copytree(own_place / "original", own_place / "copy")
    return f"file:{own_place}/copy"


def test_a_copy_is_given_files_of_its_own(cli: Callable, copy: str, own_place: Path) -> None:
    root = str(own_place / "copy")
    assert [finding.verdict for finding in examine(copy) if "seems to be a copy" in finding.text] == ["warn"]

    outcome = cli("db", "adopt", "--new-root", root, "--tracking-uri", copy)

    assert outcome.err == f"The files at {root} belong to this database from now on.\n"
    assert [finding for finding in examine(copy) if "seems to be a copy" in finding.text] == []


def test_a_copy_takes_over(cli: Callable, copy: str, own_place: Path) -> None:
    outcome = cli("db", "adopt", "--take-over", "--tracking-uri", copy)
    assert outcome.err == f"The files at {own_place / 'mlruns'} belong to this database from now on.\n"


def test_adopting_without_saying_what_is_one_line(cli: Callable, copy: str) -> None:
    outcome = cli("db", "adopt", "--tracking-uri", copy)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert "--take-over" in outcome.err


def test_a_clock_is_corrected(cli: Callable, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = MlflowClient(sqlite_url)
    register(client, "nba")
    year = timedelta(days=365) // timedelta(microseconds=1)
    monkeypatch.setattr(clock, "clock_us", lambda server_us: time.time_ns() // 1_000 + year)
    client.transition_model_version_stage("nba", 1, "Production")
    monkeypatch.undo()

    outcome = cli("models", "correct-clock", "nba", "--ahead", "365d", "--tracking-uri", sqlite_url)

    assert outcome.err == "Event 3 of nba counts as 31536000 s earlier from now on.\n"
    client.verify("nba")
