"""Metrics whose names a key cannot hold (``ndcg@3``), in the user's own run, from arrays."""

import mlflow
import numpy as np
import xgboost

mlflow.xgboost.autolog()
generator = np.random.default_rng(4)
X = generator.normal(size=(90, 3))
y = generator.integers(0, 3, size=90)
matrix = xgboost.DMatrix(X, label=y)
matrix.set_group([30, 30, 30])
with mlflow.start_run():
    mlflow.log_param("mine", 1)
    xgboost.train(
        {"objective": "rank:ndcg", "eval_metric": ["ndcg@3", "ndcg@5-"], "nthread": 1},
        matrix,
        5,
        evals=[(matrix, "train")],
        verbose_eval=False,
    )
