"""A model that was right until the rules changed, and trainings that learn the new rules or do not."""

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from crashing import Crasher
from governed_models import stages
from monitored_models import NOTHING, finding
from sklearn.linear_model import LogisticRegression

import registry
from registry import BetterThanHolder, MlflowClient
from registry.entities import Incident
from registry.monitoring.retraining import Retrained, RetrainingTask
from registry.monitoring.runner import run_due
from registry.monitoring.triggers import Retraining, TriggerFile

# What a process that is killed imports before.
PRELOAD = ["retrained_models", "registry.sklearn", "registry.evaluation.comparison", "registry.monitoring.runner"]
RULES = [BetterThanHolder("accuracy_score", "holdout"), registry.NoOpenIncident()]


def games(count: int, seed: int, decides: str) -> pd.DataFrame:
    """Return games whose winner is decided by one of two columns."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame({"rest": generator.normal(size=count), "rating": generator.normal(size=count)})
    return frame.assign(won=(frame[decides] > 0).astype(int))


def log_classifier(frame: pd.DataFrame) -> str:
    """Fit and log a model in the active run; return its URI."""
    inputs = frame[["rest", "rating"]]
    model = LogisticRegression().fit(inputs, frame["won"])
    signature = registry.models.infer_signature(inputs, model.predict(inputs))
    return str(registry.sklearn.log_model(model, name="model", signature=signature).model_uri)


def champion(name: str = "nba") -> MlflowClient:
    """Put a model that knows the old rules into Production, with promotion rules; return a client."""
    with registry.start_run():
        uri = log_classifier(games(300, 1, "rest"))
    client = MlflowClient()
    client.register_model(uri, name)
    client.transition_model_version_stage(name, 1, "Production")
    client.set_promotion_rules(name, "Production", RULES)
    return client


def retraining(function: str, **changes: Any) -> Retraining:
    """Return a retraining that calls a function of this module."""
    settings = {"metric": "accuracy_score", "dataset": "holdout", "confidence": 0.95, "cooldown_seconds": 86_400.0}
    return Retraining("season", None, f"retrained_models:{function}", timeout_seconds=60.0, **{**settings, **changes})


def incident(client: MlflowClient, *triggers: str, known: TriggerFile = NOTHING) -> Incident:
    """Let a monitor of version 1 find that it is wrong; run what this sets off."""
    monitor = client.add_monitor("nba", triggers=triggers)
    check = finding("performance/accuracy:metric", version=1)
    (done,) = run_due(client, monitor_id=monitor.id, triggers=known, check=check).checks
    return done.incidents[0]


def check_nothing_is_half_promoted(client: MlflowClient) -> None:
    """A kill leaves the champion, or the new version with all its tags, and one holder of each stage."""
    client.verify("nba", read_bytes=True)
    found = stages(client, "nba")
    assert found in (
        {1: "Production"},
        {1: "Production", 2: "None"},
        {1: "Production", 2: "Staging"},
        {1: "Archived", 2: "Production"},
    )
    if 2 in found:
        assert client.get_model_version("nba", 2).tags["registry.parent_version"] == "1"
    holder = registry.sklearn.load_model("models:/nba/Production")
    assert holder.n_features_in_ == 2


def kill_at_steps(client: MlflowClient, crasher: Crasher, stride: int) -> None:
    """Retrain for an incident, killed at every step of a stride; nothing is half promoted, and the end is the same."""
    incident(client)
    for _ in crasher.kill_at_steps("retrain", client.tracking_uri, stride=stride, preload=PRELOAD):
        check_nothing_is_half_promoted(client)
    assert stages(client, "nba") == {1: "Archived", 2: "Production"}


def kill_at_random_moments(client: MlflowClient, crasher: Crasher, seed: int, longest: float) -> None:
    """Retrain for an incident, killed five times within some seconds; the end is as in `kill_at_steps`."""
    incident(client)
    moments = random.Random(seed)
    for _ in range(5):
        crasher.run("retrain", client.tracking_uri, after=moments.uniform(0.05, longest), preload=PRELOAD)
        check_nothing_is_half_promoted(client)
    assert crasher.run("retrain", client.tracking_uri, preload=PRELOAD)
    assert stages(client, "nba") == {1: "Archived", 2: "Production"}


def learn_new_rules(task: RetrainingTask) -> Retrained:
    """Train on games under the new rules."""
    assert task.run_id == registry.active_run().info.run_id  # type: ignore[union-attr]
    registry.log_metric("games", 300)
    return Retrained(log_classifier(games(300, 2, "rating")), games(300, 3, "rating"), "won")


def learn_old_rules(_task: RetrainingTask) -> Retrained:
    """Train on the same games again, which is no better."""
    return Retrained(log_classifier(games(300, 1, "rest")), games(300, 3, "rating"), "won")


def fail(_task: RetrainingTask) -> Retrained:
    """Fail before anything is logged."""
    raise ZeroDivisionError("no games")


def return_nothing(_task: RetrainingTask) -> None:
    """Forget to return the model."""


def main() -> None:
    """Train as a command does: read the task from stdin, print the answer as the last line."""
    task = json.load(sys.stdin)
    sys.stdout.write(f"training after version {task['parent_version']}\n")
    with registry.start_run() as run:
        assert run.info.run_id == task["run_id"]
        uri = log_classifier(games(300, 2, "rating"))
    holdout = Path("holdout.parquet").absolute()
    games(300, 3, "rating").to_parquet(holdout)
    sys.stdout.write(json.dumps({"model": uri, "holdout": str(holdout), "targets": "won"}) + "\n")


if __name__ == "__main__":
    main()
