"""Data of three kinds for evaluations, and models of them."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

import registry


def games(kind: str, rows: int = 120) -> pd.DataFrame:
    """Two features and the target ``y``: 0 or 1 (``binary``), one of three texts (``multi``), or a number."""
    generator = np.random.default_rng(4)
    frame = pd.DataFrame({"a": generator.normal(size=rows), "b": generator.normal(size=rows)})
    score = frame["a"] + 0.5 * frame["b"] + generator.normal(0, 0.7, rows)
    if kind == "binary":
        return frame.assign(y=(score > 0).astype(int))
    if kind == "multi":
        return frame.assign(y=np.array(["away", "draw", "home"])[np.digitize(score, [-0.4, 0.4])])
    return frame.assign(y=score * 10)


def estimator(kind: str) -> Any:
    """A fitted scikit-learn model of a kind of data; the first 60 rows are for training."""
    train = games(kind).head(60)
    made = {
        "binary": LogisticRegression(),
        "multi": RandomForestClassifier(20, random_state=0),
        "number": LinearRegression(),
    }
    return made[kind].fit(train[["a", "b"]], train["y"])


def holdout(kind: str, name: str = "holdout-2026") -> registry.data.PandasDataset:
    """The last 60 rows as a data set."""
    return registry.data.from_pandas(games(kind).tail(60), "s3://nba/games.parquet", targets="y", name=name)


def log(kind: str, model: Any = None) -> str:
    """Log a model of a kind, or another one, register it as the next version of ``nba``, and return its URI."""
    with registry.start_run():
        made = estimator(kind) if model is None else model
        info = registry.sklearn.log_model(made, name="model", registered_model_name="nba")
    return f"models:/nba/{info.registered_model_version}"
