"""Copies of runs and experiments to another registry: on all databases and stores, repeated, continued, in conflict."""

import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from copied_runs import MILLIS, contents, make_run, make_runs
from governed_models import raw_sql
from s3_faults import tap_requests
from travelling_models import open_registry

import registry
from registry.entities import Metric
from registry.exceptions import (
    ConflictError,
    ExperimentNotFoundError,
    IntegrityError,
    InvalidParameterError,
    InvalidStateError,
    NotOwnerError,
    RunNotFoundError,
)

Client = registry.MlflowClient


@pytest.fixture
def dev(own_place: Path) -> Client:
    return open_registry("sqlite:///dev.db", f"{own_place}/dev")


@pytest.fixture
def team(dev: Client, own_place: Path) -> Client:
    return open_registry("sqlite:///team.db", f"{own_place}/team")


def gc(client: Client) -> None:
    client.collect_garbage(apply=True, older_than="0s", grace="0s")


@pytest.mark.parametrize(("source", "target"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
@pytest.mark.parametrize("roots", ["local to local", "local to s3", "s3 to local", "s3 to s3"])
def test_a_copy_has_all_of_a_run(
    request: pytest.FixtureRequest, s3_environment: Callable, own_place: Path, source: str, target: str, roots: str
) -> None:
    if "s3" in roots:
        server = s3_environment(request.getfixturevalue("moto_s3"))
    places = [
        f"{own_place}/{n}" if kind == "local" else server.fresh_root() for n, kind in enumerate(roots.split(" to "))
    ]
    urls = {"sqlite": "sqlite:///registry.db", "postgresql": request.getfixturevalue("postgres_url")}
    first = open_registry(urls[source], places[0])
    run_ids = make_runs(first, 2)
    original = contents(first, run_ids)
    second = open_registry(urls[target], places[1])

    report = first.copy_experiment("nets", to=second.tracking_uri)

    assert report.outcomes == {"copied": 2}
    assert report.source_counts == report.target_counts
    assert (report.target_counts.runs, report.target_counts.files, report.target_counts.models) == (2, 4, 2)
    assert [(run.points, run.files, run.models) for run in report.runs] == [(50, 2, 1), (50, 2, 1)]
    assert contents(second, run_ids) == original
    assert second.get_run(run_ids[0]).info.artifact_uri.startswith(places[1])
    assert second.get_experiment_by_name("nets").tags == {"team": "east"}

    again = first.copy_experiment("nets", to=second.tracking_uri)
    assert again.outcomes == {"unchanged": 2}
    assert contents(second, run_ids) == original


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(dev: Client, team: Client) -> None:
    (run_id,) = make_runs(dev, 1)

    report = dev.copy_runs([run_id], to=team.tracking_uri, dry_run=True)

    (run,) = report.runs
    assert (run.outcome, run.points, run.files, run.size_bytes, run.models) == ("copied", 50, 2, 10, 1)
    assert report.dry_run
    assert team.get_experiment_by_name("nets") is None
    assert dev.copy_runs([run_id], to=team.tracking_uri).runs[0] == run
    assert dev.copy_runs([run_id], to=team.tracking_uri, dry_run=True).outcomes == {"unchanged": 1}


def test_a_run_that_went_on_is_completed(dev: Client, team: Client) -> None:
    (run_id,) = make_runs(dev, 1)
    dev.update_run(run_id, status="RUNNING")
    dev.copy_runs([run_id], to=team.tracking_uri)
    dev.log_metric(run_id, "loss", 0.001, MILLIS + 900, 40)
    dev.log_metric(run_id, "loss", 0.25, MILLIS + 3, 3)  # a third time
    dev.log_metric(run_id, "odd", float("nan"), MILLIS, 0)
    dev.log_metric(run_id, "new", 7, MILLIS, 0)
    dev.log_param(run_id, "more", 1)
    dev.set_tag(run_id, "team", "west")
    dev.log_text(run_id, "NOTES 0", "notes.txt")  # as long as before
    dev.log_text(run_id, "longer", "plots/deep/один.txt")
    dev.log_text(run_id, "new", "new.txt")
    model_id = dev.get_run(run_id).outputs.model_outputs[0].model_id
    dev.log_metric(run_id, "val", 0.75, MILLIS, 3, model_id=model_id)
    dev.set_logged_model_tags(model_id, {"kind": "forest"})
    dev.set_terminated(run_id, "FAILED", MILLIS + 9_000)

    report = dev.copy_runs([run_id], to=team.tracking_uri)

    (run,) = report.runs
    assert (run.outcome, run.points, run.files, run.models) == ("continued", 5, 3, 0)
    assert contents(team, [run_id]) == contents(dev, [run_id])
    assert report.source_counts == report.target_counts


def test_what_the_target_has_besides_stays(dev: Client, team: Client) -> None:
    (run_id,) = make_runs(dev, 1)
    dev.copy_runs([run_id], to=team.tracking_uri)
    team.set_tag(run_id, "reviewed", "yes")
    team.log_text(run_id, "fine", "review.txt")
    team.log_metric(run_id, "score", 1.0)
    dev.log_metric(run_id, "loss", 0.5, step=50)

    dev.copy_runs([run_id], to=team.tracking_uri)

    assert team.get_run(run_id).data.tags["reviewed"] == "yes"
    assert team.get_run(run_id).data.metrics["score"] == 1.0
    assert [file.path for file in team.list_artifacts(run_id)] == ["notes.txt", "plots", "review.txt"]
    assert dev.copy_runs([run_id], to=team.tracking_uri).outcomes == {"unchanged": 1}


def test_runs_are_copied_into_another_experiment(dev: Client, team: Client) -> None:
    first, second = make_runs(dev, 2)

    dev.copy_runs([first], to=team.tracking_uri, experiment="season 2026")
    report = dev.copy_experiment("nets", to=team.tracking_uri, new_name="other")

    assert [run.experiment for run in report.runs] == ["season 2026", "other"]  # what is there stays where it is
    assert team.get_experiment(team.get_run(second).info.experiment_id).name == "other"
    assert team.get_experiment_by_name("nets") is None


def test_two_registries_are_merged(dev: Client, team: Client, own_place: Path) -> None:
    there = make_runs(team, 1)
    here = make_runs(dev, 1)

    dev.copy_experiment("nets", to=team.tracking_uri)

    experiment = team.get_experiment_by_name("nets")
    assert {run.info.run_id for run in team.search_runs([experiment.experiment_id])} == {*here, *there}


def test_a_logged_model_without_a_run_comes_with_its_experiment(dev: Client, team: Client) -> None:
    make_runs(dev, 1)
    experiment_id = dev.get_experiment_by_name("nets").experiment_id
    model = dev.create_logged_model(experiment_id, name="lone")
    Path("weights.bin").write_bytes(b"abc")
    dev.log_model_artifact(model.model_id, "weights.bin")

    before = dev.copy_experiment("nets", to=team.tracking_uri)
    dev.finalize_logged_model(model.model_id, "READY")
    after = dev.copy_experiment("nets", to=team.tracking_uri)
    again = dev.copy_experiment("nets", to=team.tracking_uri)

    assert before.notes == (f"the logged model {model.model_id} is not finished yet",)
    assert (before.models, after.models, again.models) == (0, 1, 0)
    copied = team.get_logged_model(model.model_id)
    assert (copied.name, copied.size_bytes, copied.source_run_id) == ("lone", 3, None)
    assert copied.creation_timestamp == dev.get_logged_model(model.model_id).creation_timestamp


def test_a_failed_logged_model_stays_failed(dev: Client, team: Client) -> None:
    (run_id,) = make_runs(dev, 1)
    model = dev.create_logged_model("0", name="broken", source_run_id=run_id)
    dev.finalize_logged_model(model.model_id, "FAILED")

    dev.copy_runs([run_id], to=team.tracking_uri)

    assert str(team.get_logged_model(model.model_id).status) == "FAILED"
    assert dev.copy_runs([run_id], to=team.tracking_uri).outcomes == {"unchanged": 1}


def test_an_input_model_is_linked_once_its_run_is_there(dev: Client, team: Client) -> None:
    maker, user = make_runs(dev, 2)
    model_id = dev.get_run(maker).outputs.model_outputs[0].model_id
    dev.log_inputs(user, models=[registry.entities.LoggedModelInput(model_id)])

    (note,) = dev.copy_runs([user], to=team.tracking_uri).notes
    assert (
        note == f"run {user} names the logged model {model_id}, which is not there; copy its run, then this one again"
    )
    dev.copy_runs([maker, user], to=team.tracking_uri)

    assert team.get_run(user).inputs == dev.get_run(user).inputs


def test_a_run_that_was_deleted_in_the_target_is_told_and_stays_deleted(dev: Client, team: Client) -> None:
    first, second = make_runs(dev, 2)
    dev.copy_runs([first, second], to=team.tracking_uri)
    team.delete_run(first)
    dev.log_metric(first, "loss", 0.5, step=50)

    report = dev.copy_runs([first, second], to=team.tracking_uri)

    assert [run.outcome for run in report.runs] == ["skipped", "unchanged"]
    assert report.runs[0].note == "it is deleted there; restore_run brings it back, and the next copy completes it"
    assert team.get_run(first).info.lifecycle_stage == "deleted"
    team.restore_run(first)
    assert dev.copy_runs([first], to=team.tracking_uri).outcomes == {"continued": 1}
    assert contents(team, [first]) == contents(dev, [first])


def test_a_run_that_gc_removed_from_the_target_does_not_come_back(dev: Client, team: Client) -> None:
    (run_id,) = make_runs(dev, 1)
    dev.copy_runs([run_id], to=team.tracking_uri)
    place = Path(team.get_run(run_id).info.artifact_uri)
    team.delete_run(run_id)
    gc(team)
    assert not place.exists()  # the files of a copied run are the target's own

    report = dev.copy_runs([run_id], to=team.tracking_uri)

    assert [(run.outcome, run.note) for run in report.runs] == [("skipped", "gc has removed it there for good")]
    with pytest.raises(RunNotFoundError):
        team.get_run(run_id)


def test_a_logged_model_that_was_deleted_in_the_target_stays_away(dev: Client, team: Client) -> None:
    (run_id,) = make_runs(dev, 1)
    dev.copy_runs([run_id], to=team.tracking_uri)
    model_id = dev.get_run(run_id).outputs.model_outputs[0].model_id
    team.delete_logged_model(model_id)

    note = f"the logged model {model_id} stays away: it was deleted there"
    assert dev.copy_runs([run_id], to=team.tracking_uri).runs[0].note == note
    gc(team)
    assert dev.copy_runs([run_id], to=team.tracking_uri).runs[0].note == note
    assert list(team.search_logged_models([team.get_run(run_id).info.experiment_id])) == []


def test_a_deleted_run_is_not_copied(dev: Client, team: Client) -> None:
    first, second = make_runs(dev, 2)
    dev.delete_run(first)

    with pytest.raises(InvalidStateError, match=f"The run {first} is deleted in sqlite:///dev.db"):
        dev.copy_runs([first, second], to=team.tracking_uri)

    assert contents(team, [second]) == contents(dev, [second])
    assert dev.copy_experiment("nets", to=team.tracking_uri).outcomes == {"unchanged": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE runs SET start_time = 5", "the start time is 1767225600000 in sqlite:///dev.db and 5 in sqlite:///"),
        ("UPDATE runs SET user_id = 'eve'", "the user is 'unknown' in sqlite:///dev.db and 'eve' in sqlite:///"),
        ("UPDATE params SET value = '9' WHERE key = 'depth'", "the param 'depth' is '0' in sqlite:///dev.db and '9'"),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_another_run_of_the_same_id_is_one_error_that_names_both(
    dev: Client, team: Client, change: str, message: str, dry_run: bool
) -> None:
    first, second = make_runs(dev, 2)
    dev.copy_runs([first], to=team.tracking_uri)
    raw_sql(team.tracking_uri)(change)

    with pytest.raises(ConflictError) as raised:
        dev.copy_runs([first, second], to=team.tracking_uri, dry_run=dry_run)

    assert f"Two different runs have the id {first}: {message}" in str(raised.value)
    assert ((team.get_experiment_by_name("nets") is not None) and not dry_run) == (
        second in {run.info.run_id for run in team.search_runs(["1"])}
    )


def test_another_logged_model_of_the_same_id_is_an_error_that_names_both(dev: Client, team: Client) -> None:
    (run_id,) = make_runs(dev, 1)
    dev.copy_runs([run_id], to=team.tracking_uri)
    sql = raw_sql(team.tracking_uri)
    for (trigger,) in sql("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'logged_models'"):
        sql(f"DROP TRIGGER {trigger}")
    sql(f"UPDATE logged_models SET digest = '{'0' * 64}'")

    with pytest.raises(
        ConflictError, match=r"has the digest [0-9a-f]{64} in sqlite:///dev.db and 0{64} in sqlite:///.*"
    ):
        dev.copy_runs([run_id], to=team.tracking_uri)


def test_several_failures_are_one_error_that_lists_them(dev: Client, team: Client) -> None:
    run_ids = make_runs(dev, 7)
    dev.copy_runs(run_ids, to=team.tracking_uri)
    raw_sql(team.tracking_uri)("UPDATE runs SET start_time = 5")

    with pytest.raises(ConflictError, match=r"7 runs or logged models could not be copied.*; and 2 more"):
        dev.copy_runs(run_ids, to=team.tracking_uri)


def test_a_damaged_file_of_a_logged_model_is_not_copied(dev: Client, team: Client) -> None:
    (run_id,) = make_runs(dev, 1)
    model = dev.get_logged_model(dev.get_run(run_id).outputs.model_outputs[0].model_id)
    Path(model.artifact_location, "data/weights.bin").write_bytes(b"changed")

    with pytest.raises(IntegrityError, match=r"weights\.bin is not what was recorded"):
        dev.copy_runs([run_id], to=team.tracking_uri)

    experiment_id = team.get_run(run_id).info.experiment_id
    assert list(team.search_logged_models([experiment_id])) == []
    assert list(Path(team.get_experiment(experiment_id).artifact_location, "models").iterdir()) == []
    assert raw_sql(team.tracking_uri)("SELECT * FROM uploads") == []


def test_an_edited_manifest_is_not_copied(dev: Client, team: Client) -> None:
    (run_id,) = make_runs(dev, 1)
    raw_sql(dev.tracking_uri)("UPDATE model_files SET size = 1 WHERE path = 'MLmodel'")

    with pytest.raises(IntegrityError, match="a line of its list of files was edited"):
        dev.copy_runs([run_id], to=team.tracking_uri)


def test_registries_that_keep_their_files_at_one_place_are_told_apart(dev: Client, own_place: Path) -> None:
    other = open_registry("sqlite:///other.db", f"{own_place}/dev")
    (run_id,) = make_runs(dev, 1)

    with pytest.raises(InvalidStateError, match="Both registries keep the files of run"):
        dev.copy_runs([run_id], to=other.tracking_uri)


def test_a_registry_is_not_copied_to_itself(dev: Client) -> None:
    (run_id,) = make_runs(dev, 1)

    with pytest.raises(InvalidParameterError, match="is the registry that the runs are in"):
        dev.copy_runs([run_id], to=dev.tracking_uri)


def test_what_does_not_exist_is_not_copied(dev: Client, team: Client) -> None:
    with pytest.raises(RunNotFoundError):
        dev.copy_runs(["0" * 32], to=team.tracking_uri)
    with pytest.raises(ExperimentNotFoundError, match="no active experiment 'nets' to copy"):
        dev.copy_experiment("nets", to=team.tracking_uri)


def test_a_deleted_experiment_of_the_target_gets_no_runs(dev: Client, team: Client) -> None:
    (run_id,) = make_runs(dev, 1)
    team.delete_experiment(team.create_experiment("nets"))

    with pytest.raises(InvalidStateError, match="The target experiment 'nets' is deleted"):
        dev.copy_runs([run_id], to=team.tracking_uri)


def test_a_run_that_a_version_brought_along_is_completed(dev: Client, team: Client) -> None:
    (run_id,) = make_runs(dev, 1)
    dev.register_model(f"runs:/{run_id}/model", "churn")
    dev.copy_model_version("models:/churn/1", "churn", to=team.tracking_uri)

    report = dev.copy_runs([run_id], to=team.tracking_uri)

    assert report.outcomes == {"continued": 1}
    copied, original = contents(team, [run_id])[run_id], contents(dev, [run_id])[run_id]
    both = copied.pop("outputs"), copied.pop("models")
    assert copied == {key: value for key, value in original.items() if key not in ("outputs", "models")}
    assert original["models"][0] in both[1]  # beside the version's own copy
    assert "registry.origin" not in team.get_run(run_id).data.tags


def test_a_long_history_is_copied_in_pages(dev: Client, team: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.client.transfer.run_copying.PAGE", 7)
    (run_id,) = make_runs(dev, 1)
    for _ in range(20):  # more points of one step and time than a page has
        dev.log_metric(run_id, "same", 1.0, MILLIS, 0)

    dev.copy_runs([run_id], to=team.tracking_uri)
    raw_sql(team.tracking_uri)("DELETE FROM metrics WHERE step IN (5, 17, 38) OR (step = 0 AND value = 1.0)")
    report = dev.copy_runs([run_id], to=team.tracking_uri)

    assert report.runs[0].points == 3 + 20 + 1
    assert contents(team, [run_id]) == contents(dev, [run_id])


def test_a_copied_database_replaces_no_file(dev: Client, team: Client, own_place: Path) -> None:
    (run_id,) = make_runs(dev, 1)
    dev.copy_runs([run_id], to=team.tracking_uri)
    registry.disconnect()
    shutil.copy("team.db", "restored.db")
    dev.log_text(run_id, "changed", "notes.txt")

    with pytest.raises(NotOwnerError, match=r"notes\.txt belongs to another database"):
        dev.copy_runs([run_id], to="sqlite:///restored.db")

    assert Path(team.download_artifacts(run_id, "notes.txt")).read_text() == "notes 0"


def _copy_in_process(uri: str, target: str, root: str) -> None:
    client = open_registry(uri, root)
    client.copy_experiment("nets", to=target)


@pytest.mark.slow
def test_two_copies_at_once_double_nothing(dev: Client, own_place: Path, database_url: str) -> None:
    run_ids = make_runs(dev, 4)
    original = contents(dev, run_ids)
    context = multiprocessing.get_context("spawn")
    copies = [
        context.Process(target=_copy_in_process, args=("sqlite:///dev.db", database_url, f"{own_place}/team"))
        for _ in range(3)
    ]
    for copy in copies:
        copy.start()
    for copy in copies:
        copy.join()

    team = open_registry(database_url, f"{own_place}/team")
    assert [copy.exitcode for copy in copies] == [0, 0, 0]
    assert contents(team, run_ids) == original
    assert raw_sql(team.tracking_uri)("SELECT count(*) FROM uploads")[0][0] == 0
    assert len(list(Path(team.get_experiment("1").artifact_location, "models").iterdir())) == 4


def test_two_buckets_on_one_server_copy_large_files_by_the_server(
    moto_s3: object, s3_environment: Callable, own_place: Path
) -> None:
    server = s3_environment(moto_s3)
    first = open_registry("sqlite:///dev.db", server.fresh_root())
    run_id = first.create_run("0").info.run_id
    Path("big.bin").write_bytes(b"x" * 9_000_000)
    first.log_artifact(run_id, "big.bin")
    second = open_registry("sqlite:///team.db", server.fresh_root())

    copied: list[object] = []
    with tap_requests(server.bucket) as wire:
        wire.always(r"^PUT .*/big.bin\?.*partNumber", lambda part: copied.append(part.headers["x-amz-copy-source"]))
        report = first.copy_runs([run_id], to=second.tracking_uri)

    assert (report.runs[0].files, report.runs[0].size_bytes, len(copied)) == (1, 9_000_000, 1)
    assert second.list_artifacts(run_id)[0].file_size == 9_000_000


def test_a_metric_of_the_run_is_found_by_its_copy(dev: Client, team: Client) -> None:
    run_id = make_run(dev, "0")
    dev.log_batch(run_id, [Metric("auc", 0.9, MILLIS, 0)])

    dev.copy_runs([run_id], to=team.tracking_uri)

    (found,) = team.search_runs(["0"], "metrics.auc > 0.8 AND params.depth = '0'")
    assert found.info.run_id == run_id
