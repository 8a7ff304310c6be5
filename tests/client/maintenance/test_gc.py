"""What gc removes, and what it leaves: by rows and by bytes, on every database and every byte store."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gc_places import DAY_MS, Place
from governed_models import raw_sql
from sqlalchemy import text

from registry import MlflowClient
from registry.blobs import open_blob_store
from registry.blobs.s3.bucket import Bucket
from registry.entities import ViewType
from registry.exceptions import (
    ExperimentNotFoundError,
    InvalidParameterError,
    InvalidStateError,
    InvalidTypeError,
    LoggedModelNotFoundError,
    NotFoundError,
    ReadOnlyError,
    RunNotFoundError,
    UploadExpiredError,
)
from registry.store import clock


def kinds(place: Place, **options: str) -> list[str]:
    return [item.kind for item in place.client.collect_garbage(**options).items]


def test_nothing_is_garbage_in_a_registry_that_is_in_use(place: Place) -> None:
    run_id = place.run()
    place.version("churn", place.model(run_id))
    place.age(400)
    before = place.stored()

    assert place.client.collect_garbage(apply=True).items == ()
    assert place.stored() == before


def test_the_plan_says_what_and_how_many_bytes_and_changes_nothing(place: Place) -> None:
    run_id = place.run()
    place.client.delete_run(run_id)
    model_id = place.model(place.run(), content="12345")
    place.client.delete_logged_model(model_id)
    upload = place.upload({"data.bin": b"x" * 1000})
    place.age(31)
    before = place.stored()

    plan = place.client.collect_garbage()

    assert plan.applied is False
    assert [(item.kind, item.id, item.size_bytes) for item in plan.items] == [
        ("run", run_id, len("scratch")),
        ("logged model", model_id, len("flavors: {}\n") + 5),
        ("upload", upload, 1000),
    ]
    assert plan.size_bytes == 7 + 17 + 1000
    assert plan.counts == {"run": 1, "logged model": 1, "upload": 1}
    assert place.stored() == before
    assert place.client.collect_garbage() == plan


def test_a_read_only_client_plans_and_removes_nothing(place: Place) -> None:
    place.upload({"data.bin": b"x"})
    place.age(2)
    reader = MlflowClient(place.url, read_only=True)

    assert len(reader.collect_garbage().items) == 1
    with pytest.raises(ReadOnlyError):
        reader.collect_garbage(apply=True)
    assert len(place.stored()) == 1


def test_a_deleted_run_goes_with_rows_points_and_files_when_the_window_is_over(place: Place) -> None:
    kept, gone = place.run(), place.run()
    place.client.delete_run(gone)
    place.age(29.9)
    assert place.client.collect_garbage(apply=True).items == ()
    place.age(0.2)

    place.client.collect_garbage(apply=True)

    with pytest.raises(RunNotFoundError):
        place.client.get_run(gone)
    assert len(place.client.get_metric_history(kept, "loss")) == 2
    assert (place.rows("metrics"), place.rows("latest_metrics"), place.rows("params")) == (2, 1, 1)
    assert {path.partition("/artifacts/")[2] for path in place.stored()} == {"notes.txt"}
    assert place.rows("removals") == 0


def test_only_the_runs_and_experiments_that_are_named_go(place: Place) -> None:
    first, second, third = place.run(), place.run(), place.run()
    models = [place.model(first), place.model(second)]
    for run_id in (first, second, third):
        place.client.delete_run(run_id)
    experiment = place.client.get_run(third).info.experiment_id
    place.client.delete_experiment(experiment)
    place.age(31)

    def removed(**named: list[str]) -> list[tuple[str, str]]:
        return [(item.kind, item.id) for item in place.client.collect_garbage(apply=True, **named).items]

    assert removed(run_ids=[first]) == [("run", first), ("logged model", models[0])]
    assert removed(experiment_ids=[experiment]) == [("run", third), ("experiment", experiment)]
    assert removed(run_ids=[], experiment_ids=[]) == []
    for named in ({"run_ids": [first]}, {"run_ids": [second], "experiment_ids": ["0"]}):
        with pytest.raises(NotFoundError, match="may not remove"):
            removed(**named)
    with pytest.raises(InvalidTypeError, match="a list of ids"):
        place.client.collect_garbage(run_ids=second)
    assert removed() == [("run", second), ("logged model", models[1])]


def test_a_version_in_production_loads_after_its_run_was_collected(place: Place) -> None:
    # mlflow gc deletes the files of the model with those of the run that logged it.
    run_id = place.run()
    place.version("churn", place.model(run_id))
    place.client.transition_model_version_stage("churn", 1, "Production")
    place.client.delete_run(run_id)
    place.age(31)

    place.client.collect_garbage(apply=True)

    resolved = place.client.resolve("models:/churn/Production")
    assert open_blob_store(resolved.location).read("data.bin") == b"weights"
    place.client.verify("churn", read_bytes=True)


def test_points_that_are_being_logged_while_their_run_is_removed_go_with_it(place: Place) -> None:
    if place.client.backend.database.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    run_id = place.run()
    place.client.log_metric(run_id, "loss", 1.0)
    place.client.delete_run(run_id)
    place.age(31)
    (purged,) = [item.id for item in place.client.collect_garbage().items if item.kind == "run"]
    assert purged == run_id
    engine = place.client.backend.database.engine
    slow = engine.connect()
    with ThreadPoolExecutor() as pool, slow.begin():
        slow.execute(text("BEGIN"))
        # What a call that saw the run alive, and has not committed yet, holds.
        (series,) = slow.execute(text("UPDATE latest_metrics SET step = step + 1 RETURNING id")).scalars()
        slow.execute(text("INSERT INTO metrics VALUES (:series, 1, 1, 1)"), {"series": series})
        collecting = pool.submit(place.client.collect_garbage, apply=True)
        waits = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        with engine.connect() as other:
            while not other.execute(waits).scalar_one():
                time.sleep(0.01)
        slow.commit()
        collecting.result(60)
    slow.close()

    assert place.sql("SELECT count(*) FROM metrics") == [(0,)]
    assert place.sql("SELECT count(*) FROM latest_metrics") == [(0,)]


def test_of_a_run_that_a_version_names_row_params_tags_and_latest_metrics_stay(place: Place) -> None:
    run_id = place.run()
    place.version("churn", place.model(run_id))
    place.client.delete_run(run_id)
    place.age(31)

    place.client.collect_garbage(apply=True)

    data = place.client.get_run(run_id).data
    assert (data.params, data.tags["team"], data.metrics) == ({"depth": "3"}, "east", {"loss": 0.25})
    assert place.client.get_metric_history(run_id, "loss") == []
    assert {path.rpartition("/")[2] for path in place.stored()} == {"MLmodel", "data.bin"}
    assert place.client.collect_garbage().items == ()
    with pytest.raises(InvalidStateError):
        place.client.restore_run(run_id)


def test_a_deleted_version_keeps_row_and_history_and_loses_its_bytes(place: Place) -> None:
    place.version("churn", place.model(place.run()))
    run_id = place.client.get_model_version("churn", 1).run_id
    place.client.delete_model_version("churn", 1)
    place.client.delete_run(str(run_id))
    place.age(31)

    report = place.client.collect_garbage(apply=True)

    assert [item.versions for item in report.items if item.kind == "logged model"] == [("churn version 1",)]
    assert place.stored() == set()
    assert place.rows("model_versions") == 1
    assert [str(event.kind) for event in place.client.get_history("churn")][-1] == "version_deleted"
    place.client.verify("churn", read_bytes=True)
    with pytest.raises(InvalidStateError, match="removed by gc"):
        place.client.restore_model_version("churn", 1)
    assert place.client.get_run(str(run_id)).data.params == {"depth": "3"}


def test_a_deleted_version_can_be_restored_until_the_window_is_over(place: Place) -> None:
    place.version("churn", place.model())
    place.client.delete_model_version("churn", 1)
    place.age(29)
    place.client.collect_garbage(apply=True)

    assert place.client.restore_model_version("churn", 1).version == 1
    place.age(400)
    assert place.client.collect_garbage(apply=True).items == ()


def test_versions_of_a_deleted_model_lose_their_bytes(place: Place) -> None:
    place.version("churn", place.model())
    place.client.delete_registered_model("churn")
    place.age(31)

    place.client.collect_garbage(apply=True)

    assert place.stored() == set()


def test_a_model_that_two_versions_name_stays_until_both_are_gone(place: Place) -> None:
    model_id = place.model()
    place.version("churn", model_id)
    place.version("loss", model_id)
    place.client.delete_model_version("churn", 1)
    place.age(31)
    assert place.client.collect_garbage(apply=True).items == ()

    place.client.delete_model_version("loss", 1)
    place.age(31)
    assert kinds(place, apply=True) == ["logged model"]
    assert place.stored() == set()


@pytest.mark.parametrize("stage", ["None", "Staging", "Production", "Archived"])
def test_a_version_in_any_stage_keeps_a_deleted_logged_model(place: Place, stage: str) -> None:
    model_id = place.model(run_id := place.run())
    place.version("churn", model_id)
    place.client.transition_model_version_stage("churn", 1, stage)
    place.client.delete_logged_model(model_id)
    place.client.delete_run(run_id)
    place.age(31)

    assert kinds(place, apply=True) == ["run"]
    assert len(place.stored()) == 2


def test_a_logged_model_goes_with_its_run(place: Place) -> None:
    run_id = place.run()
    model_id = place.model(run_id)
    place.client.delete_run(run_id)
    place.age(31)

    assert kinds(place, apply=True) == ["run", "logged model"]
    assert place.stored() == set()
    with pytest.raises(LoggedModelNotFoundError):
        place.client.get_logged_model(model_id)
    assert (place.rows("runs"), place.rows("logged_models"), place.rows("model_files")) == (0, 0, 0)


def test_a_logged_model_that_a_kept_run_used_stays(place: Place) -> None:
    from registry.entities import LoggedModelInput

    run_id, user = place.run(), place.run()
    model_id = place.model(run_id)
    place.client.log_inputs(user, models=[LoggedModelInput(model_id)])
    place.client.delete_run(run_id)
    place.age(31)

    assert kinds(place, apply=True) == ["run"]
    assert place.client.get_logged_model(model_id).status == "READY"
    assert place.client.get_run(run_id).info.lifecycle_stage == "deleted"

    place.client.delete_run(user)
    place.age(31)
    assert kinds(place, apply=True) == ["run", "logged model"]
    assert (place.rows("runs"), place.rows("logged_models")) == (0, 0)


def test_a_logged_model_that_never_had_a_run_stands_for_itself(place: Place) -> None:
    model_id = place.model()
    place.age(400)
    assert place.client.collect_garbage(apply=True).items == ()

    place.client.delete_logged_model(model_id)
    assert place.client.collect_garbage(apply=True).items == ()
    place.age(31)
    assert kinds(place, apply=True) == ["logged model"]
    assert place.stored() == set()


@pytest.mark.parametrize(("days", "left"), [(0.9, 1), (1.1, 0)])
def test_a_pending_model_without_a_run_is_given_up_after_the_grace_period(place: Place, days: float, left: int) -> None:
    pending = place.client.create_logged_model("0")
    source = Path("file.txt")
    source.write_text("x")
    place.client.log_model_artifact(pending.model_id, source)
    place.age(days)

    place.client.collect_garbage(apply=True)

    assert (len(place.stored()), place.rows("logged_models")) == (left, left)


@pytest.mark.parametrize(("days", "left"), [(0.9, 2), (1.1, 0)])
def test_bytes_of_an_upload_that_never_became_a_model_go_after_the_grace_period(
    place: Place, days: float, left: int
) -> None:
    place.upload({"a.bin": b"1", "deep/b.bin": b"22"})
    place.age(days)

    place.client.collect_garbage(apply=True)

    assert (len(place.stored()), place.rows("uploads")) == (left, left // 2)


def test_half_written_files_of_an_upload_are_counted_and_go_with_it(place: Place) -> None:
    model_id = place.upload({"whole.bin": b"1234"})
    location = f"{place.root}/0/models/{model_id}/artifacts"
    if place.root.startswith("s3://"):
        name, _, key = f"{location}/large.bin".removeprefix("s3://").partition("/")
        client = Bucket(name, None).client
        begun = client.create_multipart_upload(Bucket=name, Key=key)
        client.upload_part(Bucket=name, Key=key, UploadId=begun["UploadId"], PartNumber=1, Body=b"x" * 3000)
        # Its key begins with the key of what is collected, yet it is not below it.
        client.put_object(Bucket=name, Key=f"{key.rpartition('/')[0]}-beside", Body=b"not ours")
    else:
        (Path(location) / ".registry-0123456789abcdef.part").write_bytes(b"x" * 3000)
        Path(f"{location}-beside").write_bytes(b"not ours")
    place.age(2)

    report = place.client.collect_garbage(apply=True)

    assert [item.size_bytes for item in report.items] == [3004]
    assert place.stored() == {f"0/models/{model_id}/artifacts-beside"}


def test_an_upload_that_is_slower_than_the_grace_period_ends_in_an_error_and_leaves_nothing(place: Place) -> None:
    source = Path("slow")
    source.mkdir()
    (source / "data.bin").write_text("x")
    create = place.client.backend.logged_models.create
    begin = place.client.backend.logged_models.begin_upload

    def begin_and_be_given_up(*arguments: object) -> str:
        location = begin(*arguments)
        place.age(2)
        place.client.collect_garbage(apply=True)
        return location

    place.client.backend.logged_models.begin_upload = begin_and_be_given_up
    try:
        with pytest.raises(UploadExpiredError, match="longer than gc's grace period"):
            place.client.register_model(str(source), "churn")
    finally:
        place.client.backend.logged_models.begin_upload = begin
    assert create is not None
    assert place.stored() == set()
    assert place.rows("registered_models") == 0
    assert place.client.register_model(str(source), "churn").version == 1


def test_a_copy_that_is_registered_appears_with_its_version_or_not_at_all(place: Place) -> None:
    source = Path("copied")
    source.mkdir()
    (source / "data.bin").write_text("x")

    with pytest.raises(Exception, match="not found"):
        place.client.create_model_version("no such model", str(source))
    versions = place.client.backend.versions
    place.client.create_registered_model("churn")
    place.client.create_model_version("churn", str(source))

    assert place.rows("logged_models") == place.rows("model_versions") == 1
    assert place.rows("uploads") == 0
    assert versions.get("churn", 1).status == "READY"


def test_an_experiment_goes_when_the_window_is_over_with_all_that_is_in_it(place: Place) -> None:
    experiment = place.client.create_experiment("old", tags={"a": "b"})
    run_id = place.run(experiment=experiment)
    place.model(run_id)
    place.model(experiment=experiment)
    place.client.delete_experiment(experiment)
    place.age(31)

    assert kinds(place, apply=True) == ["run", "logged model", "logged model", "experiment"]

    assert place.stored() == set()
    with pytest.raises(ExperimentNotFoundError):
        place.client.get_experiment(experiment)
    assert place.rows("experiment_tags") == 0
    assert place.client.create_experiment("old") != experiment


def test_an_experiment_that_a_version_reaches_into_stays_and_can_be_restored(place: Place) -> None:
    experiment = place.client.create_experiment("old")
    named, other = place.run(experiment=experiment), place.run(experiment=experiment)
    place.version("churn", place.model(named))
    place.client.delete_experiment(experiment)
    place.age(31)

    report = place.client.collect_garbage(apply=True)

    assert report.counts == {"run": 2}
    place.client.restore_experiment(experiment)
    assert place.client.get_run(named).info.lifecycle_stage == "deleted"
    with pytest.raises(RunNotFoundError):
        place.client.get_run(other)
    place.client.verify("churn", read_bytes=True)


def test_the_name_of_an_experiment_is_free_when_the_model_that_came_from_it_is_gone(place: Place) -> None:
    experiment = place.client.create_experiment("old", tags={"a": "b"})
    run_id = place.run(experiment=experiment)
    place.version("churn", place.model(run_id))
    before = place.client.get_history("churn")
    place.client.delete_registered_model("churn")
    place.client.delete_run(run_id)
    place.client.delete_experiment(experiment)
    place.age(31)

    assert kinds(place, apply=True) == ["run", "logged model", "experiment"]

    assert place.stored() == set()
    assert place.client.get_experiment_by_name("old") is None
    with pytest.raises(ExperimentNotFoundError):
        place.client.get_experiment(experiment)
    with pytest.raises(ExperimentNotFoundError):
        place.client.restore_experiment(experiment)
    again = place.client.create_experiment("old")
    assert again != experiment
    assert [
        found.experiment_id for found in place.client.search_experiments(ViewType.ALL, filter_string="name = 'old'")
    ] == [again]
    assert place.client.get_history("churn")[: len(before)] == before
    place.client.verify_all(read_bytes=True)
    assert place.client.collect_garbage(apply=True).items == ()


def test_an_experiment_whose_run_a_living_version_names_stays(place: Place) -> None:
    experiment = place.client.create_experiment("old")
    run_id = place.run(experiment=experiment)
    model_id = place.model()
    place.client.create_registered_model("churn")
    place.client.create_model_version("churn", f"models:/{model_id}", run_id)
    place.client.delete_experiment(experiment)
    place.age(31)

    assert kinds(place, apply=True) == ["run"]

    assert place.client.get_experiment(experiment).name == "old"
    assert place.client.get_run(run_id).data.params == {"depth": "3"}


def test_a_run_restored_in_time_keeps_everything(place: Place) -> None:
    run_id = place.run()
    place.model(run_id)
    place.client.delete_run(run_id)
    place.age(31)
    place.client.restore_run(run_id)
    before = place.stored()

    assert place.client.collect_garbage(apply=True).items == ()
    assert place.stored() == before


def test_bytes_that_could_not_be_removed_are_reported_and_removed_by_the_next_gc(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from registry.exceptions import StorageError

    place.upload({"data.bin": b"12345"})
    place.age(2)
    store = type(open_blob_store(place.root))

    def refuse(self: object, path: str) -> None:
        raise StorageError(f"{path}: the disk says no")

    with monkeypatch.context() as patched:
        patched.setattr(store, "purge", refuse)
        report = place.client.collect_garbage(apply=True)
    assert [failure.rpartition(": ")[2] for failure in report.failures] == ["the disk says no"]
    assert len(place.stored()) == 1

    again = place.client.collect_garbage(apply=True)
    assert [(item.kind, item.size_bytes) for item in again.items] == [("leftover", 5)]
    assert place.stored() == set()
    assert place.rows("removals") == 0


def test_a_second_registry_on_the_same_prefix_is_left_alone(place: Place, tmp_path: Path) -> None:
    other_url = f"sqlite:///{tmp_path / 'other.db'}"
    other = Place(other_url, place.root, MlflowClient(other_url), raw_sql(other_url))
    other.model(other.run(experiment="0"), content="theirs")
    theirs = other.upload({"data.bin": b"theirs, on its way"})
    before = other.stored()
    run_id = place.run(experiment="0")
    place.model(run_id)
    place.upload({"data.bin": b"ours"})
    place.client.delete_run(run_id)
    place.age(400)

    place.client.collect_garbage(apply=True, older_than="0s", grace="0s")

    assert place.stored() == before
    assert any(theirs in path for path in before)


def test_relocating_follows_whole_segments_only(place: Place) -> None:
    client = place.client
    old = place.root
    inside = client.create_experiment("inside")
    beside = client.create_experiment("beside", artifact_location=f"{old}-beside/1")

    count = client.relocate(old + "/", "s3://elsewhere/ml")

    assert count == 2
    assert client.get_experiment(inside).artifact_location == f"s3://elsewhere/ml/{inside}"
    assert client.get_experiment("0").artifact_location == "s3://elsewhere/ml/0"
    assert client.get_experiment(beside).artifact_location == f"{old}-beside/1"


def test_relocating_what_is_not_there_is_refused_and_says_what_is(place: Place) -> None:
    with pytest.raises(ExperimentNotFoundError, match="They are at: .*/0"):
        place.client.relocate("s3://never/was", "s3://any/where")


def test_a_model_loads_from_where_it_was_moved(place: Place, own_place: Path) -> None:
    place.version("churn", place.model())
    moved = str(own_place / "moved")
    open_blob_store(place.root).download("", Path(moved))

    place.client.relocate(place.root, moved)

    place.client.verify("churn", read_bytes=True)
    assert place.client.get_model_version_download_uri("churn", 1).startswith(moved)


@pytest.mark.parametrize("window", ["", "1", "-1d", "1d-", "d", "1y", "99999999d99999999d", "1h1d", "١d"])
def test_a_window_that_is_no_length_of_time_is_refused(own_place: Path, window: str) -> None:
    with pytest.raises(InvalidParameterError, match="is not a duration|too long a duration"):
        MlflowClient().collect_garbage(older_than=window)


@pytest.mark.parametrize(
    ("window", "milliseconds"), [("0s", 0), ("30d", 30 * DAY_MS), ("1w1d1h1m1s", 8 * DAY_MS + 3_661_000)]
)
def test_windows_are_written_as_people_write_them(window: str, milliseconds: int) -> None:
    from registry.entities.times import parse_duration

    assert parse_duration(window).total_seconds() * 1000 == milliseconds


def test_files_of_a_run_that_came_from_another_registry_are_not_ours_to_remove(place: Place, tmp_path: Path) -> None:
    # Both keep their files below one prefix, and a run keeps its id when it travels.
    origin_url = f"sqlite:///{tmp_path / 'origin.db'}"
    origin = Place(origin_url, place.root, MlflowClient(origin_url), raw_sql(origin_url))
    run_id = origin.run(experiment="0")
    origin.version("churn", origin.model(run_id))
    before = origin.stored()
    origin.client.copy_model_version("models:/churn/1", "churn", to=place.url)
    assert place.client.get_run(run_id).info.artifact_uri == origin.client.get_run(run_id).info.artifact_uri
    place.client.delete_registered_model("churn")
    place.client.delete_run(run_id)
    place.age(400)

    place.client.collect_garbage(apply=True)

    assert place.stored() == before


def test_a_registry_restored_from_an_older_backup_leaves_newer_bytes_alone(
    sqlite_url: str, own_place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(own_place / "bytes")
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", root)
    now = Place(sqlite_url, root, MlflowClient(sqlite_url), raw_sql(sqlite_url))
    old_run = now.run(experiment="0")
    now.client.delete_run(old_run)
    backup = tmp_path / "backup.db"
    shutil.copyfile(sqlite_url.removeprefix("sqlite:///"), backup)
    new_run = now.run(experiment="0")
    now.version("churn", now.model(new_run))
    newer = {path for path in now.stored() if old_run not in path}
    restored = Place(f"sqlite:///{backup}", root, MlflowClient(f"sqlite:///{backup}"), raw_sql(f"sqlite:///{backup}"))
    restored.age(400)
    restored.client.adopt(take_over=True)

    report = restored.client.collect_garbage(apply=True, grace="0s")

    assert [item.id for item in report.items] == [old_run]
    assert restored.stored() == newer
    now.client.verify("churn", read_bytes=True)


def test_a_clock_that_jumps_back_shortens_no_window(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id, model_id = place.run(), place.model()
    place.version("churn", model_id)
    place.client.delete_run(place.run())  # the right time is on record
    set_clock(monkeypatch, -400)
    monkeypatch.setenv("REGISTRY_IGNORE_CLOCK", "1")
    place.client.delete_run(run_id)
    MlflowClient(place.url).delete_model_version("churn", 1)
    place.client.delete_logged_model(model_id)
    place.upload({"data.bin": b"on its way"})
    before = place.stored()
    set_clock(monkeypatch, 0)

    assert place.client.collect_garbage(apply=True).items == ()
    assert place.stored() == before


def test_a_clock_that_is_behind_collects_later_not_sooner(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.upload({"data.bin": b"x"})
    place.age(2)
    set_clock(monkeypatch, -10)
    assert place.client.collect_garbage(apply=True).items == ()
    set_clock(monkeypatch, 0)
    assert kinds(place, apply=True) == ["upload"]


def set_clock(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """Let this machine's clock be so many days off."""
    monkeypatch.setattr(clock, "clock_us", lambda server_us: time.time_ns() // 1_000 + days * DAY_MS * 1_000)


def test_four_gcs_at_once_agree(place: Place) -> None:
    runs = [place.run(experiment="0") for _ in range(6)]
    for run_id in runs:
        place.model(run_id)
        place.client.delete_run(run_id)
    place.age(31)

    with ThreadPoolExecutor(4) as pool:
        reports = [pool.submit(place.client.collect_garbage, apply=True) for _ in range(4)]

    removed = [item.id for report in reports for item in report.result().items if item.kind == "run"]
    assert sorted(removed) == sorted(runs)
    assert place.stored() == set()
    assert [place.rows(table) for table in ("runs", "logged_models", "removals", "metrics")] == [0, 0, 0, 0]
