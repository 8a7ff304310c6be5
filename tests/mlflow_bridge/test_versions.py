"""Imports of what each version of MLflow really wrote."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow_stores import FILE_STORES, RENAMES, VERSIONS, MlflowStore, replayed_server

from registry.client import MlflowClient
from registry.mlflow_bridge import TransferReport, import_mlflow

Unpack = Callable[[str], MlflowStore]

TWO_IN_PRODUCTION = (
    "Versions 2 and 3 of 'churn' are both in Production, which has one holder here: version 3 keeps it, version 2 is "
    "archived."
)


def both_sides(report: TransferReport) -> dict[str, tuple[int, int]]:
    return {count.kind: (count.there, count.here) for count in report.counts}


def expected(version: str, *, is_file_store: bool = False) -> dict[str, tuple[int, int]]:
    """Return the counts of the scenario that the fixtures hold, as far as a version could store it."""
    number = tuple(map(int, version.split(".")))
    has_models = number >= (2, 9) if is_file_store else number >= (1, 4)
    counts = {
        "experiments": 3 if is_file_store else 4,  # a file store had no Default until it was used
        "runs": 6,
        "params": 12,
        "tags": 31 if is_file_store else 25,
        "points": 63 if number < (1, 2) else 76 if number >= (3, 0) else 75,
        "data set inputs": int(number >= (2, 4)),
        "logged models": 2 if number >= (3, 0) else 0,
        "registered models": (3 if number >= (3, 0) else 2) if has_models else 0,
        "versions": (6 if number >= (3, 0) else 5) if has_models else 0,
        "aliases": int(number >= (2, 3)),
    }
    return {kind: (number, number) for kind, number in counts.items()}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_database_arrives_whole(version: str, unpack: Unpack, registry_url: str) -> None:
    source = unpack(version).database()
    report = import_mlflow(source, tracking_uri=registry_url, deleted=True, rename=RENAMES)
    assert (report.problems, report.differences, report.is_complete) == ([], [], True)
    assert both_sides(report) == expected(version)
    assert report.compared >= 97
    check_first_run(MlflowClient(registry_url), version)


@pytest.mark.parametrize("version", FILE_STORES)
def test_a_file_store_arrives_whole(version: str, unpack: Unpack, registry_url: str) -> None:
    source = unpack(version).file_store
    report = import_mlflow(source, tracking_uri=registry_url, deleted=True, rename=RENAMES)
    assert (report.problems, report.differences, report.is_complete) == ([], [], True)
    assert both_sides(report) == expected(version, is_file_store=True)
    check_first_run(MlflowClient(registry_url), version)


@pytest.mark.parametrize("version", ["1.30", "3.17"])
def test_a_running_server_arrives_whole(version: str, registry_url: str) -> None:
    with replayed_server(version) as url:
        report = import_mlflow(url, tracking_uri=registry_url, deleted=True, rename=RENAMES)
    assert (report.problems, report.differences, report.is_complete) == ([], [], True)
    assert both_sides(report) == expected(version)
    check_first_run(MlflowClient(registry_url), version)


@pytest.mark.parametrize("version", FILE_STORES[-1:])
def test_a_file_store_that_was_moved_still_has_its_files(
    version: str, unpack: Unpack, registry_url: str, tmp_path: Path
) -> None:
    moved = shutil.move(unpack(version).file_store, tmp_path / "elsewhere")
    report = import_mlflow(moved, tracking_uri=registry_url, rename=RENAMES)
    assert (report.problems, report.is_complete) == ([], True)
    client = MlflowClient(registry_url)
    assert {version.version: version.current_stage for version in client.search_model_versions("name='churn'")} == {
        1: "Archived",
        2: "Archived",
        3: "Production",
        4: "Staging",
    }


def check_first_run(client: MlflowClient, version: str) -> None:
    """Check the values of one run as a user reads them."""
    number = tuple(map(int, version.split(".")))
    experiment = client.get_experiment_by_name("churn")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "attributes.run_name = 'first'")
    assert (run.info.user_id, run.info.status, run.info.lifecycle_stage) == ("ann", "FINISHED", "active")
    assert (run.info.start_time, run.info.end_time) == (1_600_000_000_003, 1_600_000_100_003)
    assert run.data.params == {"depth": "3", "model/kind": "gbtree, 'quoted' and \"more\""}
    assert run.data.tags["note"] == "größer ☃"
    auc = client.get_metric_history(run.info.run_id, "auc")
    assert [(point.step, point.timestamp, point.value) for point in auc] == [
        (0, 1_600_000_000_100, 0.53),
        (1, 1_600_000_000_200, 0.73),
    ]
    assert len(client.get_metric_history(run.info.run_id, "curve")) == 51
    if number >= (1, 2):
        (lost,) = client.get_metric_history(run.info.run_id, "loss/valid")
        assert (lost.step, lost.value != lost.value) == (-1, True)
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["docs", "model"]
    if number >= (2, 4):
        (use,) = run.inputs.dataset_inputs
        assert (use.dataset.name, use.dataset.digest, use.dataset.profile) == ("season", "abc123", '{"rows": 9}')
        assert {tag.key: tag.value for tag in use.tags} == {"mlflow.data.context": "training", "split": "all"}
    (child,) = client.search_runs([experiment.experiment_id], "attributes.run_name = 'second'")
    assert child.data.tags["mlflow.parentRunId"] == run.info.run_id
