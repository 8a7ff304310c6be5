"""``registry import-mlflow`` as a person and a cron job use it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow_stores import MlflowStore

Cli = Callable[..., Any]


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Return the URL of a database that MLflow 3.17 wrote."""
    return MlflowStore("3.17", tmp_path / "mlflow").database()


def test_names_are_proposed_then_everything_is_imported_and_counted(cli: Cli, source: str) -> None:
    command = ("import-mlflow", source, "--rename", "names.yaml", "--tracking-uri", "sqlite:///registry.db")
    refused = cli(*command)
    assert refused.code == 2
    assert "model 'games@nba', proposed 'games-nba'. The proposals are in 'names.yaml' now" in refused.err
    outcome = cli(*command)
    assert outcome.code == 0
    assert ["points", "68", "68", "68"] in outcome.rows
    assert ["registered models", "3", "3", "3"] in outcome.rows
    assert "version 3 keeps it, version 2 is archived" in outcome.err
    assert "values of a sample were compared with the source: all agree." in outcome.err


def test_json_is_one_document_and_what_is_missing_exits_with_3(cli: Cli, source: str, own_place: Path) -> None:
    (own_place / "names.yaml").write_text("models: {games@nba: games}\n")
    options = ("--rename", "names.yaml", "--files", "adopt", "--deleted", "--json", "--moved", "/mlflow-root=/nowhere")
    outcome = cli("import-mlflow", source, *options, "--tracking-uri", "sqlite:///registry.db")
    assert outcome.code == 0
    report = outcome.json
    assert (report["is_complete"], report["problems"], report["differences"]) == (True, [], [])
    assert {count["kind"]: count["here"] for count in report["counts"]}["runs"] == 6
    weights = next(Path(source.removeprefix("sqlite:///")).parent.rglob("models/*/artifacts/weights.txt"))
    weights.parent.rename(weights.parent.with_name("elsewhere"))
    outcome = cli("import-mlflow", source, "--rename", "names.yaml", "--tracking-uri", "sqlite:///second.db")
    assert outcome.code == 3
    assert "('forest') was not imported" in outcome.err


@pytest.mark.parametrize("is_terminal", [False, True])
def test_progress_is_shown_now_and_then(
    is_terminal: bool, cli: Cli, source: str, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.cli.progress._INTERVAL_SECONDS", {True: 0.0, False: 0.0})
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    (own_place / "names.yaml").write_text("models: {games@nba: games}\n")
    outcome = cli("import-mlflow", source, "--rename", "names.yaml", "--tracking-uri", "sqlite:///registry.db")
    assert outcome.code == 0
    assert ("\rruns: 3 of 6\x1b[K" if is_terminal else "runs: 3 of 6\n") in outcome.err
