"""Everything that users do, at once: log, store, register, promote, roll back, sign, delete, restore, collect garbage.

Every process records what was acknowledged. Afterwards plain SQL checks the `invariants`, bypassing the library.
"""

import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from governed_models import RawSql

from registry import MlflowClient
from registry.exceptions import (
    ConflictError,
    InvalidParameterError,
    InvalidStateError,
    NotFoundError,
    PromotionRefusedError,
    RegistryError,
)
from registry.rules import MetricAtLeast

MODELS = tuple(f"model-{number}" for number in range(4))
EXPERIMENTS = 3
# Errors that a call may meet because others changed something meanwhile; any other error is a fault.
EXPECTED = (ConflictError, InvalidStateError, InvalidParameterError, NotFoundError, PromotionRefusedError)


@dataclass
class Told:
    """The acknowledged work of one process: logged points by run, reasons of changes, counts of outcomes."""

    points: Counter[str] = field(default_factory=Counter)
    reasons: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class Worker:
    """One process of the storm, which does one operation after another until its time is over."""

    def __init__(self, url: str, seed: int) -> None:
        self.client = MlflowClient(url)
        self.chance = random.Random(seed)
        self.seed, self.number = seed, 0
        self.told = Told()
        self.runs: list[str] = []

    def work(self, seconds: float) -> Told:
        """Do random operations for some seconds; return what was acknowledged."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.number += 1
            action = self.chance.choice(ACTIONS)
            try:
                action(self)
                self.told.outcomes[action.__name__] += 1
            except EXPECTED as error:
                self.told.outcomes[f"{action.__name__}: {type(error).__name__}"] += 1
            except RegistryError as error:
                self.told.faults.append(f"{action.__name__}: {type(error).__name__}: {error}")
        return self.told

    def model(self) -> str:
        return self.chance.choice(MODELS)

    def version(self, name: str) -> int:
        found = self.client.search_model_versions(f"name = '{name}'", max_results=50)
        if not found:
            raise InvalidStateError("no version yet")
        return self.chance.choice(found).version

    def run(self) -> str:
        if not self.runs or self.chance.random() < 0.2:
            experiment = self.client.get_experiment_by_name(f"e{self.chance.randrange(EXPERIMENTS)}")
            assert experiment is not None
            self.runs.append(self.client.create_run(experiment.experiment_id).info.run_id)
        return self.chance.choice(self.runs)

    def changed(self, change: Callable[[str], Any]) -> None:
        """Make a change with a unique reason, and record the reason once it is done."""
        reason = f"{self.seed}-{self.number}"
        change(reason)
        self.told.reasons.append(reason)


def log(worker: Worker) -> None:
    run_id = worker.run()
    for step in range(3):
        worker.client.log_metric(run_id, "f1", worker.chance.random(), step=step)
        worker.told.points[run_id] += 1
    worker.client.set_tag(run_id, "team", str(worker.number))
    worker.client.log_text(run_id, str(worker.number), "notes.txt")


def store_and_register(worker: Worker) -> None:
    client, run_id = worker.client, worker.run()
    made = client.create_logged_model(client.get_run(run_id).info.experiment_id, source_run_id=run_id)
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "data.bin").write_text("weights" * 100)
        client.log_model_artifacts(made.model_id, directory)
    client.finalize_logged_model(made.model_id, "READY")
    worker.changed(
        lambda reason: client.create_model_version(
            worker.model(), f"models:/{made.model_id}", tags={"by": str(worker.seed)}, reason=reason
        )
    )


def promote(worker: Worker) -> None:
    name, stage = worker.model(), worker.chance.choice(("Production", "Staging", "Archived"))
    version = worker.version(name)
    before = worker.client.get_model_version(name, version).current_stage
    worker.client.transition_model_version_stage(name, version, stage, reason=f"{worker.seed}-{worker.number}")
    worker.told.outcomes["moved" if before != stage else "was there"] += 1


def roll_back(worker: Worker) -> None:
    name = worker.model()
    worker.changed(lambda reason: worker.client.rollback(name, "Production", force=True, reason=reason))


def point_alias(worker: Worker) -> None:
    name = worker.model()
    worker.client.set_registered_model_alias(name, "best", worker.version(name))


def guard(worker: Worker) -> None:
    rules = [MetricAtLeast("f1", worker.chance.choice((0.01, 0.2)))]
    worker.client.set_promotion_rules(worker.model(), "Production", rules)


def approve_and_sign(worker: Worker) -> None:
    name = worker.model()
    version = worker.version(name)
    worker.client.approve(name, version, "Production", reason=str(worker.number))
    model_id = worker.client.get_model_version(name, version).model_id
    worker.client.backend.signing.sign(str(model_id), f"key-{worker.seed}", f"bundle {worker.number}")


def delete_version(worker: Worker) -> None:
    name = worker.model()
    version = worker.version(name)
    worker.changed(lambda reason: worker.client.delete_model_version(name, version, force=True, reason=reason))


def restore_version(worker: Worker) -> None:
    name = worker.model()
    deleted = [event.version for event in worker.client.get_history(name, kind="version_deleted")]
    if deleted:
        version = worker.chance.choice(deleted[-5:])
        worker.changed(lambda reason: worker.client.restore_model_version(name, version or 0, reason=reason))


def delete_run(worker: Worker) -> None:
    if len(worker.runs) > 3:
        worker.client.delete_run(worker.runs.pop(0))


def collect(worker: Worker) -> None:
    worker.client.collect_garbage(apply=True, older_than="2s", grace="1h")


def look(worker: Worker) -> None:
    found = worker.client.search_model_versions(f"name = '{worker.model()}' AND current_stage = 'Production'")
    assert len(found) <= 1
    worker.client.search_runs(["0"], order_by=["metrics.f1 DESC"], max_results=5)


ACTIONS: tuple[Callable[[Worker], None], ...] = (
    *(log, log, log, store_and_register, store_and_register, promote, promote, promote),
    *(roll_back, point_alias, point_alias, guard, approve_and_sign, delete_version, restore_version),
    *(delete_run, collect, look),
)


def storm(url: str, seed: int, seconds: float, writer: Any, environment: dict[str, str]) -> None:
    """Run one process of the storm, which sends what was acknowledged."""
    os.environ.update(environment)
    writer.send(Worker(url, seed).work(seconds))


# Each query returns nothing unless something is wrong.
INVARIANTS = {
    "a stage has one holder": "SELECT model_id, current_stage FROM model_versions "
    "WHERE current_stage IN ('Production', 'Staging') GROUP BY model_id, current_stage HAVING count(*) > 1",
    "versions are numbered without gaps": "SELECT m.name FROM registered_models m WHERE m.last_version <> "
    "(SELECT count(*) FROM model_versions v WHERE v.model_id = m.id) OR m.last_version <> "
    "(SELECT coalesce(max(v.version), 0) FROM model_versions v WHERE v.model_id = m.id)",
    "events are numbered without gaps": "SELECT m.name FROM registered_models m WHERE m.last_seq <> "
    "(SELECT count(*) FROM history h WHERE h.model_id = m.id) OR m.last_seq <> "
    "(SELECT coalesce(max(h.seq), 0) FROM history h WHERE h.model_id = m.id)",
    "every event continues the one before it": "SELECT h.id FROM history h LEFT JOIN history p "
    "ON p.model_id = h.model_id AND p.seq = h.seq - 1 WHERE (h.seq = 1 AND h.prev_hash IS NOT NULL) "
    "OR (h.seq > 1 AND (p.id IS NULL OR p.hash <> h.prev_hash OR p.time_us >= h.time_us OR p.id >= h.id))",
    "the model has the last hash": "SELECT m.name FROM registered_models m JOIN history h "
    "ON h.model_id = m.id AND h.seq = m.last_seq WHERE h.hash <> m.head_hash",
    "all events are counted": "SELECT last_event FROM registry_id WHERE last_event <> (SELECT count(*) FROM history) "
    "OR last_event <> (SELECT coalesce(max(id), 0) FROM history)",
    "who holds a stage has the open period": "SELECT v.id FROM model_versions v "
    "WHERE v.current_stage IN ('Production', 'Staging') AND NOT EXISTS (SELECT 1 FROM stage_periods p "
    "WHERE p.model_id = v.model_id AND p.stage = v.current_stage AND p.version = v.version AND p.until IS NULL)",
    "an open period is of who holds the stage": "SELECT p.id FROM stage_periods p JOIN model_versions v "
    "ON v.model_id = p.model_id AND v.version = p.version "
    "WHERE p.until IS NULL AND p.stage IN ('Production', 'Staging') AND v.current_stage <> p.stage",
    "periods do not overlap": "SELECT p.id FROM stage_periods p JOIN stage_periods q ON q.model_id = p.model_id "
    "AND q.stage = p.stage AND q.since > p.since WHERE p.until IS NULL OR p.until > q.since",
    "an alias has the open period": "SELECT a.alias FROM model_aliases a "
    "WHERE NOT EXISTS (SELECT 1 FROM stage_periods p WHERE p.model_id = a.model_id "
    "AND p.stage = '@' || a.alias AND p.version = a.version AND p.until IS NULL)",
    "an alias names a living version": "SELECT a.alias FROM model_aliases a JOIN model_versions v "
    "ON v.model_id = a.model_id AND v.version = a.version WHERE v.deleted_time IS NOT NULL",
    "a living version has files": "SELECT v.id FROM model_versions v LEFT JOIN logged_models l "
    "ON l.id = v.logged_model_id WHERE v.deleted_time IS NULL AND (l.id IS NULL OR l.status <> 'READY' "
    "OR l.purged_time IS NOT NULL OR NOT EXISTS (SELECT 1 FROM model_files f WHERE f.logged_model_id = l.id))",
    "the latest value is the last point": "SELECT s.id FROM latest_metrics s JOIN runs r ON r.id = s.run_id "
    "WHERE r.purged_time IS NULL AND NOT EXISTS (SELECT 1 FROM metrics p WHERE p.series_id = s.id "
    "AND p.step = s.step AND p.timestamp = s.timestamp AND p.value = s.value)",
    "no point is later than the latest": "SELECT s.id FROM latest_metrics s JOIN metrics p ON p.series_id = s.id "
    "WHERE p.step > s.step OR (p.step = s.step AND p.timestamp > s.timestamp) "
    "OR (p.step = s.step AND p.timestamp = s.timestamp AND p.value > s.value)",
    "every point has a series": "SELECT p.series_id FROM metrics p LEFT JOIN latest_metrics s ON s.id = p.series_id "
    "WHERE s.id IS NULL",
    "purged runs have no points": "SELECT r.id FROM runs r JOIN latest_metrics s ON s.run_id = r.id "
    "JOIN metrics p ON p.series_id = s.id WHERE r.purged_time IS NOT NULL",
    "an approval has an event": "SELECT a.actor FROM approvals a WHERE NOT EXISTS (SELECT 1 FROM history h "
    "WHERE h.model_id = a.model_id AND h.version = a.version AND h.kind = 'approved' AND h.time_us = a.time_us)",
    "a signature has an event": "SELECT g.key_id FROM model_signatures g JOIN model_versions v "
    "ON v.logged_model_id = g.logged_model_id WHERE NOT EXISTS (SELECT 1 FROM history h "
    "WHERE h.model_id = v.model_id AND h.version = v.version AND h.kind IN ('signed', 'version_created'))",
    "no upload or removal waits": "SELECT id FROM uploads UNION ALL SELECT id FROM removals",
    "a root has one owner": "SELECT count(*) FROM artifact_roots HAVING count(*) <> 1",
}


def broken_invariants(sql: RawSql) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """Return every invariant that does not hold, with the first rows that show it."""
    for what, query in INVARIANTS.items():
        rows = sql(f"{query} LIMIT 5")
        if rows:
            yield what, rows
