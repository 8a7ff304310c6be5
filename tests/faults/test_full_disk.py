"""A full disk in every public operation that writes: one clear error, nothing half-written, and the next try works."""

import io
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from file_trees import write_files
from governed_models import register
from sklearn.linear_model import LogisticRegression
from small_disk import files_up_to

import registry
from registry import MlflowClient, flavors
from registry.entities import Dataset, DatasetInput, Metric, Param, RunTag
from registry.exceptions import StorageError


class Place:
    """A registry with one of everything, made before the disk is full."""

    def __init__(self, root: Path) -> None:
        self.root = root
        registry.set_tracking_uri(f"sqlite:///{root}/registry.db")
        self.client = MlflowClient()
        self.run = self.client.create_run("0").info.run_id
        self.client.log_param(self.run, "depth", 3)
        self.client.log_metric(self.run, "auc", 0.5)
        self.client.set_tag(self.run, "team", "east")
        self.client.log_text(self.run, "text", "notes/a.txt")
        self.deleted_run = self.client.create_run("0").info.run_id
        self.client.delete_run(self.deleted_run)
        self.experiment = self.client.create_experiment("nba")
        self.files = write_files(root / "source", {"MLmodel": b"flavors: {}\n", "data.bin": b"x" * 5_000})
        register(self.client, "churn", 3, run_id=self.run)
        self.client.transition_model_version_stage("churn", 1, "Production")
        self.client.transition_model_version_stage("churn", 2, "Production")
        self.client.set_registered_model_alias("churn", "champion", 1)
        self.client.set_registered_model_tag("churn", "team", "east")
        self.client.set_model_version_tag("churn", 1, "team", "east")
        self.pending = self.client.create_logged_model("0", name="pending").model_id
        self.ready = self.client.get_model_version("churn", 1).model_id
        self.export = self.client.export_model("churn", root / "churn.zip")

    def contents(self) -> tuple[list[str], dict[str, bytes]]:
        """Every row, and every file but the database's own."""
        with closing(sqlite3.connect(f"file:{self.root}/registry.db?mode=ro", uri=True)) as connection:
            rows = list(connection.iterdump())
        files = {str(path): path.read_bytes() for path in self.root.rglob("*") if path.is_file()}
        return rows, {path: data for path, data in files.items() if ".db" not in path}


_DATASET = [DatasetInput(Dataset("games", "1", "local", "{}"), [])]
_MODEL = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
_BOOSTED = xgboost.XGBClassifier(n_estimators=1).fit([[0.0], [1.0]], [0, 1])

ROWS: dict[str, Callable[[Place], Any]] = {
    "create_experiment": lambda p: p.client.create_experiment("other"),
    "rename_experiment": lambda p: p.client.rename_experiment(p.experiment, "other"),
    "delete_experiment": lambda p: p.client.delete_experiment(p.experiment),
    "set_experiment_tag": lambda p: p.client.set_experiment_tag(p.experiment, "a", "b"),
    "create_run": lambda p: p.client.create_run("0"),
    "start_run": lambda p: registry.start_run(),
    "log_param": lambda p: p.client.log_param(p.run, "rate", 1),
    "log_metric": lambda p: p.client.log_metric(p.run, "loss", 1.0),
    "set_tag": lambda p: p.client.set_tag(p.run, "a", "b"),
    "delete_tag": lambda p: p.client.delete_tag(p.run, "team"),
    "log_batch": lambda p: p.client.log_batch(
        p.run, [Metric("m", float(n), n, n) for n in range(500)], [Param("p", "1")], [RunTag("t", "1")]
    ),
    "log_inputs": lambda p: p.client.log_inputs(p.run, _DATASET),
    "log_metric_history": lambda p: p.client.log_metric_history(p.run, "loss", np.arange(500), np.arange(500.0)),
    "update_run": lambda p: p.client.update_run(p.run, name="other"),
    "set_terminated": lambda p: p.client.set_terminated(p.run),
    "delete_run": lambda p: p.client.delete_run(p.run),
    "restore_run": lambda p: p.client.restore_run(p.deleted_run),
    "create_logged_model": lambda p: p.client.create_logged_model("0", name="model"),
    "set_logged_model_tags": lambda p: p.client.set_logged_model_tags(p.ready, {"a": "b"}),
    "create_registered_model": lambda p: p.client.create_registered_model("other"),
    "rename_registered_model": lambda p: p.client.rename_registered_model("churn", "other"),
    "update_registered_model": lambda p: p.client.update_registered_model("churn", "text"),
    "delete_registered_model": lambda p: p.client.delete_registered_model("churn", force=True),
    "set_registered_model_tag": lambda p: p.client.set_registered_model_tag("churn", "a", "b"),
    "delete_registered_model_tag": lambda p: p.client.delete_registered_model_tag("churn", "team"),
    "set_registered_model_alias": lambda p: p.client.set_registered_model_alias("churn", "champion", 2),
    "delete_registered_model_alias": lambda p: p.client.delete_registered_model_alias("churn", "champion"),
    "create_model_version": lambda p: p.client.create_model_version("churn", f"models:/{p.ready}"),
    "update_model_version": lambda p: p.client.update_model_version("churn", 1, "text"),
    "delete_model_version": lambda p: p.client.delete_model_version("churn", 3),
    "set_model_version_tag": lambda p: p.client.set_model_version_tag("churn", 1, "a", "b"),
    "delete_model_version_tag": lambda p: p.client.delete_model_version_tag("churn", 1, "team"),
    "transition_model_version_stage": lambda p: p.client.transition_model_version_stage("churn", 3, "Production"),
    "rollback": lambda p: p.client.rollback("churn", "Production"),
    "set_promotion_rules": lambda p: p.client.set_promotion_rules(
        "churn", "Staging", [registry.MetricAtLeast("auc", 0.5)]
    ),
    "copy_model_version": lambda p: p.client.copy_model_version("models:/churn/1", "other"),
    "relocate": lambda p: p.client.relocate(p.client.get_experiment("0").artifact_location, "/elsewhere"),
}
FILES: dict[str, Callable[[Place], Any]] = {
    "log_text": lambda p: p.client.log_text(p.run, "text", "a.txt"),
    "log_text over a file": lambda p: p.client.log_text(p.run, "other text", "notes/a.txt"),
    "log_stream": lambda p: p.client.log_stream(p.run, io.BytesIO(b"x"), "a.bin"),
    "log_dict": lambda p: p.client.log_dict(p.run, {"a": 1}, "a.json"),
    "log_table": lambda p: p.client.log_table(p.run, pd.DataFrame({"a": [1]}), "table.json"),
    "log_artifact": lambda p: p.client.log_artifact(p.run, str(p.files / "data.bin")),
    "log_artifacts": lambda p: p.client.log_artifacts(p.run, str(p.files)),
    "log_model_artifacts": lambda p: p.client.log_model_artifacts(p.pending, str(p.files)),
    "register_model": lambda p: p.client.register_model(str(p.files), "other"),
    "download_artifacts": lambda p: p.client.download_artifacts(p.run, "", str(write_files(p.root / "target", {}))),
    "export_model": lambda p: p.client.export_model("churn", p.root / "second.zip"),
    "import_model": lambda p: p.client.import_model(p.export, name="other"),
    "log_model": lambda p: registry.sklearn.log_model(_MODEL, name="model"),
    "save_model": lambda p: flavors.save_model(_MODEL, p.root / "saved", "sklearn"),
    "save_model, pickle": lambda p: flavors.save_model(
        _MODEL, p.root / "saved", "sklearn", serialization_format="pickle"
    ),
    "save_model, cloudpickle": lambda p: flavors.save_model(
        _MODEL, p.root / "saved", "sklearn", serialization_format="cloudpickle"
    ),
    "save_model, xgboost": lambda p: flavors.save_model(_BOOSTED, p.root / "saved", "xgboost"),
    "save_model, an example": lambda p: flavors.save_model(
        _MODEL, p.root / "saved", "sklearn", input_example=pd.DataFrame({"a": [1.0]})
    ),
    "save_model, code": lambda p: flavors.save_model(_MODEL, p.root / "saved", "sklearn", code_paths=[str(p.files)]),
    "save_model, more files": lambda p: flavors.save_model(
        _MODEL, p.root / "saved", "sklearn", extra_files=[str(p.files / "data.bin")]
    ),
    "a new database": lambda p: MlflowClient(f"sqlite:///{p.root}/second.db").create_experiment("other"),
}


@pytest.fixture
def place(own_place: Path) -> Place:
    return Place(own_place.parent / "registry")


@pytest.fixture(autouse=True)
def _directory(own_place: Path) -> None:
    (own_place.parent / "registry").mkdir()


@pytest.mark.parametrize("name", [*ROWS, *FILES])
def test_a_full_disk_is_one_error_and_changes_nothing(name: str, place: Place) -> None:
    operation = {**ROWS, **FILES}[name]
    before = place.contents()
    with files_up_to(0), pytest.raises(StorageError) as caught:
        operation(place)
    assert "space" in str(caught.value).lower() or "full" in str(caught.value) or "too large" in str(caught.value)
    rows, files = place.contents()
    assert rows == before[0]
    assert files == before[1]

    operation(place)
