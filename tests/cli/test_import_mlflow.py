"""``registry import-mlflow`` as a person and a cron job use it."""

import json
from pathlib import Path

import pytest
from mlflow_stores import MlflowStore

from registry.cli import main


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Return the URL of a database that MLflow 3.17 wrote."""
    return MlflowStore("3.17", tmp_path / "mlflow").database()


def test_names_are_proposed_then_everything_is_imported_and_counted(
    source: str, own_place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--tracking-uri", f"sqlite:///{own_place / 'registry.db'}"]
    command = ["import-mlflow", source, "--rename", "names.yaml", *place]
    assert main(command) == 1
    assert "model 'games@nba', proposed 'games-nba'. The proposals are in 'names.yaml' now" in capsys.readouterr().err
    assert main(command) == 0
    output = capsys.readouterr()
    lines = [line.split() for line in output.out.splitlines()]
    assert ["points", "68", "68", "68"] in lines
    assert ["registered", "models", "3", "3", "3"] in lines
    assert f"Everything of {source} is here." in output.out
    assert "version 3 keeps it, version 2 is archived" in output.err


def test_json_is_one_document_and_what_is_missing_exits_with_1(
    source: str, own_place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_place / "names.yaml").write_text("models: {games@nba: games}\n")
    options = ["--rename", "names.yaml", "--files", "adopt", "--deleted", "--json", "--moved", "/mlflow-root=/nowhere"]
    place = ["--tracking-uri", f"sqlite:///{own_place / 'registry.db'}"]
    assert main(["import-mlflow", source, *options, *place]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["is_complete"], report["problems"], report["differences"]) == (True, [], [])
    assert {count["kind"]: count["here"] for count in report["counts"]}["runs"] == 6
    weights = next(Path(source.removeprefix("sqlite:///")).parent.rglob("models/*/artifacts/weights.txt"))
    weights.parent.rename(weights.parent.with_name("elsewhere"))
    place = ["--tracking-uri", f"sqlite:///{own_place / 'second.db'}"]
    assert main(["import-mlflow", source, "--rename", "names.yaml", *place]) == 1
    output = capsys.readouterr()
    assert "(forest) was not imported" in output.err.replace("'", "")
    assert "is here." not in output.out


def test_progress_is_shown_now_and_then(
    source: str, own_place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.cli.import_mlflow._INTERVAL_SECONDS", 0.0)
    (own_place / "names.yaml").write_text("models: {games@nba: games}\n")
    place = ["--tracking-uri", f"sqlite:///{own_place / 'registry.db'}"]
    assert main(["import-mlflow", source, "--rename", "names.yaml", *place]) == 0
    shown = capsys.readouterr().err
    assert "runs: 3 of 6" in shown
    assert "registered models: 3 of 3" in shown
