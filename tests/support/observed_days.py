"""A day that is over, with the small files that a service wrote in it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from registry import MlflowClient
from registry.monitoring import Profile, log_ground_truth, log_inference
from registry.monitoring.ground_truth import join_ground_truth
from registry.monitoring.observations import read_window
from registry.monitoring.storage import (
    DAY_MS,
    GROUND_TRUTH,
    HOUR_MS,
    OBSERVATIONS,
    PREDICTIONS,
    find_days,
    find_experiment,
    list_files,
)

KINDS = (OBSERVATIONS, PREDICTIONS, GROUND_TRUTH)
DAY = int((datetime.now(UTC) - timedelta(days=3)).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()) * 1000


def games(rows: int, seed: int) -> tuple[pd.DataFrame, Any, Any]:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"gap": random.normal(0, 1, rows), "arena": random.choice(["home", "away"], rows)})
    won = (frame["gap"] > 0).astype(int)
    return frame, won.where(random.random(rows) < 0.9, 1 - won), won


def observe(client: MlflowClient, files: int = 9, *, hours: int = 3, version: int = 1, begin: int = 0) -> None:
    """Record small files in several hours of a day that is over, and the true values of most rows."""
    for number in range(begin, begin + files):
        inputs, predictions, won = games(10, number + 1)
        ids = [f"{version}-{number}-{row}" for row in range(10)]
        moment = DAY + (number % hours) * HOUR_MS + 60_000
        uri = f"models:/wins/{version}"
        log_inference(uri, inputs, predictions, ids=ids, timestamps=moment, client=client)
        log_ground_truth(uri, ids[:8], won[:8], timestamp=moment, client=client)


def state(client: MlflowClient, version: int | None = None) -> Any:
    """Return all that is known of a day: of the whole day and hour by hour, with samples and true values."""
    found = []
    for start, end in ((DAY, DAY + DAY_MS), *((DAY + hour * HOUR_MS, DAY + (hour + 1) * HOUR_MS) for hour in range(4))):
        profile = read_window(client, "wins", version, start, end).profile
        truth = join_ground_truth(client, "wins", version, start, end, Profile(0, ()))
        columns = sorted(map(str, profile.columns))
        sample = pd.DataFrame() if profile.sample is None else profile.sample.fillna("")
        rows = sorted(map(str, sample[sorted(sample.columns)].to_numpy().tolist()))
        found.append((profile.rows, columns, rows, None if truth is None else (truth.rows, truth.performance)))
    return found


def names(client: MlflowClient) -> dict[str, int]:
    """Return how many files a day has, by kind."""
    experiment_id = find_experiment(client, "wins")
    assert experiment_id is not None
    return {
        kind: sum(len(list_files(client, run, kind)) for run in find_days(client, experiment_id, kind, DAY, DAY + 1))
        for kind in KINDS
    }
