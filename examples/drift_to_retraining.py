"""A season of games changes: the model decays, checks find it and say why, and a retraining is let through by rules.

The league moves the three-point line on day 10: from then on, shooting decides games more than size does, and teams
pick other players. Run it in any directory: `python drift_to_retraining.py`.
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import xgboost

import registry as mlflow
from registry import BetterThanHolder, monitoring
from registry.monitoring import Retrained, Retraining, RetrainingTask

MODEL = "game-winner"
DAYS, RULE_CHANGE, GAMES = 13, 10, 500
# The last day of the season so far was yesterday.
SEASON = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
random = np.random.default_rng(2026)


def play(games: int, *, new_rules: bool = False) -> tuple[pd.DataFrame, pd.Series]:
    """Play games: the differences between the two teams, and whether the home team wins."""
    shooting = random.normal(0.8 if new_rules else 0, 1, games)
    size = random.normal(0, 1, games)
    rest_days = random.integers(0, 5, games).astype(float)
    weights = (1.6, -0.6) if new_rules else (0.4, 1.6)
    score = weights[0] * shooting + weights[1] * size + 0.1 * rest_days + random.normal(0, 0.7, games)
    frame = pd.DataFrame({"shooting": shooting, "size": size, "rest_days": rest_days})
    return frame, (score > 0).astype(int)


# Train on the games of last season. Games that the model has not seen are its reference: what it was made for, and how
# good it was.
train, train_won = play(4000)
test, test_won = play(3000)
model = xgboost.XGBClassifier(n_estimators=60, max_depth=3, nthread=1).fit(train, train_won)
reference = monitoring.make_profile(test, predictions=model.predict(test), targets=test_won)
with mlflow.start_run(run_name="last season"):
    mlflow.xgboost.log_model(
        model,
        name="model",
        registered_model_name=MODEL,
        signature=mlflow.models.infer_signature(train, model.predict(train)),
        reference=reference,
    )
client = mlflow.MlflowClient()
client.transition_model_version_stage(MODEL, 1, "Production")
client.set_promotion_rules(MODEL, "Production", [BetterThanHolder("accuracy_score", "holdout", confidence=0.95)])
assert reference.performance is not None
print(f"version 1 was right in {reference.performance.value:.0%} of {reference.rows} games")

# The new season: every day the model predicts, the results come in, and a check looks at the day.
production = f"models:/{MODEL}/Production"
served = mlflow.pyfunc.load_model(production)
found: list[tuple[int, monitoring.DriftReport]] = []
played: list[pd.DataFrame] = []
for day in range(DAYS):
    moment = SEASON + timedelta(days=day, hours=20)
    games, won = play(GAMES, new_rules=day >= RULE_CHANGE)
    ids = [f"{moment:%Y-%m-%d}/{number}" for number in range(GAMES)]
    monitoring.log_inference(production, games, served.predict(games), ids=ids, timestamps=moment)
    milliseconds = int((moment + timedelta(hours=2)).timestamp() * 1000)
    monitoring.log_ground_truth(production, ids, won, timestamp=milliseconds)
    report = monitoring.check(MODEL, window="1d", every="1d", at=moment + timedelta(hours=3))
    accuracy = next(result for result in report.results if result.role == "performance")
    print(f"day {day:2}: right in {accuracy.statistic:4.0%}  {', '.join(report.causes) or 'no drift'}")
    played.append(games.assign(won=won))
    if report.drifted:
        found.append((day, report))

first_day, first = found[0]
assert first_day == RULE_CHANGE
assert {"input/shooting:distribution", "performance/accuracy:metric"} <= set(first.causes)
assert "input/size:distribution" not in first.causes

# Each check is a run with its report: the evidence for whoever retrains the model.
evidence = mlflow.artifacts.load_dict(f"runs:/{first.run_id}/report.json")
assert monitoring.DriftReport.from_dict(evidence) == first
print(f"drift found on day {first_day}, the day of the new rules")

# A monitor makes such checks by itself; `registry monitor run` is what cron calls. Its incidents open once per cause.
client.add_monitor(MODEL, every="1d", window="3d")
monitoring.run_due()
incidents = client.get_incidents(MODEL, statuses=["open"])
print(f"{len(incidents)} incidents: {', '.join(incident.cause for incident in incidents)}")


def learn_new_rules(task: RetrainingTask) -> Retrained:
    """Train on the games since the rules changed, and keep every third one to compare the two models on."""
    mlflow.set_tag("answers", ", ".join(incident.cause for incident in task.incidents))
    recent = pd.concat(played[RULE_CHANGE:], ignore_index=True)
    is_held_out = recent.index % 3 == 0
    rows, holdout = recent[~is_held_out], recent[is_held_out].reset_index(drop=True)
    inputs = rows.drop(columns="won")
    challenger = xgboost.XGBClassifier(n_estimators=60, max_depth=3, nthread=1).fit(inputs, rows["won"])
    seen = monitoring.make_profile(inputs, predictions=challenger.predict(inputs), targets=rows["won"])
    signature = mlflow.models.infer_signature(inputs, challenger.predict(inputs))
    logged = mlflow.xgboost.log_model(challenger, name="model", signature=signature, reference=seen)
    return Retrained(logged.model_uri, holdout, "won")


retraining = Retraining("learn-new-rules", callable=learn_new_rules, metric="accuracy_score")
result = monitoring.retrain(MODEL, retraining, incidents=incidents)
assert (result.version, result.stage) == (2, "Production"), result.message
for incident in incidents:
    client.close_incident(incident.id, reason="version 2 knows the new rules")
assert client.verify(MODEL).notes == ()

games, won = play(1000, new_rules=True)
before = (model.predict(games) == won).mean()
after = (mlflow.pyfunc.load_model(production).predict(games) == won).mean()
print(f"version 2 is in Production: right in {after:.0%} of the next games, where version 1 would be in {before:.0%}")
