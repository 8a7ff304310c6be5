"""``registry runs copy`` and ``move``, ``experiments copy``, ``models copy`` and ``sync``."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import registry


def only_run(experiment: str = "nba") -> str:
    (run,) = registry.search_runs(experiment_names=[experiment], output_format="list")
    return str(run.info.run_id)


def test_runs_are_copied_and_both_sides_counted(cli: Callable, filled: object) -> None:
    run_id = only_run()

    first = cli("runs", "copy", run_id[:6], "--to", "sqlite:///team.db", "-e", "season")
    second = cli("runs", "copy", run_id, "--to", "sqlite:///team.db")

    assert (first.code, first.out) == (0, f"{run_id}\tfirst try\tseason\tcopied\t2\t0\t0\t0\t\n")
    counted = "runs 1, params 1, points 2, files 0, logged models 0."
    assert first.err == f"1 copied.\nfile:./mlruns: {counted}\nsqlite:///team.db: {counted}\n"
    assert (second.code, second.out) == (0, "")
    assert second.err.startswith("Nothing is missing there.\n1 unchanged.\n")


def test_a_copy_is_one_json_document(cli: Callable, filled: object) -> None:
    found = cli("experiments", "copy", "nba", "--to", "sqlite:///team.db", "--as", "season", "--json").json

    assert (found["outcomes"], found["dry_run"], found["notes"]) == ({"copied": 1}, False, [])
    assert found["source_counts"] == found["target_counts"]
    assert (found["runs"][0]["experiment"], found["runs"][0]["points"]) == ("season", 2)


def test_a_dry_run_makes_nothing(cli: Callable, filled: object) -> None:
    missing = cli("experiments", "copy", "nba", "--to", "sqlite:///team.db", "--dry-run")
    assert (missing.code, missing.out) == (4, "")
    assert "There is no registry at sqlite:///team.db yet: everything would be sent" in missing.err
    assert not Path("team.db").exists()
    team = registry.MlflowClient("sqlite:///team.db")
    team.create_experiment("other")

    planned = cli("experiments", "copy", "nba", "--to", "sqlite:///team.db", "--dry-run", "-q")

    assert (planned.code, planned.out, planned.err) == (0, f"{only_run()}\n", "")
    assert list(team.search_experiments(filter_string="name = 'nba'")) == []


def test_a_conflict_is_told_and_has_an_exit_code_of_its_own(cli: Callable, filled: object) -> None:
    cli("experiments", "copy", "nba", "--to", "sqlite:///team.db")
    raw = sqlite3.connect("team.db")
    raw.execute("UPDATE runs SET start_time = 5")
    raw.commit()
    raw.close()

    outcome = cli("experiments", "copy", "nba", "--to", "sqlite:///team.db")

    assert (outcome.code, "\tfailed\t" in outcome.out) == (5, True)
    assert "was not copied: Two different runs have the id" in outcome.err


def test_a_model_is_copied_under_another_name(cli: Callable, filled: object) -> None:
    copied = cli("models", "copy", "churn", "--to", "file:./other", "--as", "leavers", "--with-stages")
    again = cli("models", "copy", "models:/churn", "--to", "file:./other", "--as", "leavers")

    assert (copied.code, copied.out, copied.err) == (0, "leavers\n", "leavers: copied.\n")
    assert (again.code, again.out) == (0, "leavers\n")
    client = registry.MlflowClient("file:./other")
    assert client.get_model_version("leavers", 1).current_stage == "Production"
    client.create_registered_model("fans")
    refused = cli("models", "copy", "churn", "--to", "file:./other", "--as", "fans")
    assert (refused.code, "--as NAME" in refused.err) == (5, True)


def test_runs_are_moved(cli: Callable, filled: object) -> None:
    moved = cli("runs", "move", only_run()[:8], "--experiment", "season")

    assert (moved.code, moved.out, moved.err) == (0, "", "1 run moved to season.\n")
    assert len(only_run("season")) == 32


def test_a_spool_is_sent(cli: Callable, own_place: Path) -> None:
    registry.set_tracking_uri("sqlite:///team.db", offline=True)
    with registry.start_run() as run:
        registry.log_metric("auc", 0.5)

    by_variables = cli("sync")
    os.environ.pop("REGISTRY_SPOOL_DIR")
    os.environ.pop("REGISTRY_TRACKING_URI")
    again = cli("sync", "registry-spool", "--to", "sqlite:///team.db", "--json").json

    assert by_variables.out.startswith(f"{run.info.run_id}\t")
    assert again["outcomes"] == {"unchanged": 1}


def lone_model(client: registry.MlflowClient) -> Path:
    model = client.create_logged_model("0", name="alone")
    Path("source").mkdir()
    Path("source/MLmodel").write_text("flavors: {}\n")
    client.log_model_artifacts(model.model_id, "source")
    return Path(client.finalize_logged_model(model.model_id, "READY").artifact_location, "MLmodel")


def test_logged_models_without_a_run_are_told_of(cli: Callable, own_place: Path) -> None:
    lone_model(registry.MlflowClient("file:./spool"))

    first = cli("sync", "spool", "--to", "sqlite:///team.db")
    second = cli("sync", "spool", "--to", "sqlite:///team.db")

    counted = "runs 0, params 0, points 0, files 0, logged models 1."
    sides = f"{own_place}/spool: {counted}\nsqlite:///team.db: {counted}\n"
    assert (first.code, first.out) == (second.code, second.out) == (0, "")
    assert first.err == f"No run is missing there.\nlogged models without a run: 1 copied.\n{sides}"
    assert second.err == f"Nothing is missing there.\n{sides}"


def test_a_logged_model_without_a_run_that_cannot_be_sent_is_told_even_if_all_is_quiet(
    cli: Callable, own_place: Path
) -> None:
    lone_model(registry.MlflowClient("file:./spool")).write_text("flavors: []\n")

    outcome = cli("sync", "spool", "--to", "sqlite:///team.db", "-q")

    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.err.startswith("registry: a logged model was not copied: ")
    assert "MLmodel" in outcome.err


def test_who_names_a_registry_is_not_led_to_the_spool(cli: Callable, own_place: Path) -> None:
    registry.MlflowClient("sqlite:///team.db").create_registered_model("churn")
    os.environ["REGISTRY_SPOOL_DIR"] = str(own_place / "spool")

    assert cli("models", "list", "-q", "--tracking-uri", "sqlite:///team.db").out == "churn\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["sync"], 2, "give its DIR, or set REGISTRY_SPOOL_DIR"),
        (["sync", "mlruns", "--to", "sqlite:///t.db", "--watch", "--dry-run"], 2, "not both"),
        (["sync", "nowhere", "--to", "sqlite:///t.db"], 4, "There is no spool in"),
        (["runs", "copy", "beef", "--to", "sqlite:///t.db"], 4, "beef"),
        (["runs", "copy", "beef"], 2, "--to"),
        (["experiments", "copy", "nothing", "--to", "sqlite:///t.db"], 4, "nothing"),
        (["models", "copy", "nobody", "--to", "sqlite:///t.db"], 4, "nobody"),
    ],
)
def test_what_cannot_be_sent_is_told(cli: Callable, filled: object, arguments: list[str], code: int, said: str) -> None:
    outcome = cli(*arguments)

    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err


def test_a_sync_without_a_target_asks_for_one(cli: Callable, filled: object) -> None:
    os.environ.pop("REGISTRY_TRACKING_URI", None)

    outcome = cli("sync", "mlruns")

    assert (outcome.code, "Give --to URI" in outcome.err) == (2, True)


@contextmanager
def watch(to: str) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-m", "registry", "sync", "spool", "--to", to, "--watch", "--interval", "0.1"]
    # A test run in the background of a script inherits that Ctrl-C is ignored.
    undo = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=undo) as watching:
        try:
            yield watching
        finally:
            watching.kill()


def next_line(watching: Any) -> str:
    return str(watching.stderr.readline())


@pytest.mark.slow
def test_watching_sends_what_is_new(own_place: Path) -> None:
    spool = registry.MlflowClient("file:./spool")
    run_id = spool.create_run("0", run_name="long").info.run_id
    with watch("sqlite:///team.db") as watching:
        assert next_line(watching).startswith(f"{run_id} long: copied, 0 points")
        spool.log_metric(run_id, "auc", 0.5)
        assert next_line(watching).startswith(f"{run_id} long: continued, 1 points")
        registry.MlflowClient("sqlite:///team.db").delete_run(run_id)
        spool.log_metric(run_id, "auc", 0.6)
        assert "skipped: it is deleted there" in next_line(watching)
        lone_model(spool)
        assert next_line(watching) == "logged models without a run: 1 copied\n"
        watching.send_signal(signal.SIGINT)
        assert watching.wait() == 130


@pytest.mark.slow
def test_watching_waits_for_a_registry_that_is_away(own_place: Path) -> None:
    registry.MlflowClient("file:./spool").create_run("0")
    os.environ["REGISTRY_CONNECT_TIMEOUT_SECONDS"] = "1"
    os.environ["REGISTRY_DATABASE_PATIENCE"] = "0"
    with watch("postgresql://ann@127.0.0.1:1/registry") as watching:
        assert next_line(watching).startswith("registry: waiting: ")
        watching.send_signal(signal.SIGINT)
        assert watching.wait() == 130
