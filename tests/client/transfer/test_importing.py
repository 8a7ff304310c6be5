"""Imports of an exported model: everything is restored, and the history records the import."""

import json
import math
import multiprocessing
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from export_files import MANIFEST, read_archive, read_manifest, write_archive
from file_trees import read_files, write_files
from governed_models import kinds, raw_sql
from travelling_models import FILES, make_staged_registry, open_registry, train_version

import registry
from registry.exceptions import (
    AlreadyExistsError,
    ConflictError,
    IntegrityError,
    InvalidStateError,
    RegistryError,
)

Client = registry.MlflowClient


@pytest.fixture
def dev(own_place: Path) -> Client:
    return make_staged_registry("sqlite:///dev.db", f"{own_place}/dev")


@pytest.fixture(params=["sqlite", "postgresql"])
def prod(request: pytest.FixtureRequest, dev: Client, own_place: Path) -> Client:
    url = "sqlite:///prod.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return open_registry(url, f"{own_place}/prod")


@pytest.fixture
def other(dev: Client, own_place: Path) -> Client:
    return open_registry("sqlite:///other.db", f"{own_place}/other")


def rows(client: Client) -> dict[str, int]:
    tables = ("registered_models", "model_versions", "logged_models", "runs", "uploads", "history", "foreign_history")
    run = raw_sql(client.tracking_uri)
    return {table: run(f"SELECT count(*) FROM {table}")[0][0] for table in tables}


def test_versions_arrive_with_their_numbers_bytes_and_words_in_no_stage(dev: Client, prod: Client) -> None:
    made = prod.import_model(dev.export_model("churn", "churn.zip"))

    assert (made.name, made.description, made.tags, made.aliases) == ("churn", "who leaves", {"team": "east"}, {})
    versions = sorted(prod.search_model_versions("name = 'churn'"), key=lambda version: version.version)
    assert [version.version for version in versions] == [1, 3, 4]
    for version in versions:
        original = dev.get_model_version("churn", version.version)
        assert (version.digest, version.run_id, version.tags, version.description, version.source) == (
            *(original.digest, original.run_id, original.tags, original.description),
            original.source,
        )
        assert version.current_stage == "None"
    assert versions[0].model_id == versions[2].model_id != dev.get_model_version("churn", 1).model_id
    registry.set_tracking_uri(prod.tracking_uri)
    assert read_files(registry.artifacts.download_artifacts("models:/churn/3")) == FILES
    assert prod.verify("churn", read_bytes=True).versions == 3


def test_numbers_that_were_ever_given_are_not_given_again(dev: Client, prod: Client) -> None:
    prod.import_model(dev.export_model("churn", "churn.zip", versions=[1, "3"]))

    source = f"models:/{prod.get_model_version('churn', 1).model_id}"
    assert [version.version for version in prod.search_model_versions("name = 'churn'")] == [3, 1]
    assert prod.create_model_version("churn", source).version == 5
    assert prod.verify("churn").versions == 3


def test_with_stages_everyone_holds_what_they_held(dev: Client, prod: Client) -> None:
    prod.import_model(dev.export_model("churn", "churn.zip"), with_stages=True)

    stages = {version.version: version.current_stage for version in prod.search_model_versions("name = 'churn'")}
    assert stages == {1: "Staging", 3: "Production", 4: "Archived"}
    assert prod.get_registered_model("churn").aliases == {"champion": 3}
    holdings = {(held.stage, held.version): held.until for held in prod.get_holdings("churn")}
    assert holdings == {("Staging", 1): None, ("Production", 3): None, ("@champion", 3): None}
    prod.verify("churn", read_bytes=True)
    prod.transition_model_version_stage("churn", 1, "Production")
    assert prod.rollback("churn").version == 3
    prod.verify("churn")


def test_rules_come_along_and_go_on_guarding(dev: Client, prod: Client) -> None:
    prod.import_model(dev.export_model("churn", "churn.zip"))

    assert prod.get_promotion_rules("churn", "Production") == [registry.MetricAtLeast("auc", 0.8)]
    assert prod.transition_model_version_stage("churn", 3, "Production").version == 3


def test_the_new_history_says_whence_and_the_old_one_is_kept(dev: Client, prod: Client) -> None:
    old = dev.get_history("churn")

    prod.import_model(dev.export_model("churn", "churn.zip"), name="leavers", reason="moved")

    assert kinds(prod, "leavers") == [
        *("created", "tag_set", "imported"),
        *("version_created", "tag_set", "version_created", "tag_set", "version_created"),
        "rules_set",
    ]
    (imported,) = prod.get_history("leavers", kind="imported")
    assert (imported.actor, imported.reason, imported.to_value) == ("tester", "moved", "leavers")
    assert imported.details == {
        "registry_id": dev.backend.experiments.registry_id(),
        "model_uid": dev.get_registered_model("churn").model_uid,
        "name": "churn",
        "events": len(old),
        "head_hash": old[-1].hash,
        "last_version": 4,
    }
    (segment,) = prod.get_foreign_history("leavers")
    assert list(segment.events) == old
    assert segment.registry_id == dev.backend.experiments.registry_id()
    created = prod.get_history("leavers", kind="version_created")[1]
    assert created.details["original"] == {
        "model_id": dev.get_model_version("churn", 3).model_id,
        "user_id": "tester",
        "session_user": None,
    }


def test_runs_arrive_with_every_point_and_under_their_ids(dev: Client, prod: Client) -> None:
    run_id = dev.get_model_version("churn", 3).run_id
    for step, value in enumerate([math.inf, -math.inf, math.nan, 1e-310, 0.1 + 0.2]):
        dev.log_metric(run_id, "odd", value, timestamp=step, step=step)
    prod.import_model(dev.export_model("churn", "churn.zip"))

    run, original = prod.get_run(run_id), dev.get_run(run_id)
    assert (run.data.params, run.data.metrics) == (original.data.params, original.data.metrics)
    assert run.inputs.dataset_inputs == original.inputs.dataset_inputs
    assert run.data.tags == {**original.data.tags, "registry.origin": dev.backend.experiments.registry_id()}
    assert prod.get_experiment(run.info.experiment_id).name == "nba"
    for key in ("auc", "val", "odd"):
        assert repr(prod.get_metric_history(run_id, key)) == repr(dev.get_metric_history(run_id, key))
    (made,) = run.outputs.model_outputs
    logged = prod.get_logged_model(made.model_id)
    named = {"mlflow.modelVersions": '[{"name": "churn", "version": 3}]'}
    assert (logged.name, logged.source_run_id, logged.tags) == ("model", run_id, {"kind": "tree", **named})
    assert [(point.key, point.value, point.run_id) for point in logged.metrics] == [("val", 0.25, run_id)]


def test_an_import_may_be_exported_again_with_all_its_pasts(dev: Client, other: Client, own_place: Path) -> None:
    other.import_model(dev.export_model("churn", "one.zip"), name="second")
    third = open_registry("sqlite:///third.db", f"{own_place}/third")
    third.import_model(other.export_model("second", "two.zip"), name="third")

    first, second = third.get_foreign_history("third")
    assert list(first.events) == dev.get_history("churn")
    assert list(second.events) == other.get_history("second")
    assert third.verify("third", read_bytes=True).versions == 3


def test_what_was_imported_on_either_database_leaves_it_as_it_came(dev: Client, prod: Client, own_place: Path) -> None:
    run_id = str(dev.get_model_version("churn", 3).run_id)
    prod.import_model(dev.export_model("churn", "one.zip"), name="second")

    first, second = read_manifest(own_place / "one.zip"), read_manifest(prod.export_model("second", "two.zip"))

    origin = dev.backend.experiments.registry_id()
    runs = {run["run_id"]: run for run in first["runs"]}
    for run in second["runs"]:
        assert run == {**runs[run["run_id"]], "tags": {**runs[run["run_id"]]["tags"], "registry.origin": origin}}
    assert run_id in runs
    assert [version["version"] for version in second["versions"]] == [1, 3, 4]
    assert second["segments"][0] == first["segments"][0]


def _import_in_process(directory: Path, barrier: "multiprocessing.synchronize.Barrier", queue: object) -> None:
    os.chdir(directory)
    client = registry.MlflowClient("sqlite:///other.db")
    barrier.wait()
    try:
        queue.put(client.import_model("churn.zip").name)
    except AlreadyExistsError:
        queue.put("taken")


@pytest.mark.slow
def test_of_processes_that_import_at_once_one_does(dev: Client, other: Client, own_place: Path) -> None:
    dev.export_model("churn", "churn.zip")
    spawn = multiprocessing.get_context("spawn")
    barrier, queue = spawn.Barrier(2), spawn.Queue()
    processes = [spawn.Process(target=_import_in_process, args=(own_place, barrier, queue)) for _ in range(2)]
    for process in processes:
        process.start()
    outcomes = sorted(queue.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()

    assert outcomes == ["churn", "taken"]
    assert other.verify("churn", read_bytes=True).versions == 3
    assert (rows(other)["registered_models"], rows(other)["logged_models"], rows(other)["runs"]) == (1, 2, 2)


def test_whatever_callers_may_store_comes_in_again(dev: Client, other: Client, own_place: Path) -> None:
    run_id = str(dev.get_model_version("churn", 3).run_id)
    source = write_files(own_place / "Mode\u0300le %: \u202e", {"a b/\U0001f600 ;&": b"", ".git/x": b"1"})
    dev.create_model_version("churn", str(source), tags={"a/b c.d:e-f": "\u2028\x01" * 1_000}, run_link="\ud7ff")
    dev.create_model_version("churn", f"models:/{dev.get_model_version('churn', 1).model_id}", run_id="long-gone")
    dev.update_model_version("churn", 5, "", reason="\t\n")
    dev.backend.runs.log_batch(run_id, tags={"mlflow.loggedArtifacts": "x" * 50_000})
    dev.log_param(run_id, "long", "y" * 6_000)
    logged = dev.create_logged_model("0", tags={"long": "z" * 20_000}, params={"p": "q" * 7_000})
    dev.log_model_artifacts(logged.model_id, source)
    dev.finalize_logged_model(logged.model_id, "READY")
    dev.register_model(f"models:/{logged.model_id}", "churn")

    other.import_model(dev.export_model("churn", "churn.zip"))

    for number in (5, 6, 7):
        version, original = other.get_model_version("churn", number), dev.get_model_version("churn", number)
        assert (version.digest, version.tags, version.run_id, version.run_link, version.description) == (
            *(original.digest, original.tags, original.run_id, original.run_link),
            original.description,
        )
    assert other.verify("churn", read_bytes=True).versions == 6
    assert other.get_run(run_id).data.tags["mlflow.loggedArtifacts"] == "x" * 50_000


def test_a_model_may_be_imported_where_it_came_from(dev: Client) -> None:
    dev.import_model(dev.export_model("churn", "churn.zip"), name="twin")

    assert dev.get_model_version("twin", 3).run_id == dev.get_model_version("churn", 3).run_id
    assert rows(dev)["runs"] == 3
    dev.verify_all(read_bytes=True)


def test_a_version_that_was_imported_is_not_copied_again(dev: Client, other: Client) -> None:
    other.import_model(dev.export_model("churn", "churn.zip"))

    copy = dev.copy_model_version("models:/churn/3", "churn", to=other.tracking_uri)

    assert (copy.version, rows(other)["model_versions"]) == (3, 3)


def test_a_name_that_is_taken_is_refused_before_anything_is_stored(dev: Client, prod: Client) -> None:
    file = dev.export_model("churn", "churn.zip")
    prod.import_model(file)
    before = rows(prod)

    for name in (None, "churn", "CHURN"):
        with pytest.raises(AlreadyExistsError, match="--as"):
            prod.import_model(file, name=name)

    assert rows(prod) == before
    prod.import_model(file, name="another")


def test_an_import_that_fails_at_the_end_leaves_uploads_alone(dev: Client, other: Client) -> None:
    file = dev.export_model("churn", "churn.zip")
    run = raw_sql(other.tracking_uri)
    run("CREATE TRIGGER full BEFORE INSERT ON promotion_rules BEGIN SELECT RAISE(ABORT, 'no'); END")

    with pytest.raises(RegistryError):
        other.import_model(file)

    left = {"uploads": 2}
    assert rows(other) == {**dict.fromkeys(rows(other), 0), **left}
    run("DROP TRIGGER full")
    other.import_model(file)
    assert other.verify("churn", read_bytes=True).versions == 3


def test_another_run_of_the_same_id_is_refused_before_anything_is_stored(dev: Client, other: Client) -> None:
    file = dev.export_model("churn", "churn.zip")
    other.import_model(file)
    raw_sql(other.tracking_uri)("UPDATE params SET value = '9'")
    before = rows(other)

    with pytest.raises(ConflictError, match="the param 'depth' is '3' in the other registry and '9' in this"):
        other.import_model(file, name="again")

    assert rows(other) == before


def test_a_run_that_is_here_is_left_as_it_is(dev: Client, other: Client) -> None:
    run_id = str(dev.get_model_version("churn", 3).run_id)
    other.import_model(dev.export_model("churn", "one.zip"))
    other.set_tag(run_id, "team", "west")
    dev.log_metric(run_id, "auc", 0.1, step=7)

    other.import_model(dev.export_model("churn", "two.zip"), name="again")

    assert other.get_run(run_id).data.tags["team"] == "west"
    assert other.get_run(run_id).data.metrics["auc"] == 0.875


def test_a_deleted_experiment_of_that_name_says_what_to_do(dev: Client, other: Client) -> None:
    file = dev.export_model("churn", "churn.zip")
    other.delete_experiment(other.create_experiment("nba"))

    with pytest.raises(InvalidStateError, match="restore_experiment"):
        other.import_model(file)

    assert rows(other)["registered_models"] == 0


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE foreign_history SET event = replace(event, 'better', 'worse!')",
        "DELETE FROM foreign_history WHERE seq = (SELECT max(seq) FROM foreign_history)",
        "DELETE FROM foreign_history WHERE seq = 3",
        "DELETE FROM foreign_history",
        "UPDATE foreign_history SET event = 'nothing'",
        "UPDATE foreign_history SET segment = 7 WHERE seq > 4",
    ],
)
def test_an_edit_of_the_old_history_is_found(dev: Client, other: Client, edit: str) -> None:
    other.import_model(dev.export_model("churn", "churn.zip"))
    run = raw_sql(other.tracking_uri)
    for (name,) in run("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        run(f"DROP TRIGGER {name}")
    run(edit)

    with pytest.raises(IntegrityError):
        other.verify("churn")


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE foreign_history SET event = ''",
        "DELETE FROM foreign_history",
        "INSERT OR REPLACE INTO foreign_history SELECT model_id, segment, seq, '{}' FROM foreign_history",
    ],
)
def test_the_old_history_is_append_only(dev: Client, prod: Client, edit: str) -> None:
    prod.import_model(dev.export_model("churn", "churn.zip"))
    if "REPLACE" in edit and not prod.tracking_uri.startswith("sqlite"):
        edit = "TRUNCATE foreign_history"

    with pytest.raises(Exception, match="append-only"):
        raw_sql(prod.tracking_uri)(edit)


def test_a_row_that_says_imported_without_a_past_is_found(dev: Client, other: Client) -> None:
    other.import_model(dev.export_model("churn", "churn.zip"))
    run = raw_sql(other.tracking_uri)
    run("UPDATE registered_models SET last_version = 3")

    with pytest.raises(IntegrityError, match="counts 3 versions, but its history has 4"):
        other.verify("churn")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_files(own_place: Path) -> None:
    dev = open_registry("sqlite:///dev.db", f"{own_place}/dev")
    train_version(dev, {"MLmodel": b"flavors: {}\n", "big": os.urandom(1_000_000) * 40})
    run_id = str(dev.get_model_version("churn", 1).run_id)
    points = [registry.entities.Metric("loss", step / 7, step, step) for step in range(60_000)]
    for start in range(0, 60_000, 1_000):
        dev.log_batch(run_id, metrics=points[start : start + 1_000])
    del points
    other = open_registry("sqlite:///other.db", f"{own_place}/other")
    tracemalloc.start()
    try:
        other.import_model(dev.export_model("churn", "churn.zip"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 16_000_000
    assert other.get_run(run_id).data.metrics["loss"] == 59_999 / 7
    assert raw_sql(other.tracking_uri)("SELECT count(*) FROM metrics") == [(60_003,)]


@pytest.mark.parametrize("roots", ["moto_s3"])
def test_a_model_travels_from_s3_to_s3(request: pytest.FixtureRequest, s3_environment: Callable, roots: str) -> None:
    server = s3_environment(request.getfixturevalue(roots))
    first = open_registry("sqlite:///dev.db", server.fresh_root())
    train_version(first)
    second = open_registry("sqlite:///prod.db", server.fresh_root())

    second.import_model(first.export_model("churn", "churn.zip"))

    assert second.verify("churn", read_bytes=True).versions == 1


def test_an_archive_of_another_program_with_the_same_contents_is_read(dev: Client, other: Client) -> None:
    path = dev.export_model("churn", "churn.zip")

    write_archive(path, dict(reversed(read_archive(path).items())))

    assert other.import_model(path).name == "churn"
    assert zipfile.is_zipfile(path)
    assert json.loads(read_archive(path)[MANIFEST])["format"] == 1
