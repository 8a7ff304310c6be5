"""``registry export-mlflow`` as a person and a cron job use it."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow_environment import VARIABLE
from small_models import log_doubling

import registry

Cli = Callable[..., Any]


@pytest.mark.slow
def test_what_mlflow_refuses_exits_with_3_and_stops_nothing_else(
    cli: Cli, run_mlflow: Callable[..., Any], own_place: Path
) -> None:
    doubling = log_doubling()
    client = registry.MlflowClient()
    log_doubling("mine")
    deleted_there = client.create_experiment("deleted there")
    client.create_run(deleted_there)
    client.create_run(client.create_experiment("among ours"))
    tries = client.create_experiment("tries")
    failed = client.create_logged_model(tries, name="failed")
    client.finalize_logged_model(failed.model_id, "FAILED")
    client.create_logged_model(tries, name="pending")
    target = f"sqlite:///{own_place}/mlflow.db"
    run_mlflow(
        "mlflow.set_tracking_uri(sys.argv[1])\nclient = mlflow.MlflowClient()\nclient.create_registered_model('mine')\n"
        "client.delete_experiment(client.create_experiment('deleted there'))\n"
        "client.create_experiment('among ours', sys.argv[2] + '/mlruns/7')\nanswer = None",
        target,
        own_place,
    )
    outcome = cli("export-mlflow", target, "--python", os.environ[VARIABLE], "--artifacts", "theirs", "--json")
    assert outcome.code == 3
    report = outcome.json
    assert sorted(report["problems"]) == [
        f"The experiment 'among ours' was not exported: MLflow keeps the files of 'among ours' at "
        f"{own_place}/mlruns/7, among those of this registry, where gc would remove them. "
        "Rename MLflow's experiment, or export to a new database with --artifacts (artifacts=…).",
        "The experiment 'deleted there' was not exported: MLflow's experiment 'deleted there' is deleted. Restore it "
        "(mlflow experiments restore), or rename ours.",
        "The registered model 'mine' was not exported: MLflow has a model of this name that was not exported from "
        "here. Rename one of them.",
    ]
    assert [note.partition(" is not finished")[1:] for note in report["notes"]] == [
        (" is not finished", " here yet; it was left out.")
    ]
    counts = {count["kind"]: (count["here"], count["there"]) for count in report["counts"]}
    assert (counts["experiments"], counts["runs"]) == ((5, 3), (4, 2))
    assert (counts["logged models"], counts["registered models"], counts["versions"]) == ((3, 3), (2, 1), (2, 1))
    answer = run_mlflow(
        "mlflow.set_tracking_uri(sys.argv[1])\nclient = mlflow.MlflowClient()\n"
        "models = client.search_logged_models([client.get_experiment_by_name('tries').experiment_id])\n"
        "answer = [[model.name, str(model.status.value), model.artifact_location] for model in models]",
        target,
    )
    assert [each[:2] for each in answer] == [["failed", "FAILED"]]
    assert answer[0][2].startswith(f"{own_place}/theirs/")

    outcome = cli("export-mlflow", target, "--python", os.environ[VARIABLE], "--artifacts", "theirs")
    assert ["points", "82", "82", "0"] in outcome.rows
    assert "values were read back from MLflow and compared: all agree." in outcome.err
    assert doubling.run_id in str(client.search_runs(["1"]))


def test_a_python_without_mlflow_is_an_error_that_names_the_option(cli: Cli) -> None:
    registry.MlflowClient().create_experiment("games")
    outcome = cli("export-mlflow", "sqlite:///mlflow.db", "--python", sys.executable)
    assert outcome.code == 1
    assert f"{sys.executable} has no mlflow. Install it (pip install mlflow)" in outcome.err
    assert "--python" in outcome.err


def test_an_export_makes_no_registry_where_there_is_none(cli: Cli, own_place: Path) -> None:
    outcome = cli("export-mlflow", "sqlite:///mlflow.db", "--python", sys.executable)
    assert outcome.code == 1
    assert sorted(path.name for path in own_place.iterdir()) == []
