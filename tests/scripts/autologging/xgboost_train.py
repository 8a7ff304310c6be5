"""`xgboost.train` with evaluation sets and early stopping, in a run that autologging makes."""

import mlflow
import numpy as np
import pandas as pd
import xgboost

mlflow.xgboost.autolog(log_input_examples=True, importance_types=["weight", "gain"], extra_tags={"team": "a"})
generator = np.random.default_rng(3)
X = pd.DataFrame(generator.normal(size=(200, 4)), columns=["a", "b", "c", "d"])
y = (X["a"] + generator.normal(size=200) > 0).astype(int)
train = xgboost.DMatrix(X[:150], label=y[:150])
test = xgboost.DMatrix(X[150:], label=y[150:])
xgboost.train(
    {"objective": "binary:logistic", "eval_metric": ["auc", "logloss"], "max_depth": 2, "nthread": 1, "seed": 1},
    train,
    num_boost_round=30,
    evals=[(train, "train"), (test, "test")],
    early_stopping_rounds=3,
    verbose_eval=False,
)
