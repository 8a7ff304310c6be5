"""Exports into MLflow by its own client, and what an import of them brings back."""

import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from example_store import training_data
from mlflow_environment import VARIABLE
from small_models import fitted

import registry
from registry import MlflowClient
from registry.exceptions import InvalidStateError, MissingDependencyError, UnavailableError
from registry.mlflow_bridge import TransferReport, export_mlflow, import_mlflow

TARGET = "sqlite:///mlflow.db"
OURS = ("registry.", "mlflow.")


@pytest.fixture(scope="session")
def python() -> str:
    """Return the Python of an environment with real mlflow."""
    found = os.environ.get(VARIABLE)
    if not found:
        pytest.skip(f"{VARIABLE} is not set: it names the Python of an environment that has mlflow installed")
    return found


def fill(url: str) -> MlflowClient:
    """Fill a registry with runs, histories, data sets, files, models, stages and aliases; return its client."""
    os.environ["REGISTRY_ARTIFACT_LOCATION"] = str(Path("ours").absolute())
    registry.set_tracking_uri(url)
    registry.set_experiment("games")
    client = MlflowClient()
    client.set_experiment_tag(registry.get_experiment_by_name("games").experiment_id, "league", "nba")
    frame = training_data()[0]
    run_ids: list[str] = []
    for number in (1, 2, 3):
        with registry.start_run(run_name=f"run {number}") as run:
            registry.log_params({"depth": number, "empty": ""})
            registry.log_metrics({"auc": 0.5 + number / 10, "loss": -number / 7}, step=number)
            registry.log_text("é", f"notes/{number}.txt")
            registry.log_input(registry.data.from_pandas(frame, name="games"), context="training")
            rows, doubling = fitted()
            model = registry.sklearn.log_model(
                doubling, name="model", registered_model_name="churn", input_example=rows
            )
            client.set_logged_model_tags(model.model_id, {"kind": "doubling"})
        run_ids.append(run.info.run_id)
    client.set_tag(run_ids[1], "mlflow.parentRunId", run_ids[0])
    client.set_tag(run_ids[0], "mlflow.parentRunId", run_ids[2])
    run_id = run_ids[2]
    for step, value in enumerate((math.nan, math.inf, -math.inf, 0.1, -0.0)):
        client.log_metric(run_id, "odd", value, timestamp=1_700_000_000_000 + step, step=-step)
    client.log_batch(run_id, [registry.entities.Metric("long", i / 3, 1_700_000_000_000 + i, i) for i in range(2_500)])
    client.set_terminated(run_id, "FAILED", end_time=1_700_000_009_000)
    client.delete_model_version("churn", 1)
    client.update_registered_model("churn", "who leaves")
    client.set_registered_model_tag("churn", "owner", "ann")
    client.update_model_version("churn", 2, "the second")
    client.set_model_version_tag("churn", 2, "checked", "yes")
    client.transition_model_version_stage("churn", 2, "Production")
    client.transition_model_version_stage("churn", 3, "Staging")
    client.set_registered_model_alias("churn", "champion", 2)
    return client


def everything(client: MlflowClient) -> dict[str, Any]:
    """Return all that a registry has, by the ids that runs had before they were exported."""
    ids = {}
    experiments: dict[str, Any] = {}
    for experiment in client.search_experiments():
        runs = {}
        for run in client.search_runs([experiment.experiment_id]):
            own_id = ids[run.info.run_id] = run.data.tags.get("registry.run_id", run.info.run_id)
            store = client.backend.blobs(run.info.artifact_uri)
            runs[own_id] = {
                "info": (run.info.run_name, run.info.user_id, run.info.status, run.info.start_time, run.info.end_time),
                "params": run.data.params,
                "tags": own(run.data.tags),
                "points": {key: points(client, run.info.run_id, key) for key in run.data.metrics},
                "data sets": [
                    (
                        use.dataset.name,
                        use.dataset.digest,
                        use.dataset.schema,
                        [(tag.key, tag.value) for tag in use.tags],
                    )
                    for use in run.inputs.dataset_inputs
                ],
                "files": {info.path: store.read(info.path) for info in store.walk()},
                "outputs": len(run.outputs.model_outputs),
                "parent": run.data.tags.get("mlflow.parentRunId"),
            }
        for found in runs.values():
            found["parent"] = ids.get(found["parent"])
        experiments[experiment.name] = {"tags": own(experiment.tags), "runs": runs}
    models = {}
    for model in client.search_registered_models():
        versions = {}
        for version in client.search_model_versions(f"name = '{model.name}'"):
            logged = client.get_logged_model(version.model_id)
            versions[int(version.version)] = {
                "stage": version.current_stage,
                "description": version.description,
                "tags": own(version.tags),
                "run": ids[version.run_id],
                "digest": version.digest,
                "logged": (logged.name, own(logged.tags), logged.params, ids[logged.source_run_id]),
                "metrics": sorted((m.key, m.step, m.timestamp, repr(m.value)) for m in logged.metrics),
            }
        models[model.name] = (model.description, own(model.tags), model.aliases, versions)
    return {"experiments": experiments, "models": models}


def own(tags: dict[str, str]) -> dict[str, str]:
    """Return the tags without those that exports, imports and MLflow add."""
    return {key: value for key, value in tags.items() if not key.startswith(OURS)}


def points(client: MlflowClient, run_id: str, key: str) -> list[tuple[int, int, str]]:
    """Return a history as MLflow keeps it on SQLite: without infinity and negative zero."""
    greatest = sys.float_info.max
    return sorted(
        (
            one.step,
            one.timestamp,
            repr(math.copysign(greatest, one.value) if math.isinf(one.value) else one.value + 0.0),
        )
        for one in client.get_metric_history(run_id, key)
    )


def added(report: TransferReport) -> dict[str, int]:
    return {count.kind: count.added for count in report.counts if count.added}


@pytest.mark.slow
def test_an_import_of_what_was_exported_equals_the_original(
    database_url: str, python: str, run_mlflow: Callable[..., Any], own_place: Path
) -> None:
    client = fill(database_url)
    report = export_mlflow(TARGET, python=python)
    assert (report.differences, report.problems) == ([], [])
    assert report.notes == ["2 infinite values are 1.798e+308 in MLflow: its SQL stores hold no infinity."]
    assert {count.kind: (count.here, count.there) for count in report.counts} == {
        "experiments": (2, 2),
        "runs": (3, 3),
        "params": (6, 6),
        "tags": (report.by_kind["tags"].here,) * 2,
        "points": (2_511, 2_511),
        "data set inputs": (3, 3),
        "files of runs": (3, 3),
        "logged models": (3, 3),
        "registered models": (1, 1),
        "versions": (2, 2),
        "aliases": (1, 1),
    }
    original = everything(client)
    imported = import_mlflow(TARGET, tracking_uri="sqlite:///back.db")
    assert imported.is_complete, (imported.problems, imported.differences)
    copy = MlflowClient("sqlite:///back.db")
    assert everything(copy) == original
    assert [report.versions for report in copy.verify_all(read_bytes=True)] == [2]
    answer = run_mlflow(
        "import pandas\nmlflow.set_tracking_uri(sys.argv[1])\n"
        "model = mlflow.pyfunc.load_model('models:/churn@champion')\n"
        "answer = model.predict(pandas.DataFrame({'x': [1.5, 2.0]})).round(6).tolist()",
        f"sqlite:///{own_place}/mlflow.db",
    )
    assert answer == [3.0, 4.0]


@pytest.mark.slow
def test_an_export_that_was_killed_goes_on_and_a_later_one_brings_what_is_new(registry_url: str, python: str) -> None:
    client = fill(registry_url)

    def kill(kind: str, _done: int, _total: int) -> None:
        for child in psutil.Process().children():
            if "export_worker" in " ".join(child.cmdline()):
                child.kill()

    with pytest.raises(UnavailableError, match=r"The process that writes into MLflow ended with -9. Export again"):
        export_mlflow(TARGET, python=python, progress=kill)
    report = export_mlflow(TARGET, python=python)
    assert (report.differences, report.problems) == ([], [])
    assert (report.by_kind["runs"].added, report.by_kind["runs"].there, report.by_kind["points"].there) == (2, 3, 2_511)
    assert added(export_mlflow(TARGET, python=python)) == {}

    run = registry.search_runs(search_all_experiments=True, output_format="list")[0]
    client.log_metric(run.info.run_id, "auc", 0.9, step=9)
    client.log_text(run.info.run_id, "later", "later.txt")
    client.set_tag(run.info.run_id, "team", "east")
    client.copy_model_version("models:/churn/2", "other")
    client.set_registered_model_alias("churn", "next", 3)
    client.delete_registered_model_alias("churn", "champion")
    client.transition_model_version_stage("churn", 3, "Production")
    report = export_mlflow(TARGET, python=python)
    assert (report.differences, report.problems) == ([], [])
    assert added(report) == {"points": 1, "files of runs": 2, "registered models": 1, "versions": 1}
    import_mlflow(TARGET, tracking_uri="sqlite:///back.db")
    assert everything(MlflowClient("sqlite:///back.db")) == everything(client)


def test_a_python_without_mlflow_and_one_that_is_none_are_told(own_place: Path) -> None:
    client = MlflowClient()
    client.create_experiment("games")
    with pytest.raises(MissingDependencyError, match=r"has no mlflow. Install it \(pip install mlflow\)"):
        export_mlflow(TARGET, python=sys.executable)
    with pytest.raises(InvalidStateError, match=r"'no/python' could not be started"):
        export_mlflow(TARGET, python="no/python")
