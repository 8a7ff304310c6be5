"""Models small enough to train in each session, and their training data."""

import numpy as np
import pandas as pd
import pytest
import xgboost
from mlflow_environment import run_mlflow
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

__all__ = ["run_mlflow"]


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    values = np.random.default_rng(7).normal(size=(60, 4))
    return pd.DataFrame(values, columns=["a", "b", "c", "d"])


@pytest.fixture(scope="session")
def labels(frame: pd.DataFrame) -> pd.Series:
    return (frame["a"] + frame["b"] > 0).astype(int)


@pytest.fixture(scope="session")
def classifier(frame: pd.DataFrame, labels: pd.Series) -> xgboost.XGBClassifier:
    return xgboost.XGBClassifier(n_estimators=4, max_depth=2).fit(frame, labels)


@pytest.fixture(scope="session")
def pipeline(frame: pd.DataFrame, labels: pd.Series) -> Pipeline:
    return make_pipeline(StandardScaler(), RandomForestClassifier(4, random_state=0)).fit(frame, labels)
