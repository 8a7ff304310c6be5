"""Try a grid of settings as child runs of one parent run, then find the best by a search and register it.

Run it in any directory: `python parameter_sweep.py`.
"""

from itertools import product

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score
from xgboost import XGBClassifier

import registry as mlflow

MODEL = "sweep-winner"
features, target = load_breast_cancer(return_X_y=True, as_frame=True)
experiment = mlflow.set_experiment("sweep")

with mlflow.start_run(run_name="grid") as parent:
    mlflow.set_tag("kind", "grid search")
    for depth, rate in product([1, 2, 3], [0.1, 0.3]):
        with mlflow.start_run(run_name=f"depth {depth}, rate {rate}", nested=True):
            settings = {"max_depth": depth, "learning_rate": rate, "n_estimators": 15}
            mlflow.log_params(settings)
            scores = cross_val_score(XGBClassifier(**settings, n_jobs=1), features, target, cv=3)
            for fold, score in enumerate(scores):
                mlflow.log_metric("fold_accuracy", score, step=fold)
            mlflow.log_metrics({"accuracy": scores.mean(), "spread": scores.std()})

# The search runs in the database; only the columns that are asked for are read.
table = mlflow.search_runs(
    experiment_names=["sweep"],
    filter_string=f"tags.`mlflow.parentRunId` = '{parent.info.run_id}' AND metrics.accuracy > 0.9",
    order_by=["metrics.accuracy DESC", "metrics.spread ASC"],
    columns=["run_id", "metrics.*", "params.max_depth", "params.learning_rate"],
)
print(table.drop(columns="run_id").round(4).to_string(index=False))

# What differs between the three best, with the best value of each metric.
print(mlflow.compare(table["run_id"].head(3).tolist(), lower_is_better=["spread"]).to_string())

# Each fold of the best run, as one data frame.
best = table.iloc[0]
print(mlflow.metric_history(best["run_id"], "fold_accuracy")[["step", "value"]].round(4).to_string(index=False))

# Resume the best run, to log its model there, trained on all rows.
settings = {"max_depth": int(best["params.max_depth"]), "learning_rate": float(best["params.learning_rate"])}
with mlflow.start_run(run_id=best["run_id"]):
    model = XGBClassifier(**settings, n_estimators=15, n_jobs=1).fit(features, target)
    info = mlflow.xgboost.log_model(model, name="model", registered_model_name=MODEL)

# A version is found by the metrics of its run.
client = mlflow.MlflowClient()
found = client.search_model_versions(f"name = '{MODEL}'", order_by=["metrics.accuracy DESC", "version_number DESC"])[0]
assert found.version == info.registered_model_version
client.set_registered_model_alias(MODEL, "champion", found.version)
print(f"{MODEL} version {found.version} is the champion, with accuracy {best['metrics.accuracy']:.4f}")
