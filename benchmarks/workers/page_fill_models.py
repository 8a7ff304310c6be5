"""Fill a database with one model of many versions and events, bypassing the library.

``page_fill_models.py URL VERSIONS EVENTS``: every version held Staging and Production once; the last holds Production.
Version N comes from run N, which `page_fill` made, and rules guard both stages.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

from page_fill import SPAN, START, Rows, _fill_postgres, _fill_sqlite


def tables(versions: int, events: int) -> Iterator[tuple[str, str, Rows]]:
    """Return the tables with their columns and rows, parents first."""
    step = SPAN * 1_000 // (events + events // versions)
    yield (
        "experiments",
        "id, name, artifact_location, lifecycle_stage, creation_time, last_update_time",
        iter([(9, "models", "/tmp/filled/9", "active", START, START)]),
    )
    yield (
        "logged_models",
        "id, model_id, experiment_id, run_id, name, status, location, digest, size_bytes, creation_time, "
        "last_update_time, lifecycle_stage",
        (
            (n, f"m-{n:032x}", 9, n, "model", "READY", f"models/{n}", f"{n:064x}", 1_000, START, START, "active")
            for n in range(1, versions + 1)
        ),
    )
    last_us = START * 1_000 + events * step
    columns = (
        "id, uid, name, name_key, creation_time, last_update_time, last_version, last_seq, last_event_us, head_hash"
    )
    row = (1, "0" * 32, "large", "large", START, START, versions, events, last_us, "f" * 64)
    yield "registered_models", columns, iter([row])
    rules = [{"kind": "metric_at_least", "metric": "metric_001", "value": 0.5}, {"kind": "approvals", "n": 1}]
    yield (
        "promotion_rules",
        "model_id, stage, rules",
        ((1, stage, json.dumps(rules)) for stage in ("Staging", "Production")),
    )
    stages = {versions: "Production", versions - 1: "Staging"}
    yield (
        "model_versions",
        "id, model_id, version, logged_model_id, current_stage, source, run_id, creation_time, last_update_time",
        (
            (n, 1, n, n, stages.get(n, "Archived"), f"models:/m-{n:032x}", f"{n:032x}", START + n, START + n)
            for n in range(1, versions + 1)
        ),
    )
    per_version = max(events // versions, 1)
    yield (
        "history",
        "id, model_id, seq, kind, version, from_value, to_value, actor, reason, time_us, details, hash",
        (_event(n, min((n - 1) // per_version + 1, versions), step) for n in range(1, events + 1)),
    )
    yield (
        "stage_periods",
        "id, model_id, stage, version, since, until",
        (period for n in range(1, versions + 1) for period in _periods(n, versions, per_version, step)),
    )


def _event(n: int, version: int, step: int) -> tuple[Any, ...]:
    details = json.dumps({"succeeded_by": version + 1})
    time = START * 1_000 + n * step
    return n, 1, n, "stage_changed", version, "None", "Staging", "bulk", "load", time, details, f"{n:064x}"


def _periods(n: int, versions: int, per_version: int, step: int) -> Iterator[tuple[Any, ...]]:
    begin = START * 1_000 + n * per_version * step
    for place, stage in enumerate(("Staging", "Production")):
        is_open = n == versions - 1 + place
        until = None if is_open else begin + per_version * step
        if n < versions or place:
            yield 2 * n + place, 1, stage, n, begin, until


def main() -> None:
    """Fill the database."""
    url, *sizes = sys.argv[1:]
    filled = tables(*map(int, sizes))
    if url.startswith("sqlite"):
        _fill_sqlite(url.removeprefix("sqlite:///").partition("?")[0], filled)
    else:
        _fill_postgres(url, filled)


if __name__ == "__main__":
    main()
