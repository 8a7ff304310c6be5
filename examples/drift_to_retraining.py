"""A season of games changes in the middle: the model decays, and a daily check finds it and says why.

The league moves the three-point line on day 10: from then on, shooting decides games more than size does, and teams
pick other players. Run it in any directory: `python drift_to_retraining.py`.
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import xgboost

import registry as mlflow
from registry import monitoring

MODEL = "game-winner"
SEASON = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, RULE_CHANGE, GAMES = 20, 10, 500
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
assert reference.performance is not None
print(f"version 1 was right in {reference.performance.value:.0%} of {reference.rows} games")

# The new season: every day the model predicts, the results come in, and a check looks at the day.
production = f"models:/{MODEL}/Production"
served = mlflow.pyfunc.load_model(production)
found: list[tuple[int, monitoring.DriftReport]] = []
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
    if report.drifted:
        found.append((day, report))
    if len(found) == 3:
        break

first_day, first = found[0]
assert first_day == RULE_CHANGE
assert {"input/shooting:distribution", "performance/accuracy:metric"} <= set(first.causes)
assert "input/size:distribution" not in first.causes

# Each check is a run with its report: the evidence for whoever retrains the model.
evidence = mlflow.artifacts.load_dict(f"runs:/{first.run_id}/report.json")
assert monitoring.DriftReport.from_dict(evidence) == first
print(f"drift found on day {first_day}, the day of the new rules: {', '.join(first.causes)}")
