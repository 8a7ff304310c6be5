"""Compaction beside other processes and with damaged files: nothing changes for readers, and the rest goes on."""

import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from governed_models import register
from monitored_models import NOTHING
from observed_days import DAY, games, names, observe, state

import registry
from registry import MlflowClient
from registry.entities.monitors import CheckOutcome, CheckStatus
from registry.exceptions import InvalidParameterError
from registry.monitoring import (
    Compaction,
    Profile,
    compact_observations,
    compaction,
    log_ground_truth,
    log_inference,
    set_reference,
)
from registry.monitoring.ground_truth import join_ground_truth
from registry.monitoring.storage import (
    DAY_MS,
    GROUND_TRUTH,
    OBSERVATIONS,
    PREDICTIONS,
    StoredFile,
    find_days,
    find_experiment,
    list_files,
)


@pytest.fixture
def client(sqlite_url: str) -> MlflowClient:
    """Return a client of a registry with a version that has a reference."""
    registry.set_tracking_uri(sqlite_url)
    client = MlflowClient(sqlite_url)
    register(client, "wins", 2)
    set_reference("models:/wins/1", *games(100, 0), client=client)
    return client


def day_run(client: MlflowClient, kind: str) -> Any:
    (run,) = find_days(client, find_experiment(client, "wins") or "", kind, DAY, DAY + 1)
    return run


def files(client: MlflowClient, kind: str) -> list[StoredFile]:
    return list_files(client, day_run(client, kind), kind)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Return a function that has something done while the next pass merges its first files of observations."""

    def arrange(happens: Callable[[], object]) -> None:
        merge, waiting = compaction.merge_observations, [happens]

        def merge_later(group: Any) -> bytes:
            if waiting:
                waiting.pop()()
            return merge(group)

        monkeypatch.setattr(compaction, "merge_observations", merge_later)

    return arrange


def test_the_last_true_value_of_an_id_counts_whatever_was_merged_with_it(client: MlflowClient) -> None:
    frame, _, _ = games(4, 1)
    log_inference("models:/wins/1", frame, [1, 1, 1, 1], ids=range(4), timestamps=DAY, client=client)
    # The second is of another version, so it is not merged with the others, of which the last one is newer.
    for version, ids, targets in ((1, [0, 1], [0, 0]), (2, [0, 1], [1, 1]), (1, [2, 3], [1, 0])):
        log_ground_truth(f"models:/wins/{version}", ids, targets, timestamp=DAY, client=client)
        time.sleep(0.005)
    before = state(client, 1)
    assert before[0][3][1].value == 0.75

    assert compact_observations("wins", client=client) == Compaction(merged=2, written=1)
    assert state(client, 1) == before
    compact_observations("wins", grace="0s", client=client)
    assert names(client)[GROUND_TRUTH] == 2
    assert state(client, 1) == before


def test_hours_with_many_sampled_rows_keep_as_many_as_a_check_looks_at(client: MlflowClient) -> None:
    for number in range(3):
        frame, predictions, _ = games(8_000, number)
        log_inference("models:/wins/1", frame, predictions, timestamps=DAY, sample_rows=8_000, client=client)
    before = state(client)
    assert len(before[0][2]) == 20_000

    assert compact_observations("wins", client=client) == Compaction(merged=3, written=1)
    assert state(client) == before


def test_a_slower_process_leaves_the_day_to_the_faster_one(client: MlflowClient, meanwhile: Any) -> None:
    observe(client, files=4)
    before = state(client)
    meanwhile(lambda: compact_observations("wins", client=MlflowClient(client.tracking_uri)))

    assert compact_observations("wins", client=client) == Compaction()
    assert compact_observations("wins", since="14d", grace="0s", client=client) == Compaction(removed=12)
    assert state(client) == before


def test_files_that_another_process_removes_meanwhile_are_no_error(client: MlflowClient, meanwhile: Any) -> None:
    observe(client, files=4)
    before = state(client)

    def compact() -> None:
        for _ in range(2):
            compact_observations("wins", grace="0s", client=MlflowClient(client.tracking_uri))

    meanwhile(compact)
    assert compact_observations("wins", grace="0s", client=client) == Compaction()
    assert names(client) == {OBSERVATIONS: 1, PREDICTIONS: 1, GROUND_TRUTH: 1}
    assert state(client) == before


def test_files_that_another_process_merged_meanwhile_stay_for_the_whole_grace(
    client: MlflowClient, meanwhile: Any
) -> None:
    frame, predictions, _ = games(10, 1)

    def log_twice(moment: int) -> None:
        for _ in range(2):
            log_inference("models:/wins/1", frame, predictions, timestamps=moment, client=client)

    log_twice(DAY)
    assert compact_observations("wins", client=client) == Compaction(merged=2, written=1)
    client.set_tag(day_run(client, OBSERVATIONS).info.run_id, "registry.monitoring.merged", "1")
    log_twice(DAY)  # late
    log_twice(DAY - DAY_MS)
    done: list[Compaction] = []
    meanwhile(lambda: done.append(compact_observations("wins", client=MlflowClient(client.tracking_uri))))

    # While the pass merges the day before, another one removes the first two files and merges the late ones.
    assert compact_observations("wins", client=client) == Compaction()
    assert done == [Compaction(merged=4, written=2, removed=2)]
    assert names(client)[OBSERVATIONS] == 4


@pytest.mark.parametrize("collects", [False, True])
def test_a_day_that_is_deleted_meanwhile_is_passed_over(client: MlflowClient, meanwhile: Any, collects: bool) -> None:
    observe(client, files=4)

    def delete() -> None:
        client.delete_run(day_run(client, OBSERVATIONS).info.run_id)
        if collects:
            client.collect_garbage(older_than="0s", apply=True)

    meanwhile(delete)
    assert compact_observations("wins", client=client) == Compaction(merged=8, written=2)


def test_a_damaged_file_is_left_out_and_named_once(client: MlflowClient, caplog: pytest.LogCaptureFixture) -> None:
    observe(client)
    damaged = [files(client, kind)[4] for kind in (OBSERVATIONS, PREDICTIONS, GROUND_TRUTH)]
    for file in damaged:
        data = bytearray(file.read())
        data[4:60] = bytes(255 - byte for byte in data[4:60])  # the first page; the end of the file is whole
        file.store.write(file.path, bytes(data))

    assert compact_observations("wins", client=client) == Compaction(merged=24, written=3)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        f"A damaged file is left out of compaction. {file.address} is no Parquet file that can be read"
        for file in damaged
    ]
    with pytest.raises(InvalidParameterError, match=damaged[1].name):
        join_ground_truth(client, "wins", 1, DAY, DAY + DAY_MS, Profile(0, ()))


def test_a_damaged_merged_file_stops_its_day_alone_and_no_runner(
    client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    observe(client)
    run_id = day_run(client, OBSERVATIONS).info.run_id
    client.log_text(run_id, "junk", "observations/20260101T000000Z_24h_v1_1700000000000aa.merged.parquet")
    client.transition_model_version_stage("wins", 1, "Production")
    monitor = client.add_monitor("wins")

    run_due(client, monitor.id)
    assert names(client) == {OBSERVATIONS: 10, PREDICTIONS: 10, GROUND_TRUTH: 10}
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("The observations of a day of 'wins' were not compacted: ")


def run_due(client: MlflowClient, monitor_id: int) -> None:
    from registry.monitoring.runner import run_due

    run_due(client, monitor_id=monitor_id, triggers=NOTHING, check=lambda *_: CheckOutcome(CheckStatus.OK, 1))


def test_a_merged_file_of_rows_without_their_times_is_refused(client: MlflowClient) -> None:
    observe(client, files=1)
    path = "predictions/20260101T000000Z_9999h_v1_1700000000000aa.merged.parquet"
    (file,) = files(client, PREDICTIONS)
    with file.store.open(file.path) as stream:
        table = pq.read_table(pa.py_buffer(stream.read()))
    buffer = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({"registry.sources": "[]"}), buffer)
    file.store.write(path, buffer.getvalue().to_pybytes())
    with pytest.raises(InvalidParameterError, match="is no merged file of rows: it has no 'start' and 'stamp'"):
        join_ground_truth(client, "wins", 1, DAY, DAY + DAY_MS, Profile(0, ()))
