"""A season whose rules change in the middle: the model decays, a monitor finds it, and a retraining mends it.

The data are synthetic basketball games. Up to the middle of the season the better shooters win; then a rule change lets
the faster team win. Everything else is what a real loop does: a reference, observations, true results that come later,
a monitor, an incident, a trigger that trains, a comparison on a common holdout, promotion rules, and the history.
Run it in any directory: `python drift_to_retraining.py`. It takes less than a minute.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from xgboost import XGBClassifier

import registry as mlflow
from registry.monitoring import Retrained, RetrainingTask, make_profile

MODEL = "home-win"
GAMES = Path("games.parquet")
TRIGGERS = Path("triggers.toml")


def play_games(count: int, seed: int, *, new_rules: bool = False) -> pd.DataFrame:
    """Return games: what is known before tip-off, and whether the home team won."""
    random = np.random.default_rng(seed)
    games = pd.DataFrame(
        {
            "shooting_gap": random.normal(0, 4, count),
            "pace_gap": random.normal(3 if new_rules else 0, 5, count),
            "home_rest_days": random.integers(0, 4, count).astype(float),
        }
    )
    strength = games["pace_gap"] / 2 if new_rules else games["shooting_gap"] / 2
    chance = 1 / (1 + np.exp(-strength - 0.1 * games["home_rest_days"]))
    return games.assign(home_win=(random.random(count) < chance).astype(int))


def train(games: pd.DataFrame) -> str:
    """Fit and log a model with a profile of what it was trained on; return its URI."""
    features, won = games.drop(columns="home_win"), games["home_win"]
    fitting, measured = features.iloc[::2], features.iloc[1::2]
    model = XGBClassifier(n_estimators=60, max_depth=3, n_jobs=1, random_state=7).fit(fitting, won.iloc[::2])
    # Measured on the other half: a model that is judged on what it learned looks better than it is in use.
    reference = make_profile(measured, predictions=model.predict(measured), targets=won.iloc[1::2])
    signature = mlflow.models.infer_signature(fitting, model.predict(fitting))
    logged = mlflow.xgboost.log_model(model, name="model", signature=signature, reference=reference)
    return str(logged.model_uri)


def retrain(task: RetrainingTask) -> Retrained:
    """Train on the games since the incident; the trigger "learn-the-season" calls it."""
    recent = pd.read_parquet(GAMES)
    mlflow.log_input(mlflow.data.from_pandas(recent, name="games-since-the-incident"), context="training")
    mlflow.log_params({"after_version": task.parent_version, "incidents": len(task.incidents)})
    holdout = recent.sample(frac=0.4, random_state=7)
    return Retrained(train(recent.drop(holdout.index)), holdout, "home_win")


def play_and_predict(games: pd.DataFrame, name: str) -> float:
    """Predict games with the version in Production, as a service does; the results become known later."""
    version = client.get_model_version_by_stage(MODEL, "Production")
    uri = f"models:/{MODEL}/{version.version}"
    features = games.drop(columns="home_win")
    predictions = mlflow.xgboost.load_model(uri).predict(features)
    ids = [f"{name}-{number}" for number in range(len(games))]
    mlflow.monitoring.log_inference(uri, features, predictions, ids=ids)
    mlflow.monitoring.log_ground_truth(uri, ids, games["home_win"])
    right = float((predictions == games["home_win"]).mean())
    print(f"{name}: version {version.version} is right in {right:.1%} of {len(games)} games")
    return right


def check() -> None:
    """Make the monitor's check now, and run what an incident sets off. Cron would run: registry monitor run."""
    report = mlflow.monitoring.run_due(client, monitor_id=monitor.id)
    for done in report.checks:
        print(f"  check {done.check_id}: {done.status}")
        for incident in done.incidents:
            print(f"    incident {incident.id}: {incident.cause}")
    for fired in report.deliveries:
        print(f"  trigger {fired.delivery.trigger!r}: {fired.message}")


if __name__ == "__main__":
    client = mlflow.MlflowClient()

    print("— The season before")
    with mlflow.start_run(run_name="first model"):
        first = train(play_games(3_000, seed=1))
    client.register_model(first, MODEL)
    client.transition_model_version_stage(MODEL, 1, "Production", reason="the first model")
    rules = [mlflow.BetterThanHolder("accuracy_score", "holdout"), mlflow.NoOpenIncident()]
    client.set_promotion_rules(MODEL, "Production", rules)

    # What a trigger's name means stands in a file on the machine that runs the monitors, not in the database.
    TRIGGERS.write_text(
        '[retrainings.learn-the-season]\ncallable = "drift_to_retraining:retrain"\nmetric = "accuracy_score"\n'
    )
    os.environ["REGISTRY_TRIGGERS_FILE"] = str(TRIGGERS)
    monitor = client.add_monitor(MODEL, every="1d", window="7d", triggers=["learn-the-season"])

    print("— The season begins")
    before = play_and_predict(play_games(800, seed=2), "autumn")
    check()

    print("— The rules change")
    winter = play_games(1_500, seed=3, new_rules=True)
    decayed = play_and_predict(winter, "winter")
    winter.to_parquet(GAMES)
    check()

    print("— The season goes on")
    after = play_and_predict(play_games(800, seed=4, new_rules=True), "spring")
    check()
    for incident in client.get_incidents(MODEL, statuses=["open"]):
        client.close_incident(incident.id, reason="version 2 knows the new rules")

    print("— What the history says")
    kinds = ["version_created", "stage_changed", "incident_opened", "incident_closed"]
    for event in client.get_history(MODEL, kind=kinds):
        what = event.details.get("cause") or event.to_value or ""
        print(f"  {event.kind:16} version {event.version}  {what:28} {event.reason or ''}".rstrip())
    report = client.verify(MODEL)
    print(f"verified: {report.events} events, {report.versions} versions. See it in the browser: registry ui")

    assert client.get_model_version_by_stage(MODEL, "Production").version == 2
    assert decayed < before - 0.1 < after
    print(f"accuracy {before:.1%} → {decayed:.1%} after the rule change → {after:.1%} after the retraining")
