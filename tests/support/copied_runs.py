"""Runs of every kind to copy to another registry, and all that can be read of them, to compare both sides."""

import math
from pathlib import Path
from typing import Any

from file_trees import read_files, write_files

import registry
from registry.client.artifacts.downloads import download
from registry.uris import LoggedModelUri

MILLIS = 1_767_225_600_000


def make_runs(client: registry.MlflowClient, count: int = 3, experiment: str = "nets") -> list[str]:
    """Make runs with params, tags, points of all kinds, data sets, files and a logged model each."""
    found = client.get_experiment_by_name(experiment)
    experiment_id = (
        client.create_experiment(experiment, tags={"team": "east"}) if found is None else found.experiment_id
    )
    return [make_run(client, experiment_id, number) for number in range(count)]


def make_run(client: registry.MlflowClient, experiment_id: str, number: int = 0) -> str:
    """Make a finished run; see `make_runs`."""
    run_id = client.create_run(experiment_id, run_name=f"run-{number}", start_time=MILLIS + number).info.run_id
    entities = registry.entities
    points = [entities.Metric("loss", 1 / (step + 1), MILLIS + step, step) for step in range(40)]
    points += [entities.Metric("loss", 0.25, MILLIS + 3, 3), entities.Metric("loss", 0.25, MILLIS + 3, 3)]
    points += [entities.Metric("odd", value, MILLIS, 0) for value in (math.nan, math.inf, -math.inf, math.nan, -0.5)]
    points += [entities.Metric("late", 1.0, MILLIS + 9, -7), entities.Metric("late", 2.0, MILLIS, -7)]
    params = [entities.Param("depth", number), entities.Param("ünï", "x" * 300)]
    client.log_batch(run_id, points, params, [entities.RunTag("team", "east"), entities.RunTag("empty", "")])
    dataset = entities.Dataset("games", f"digest-{number}", "local", '{"uri": "games.csv"}', "{}", None)
    client.log_inputs(run_id, [entities.DatasetInput(dataset, [entities.InputTag("mlflow.data.context", "training")])])
    client.log_text(run_id, f"notes {number}", "notes.txt")
    client.log_text(run_id, "one", "plots/deep/один.txt")
    model = client.create_logged_model(experiment_id, name="model", source_run_id=run_id, tags={"kind": "tree"})
    files = {"MLmodel": b"flavors: {}\n", "data/weights.bin": b"weights" * (100 + number)}
    client.log_model_artifacts(model.model_id, write_files(Path(f"source-{model.model_id}"), files))
    client.finalize_logged_model(model.model_id, "READY")
    client.log_metric(run_id, "val", 0.5, MILLIS, 2, model_id=model.model_id, dataset_name="games")
    client.log_outputs(run_id, [entities.LoggedModelOutput(model.model_id, 2)])
    client.set_terminated(run_id, "FINISHED", MILLIS + 5_000 + number)
    return run_id


def contents(client: registry.MlflowClient, run_ids: list[str]) -> dict[str, Any]:
    """Return all that can be read of runs, except where they are kept and where they were copied from."""
    return {run_id: _run(client, run_id) for run_id in run_ids}


def _run(client: registry.MlflowClient, run_id: str) -> dict[str, Any]:
    run = client.get_run(run_id)
    info = run.info
    keys = sorted(run.data.metrics)
    return {
        "info": (info.run_name, info.user_id, info.status, info.start_time, info.end_time, info.lifecycle_stage),
        "experiment": client.get_experiment(info.experiment_id).name,
        "params": run.data.params,
        "tags": {key: value for key, value in run.data.tags.items() if key != "registry.copied_from"},
        "latest": [(key, repr(run.data.metrics[key])) for key in keys],
        "points": {
            key: [(p.step, p.timestamp, repr(p.value)) for p in client.get_metric_history(run_id, key)] for key in keys
        },
        "inputs": run.inputs,
        "outputs": run.outputs,
        "files": read_files(client.download_artifacts(run_id, "")) if client.list_artifacts(run_id) else {},
        "models": [_model(client, made.model_id) for made in run.outputs.model_outputs],
    }


def _model(client: registry.MlflowClient, model_id: str) -> dict[str, Any]:
    model = client.get_logged_model(model_id)
    return {
        "id": (model.model_id, model.name, model.model_type, str(model.status), model.source_run_id),
        "created": model.creation_timestamp,
        "digest": (model.digest, model.size_bytes),
        "params": model.params,
        "tags": {key: value for key, value in model.tags.items() if key != "mlflow.modelVersions"},
        "metrics": [
            (m.key, m.step, m.timestamp, m.value, m.run_id, m.dataset_name, m.dataset_digest) for m in model.metrics
        ],
        "files": read_files(download(client, LoggedModelUri(model_id), None)),
    }
