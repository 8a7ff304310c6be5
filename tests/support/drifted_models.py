"""A model whose inputs drift, with its checks: nothing is trained, so that a page's test can make several."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from governed_models import register

import registry
from registry import MlflowClient
from registry.entities import Monitor
from registry.entities.monitors import CheckOutcome
from registry.monitoring import log_ground_truth, log_inference, set_reference
from registry.monitoring.checks import CheckSettings, compare, log_report
from registry.monitoring.incidents import outcome_of
from registry.monitoring.runner import run_due
from registry.monitoring.triggers import TriggerFile

NAMES: Mapping[str, str] = {"gap": "gap", "arena": "arena", "new": "elsewhere"}


def games(
    rows: int, seed: int, *, shift: float = 0.0, is_new: bool = False, names: Mapping[str, str] = NAMES
) -> tuple[pd.DataFrame, Any, Any]:
    """Return inputs, predictions that are right in nine of ten games, and who won; `names` name columns and a place."""
    random = np.random.default_rng(seed)
    places = ["home", "away", names["new"]] if is_new else ["home", "away"]
    frame = pd.DataFrame({names["gap"]: random.normal(shift, 1, rows), names["arena"]: random.choice(places, rows)})
    won = (frame[names["gap"]] > shift).astype(int)
    wrong = random.random(rows) < (0.4 if is_new else 0.1)
    return frame, won.where(~wrong, 1 - won), won


def drifted_model(
    client: MlflowClient, name: str = "nba", *, checks: int = 3, names: Mapping[str, str] = NAMES
) -> Monitor:
    """Register a model whose inputs drift at the last of its checks, one a day; return the monitor."""
    registry.set_tracking_uri(client.tracking_uri)
    register(client, name, 1)
    client.transition_model_version_stage(name, 1, "Production")
    version = client.get_model_version(name, 1)
    set_reference(version, *games(400, 1, names=names), client=client)
    monitor = client.add_monitor(name, every="1d", window="1d", triggers=["page"])
    now = datetime.now(UTC)
    for day in range(checks):
        end = now - timedelta(days=checks - 1 - day)
        is_new = day == checks - 1
        moment = int((end - timedelta(hours=2)).timestamp() * 1000)
        inputs, predictions, won = games(200, 10 + day, shift=2.0 if is_new else 0.0, is_new=is_new, names=names)
        ids = [f"{day}-{number}" for number in range(len(inputs))]
        log_inference(version, inputs, predictions, ids=ids, timestamps=moment, client=client)
        log_ground_truth(version, ids, won, timestamp=moment, client=client)
        check_until(client, monitor, end)
    return monitor


def check_until(client: MlflowClient, monitor: Monitor, end: datetime) -> None:
    """Let a monitor check the day before a time."""

    def check(_client: MlflowClient, given: Monitor) -> CheckOutcome:
        detectors = ["ks", "psi", "missing", "new_categories", "performance"]
        settings = CheckSettings(window="1d", at=end, detectors=detectors)
        compared = compare(client, given.name, settings)
        return outcome_of(log_report(client, compared), int(end.timestamp() * 1000))

    (done,) = run_due(client, monitor_id=monitor.id, triggers=TriggerFile({}, {}), check=check).checks
    assert done.status in ("ok", "drift"), done.message
