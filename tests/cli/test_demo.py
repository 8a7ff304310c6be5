"""``registry demo``: the main job end to end, on both databases and both kinds of artifact store."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import registry
from registry.cli import demo_job
from registry.exceptions import IntegrityError
from registry.store.schema import revisions

MODEL = "demo-breast-cancer"


def demo(*arguments: str, environment: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the demo in a separate process, on a terminal of 80 columns."""
    return subprocess.run(
        [sys.executable, "-m", "registry", "demo", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "80", **(environment or {})},
    )


def stages(client: registry.MlflowClient) -> dict[int, str]:
    return {found.version: found.current_stage for found in client.search_model_versions(f"name = '{MODEL}'")}


@pytest.mark.slow
def test_the_demo_runs_on_a_file_and_a_directory_and_runs_again(own_place: Path) -> None:
    first, second = demo(), demo()

    assert [(done.returncode, done.stderr) for done in (first, second)] == [(0, ""), (0, "")]
    for done, numbers in ((first, (1, 2)), (second, (3, 4))):
        assert f"{MODEL} version {numbers[0]} (stumps): registered, promoted to Production.\n" in done.stdout
        assert f"Version {numbers[1]} replaced version {numbers[0]}, which is Archived now.\n" in done.stdout
        assert f"models:/{MODEL}/Production predicts all 143 held-out rows\nexactly as the model" in done.stdout
        assert f"database  sqlite:///{own_place}/mlruns/registry.db\n" in done.stdout
        assert f"files     {own_place}/mlruns/1\n" in done.stdout
    assert stages(registry.MlflowClient()) == {1: "Archived", 2: "Archived", 3: "Archived", 4: "Production"}


def test_the_demo_logs_all_that_it_says(cli: Callable) -> None:
    outcome = cli("demo")

    assert (outcome.code, outcome.err) == (0, "")
    client = registry.MlflowClient()
    runs = {run.info.run_name: run for run in client.search_runs(["1"])}
    assert sorted(runs) == ["deep trees", "shallow trees", "stumps"]
    stumps = runs["stumps"]
    assert stumps.info.status == "FINISHED"
    assert stumps.data.params == {
        "n_estimators": "20",
        "max_depth": "1",
        "learning_rate": "0.3",
        "seed": "7",
        "held_out": "0.25",
    }
    for key in ("train_logloss", "train_auc", "held_out_logloss", "held_out_auc"):
        assert [point.step for point in client.get_metric_history(stumps.info.run_id, key)] == list(range(20))
    assert [found.path for found in client.list_artifacts(stumps.info.run_id)] == ["feature_importance.png"]
    (use,) = stumps.inputs.dataset_inputs
    assert (use.dataset.name, [tag.value for tag in use.tags]) == ("breast-cancer", ["training"])
    model = registry.pyfunc.load_model(f"models:/{MODEL}/1")
    assert len(model.metadata.get_input_schema().inputs) == 30


@pytest.mark.slow
def test_the_demo_runs_on_postgresql_and_s3(empty_postgres_url: str, moto_s3: Any) -> None:
    root = moto_s3.fresh_root()
    place = ["--tracking-uri", empty_postgres_url, "--artifact-location", root]

    done = demo(*place, environment=moto_s3.environment())

    assert (done.returncode, done.stderr) == (0, "")
    assert f" was empty; it has schema revision {revisions()[-1]} now.\n" in done.stdout.splitlines(keepends=True)[0]
    assert f"files     {root}/1\n" in done.stdout
    assert "predicts all 143 held-out rows" in done.stdout
    assert stages(registry.MlflowClient(empty_postgres_url)) == {1: "Archived", 2: "Production"}
    stored = moto_s3.client().list_objects_v2(Bucket=moto_s3.bucket, Prefix=root.split("/", 3)[3])
    assert any(found["Key"].endswith("/artifacts/MLmodel") for found in stored["Contents"])


def test_the_demo_refuses_a_database_that_is_behind_with_the_command(cli: Callable, empty_postgres_url: str) -> None:
    cli("db", "upgrade", "0001", "--tracking-uri", empty_postgres_url)

    outcome = cli("demo")

    assert (outcome.code, outcome.out) == (1, "")
    assert "has schema revision 0001" in outcome.err
    assert "Run 'registry db upgrade --tracking-uri postgresql+psycopg://" in outcome.err


def test_the_demo_names_the_extra_when_a_package_is_missing(cli: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    outcome = cli("demo")

    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "registry: The demo needs xgboost, matplotlib: pip install 'registry-ml[demo]'.\n"


def test_the_demo_does_not_pretend_to_move_its_files(cli: Callable, own_place: Path) -> None:
    registry.set_experiment(demo_job.EXPERIMENT)

    outcome = cli("demo", "--artifact-location", "elsewhere")

    assert outcome.code == 1
    assert outcome.err == (
        f"registry: The demo ran on this database before and keeps its files at {own_place}/mlruns/1. "
        "Leave --artifact-location out, or give another --tracking-uri.\n"
    )


def test_a_password_is_not_repeated(cli: Callable) -> None:
    outcome = cli("demo", "--tracking-uri", "postgresql://me:s3cret@127.0.0.1:1/none")

    assert outcome.code == 1
    assert "s3cret" not in outcome.out + outcome.err


def test_another_model_in_production_is_noticed(own_place: Path) -> None:
    registry.set_experiment(demo_job.EXPERIMENT)
    split = demo_job.load_data()
    promoted = demo_job.train("promoted", {"n_estimators": 2, "max_depth": 1}, split)
    other = demo_job.train("other", {"n_estimators": 3, "max_depth": 2}, split)
    demo_job.promote(demo_job.register(promoted), "test")

    demo_job.check_production(promoted, split)
    with pytest.raises(IntegrityError, match="of 143 held-out rows differently from the model 'other'"):
        demo_job.check_production(other, split)


def test_the_settings_file_of_the_model_says_what_it_needs(own_place: Path) -> None:
    registry.set_experiment(demo_job.EXPERIMENT)
    trained = demo_job.train("small", {"n_estimators": 2}, demo_job.load_data())
    directory = Path(registry.resolve(trained.model_uri).location)

    assert "xgboost==" in (directory / "requirements.txt").read_text()
    assert json.loads((directory / "input_example.json").read_text())["columns"][0] == "mean radius"
