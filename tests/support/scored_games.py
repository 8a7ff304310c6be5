"""A small registry to score with: versions 1 and 2 of ``churn``, of which version 1 is in Production."""

import numpy as np
import pandas as pd
import xgboost

import registry

COLUMNS = ["rest_days", "rating_gap"]


def games(rows: int) -> pd.DataFrame:
    """Data that the model takes, with an id that it does not."""
    generator = np.random.default_rng(11)
    features = pd.DataFrame(generator.normal(size=(rows, 2)), columns=COLUMNS)
    return features.assign(game=np.arange(rows))


def train(depth: int) -> xgboost.XGBClassifier:
    data = games(60)
    target = (data["rating_gap"] + 0.1 * data["rest_days"] > 0).astype(int)
    return xgboost.XGBClassifier(n_estimators=3, max_depth=depth, nthread=2).fit(data[COLUMNS], target)


def log_version(model: object) -> None:
    data = games(60)[COLUMNS]
    signature = registry.models.infer_signature(data, model.predict(data))  # type: ignore[attr-defined]
    flavor = registry.xgboost if type(model).__module__.startswith("xgboost") else registry.sklearn
    flavor.log_model(model, name="model", signature=signature, registered_model_name="churn")


def fill() -> None:
    for depth in (1, 3):
        log_version(train(depth))
    registry.MlflowClient().transition_model_version_stage("churn", 1, "Production")
