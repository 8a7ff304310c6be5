"""Compaction: merged files say what their sources said, whoever reads, writes, merges or dies meanwhile."""

import io
import json
import threading
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from crashing import Crasher
from governed_models import register
from monitored_models import NOTHING
from observed_days import DAY, KINDS, games, names, observe, state

import registry
from registry import MlflowClient
from registry.blobs import Range
from registry.entities.monitors import CheckOutcome, CheckStatus
from registry.exceptions import ArtifactNotFoundError, InvalidParameterError
from registry.monitoring import (
    Compaction,
    compact_observations,
    delete_observations,
    log_ground_truth,
    log_inference,
    set_reference,
)
from registry.monitoring.merged_files import read_merged_profiles
from registry.monitoring.runner import run_due
from registry.monitoring.storage import (
    OBSERVATIONS,
    StoredFile,
    choose_files,
    find_days,
    find_experiment,
    list_files,
    retried,
    write_file,
)

PRELOAD = [
    "registry.monitoring",
    "registry.monitoring.compaction",
    "registry.monitoring.merged_files",
    "pyarrow.parquet",
]


@pytest.fixture(params=["local", "moto_s3"])
def client(request: pytest.FixtureRequest, sqlite_url: str) -> MlflowClient:
    """Return a client of a registry with a version that has a reference, its files on disk or on S3."""
    if request.param == "moto_s3":
        request.getfixturevalue("artifacts_on_s3")
    registry.set_tracking_uri(sqlite_url)
    client = MlflowClient(sqlite_url)
    register(client, "wins", 2)
    set_reference("models:/wins/1", *games(100, 0), client=client)
    return client


def test_merged_files_say_what_their_sources_said(client: MlflowClient) -> None:
    observe(client)
    before = state(client)
    assert before[0][0] == 90
    assert before[0][3][0] == 72
    assert names(client) == dict.fromkeys(KINDS, 9)

    assert compact_observations("wins", client=client) == Compaction(merged=27, written=3, removed=0)
    assert names(client) == dict.fromkeys(KINDS, 10)
    assert state(client) == before
    # The small files stay for those who read them now; and nothing is merged again.
    assert compact_observations("wins", client=client) == Compaction()
    assert compact_observations("wins", grace="0s", client=client) == Compaction(removed=27)
    assert names(client) == dict.fromkeys(KINDS, 1)
    assert state(client) == before
    assert compact_observations("wins", grace="0s", client=client) == Compaction()
    assert delete_observations("wins", "1d", client=client) == 3
    assert state(client)[0][0] == 0


def test_files_that_come_late_are_read_merged_and_win(client: MlflowClient) -> None:
    observe(client)
    compact_observations("wins", client=client)
    compact_observations("wins", grace="0s", client=client)
    right = state(client)[1][3]
    inputs, predictions, _ = games(10, 1)
    ids = [f"1-0-{row}" for row in range(10)]
    for _ in range(2):
        log_ground_truth("models:/wins/1", ids, 1 - predictions, timestamp=DAY + 5, client=client)
        log_inference("models:/wins/1", inputs, predictions, ids=ids, timestamps=DAY + 5, client=client)

    late = state(client)
    assert late[0][0] == 110
    assert late[1][3][1].value < right[1].value

    assert compact_observations("wins", since="14d", client=client) == Compaction()
    assert compact_observations("wins", client=client) == Compaction(merged=6, written=3)
    assert state(client) == late
    assert compact_observations("wins", since="14d", grace="0s", client=client) == Compaction(removed=6)
    assert state(client) == late


def test_versions_and_columns_are_kept_apart_and_a_broken_file_is_left(client: MlflowClient) -> None:
    observe(client)
    observe(client, version=2)
    frame, predictions, _ = games(10, 5)
    for _ in range(2):
        log_inference("models:/wins/1", frame[["gap"]], predictions, timestamps=DAY, client=client)
    one, two, every = state(client, 1), state(client, 2), state(client)

    assert compact_observations("wins", client=client) == Compaction(merged=56, written=7)
    assert (state(client, 1), state(client, 2), state(client)) == (one, two, every)
    for _ in range(2):
        write_file(client, "wins", OBSERVATIONS, b"broken", version=1, start=DAY)
    assert compact_observations("wins", grace="0s", client=client) == Compaction(removed=56)
    assert names(client)[OBSERVATIONS] == 5
    with pytest.raises(InvalidParameterError, match="no Parquet file of a profile"):
        state(client)


def test_two_that_merge_at_once_double_nothing(client: MlflowClient) -> None:
    observe(client)
    before = state(client)
    failures: list[BaseException] = []
    start = threading.Barrier(3)

    def compact() -> None:
        own = MlflowClient(client.tracking_uri)
        start.wait()
        try:
            compact_observations("wins", client=own)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=compact) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert state(client) == before
    compact_observations("wins", grace="0s", client=client)
    assert state(client) == before


@pytest.mark.slow
@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.storm)])
def test_killed_at_any_step_nothing_is_lost_and_nothing_doubled(
    client: MlflowClient, crasher: Crasher, stride: int
) -> None:
    observe(client)
    before = state(client)
    for grace in ("1d", "0s"):
        for _ in crasher.kill_at_steps("compact", client.tracking_uri, stride=stride, preload=PRELOAD, grace=grace):
            assert state(client) == before
    assert crasher.kills >= 2
    compact_observations("wins", grace="0s", client=client)
    assert state(client) == before
    assert names(client) == dict.fromkeys(KINDS, 1)


def test_a_removal_that_was_interrupted_goes_on(client: MlflowClient) -> None:
    observe(client)
    before = state(client)
    compact_observations("wins", client=client)
    for kind in KINDS:
        experiment_id = find_experiment(client, "wins") or ""
        (run,) = find_days(client, experiment_id, kind, DAY, DAY + 1)
        replaced = choose_files(list_files(client, run, kind))[1]
        replaced[0].store.delete([file.path for file in replaced[::2]])
        assert state(client) == before
    compact_observations("wins", grace="0s", client=client)
    assert state(client) == before
    assert names(client) == dict.fromkeys(KINDS, 1)


def test_a_runner_merges_the_days_of_what_it_checked(client: MlflowClient) -> None:
    observe(client, files=4)
    before = state(client)
    client.transition_model_version_stage("wins", 1, "Production")
    monitor = client.add_monitor("wins")

    run_due(client, monitor_id=monitor.id, triggers=NOTHING, check=lambda *_: CheckOutcome(CheckStatus.OK, 1))

    assert names(client) == dict.fromkeys(KINDS, 5)
    assert state(client) == before


def test_days_that_are_not_over_and_models_that_nobody_observed_have_nothing_to_merge(client: MlflowClient) -> None:
    frame, predictions, _ = games(10, 5)
    assert compact_observations("wins", client=client) == Compaction()
    assert compact_observations("nothing", client=client) == Compaction()
    for _ in range(3):
        log_inference("models:/wins/1", frame, predictions, client=client)
    assert compact_observations("wins", client=client) == Compaction()
    observe(client, files=4)
    assert compact_observations("wins", limit=1, client=client) == Compaction(merged=4, written=1)
    for wrong in ("soon", timedelta(-1), 3):
        with pytest.raises(InvalidParameterError):
            compact_observations("wins", grace=wrong, client=client)  # type: ignore[arg-type]
    for limit in (0, -1, True, "1"):
        with pytest.raises(InvalidParameterError, match="limit must be an integer of 1 or more"):
            compact_observations("wins", limit=limit, client=client)  # type: ignore[arg-type]


def test_profiles_without_samples_are_merged_too(client: MlflowClient) -> None:
    frame, predictions, _ = games(10, 5)
    for _ in range(3):
        log_inference("models:/wins/1", frame, predictions, timestamps=DAY, sample_rows=0, client=client)
    before = state(client)
    assert compact_observations("wins", client=client) == Compaction(merged=3, written=1)
    assert state(client) == before
    assert before[0][:1] == (30,)


class Place:
    """A store of merged files that name their sources, for `choose_files`."""

    root = "nowhere"

    def __init__(self, *, rows: int = 0, **sources: Iterable[str]) -> None:
        self.files = {f"{name}.merged.parquet": merged_file(given, rows) for name, given in sources.items()}
        self.sent: list[int] = []

    def open(self, path: str, part: Range) -> io.BytesIO:
        self.sent.append(part.stop - part.start)
        return io.BytesIO(self.files[path][part.start : part.stop])

    def listed(self, present: str = "") -> list[StoredFile]:
        place: Any = self
        plain = [StoredFile(place, f"{letter}.parquet", 1, 0, 1, 1, 1) for letter in present]
        return plain + [StoredFile(place, path, len(data), 0, 1, 1, 1) for path, data in self.files.items()]


def merged_file(sources: Iterable[str], rows: int) -> bytes:
    buffer = io.BytesIO()
    metadata = {b"registry.sources": json.dumps([f"{name}.parquet" for name in sources]).encode()}
    table = pa.table({"random": np.random.default_rng(0).random(rows)})
    pq.write_table(table.replace_schema_metadata(metadata), buffer)
    return buffer.getvalue()


def chosen(present: str, **merged: str) -> tuple[str, str]:
    """Return which files are read and which replaced, by letter; merged ones have upper-case letters."""
    read, replaced = choose_files(Place(**merged).listed(present))
    return "".join(file.path[0] for file in read), "".join(sorted(file.path[0] for file in replaced))


def test_of_merged_files_that_share_sources_one_counts_and_no_row_is_lost() -> None:
    assert chosen("abc") == ("abc", "")
    assert chosen("abcd", A="abc") == ("Ad", "abc")
    assert chosen("abc", A="ab", B="abc") == ("B", "Aabc")
    assert chosen("abcd", A="abc", B="bcd") == ("Ad", "Babc")
    # A was merged and its sources removed, before another process wrote B.
    assert chosen("cde", A="ab", B="bcde") == ("Acde", "B")
    assert chosen("", A="ab", B="cd") == ("AB", "")


def test_of_a_merged_file_only_the_end_is_read_and_once() -> None:
    place = Place(rows=100_000, A="ab")
    chosen, replaced = choose_files(place.listed("abc"))
    assert [file.path for file in chosen] == ["A.merged.parquet", "c.parquet"]
    assert place.sent == [65_536]
    assert len(place.files["A.merged.parquet"]) > 800_000

    assert choose_files(place.listed("abc"), known=[*chosen, *replaced]) == (chosen, replaced)
    assert place.sent == [65_536]

    many = Place(rows=100_000, A=[f"{number:032d}" for number in range(5_000)])
    assert len(choose_files(many.listed())[0][0].sources) == 5_000
    assert len(many.sent) == 2
    assert sum(many.sent) < 800_000


def test_a_read_is_repeated_when_a_file_was_replaced_meanwhile() -> None:
    asked: list[int] = []

    def read(after: int) -> str:
        asked.append(after)
        if len(asked) <= after:
            raise ArtifactNotFoundError("gone")
        return "whole"

    assert retried(read)(2) == "whole"
    asked.clear()
    with pytest.raises(ArtifactNotFoundError):
        retried(read)(3)


def test_files_with_other_names_are_none_of_ours(client: MlflowClient) -> None:
    observe(client, files=2)
    before = state(client)
    (run,) = find_days(client, find_experiment(client, "wins") or "", OBSERVATIONS, DAY, DAY + 1)
    for name in ("notes.txt", "20269999T000000Z_1h_v1_1700000000000aa.parquet", "20260101T000000Z_1h_v1_1.parquet"):
        client.log_text(run.info.run_id, "junk", f"observations/{name}")
    assert compact_observations("wins", client=client) == Compaction(merged=6, written=3)
    assert state(client) == before


def test_a_merged_file_that_is_none_is_an_error(client: MlflowClient, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="no merged file of profiles"):
        read_merged_profiles(b"junk", 0, 1)
    observe(client, files=2)
    (run,) = find_days(client, find_experiment(client, "wins") or "", OBSERVATIONS, DAY, DAY + 1)
    for content in ("junk", ""):
        client.log_text(run.info.run_id, content, "observations/20260101T000000Z_24h_v1_1700000000000aa.merged.parquet")
        with pytest.raises(InvalidParameterError, match="is no merged file"):
            list(choose_files(list_files(client, run, OBSERVATIONS)))
