"""Searches for parameters: child runs, results and the best estimator."""

import mlflow
import numpy as np
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - importing it is its use
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

mlflow.sklearn.autolog(max_tuning_runs=3)
X, y = load_iris(return_X_y=True, as_frame=True)
with mlflow.start_run(run_name="01 grid"):
    pipeline = Pipeline([("scale", StandardScaler()), ("model", LogisticRegression(max_iter=300))])
    GridSearchCV(pipeline, {"model__C": [0.01, 0.1, 1.0, 10.0]}, cv=3).fit(X, y)
with mlflow.start_run(run_name="02 random, two scores"):
    search = RandomizedSearchCV(
        LogisticRegression(max_iter=300),
        {"C": np.logspace(-2, 2, 20)},
        n_iter=2,
        cv=3,
        random_state=0,
        scoring=["accuracy", "f1_macro"],
        refit="accuracy",
    )
    search.fit(X, y)
with mlflow.start_run(run_name="03 halving, in processes of joblib"):
    few = {"C": [0.01, 0.1, 1.0, 10.0]}
    HalvingGridSearchCV(LogisticRegression(max_iter=300), few, cv=3, factor=2, random_state=0, n_jobs=2).fit(X, y)
