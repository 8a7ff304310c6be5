"""LightGBM: `train` with early stopping, and its scikit-learn wrapper."""

import lightgbm
import mlflow
import numpy as np
import pandas as pd

mlflow.lightgbm.autolog(log_input_examples=True)
generator = np.random.default_rng(6)
X = pd.DataFrame(generator.normal(size=(300, 4)), columns=["a", "b", "c", "d"])
y = (X["a"] + generator.normal(size=300) > 0).astype(int)
train = lightgbm.Dataset(X[:200], label=y[:200], free_raw_data=False)
valid = lightgbm.Dataset(X[200:], label=y[200:], reference=train, free_raw_data=False)
settings = {"objective": "binary", "metric": ["auc", "binary_logloss"], "verbose": -1, "num_threads": 1, "seed": 1}
with mlflow.start_run(run_name="01 train"):
    lightgbm.train(
        settings,
        train,
        num_boost_round=20,
        valid_sets=[valid],
        valid_names=["valid"],
        callbacks=[lightgbm.early_stopping(3, verbose=False)],
    )
with mlflow.start_run(run_name="02 wrapper"):
    lightgbm.LGBMClassifier(n_estimators=4, verbose=-1, n_jobs=1).fit(X, y, eval_set=[(X[200:], y[200:])])
