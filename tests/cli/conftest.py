"""Run the command line in this process, over a small registry."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import registry
from registry.cli import main

if TYPE_CHECKING:
    from small_models import Doubling


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        """The values of tab-separated lines."""
        return [line.split("\t") for line in self.out.splitlines()]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Return a function that runs a command line and returns its exit code, stdout and stderr."""
    # Undo what options set for the process when the test ends.
    monkeypatch.setenv("REGISTRY_TRACKING_URI", "file:./mlruns")
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", "mlruns")

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = main(arguments)
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that makes stdout a terminal of a width, without colours."""

    def widen(width: int) -> None:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    return widen


@dataclass(frozen=True)
class Filled:
    """One run with two versions of the model ``churn``; version 1 is in Production."""

    run_id: str
    model_ids: tuple[str, str]


@pytest.fixture
def filled(own_place: Path) -> Filled:
    source = own_place / "source"
    source.mkdir()
    (source / "MLmodel").write_text("flavors: {}\n")
    client = registry.MlflowClient()
    experiment = client.create_experiment("nba")
    run = client.create_run(experiment, run_name="first try", start_time=1_767_225_600_000)
    client.log_param(run.info.run_id, "depth", 3)
    client.log_metric(run.info.run_id, "auc", 0.875)
    client.log_metric(run.info.run_id, "loss", float("nan"))
    client.set_tag(run.info.run_id, "team", "east")
    client.set_terminated(run.info.run_id, end_time=1_767_225_665_000)
    made = [client.register_model(str(source), "churn").model_id for _ in range(2)]
    client.transition_model_version_stage("churn", 1, "Production")
    return Filled(run.info.run_id, (str(made[0]), str(made[1])))


@pytest.fixture(scope="session")
def logged_doubling(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Log a small model once, in a process of its own; return the directory of the registry and the run's id."""
    place = tmp_path_factory.mktemp("doubling")
    code = "import small_models; print(small_models.log_doubling().run_id)"
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("REGISTRY_", "MLFLOW_"))}
    support = Path(__file__).parent.parent / "support"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=place,
        env=clean | {"PYTHONPATH": str(support), "REGISTRY_ACTOR": "tester"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return place / "mlruns", done.stdout.split()[-1]


@pytest.fixture
def doubling(own_place: Path, logged_doubling: tuple[Path, str]) -> "Doubling":
    """Copy the database of `logged_doubling` to this test's own place. The files stay where they are."""
    from small_models import Doubling, fitted  # imports scikit-learn, which most tests do not need

    place, run_id = logged_doubling
    (own_place / "mlruns").mkdir()
    shutil.copyfile(place / "registry.db", own_place / "mlruns/registry.db")
    rows, model = fitted()
    return Doubling(run_id, model, rows)
