"""Registries in different places, and small models in them to copy or export."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from file_trees import write_files

import registry

FILES: Mapping[str, bytes] = {"MLmodel": b"flavors: {}\n", "data/weights.bin": b"weights" * 100}


def open_registry(url: str, root: str) -> registry.MlflowClient:
    """Open a client of a registry whose artifacts are below `root`; the environment keeps this root."""
    os.environ["REGISTRY_ARTIFACT_LOCATION"] = root
    client = registry.MlflowClient(url)
    assert client.backend.place.artifact_root == root
    return client


def train_version(client: registry.MlflowClient, files: Mapping[str, bytes] = FILES, name: str = "churn") -> str:
    """Make a run with a param, a metric of two points, a tag and a data set, and a version of it. Return its id."""
    experiment = client.get_experiment_by_name("nba")
    experiment_id = client.create_experiment("nba") if experiment is None else experiment.experiment_id
    run_id = client.create_run(experiment_id, run_name="first", start_time=1_767_225_600_000).info.run_id
    client.log_param(run_id, "depth", 3)
    client.log_metric(run_id, "auc", 0.5, timestamp=1_767_225_600_001, step=0)
    client.log_metric(run_id, "auc", 0.875, timestamp=1_767_225_600_002, step=1)
    client.set_tag(run_id, "team", "east")
    entities = registry.entities
    dataset = entities.Dataset("games", "digest-1", "local", json.dumps({"uri": "games.csv"}))
    client.log_inputs(run_id, [entities.DatasetInput(dataset, [entities.InputTag("mlflow.data.context", "training")])])
    model = client.create_logged_model(experiment_id, name="model", source_run_id=run_id, tags={"kind": "tree"})
    client.log_model_artifacts(model.model_id, write_files(Path(f"source-{model.model_id}"), dict(files)))
    client.finalize_logged_model(model.model_id, "READY")
    client.log_metric(run_id, "val", 0.25, timestamp=1_767_225_600_003, model_id=model.model_id)
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    client.create_model_version(
        name, f"models:/{model.model_id}", run_id=run_id, tags={"stage": "tried"}, description="the first"
    )
    return run_id


def make_staged_registry(url: str, root: str) -> registry.MlflowClient:
    """Make a registry whose churn has version 1 in Staging, 2 deleted, 3 in Production and champion, 4 archived."""
    client = open_registry(url, root)
    train_version(client)
    train_version(client, {**FILES, "more.txt": b"more"})
    train_version(client)
    client.register_model(f"models:/{client.get_model_version('churn', 1).model_id}", "churn")
    client.transition_model_version_stage("churn", 1, "Staging")
    client.transition_model_version_stage("churn", 4, "Production")
    client.transition_model_version_stage("churn", 3, "Production", reason="better")
    client.delete_model_version("churn", 2)
    client.set_registered_model_alias("churn", "champion", 3)
    client.set_registered_model_tag("churn", "team", "east")
    client.update_registered_model("churn", "who leaves")
    client.set_promotion_rules("churn", "Production", [registry.MetricAtLeast("auc", 0.8)])
    return client
