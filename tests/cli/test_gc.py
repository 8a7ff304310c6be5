"""``registry gc`` and ``registry db relocate``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import registry


@pytest.fixture
def deleted(filled: Any) -> str:
    """Delete the run of ``filled``, with one file; return the run's id."""
    client = registry.MlflowClient()
    client.log_text(filled.run_id, "x" * 2048, "notes.txt")
    client.delete_run(filled.run_id)
    return str(filled.run_id)


def test_a_plan_is_a_list_and_changes_nothing(cli: Callable, deleted: str) -> None:
    outcome = cli("gc", "--older-than", "0s")

    assert outcome.code == 0
    assert [(row[0], row[1], row[2], row[4]) for row in outcome.rows] == [("run", deleted, "first try", "2048")]
    assert outcome.err == "Would remove 1 run: 2.0 KiB.\nNothing was changed; --apply removes them for good.\n"
    assert registry.MlflowClient().get_run(deleted).info.lifecycle_stage == "deleted"


def test_nothing_goes_before_the_window_is_over(cli: Callable, deleted: str) -> None:
    assert cli("gc", "--apply").err == "Nothing to remove.\n"


def test_applied_it_removes_and_says_so(cli: Callable, deleted: str) -> None:
    assert cli("gc", "--older-than", "0s", "--apply").err.endswith("Removed 1 run: 2.0 KiB.\n")
    assert cli("gc", "--older-than", "0s").err == "Nothing to remove.\n"
    assert cli("runs", "show", deleted).code == 4


def test_a_plan_can_be_read_by_programs(cli: Callable, deleted: str) -> None:
    plan = cli("gc", "--older-than", "0s", "--json").json

    assert (plan["applied"], plan["failures"]) == (False, [])
    assert [(item["kind"], item["id"], item["size_bytes"]) for item in plan["items"]] == [("run", deleted, 2048)]


@pytest.mark.parametrize("window", ["soon", "2999-01-01", ""])
def test_a_window_that_is_none_is_one_line(cli: Callable, filled: object, window: str) -> None:
    outcome = cli("gc", f"--older-than={window}")

    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert "30d" in outcome.err or "2999" in outcome.err


def test_relocating_says_how_many_experiments_follow(cli: Callable, filled: object) -> None:
    old = str(Path("mlruns").absolute())

    outcome = cli("db", "relocate", old, "/srv/moved", "--yes", "--force")

    assert outcome.err == "2 experiments look for files at /srv/moved from now on.\n"
    assert registry.MlflowClient().get_experiment("0").artifact_location == "/srv/moved/0"


def test_relocating_what_is_not_there_is_one_line(cli: Callable, filled: object) -> None:
    outcome = cli("db", "relocate", "/never/was", "/srv/moved")

    assert (outcome.code, outcome.out) == (4, "")
    assert "No experiment keeps its files at '/never/was' or below. They are at: " in outcome.err
