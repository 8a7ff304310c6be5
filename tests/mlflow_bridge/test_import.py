"""Importing again, after changes and after crashes; names, stages and what cannot be carried."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow_stores import RENAMES, MlflowStore, execute

import registry
from registry.client import MlflowClient
from registry.exceptions import (
    InvalidNameError,
    InvalidParameterError,
    InvalidStateError,
    UnavailableError,
    UnsupportedStoreError,
)
from registry.mlflow_bridge import TransferReport, import_mlflow
from registry.store.transfer.outside_models import OutsideModelStore
from registry.store.transfer.outside_runs import OutsideRunStore

Unpack = Callable[[str], MlflowStore]

NEW_VERSION = (
    "INSERT INTO model_versions (name, version, source, storage_location, run_id, current_stage, status) "
    "SELECT name, 6, source, storage_location, run_id, ?, 'READY' FROM model_versions "
    "WHERE name = 'churn' AND version = 1"
)
ADDED = {
    "experiments": 3,
    "runs": 4,
    "params": 8,
    "tags": 17,
    "points": 68,
    "data set inputs": 1,
    "logged models": 2,
    "registered models": 3,
    "versions": 6,
    "aliases": 1,
}


def added(report: TransferReport) -> dict[str, int]:
    return {count.kind: count.added for count in report.counts if count.added}


def tree(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_a_second_import_adds_nothing_and_the_source_is_as_it_was(database_url: str, unpack: Unpack) -> None:
    store = unpack("3.17")
    source = store.database()
    before = tree(store.root)
    first = import_mlflow(source, tracking_uri=database_url, rename=RENAMES)
    second = import_mlflow(source, tracking_uri=database_url, rename=RENAMES)
    assert (first.is_complete, second.is_complete) == (True, True)
    assert (added(first) | {"experiments": 2}, added(second)) == (ADDED | {"experiments": 2}, {})
    assert tree(store.root) == before
    client = MlflowClient(database_url)
    assert [client.verify(name).versions for name in ("churn", "forest", "games-nba")] == [4, 1, 1]


def test_deleted_runs_and_experiments_come_only_if_asked_for_and_are_deleted_here(
    unpack: Unpack, registry_url: str
) -> None:
    source = unpack("3.17").database()
    import_mlflow(source, tracking_uri=registry_url, rename=RENAMES)
    client = MlflowClient(registry_url)
    assert client.get_experiment_by_name("abandoned") is None
    report = import_mlflow(source, tracking_uri=registry_url, rename=RENAMES, deleted=True)
    assert (added(report)["runs"], report.is_complete) == (2, True)
    abandoned = client.get_experiment_by_name("abandoned")
    assert abandoned is not None
    assert abandoned.lifecycle_stage == "deleted"
    everything = registry.entities.ViewType.ALL
    assert [run.info.run_name for run in client.search_runs([abandoned.experiment_id], run_view_type=everything)] == [
        "of a deleted experiment"
    ]
    client.restore_experiment(abandoned.experiment_id)
    assert len(client.search_runs([abandoned.experiment_id])) == 1
    churn = client.get_experiment_by_name("churn")
    assert churn is not None
    only_deleted = registry.entities.ViewType.DELETED_ONLY
    (deleted,) = client.search_runs([churn.experiment_id], run_view_type=only_deleted)
    assert (deleted.info.run_name, deleted.data.params["depth"]) == ("deleted", "2")


def test_stages_aliases_and_the_history_say_what_is_known(unpack: Unpack, registry_url: str) -> None:
    source = unpack("3.17").database()
    report = import_mlflow(source, tracking_uri=registry_url, rename=RENAMES, reason="we move")
    assert report.notes == [
        "Versions 2 and 3 of 'churn' are both in Production, which has one holder here: version 3 keeps it, version 2 "
        "is archived."
    ]
    client = MlflowClient(registry_url)
    model = client.get_registered_model("churn")
    assert (model.description, model.tags, model.aliases) == ("Who leaves?", {"owner": "ann"}, {"champion": 2})
    second = client.get_model_version("churn", 2)
    assert (second.description, second.tags, second.current_stage) == ("second try", {"reviewed": "yes"}, "Archived")
    events = client.get_history("churn")
    archived = next(event for event in events if event.kind == "stage_changed" and event.version == 2)
    assert (archived.to_value, archived.details) == ("Archived", {"imported": True, "stage_in_source": "Production"})
    last = events[-1]
    assert (last.kind, last.details["system"], last.details["versions"]) == ("imported", "mlflow", [1, 2, 3, 4])
    assert last.details["last_version"] == 5  # MLflow deleted version 5; its number is not given again
    assert client.create_model_version("churn", "models:/churn/1").version == 6
    client.verify("churn")
    assert client.get_foreign_history("churn") == []


def test_a_version_of_mlflow_3_is_its_logged_model(unpack: Unpack, registry_url: str) -> None:
    import_mlflow(unpack("3.17").database(), tracking_uri=registry_url, rename=RENAMES)
    client = MlflowClient(registry_url)
    version = client.get_model_version("forest", 1)
    model = client.get_logged_model(version.model_id)
    assert (model.name, model.model_type, model.status) == ("forest", "agent", "READY")
    assert (model.params, model.tags["kind"]) == ({"n": "10"}, "trees")
    assert [(metric.key, metric.value, metric.step) for metric in model.metrics or []] == [("f1", 0.75, 4)]
    outputs = client.get_run(str(model.source_run_id)).outputs.model_outputs
    assert {output.model_id: output.step for output in outputs}[model.model_id] == 4
    churn = client.get_experiment_by_name("churn")
    assert churn is not None
    states = {found.name: found.status for found in client.search_logged_models([churn.experiment_id])}
    assert states["half done"] == "FAILED"


def test_what_is_new_in_the_source_comes_with_the_next_import(unpack: Unpack, registry_url: str) -> None:
    source = unpack("3.17").database()
    import_mlflow(source, tracking_uri=registry_url, rename=RENAMES)
    client = MlflowClient(registry_url)
    experiment = client.get_experiment_by_name("games: nba")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    execute(source, "UPDATE runs SET status = 'FINISHED', end_time = 5 WHERE run_uuid = ?", run.info.run_id)
    execute(source, "INSERT INTO metrics VALUES ('auc', 0.9, 9, ?, 9, 0)", run.info.run_id)
    execute(source, "UPDATE model_versions SET current_stage = 'Archived' WHERE name = 'churn' AND version = 3")
    execute(source, "UPDATE registered_model_aliases SET version = 4")
    execute(
        source, "INSERT INTO registered_model_tags (name, key, value, workspace) VALUES ('churn', 'a', 'b', 'default')"
    )
    execute(source, NEW_VERSION, "None")
    report = import_mlflow(source, tracking_uri=registry_url, rename=RENAMES)
    assert report.is_complete
    assert (added(report)["runs"], added(report)["versions"]) == (1, 1)
    again = client.get_run(run.info.run_id)
    assert (again.info.status, again.info.end_time) == ("FINISHED", 5)
    assert [point.value for point in client.get_metric_history(run.info.run_id, "auc")] == [0.9, 0.51, 0.71]
    stages = {version.version: version.current_stage for version in client.search_model_versions("name='churn'")}
    assert stages == {1: "Archived", 2: "Production", 3: "Archived", 4: "Staging", 6: "None"}
    model = client.get_registered_model("churn")
    assert (model.aliases, model.tags) == ({"champion": 4}, {"owner": "ann", "a": "b"})
    client.verify("churn")
    assert client.get_model_version("churn", 6).model_id == client.get_model_version("churn", 1).model_id


def test_a_model_that_was_changed_here_gets_new_versions_only(unpack: Unpack, registry_url: str) -> None:
    source = unpack("3.17").database()
    import_mlflow(source, tracking_uri=registry_url, rename=RENAMES)
    client = MlflowClient(registry_url)
    client.transition_model_version_stage("churn", 4, "Production")
    client.create_model_version("churn", "models:/churn/1")
    execute(source, NEW_VERSION, "Production")
    execute(source, "UPDATE model_versions SET version = 7 WHERE name = 'churn' AND version = 5")
    execute(source, "UPDATE model_versions SET current_stage = 'None' WHERE name = 'churn' AND version = 7")
    report = import_mlflow(source, tracking_uri=registry_url, rename=RENAMES)
    assert report.problems == ["Version 6 of 'churn' exists here and is another one; it was left as it is."]
    assert report.notes[-1].startswith("'churn' was changed here since it was imported: new versions were added")
    assert client.get_model_version("churn", 7).current_stage == "None"
    assert client.get_model_version("churn", 4).current_stage == "Production"
    client.verify("churn")


def test_names_that_are_refused_are_listed_and_renamed_by_a_file(
    unpack: Unpack, registry_url: str, own_place: Path
) -> None:
    source = unpack("3.17").database()
    execute(source, "UPDATE experiments SET name = ' spaced ' WHERE name = 'churn'")
    execute(source, "INSERT INTO registered_models (name, workspace) VALUES ('CHURN', 'default')")
    with pytest.raises(InvalidNameError, match=r"experiment ' spaced ', proposed 'spaced'; model 'churn'"):
        import_mlflow(source, tracking_uri=registry_url)
    assert MlflowClient(registry_url).search_registered_models() == []
    names = own_place / "names.yaml"
    with pytest.raises(InvalidNameError, match="The proposals are in"):
        import_mlflow(source, tracking_uri=registry_url, rename=names)
    assert names.read_text() == (
        "experiments:\n  ' spaced ': spaced\nmodels:\n  churn: churn-2\n  games@nba: games-nba\n"
    )
    assert import_mlflow(source, tracking_uri=registry_url, rename=names).is_complete
    client = MlflowClient(registry_url)
    assert [model.name for model in client.search_registered_models()] == ["CHURN", "churn-2", "forest", "games-nba"]
    assert client.get_experiment_by_name("spaced") is not None
    names.write_text("models:\n  churn: churn-2\n")
    with pytest.raises(InvalidNameError, match=r"Add them to '.*names.yaml'"):
        import_mlflow(source, tracking_uri=registry_url, rename=names)


def test_a_run_with_a_key_that_is_refused_waits_for_a_new_name(unpack: Unpack, registry_url: str) -> None:
    source = unpack("1.0").database()
    execute(source, "UPDATE params SET key = 'a(b)' WHERE key = 'depth' AND value = '3'")
    report = import_mlflow(source, tracking_uri=registry_url)
    (problem,) = report.problems
    assert "Rename the key, for example to 'a_b_', under 'keys'" in problem
    assert report.by_kind["runs"].here == 3
    report = import_mlflow(source, tracking_uri=registry_url, rename={"keys": {"a(b)": "a-b"}})
    assert (report.is_complete, added(report)["runs"]) == (True, 1)


def test_an_import_that_was_killed_goes_on(unpack: Unpack, registry_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = unpack("3.17").database()
    finish = OutsideRunStore.finish

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(OutsideRunStore, "finish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        import_mlflow(source, tracking_uri=registry_url, rename=RENAMES)
    monkeypatch.setattr(OutsideRunStore, "finish", finish)
    report = import_mlflow(source, tracking_uri=registry_url, rename=RENAMES)
    assert (report.problems, report.differences, report.is_complete) == ([], [], True)
    assert added(import_mlflow(source, tracking_uri=registry_url, rename=RENAMES)) == {}


def test_a_run_and_a_model_that_no_import_wrote_stay(unpack: Unpack, registry_url: str) -> None:
    store = unpack("3.17")
    source = store.database()
    client = MlflowClient(registry_url)
    client.create_registered_model("churn")
    report = import_mlflow(source, tracking_uri=registry_url, rename=RENAMES)
    (problem,) = report.problems
    assert "A registered model 'churn' exists here that was not imported from mlflow" in problem
    assert client.search_model_versions("name='churn'") == []
    everything = import_mlflow(
        source, tracking_uri=registry_url, rename={"models": {**RENAMES["models"], "churn": "c"}}
    )
    assert everything.is_complete


def test_a_version_whose_files_are_gone_is_told_and_the_others_come(unpack: Unpack, registry_url: str) -> None:
    store = unpack("2.9")
    source = store.database()
    execute(
        source, "UPDATE model_versions SET storage_location = '/nowhere/model' WHERE name = 'churn' AND version = 2"
    )
    report = import_mlflow(source, tracking_uri=registry_url, rename=RENAMES)
    assert report.problems == [
        "Version 2 of 'churn' was not imported: There are no files at '/nowhere/model', so there is nothing to "
        "register."
    ]
    assert (report.by_kind["versions"].there, report.by_kind["versions"].here) == (5, 4)
    assert not report.is_complete


def test_files_that_are_not_here_are_told_and_come_once_it_is_said_where_they_are(
    unpack: Unpack, registry_url: str, tmp_path: Path
) -> None:
    store = unpack("2.9")
    source = store.database()
    (store.root / "artifacts").rename(tmp_path / "elsewhere")
    place = str(store.root / "artifacts")
    for table, column in (("runs", "artifact_uri"), ("model_versions", "storage_location")):
        execute(source, f"UPDATE {table} SET {column} = replace({column}, ?, '/gone/away')", place)
    report = import_mlflow(source, tracking_uri=registry_url, rename=RENAMES)
    assert any("does not exist here" in problem for problem in report.problems)
    moved = [f"/gone/away={tmp_path / 'elsewhere'}"]
    report = import_mlflow(source, tracking_uri=registry_url, rename=RENAMES, moved=moved)
    assert (report.problems, report.is_complete) == ([], True)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("gs://bucket/model", "Files at gs: places cannot be read"),
        ("mlflow-artifacts:/1/model", "are read through the MLflow server only"),
        ("runs:/0123/model", "but that run was not imported"),
    ],
)
def test_places_that_cannot_be_read_are_told(location: str, message: str, unpack: Unpack, registry_url: str) -> None:
    source = unpack("2.9").database()
    execute(source, "UPDATE model_versions SET storage_location = ? WHERE name = 'churn' AND version = 1", location)
    (problem,) = import_mlflow(source, tracking_uri=registry_url, rename=RENAMES).problems
    assert message in problem


def test_a_version_may_name_its_files_by_a_runs_uri(unpack: Unpack, registry_url: str) -> None:
    source = unpack("2.9").database()
    execute(source, "UPDATE model_versions SET storage_location = 'runs:/' || run_id || '/model' WHERE name = 'churn'")
    report = import_mlflow(source, tracking_uri=registry_url, rename=RENAMES)
    assert (report.problems, report.is_complete) == ([], True)


def test_sources_that_are_none_are_refused(own_place: Path, registry_url: str) -> None:
    with pytest.raises(InvalidStateError, match="There is no SQLite file"):
        import_mlflow("sqlite:///missing.db", tracking_uri=registry_url)
    (own_place / "file").write_text("")
    with pytest.raises(InvalidStateError, match="If it is an SQLite database"):
        import_mlflow("file", tracking_uri=registry_url)
    with pytest.raises(InvalidStateError, match="has no tables of MLflow's"):
        import_mlflow("sqlite:///file", tracking_uri=registry_url)
    (own_place / "broken.db").write_text("not a database, but long enough to be looked at" * 100)
    with pytest.raises(UnavailableError, match="cannot be read: file is not a database"):
        import_mlflow("sqlite:///broken.db", tracking_uri=registry_url)
    with pytest.raises(InvalidStateError, match="holds no file store of MLflow's"):
        import_mlflow(own_place, tracking_uri=registry_url)
    with pytest.raises(UnsupportedStoreError, match="A 'mssql' database cannot be read"):
        import_mlflow("mssql://server/mlflow", tracking_uri=registry_url)
    with pytest.raises(InvalidParameterError, match="write OLD=NEW"):
        import_mlflow(own_place, tracking_uri=registry_url, moved=["/old"])
    with pytest.raises(InvalidParameterError, match="files must be 'copy' or 'adopt'"):
        import_mlflow(own_place, tracking_uri=registry_url, files="link")  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="not of 'runs'"):
        import_mlflow(own_place, tracking_uri=registry_url, rename={"runs": {}})


def test_a_copy_of_a_models_files_that_was_killed_is_made_again(
    unpack: Unpack, registry_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = unpack("3.17").database()
    insert = OutsideModelStore.insert_logged_model

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(OutsideModelStore, "insert_logged_model", interrupted)
    with pytest.raises(KeyboardInterrupt):
        import_mlflow(source, tracking_uri=registry_url, rename=RENAMES)
    monkeypatch.setattr(OutsideModelStore, "insert_logged_model", insert)
    report = import_mlflow(source, tracking_uri=registry_url, rename=RENAMES)
    assert (report.problems, report.differences, report.is_complete) == ([], [], True)


def test_files_of_another_registry_at_the_same_place_stay(unpack: Unpack, registry_url: str, own_place: Path) -> None:
    source = unpack("3.17").database()
    import_mlflow(source, tracking_uri=registry_url, rename=RENAMES)
    before = {path: digest for path, digest in tree(own_place / "mlruns").items() if ".registry" not in path}
    other = f"sqlite:///{own_place / 'other.db'}"
    for _ in range(2):
        report = import_mlflow(source, tracking_uri=other, rename=RENAMES)
        assert len([problem for problem in report.problems if "holds" in problem and "already" in problem]) == 5
        assert report.by_kind["runs"].here == 4
    MlflowClient(other).collect_garbage(apply=True, older_than="0s", grace="0s")
    after = tree(own_place / "mlruns")
    assert {path: after.get(path) for path in before} == before
