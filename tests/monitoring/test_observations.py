"""Observations: files that appear whole, from many writers at once, by hour and version; ground truth joined by id."""

import contextlib
import multiprocessing
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gc_places import Place
from monitored_games import NAME, URI, games, register

import registry
from registry import MlflowClient
from registry.exceptions import IntegrityError, InvalidParameterError, InvalidTypeError, NotFoundError
from registry.monitoring import (
    PrivacyRules,
    Profile,
    check,
    delete_observations,
    get_reference,
    log_ground_truth,
    log_inference,
    make_profile,
    set_reference,
)
from registry.monitoring.ground_truth import join_ground_truth
from registry.monitoring.observations import read_window
from registry.monitoring.storage import DAY_MS, HOUR_MS, OBSERVATIONS, find_files

_CONTEXT = multiprocessing.get_context("forkserver")
NOTHING = Profile(0, ())
# 2026-03-01T12:00:00Z
NOON = 1_772_366_400_000


def whole(client: MlflowClient, version: int | None = 1) -> Any:
    """Return the profile of everything that was observed."""
    return read_window(client, NAME, version, 0, 2**42).profile


def test_what_was_observed_is_a_profile_of_the_version_that_answered(place: Place) -> None:
    register(place.client)
    inputs, won = games(300, 1)
    assert log_inference(f"models:/{NAME}/Production", inputs, won) is None
    register(place.client)  # version 2
    log_inference(f"models:/{NAME}/Production", inputs.head(100), won[:100])

    first, second, both = (whole(place.client, version) for version in (1, 2, None))
    assert (first.rows, second.rows, both.rows) == (300, 100, 400)
    gap = first.get("input", "gap")
    assert (gap.count, gap.minimum, gap.maximum) == (300, inputs["gap"].min(), inputs["gap"].max())
    assert gap.edges == get_reference(URI).get("input", "gap").edges
    assert sorted(first.values("input", "gap").tolist()) == sorted(inputs["gap"].tolist())
    assert first.get("prediction", "prediction").categories == pd.Series(won).map(str).value_counts().to_dict()


def test_rows_are_kept_by_hour_and_a_backfill_by_day(client: MlflowClient) -> None:
    register(client)
    inputs, won = games(6, 1)
    hours = [NOON + minutes * 60_000 for minutes in (0, 59, 60, 61, 119, 120)]
    log_inference(URI, inputs, won, timestamps=hours)
    starts = [(file.start, file.hours) for file in find_files(client, NAME, OBSERVATIONS, 0, 2**42)]
    assert starts == [(NOON, 1), (NOON + HOUR_MS, 1), (NOON + 2 * HOUR_MS, 1)]
    rows = [read_window(client, NAME, 1, NOON + hour * HOUR_MS, NOON + (hour + 1) * HOUR_MS) for hour in range(3)]
    assert [window.profile.rows for window in rows] == [2, 3, 1]

    days = pd.date_range("2026-05-01 13:00", periods=6, freq="D", tz="UTC")
    log_inference(URI, inputs, won, timestamps=days)
    start = int(datetime(2026, 5, 1, tzinfo=UTC).timestamp() * 1000)
    found = list(find_files(client, NAME, OBSERVATIONS, start, start + 6 * DAY_MS))
    assert [(file.start, file.hours) for file in found] == [(start + day * DAY_MS, 24) for day in range(6)]
    assert len({file.store.root for file in found}) == 6  # a run per day


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"timestamps": [1, 2]}, InvalidParameterError, "There are 5 rows, but 2 timestamps"),
        ({"timestamps": ["yesterday"] * 5}, InvalidParameterError, "timestamps must be times or milliseconds"),
        ({"timestamps": [-1] * 5}, InvalidParameterError, "of the years 1970 to 9999"),
        ({"timestamps": [None] * 5}, InvalidParameterError, "timestamps must be"),
        ({"ids": [1]}, InvalidParameterError, "There are 5 rows, but 1 ids"),
        ({"ids": 7}, InvalidTypeError, "ids must be a sequence"),
        ({"ids": [1.5] * 5}, InvalidTypeError, "An id must be a text or an integer, got 1.5 of type float"),
        ({"ids": ["\ud800"] * 5}, InvalidParameterError, "An id is no Unicode text"),
        ({"sample_rows": -1}, InvalidParameterError, "sample_rows must be an integer of 0 or more, got -1"),
    ],
)
def test_what_cannot_be_recorded_is_refused(given: Any, error: Any, message: str, sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    register(client, reference=None)
    inputs, won = games(5)
    with pytest.raises(error, match=message):
        log_inference(URI, inputs, won, **given)
    assert whole(client).rows == 0


def test_only_versions_are_observed(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    register(client, reference=None)
    inputs, won = games(5)
    model_id = client.resolve(URI).model_id
    with pytest.raises(InvalidParameterError, match="is no version of a registered model, and only those are observed"):
        log_inference(f"models:/{model_id}", inputs, won)
    with pytest.raises(NotFoundError):
        log_inference(f"models:/{NAME}/9", inputs, won)
    loaded = registry.pyfunc.load_model(URI)
    log_inference(loaded, inputs, won)
    log_inference(client.get_model_version(NAME, 1), inputs, won)
    assert whole(client).rows == 10
    client.register_model(f"models:/{model_id}", "other")
    with pytest.raises(InvalidParameterError, match="has 2 registered versions, so it is not known which one answered"):
        log_inference(loaded, inputs, won)


def test_arrays_get_the_names_of_the_reference(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    register(client)
    inputs, won = games(200, 1)
    log_inference(URI, inputs.to_numpy(), won)
    assert [column.name for column in whole(client).columns] == ["gap", "rest", "prediction"]


def test_ground_truth_is_joined_by_id_and_the_last_value_counts(place: Place) -> None:
    register(place.client)
    inputs, won = games(200, 1)
    log_inference(URI, inputs, won, ids=[f"game {number}" for number in range(200)])
    log_inference(URI, inputs.head(1), 1 - won[:1], ids=["game 0"])  # predicted again, the other way round
    late = [f"game {number}" for number in range(150)]
    log_ground_truth(URI, late, 1 - won[:150])
    log_ground_truth(place.client.get_model_version(NAME, 1), late, won[:150])
    log_ground_truth(URI, ["of another season"], [1])

    joined = join_ground_truth(place.client, NAME, 1, 0, 2**42, get_reference(URI))
    assert joined is not None
    assert joined.performance is not None
    assert (joined.rows, round(joined.performance.mean_loss * 150)) == (150, 1)
    assert joined.get("target", "target").kind == "category"
    report = check(NAME, window="1h")
    (accuracy,) = [result for result in report.results if result.role == "performance"]
    assert (accuracy.column, accuracy.statistic) == ("accuracy", pytest.approx(149 / 150))
    assert join_ground_truth(place.client, NAME, 2, 0, 2**42, NOTHING) is None
    assert join_ground_truth(place.client, NAME, 1, 0, NOON, NOTHING) is None


def test_ground_truth_of_other_ids_joins_nothing(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    register(client, reference=None)
    inputs, won = games(5)
    log_inference(URI, inputs, won, ids=range(5))
    log_ground_truth(URI, np.arange(5, 10), won, timestamp=2**41)
    assert join_ground_truth(client, NAME, 1, 0, 2**42, NOTHING) is None
    log_ground_truth(URI, np.arange(5), [None, *won[1:]])
    joined = join_ground_truth(client, NAME, 1, 0, 2**42, NOTHING)
    assert joined is not None
    assert joined.performance is not None
    assert (joined.performance.rows, joined.performance.value) == (4, 1.0)


def test_personal_columns_never_reach_the_files(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    register(place.client, reference=None)
    inputs, won = games(20)
    frame = inputs.assign(email="ann@example.org", player="player 7")
    monkeypatch.setenv("REGISTRY_MONITORING_EXCLUDE", "*mail, secret")
    monkeypatch.setenv("REGISTRY_MONITORING_HASH", "player")
    monkeypatch.setenv("REGISTRY_MONITORING_HASH_KEY", "pepper")
    log_inference(URI, frame, won, ids=range(20))
    set_reference(URI, frame, won)
    log_inference(URI, frame, won, rules=PrivacyRules(exclude=["email", "player"]))

    assert [column.name for column in get_reference(URI).columns] == ["gap", "rest", "player", "prediction"]
    hashed = PrivacyRules(key="pepper").digest("player 7")
    assert get_reference(URI).get("input", "player").categories == {hashed: 20}
    monkeypatch.setenv("REGISTRY_MONITORING_SAMPLE_ROWS", "0")
    log_inference(URI, frame, won)
    for path in place.stored():
        if path.endswith(".parquet"):
            for content in _bytes(place, path):
                assert b"ann@" not in content
                assert b"player 7" not in content


def _bytes(place: Place, path: str) -> list[bytes]:
    from registry.blobs import open_blob_store

    return [open_blob_store(place.root).read(path)]


def test_gc_removes_the_observations_of_deleted_days(place: Place) -> None:
    register(place.client)
    inputs, won = games(50)
    for moment in (NOON, NOON + DAY_MS):
        log_inference(URI, inputs, won, ids=range(50), timestamps=moment)
    log_ground_truth(URI, range(50), won, timestamp=NOON)
    log_inference(URI, inputs, won)
    files = {path for path in place.stored() if "/observations/" in path or "/predictions/" in path}
    assert len(files) == 5

    assert delete_observations(NAME, "1d") == 5
    assert delete_observations(NAME, "1d") == 0
    assert delete_observations("never observed", "1d") == 0
    assert whole(place.client).rows == 50
    assert place.client.collect_garbage(apply=True).items == ()  # they can be restored for thirty days
    place.client.collect_garbage(apply=True, older_than="0s")
    left = {path for path in place.stored() if path.endswith(".parquet")}
    assert len([path for path in left if "/observations/" in path]) == 1
    assert [path for path in left if "/predictions/" in path or "/ground_truth/" in path] == []
    assert get_reference(URI).rows == 2_000
    with pytest.raises(InvalidParameterError, match="older_than must be a duration"):
        delete_observations(NAME, 5)  # type: ignore[arg-type]


def test_writing_goes_on_when_the_run_of_the_day_was_deleted(client: MlflowClient) -> None:
    register(client)
    inputs, won = games(50)
    log_inference(URI, inputs, won, timestamps=NOON)
    assert delete_observations(NAME, "0s") == 1
    log_inference(URI, inputs, won, timestamps=NOON)
    assert whole(client).rows == 50


def test_a_reference_that_is_set_replaces_the_sealed_one(place: Place) -> None:
    register(place.client)
    digest = place.client.resolve(URI).digest
    assert get_reference(URI).rows == 2_000
    profile = set_reference(place.client.get_model_version(NAME, 1), games(300)[0])

    assert profile.rows == get_reference(URI).rows == 300
    set_reference(URI, make_profile(games(40)[0]))
    assert get_reference(URI).rows == 40
    assert place.client.resolve(URI).digest == digest
    records = place.client.get_evidence(place.client.resolve(URI).model_id, "reference")
    assert [record.content["rows"] for record in records] == ["300", "40"]


def test_a_model_without_a_reference_says_how_to_set_one(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    register(client, reference=None)
    with pytest.raises(NotFoundError, match="has no reference. Set one with registry.monitoring.set_reference"):
        get_reference(URI)


def test_a_changed_reference_is_noticed(place: Place) -> None:
    register(place.client, reference=None)
    set_reference(URI, games(300)[0])
    (path,) = [path for path in place.stored() if path.endswith("reference.parquet")]
    from registry.blobs import open_blob_store

    open_blob_store(place.root).write(path, make_profile(games(10)[0]).to_parquet())
    registry.disconnect()
    with pytest.raises(IntegrityError, match="differs from the one that was recorded"):
        get_reference(URI, client=MlflowClient(place.url))


def _write(url: str, environment: dict[str, str], worker: int, barrier: Any, rounds: int) -> None:
    os.environ.update(environment)
    inputs, won = games(20, worker)
    client = MlflowClient(url)
    barrier.wait()
    for number in range(rounds):
        log_inference(URI, inputs, won, ids=[f"{worker}/{number}/{row}" for row in range(20)], client=client)


@pytest.mark.slow
def test_many_processes_write_at_once_and_nothing_is_lost(place: Place) -> None:
    register(place.client)
    barrier = _CONTEXT.Barrier(4)
    environment = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "REGISTRY_"))}
    workers = [
        _CONTEXT.Process(target=_write, args=(place.url, environment, worker, barrier, 5)) for worker in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert [worker.exitcode for worker in workers] == [0] * 4
    assert whole(place.client).rows == 4 * 5 * 20
    log_ground_truth(URI, [f"{worker}/{number}/0" for worker in range(4) for number in range(5)], [1] * 20)
    joined = join_ground_truth(place.client, NAME, 1, 0, 2**42, NOTHING)
    assert joined is not None
    assert joined.rows == 20


def _write_until_killed(url: str, acknowledged: Any) -> None:
    inputs, won = games(7, 0)
    client = MlflowClient(url)
    while True:
        log_inference(URI, inputs, won, client=client)
        with acknowledged.get_lock():
            acknowledged.value += 1


@pytest.mark.slow
def test_a_killed_writer_loses_nothing_that_was_acknowledged(client: MlflowClient) -> None:
    register(client)
    acknowledged = _CONTEXT.Value("i", 0)
    for kill in range(4):
        worker = _CONTEXT.Process(target=_write_until_killed, args=(client.tracking_uri, acknowledged))
        worker.start()
        while acknowledged.value < 3 * (kill + 1):
            time.sleep(0.01)
        time.sleep(0.003 * kill)
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid or 0, signal.SIGKILL)
        worker.join()
        # The call under way may have been stored without being acknowledged, and never in part.
        stored = whole(client).rows
        assert stored % 7 == 0
        assert acknowledged.value <= stored // 7 <= acknowledged.value + kill + 1


def test_a_full_disk_is_an_error_of_ours(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    register(client)
    inputs, won = games(5)
    log_inference(URI, inputs, won)
    directory = Path(next(iter(find_files(client, NAME, OBSERVATIONS, 0, 2**42))).store.root) / "observations"
    directory.rename(directory.with_name("moved"))
    directory.write_text("in the way")
    with pytest.raises(registry.exceptions.RegistryError):
        log_inference(URI, inputs, won)
