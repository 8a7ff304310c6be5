"""Eight processes do everything at once for minutes; afterwards plain SQL checks every invariant."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from gc_places import Place, stored_below
from governed_models import raw_sql
from mixed_storm import EXPERIMENTS, MODELS, Told, broken_invariants, storm
from racing import CONTEXT, settings
from soundness import check_bytes
from volumes import volume

from registry import MlflowClient

SECONDS = volume(300, 20)


def _run_storm(url: str, *, workers: int, seconds: float) -> list[Told]:
    pipes = [CONTEXT.Pipe(duplex=False) for _ in range(workers)]
    processes: list[Any] = [
        CONTEXT.Process(target=storm, args=(url, seed, seconds, writer, settings()), daemon=True)
        for seed, (_, writer) in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    for _, writer in pipes:
        writer.close()  # so that the end of a process that failed is seen
    told = [reader.recv() for reader, _ in pipes]
    for process in processes:
        process.join()
    return told


@pytest.mark.parametrize(("workers", "seconds"), [(3, 4), pytest.param(8, SECONDS, id="full", marks=pytest.mark.storm)])
def test_every_invariant_holds_after_a_mixed_storm(
    database_url: str, own_place: Path, monkeypatch: pytest.MonkeyPatch, workers: int, seconds: float
) -> None:
    root = own_place / "bytes"
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", str(root))
    client = MlflowClient(database_url)
    sql = raw_sql(database_url)
    for number in range(EXPERIMENTS):
        client.create_experiment(f"e{number}")
    for name in MODELS:
        client.create_registered_model(name)

    told = _run_storm(database_url, workers=workers, seconds=seconds)

    assert [fault for one in told for fault in one.faults] == []
    outcomes = sum((one.outcomes for one in told), Counter[str]())
    print(sum(outcomes.values()), "calls:", dict(outcomes.most_common()))  # noqa: T201 - shown by pytest -s
    check_bytes(Place(database_url, str(root), client, sql))
    assert list(broken_invariants(sql)) == []
    _check_acknowledged(told, sql)
    client.verify_all(read_bytes=True)
    assert {path.rpartition("/")[2] for path in stored_below(str(root))} <= {"data.bin", "notes.txt"}


def _check_acknowledged(told: list[Told], sql: Any) -> None:
    """Check that every acknowledged change and point is recorded exactly once."""
    events = Counter(reason for (reason,) in sql("SELECT reason FROM history WHERE kind <> 'stage_changed'"))
    reasons = [reason for one in told for reason in one.reasons]
    assert [reason for reason in reasons if not events[reason]] == []
    there = dict(
        sql(
            "SELECT r.run_id, count(p.series_id) FROM runs r LEFT JOIN latest_metrics s ON s.run_id = r.id "
            "LEFT JOIN metrics p ON p.series_id = s.id WHERE r.purged_time IS NULL GROUP BY r.run_id"
        )
    )
    acknowledged = {run_id: count for one in told for run_id, count in one.points.items() if run_id in there}
    assert {run_id: count for run_id, count in there.items() if count} == acknowledged
