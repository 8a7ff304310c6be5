"""Train two classifiers, register both, promote the better one and predict with what is in Production.

The data are synthetic basketball games: what is known before tip-off, and whether the home team won.
Run it in any directory: `python train_and_promote.py`. Runs, models and files are then below ./mlruns.
"""

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from xgboost import XGBClassifier

import registry as mlflow

MODEL = "home-win"


def play_games(count: int, seed: int = 7) -> tuple[pd.DataFrame, pd.Series]:
    """Return games with their features, and 1 for each home win."""
    random = np.random.default_rng(seed)
    games = pd.DataFrame(
        {
            "rating_difference": random.normal(0, 120, count),
            "home_rest_days": random.integers(0, 4, count).astype(float),
            "away_rest_days": random.integers(0, 4, count).astype(float),
            "home_injuries": random.poisson(1.0, count).astype(float),
            "away_win_streak": random.integers(0, 8, count).astype(float),
        }
    )
    rest = games["home_rest_days"] - games["away_rest_days"]
    strength = games["rating_difference"] / 90 + 0.25 * rest - 0.4 * games["home_injuries"] + 0.6
    home_win = random.random(count) < 1 / (1 + np.exp(-strength))
    return games, pd.Series(home_win.astype(int), name="home_win")


games, home_win = play_games(2_000)
train, test, train_win, test_win = train_test_split(games, home_win, random_state=7)

mlflow.set_experiment("basketball")
client = mlflow.MlflowClient()
candidates = {"stump": {"n_estimators": 5, "max_depth": 1}, "forest": {"n_estimators": 60, "max_depth": 3}}
trained = {}

for label, settings in candidates.items():
    with mlflow.start_run(run_name=label):
        mlflow.log_params(settings)
        mlflow.log_input(mlflow.data.from_pandas(train, name="games"), context="training")
        model = XGBClassifier(**settings, learning_rate=0.2, n_jobs=1, random_state=7).fit(train, train_win)
        chances = model.predict_proba(test)[:, 1]
        loss = log_loss(test_win, chances)
        mlflow.log_metrics({"log_loss": loss, "accuracy": accuracy_score(test_win, chances > 0.5)})
        info = mlflow.xgboost.log_model(model, name="model", input_example=test.head(3), registered_model_name=MODEL)
    trained[info.registered_model_version] = (label, model, loss)
    print(f"{label}: version {info.registered_model_version}, log loss {loss:.4f}")

best = min(trained, key=lambda version: trained[version][2])
client.transition_model_version_stage(MODEL, best, "Production", reason="lowest log loss of this run")
print(f"version {best} ({trained[best][0]}) is in Production")

production = mlflow.pyfunc.load_model(f"models:/{MODEL}/Production")
predicted = production.predict(test)
assert predicted.tolist() == trained[best][1].predict(test).tolist()
print(f"Production predicts {len(predicted)} games exactly as the model in memory does")
