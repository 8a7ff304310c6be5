"""The scikit-learn wrappers of XGBoost: fit with an evaluation set, then predictions and metrics after it."""

import mlflow
import numpy as np
import pandas as pd
import xgboost

mlflow.xgboost.autolog()
import sklearn.metrics  # noqa: E402

generator = np.random.default_rng(5)
X = pd.DataFrame(generator.normal(size=(150, 3)), columns=["a", "b", "c"])
y = (X["a"] - X["b"] + generator.normal(size=150) > 0).astype(int)
X_test, y_test = X[100:], y[100:]
with mlflow.start_run():
    model = xgboost.XGBClassifier(n_estimators=6, max_depth=2, n_jobs=1, eval_metric=["auc", "error"])
    model.fit(X[:100], y[:100], eval_set=[(X_test, y_test)], verbose=False)
    predictions = model.predict(X_test)
    sklearn.metrics.accuracy_score(y_test, predictions)
    model.score(X_test, y_test)
xgboost.XGBRegressor(n_estimators=3, n_jobs=1).fit(X.to_numpy(), y)
