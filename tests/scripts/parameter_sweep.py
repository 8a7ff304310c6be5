"""An ordinary MLflow script: a sweep with one child run per setting, and a search for the best one."""

import sys

import mlflow
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

mlflow.set_tracking_uri(sys.argv[1])
experiment = mlflow.set_experiment("sweep")
features, target = load_breast_cancer(return_X_y=True)

with mlflow.start_run(run_name="sweep") as parent:
    mlflow.set_tag("kind", "grid")
    for strength in (0.01, 0.1, 1.0):
        with mlflow.start_run(run_name=f"C={strength}", nested=True):
            mlflow.log_param("C", strength)
            pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=strength))
            for step, score in enumerate(cross_val_score(pipeline, features, target, cv=3)):
                mlflow.log_metric("fold_accuracy", score, step=step)
            mlflow.log_metric("accuracy", cross_val_score(pipeline, features, target, cv=3).mean())

children = mlflow.search_runs(
    experiment_ids=[experiment.experiment_id],
    filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}' and metrics.accuracy > 0.5",
    order_by=["metrics.accuracy DESC"],
)
best = children.iloc[0]
with mlflow.start_run(run_id=parent.info.run_id):
    chosen = make_pipeline(StandardScaler(), LogisticRegression(C=float(best["params.C"]))).fit(features, target)
    mlflow.sklearn.log_model(chosen, name="best", input_example=features[:3])
    mlflow.log_metric("best_accuracy", best["metrics.accuracy"])

history = mlflow.MlflowClient().get_metric_history(best["run_id"], "fold_accuracy")
loaded = mlflow.sklearn.load_model(f"runs:/{parent.info.run_id}/best")
answer = {
    "children": len(children),
    "sorted": bool(children["metrics.accuracy"].is_monotonic_decreasing),
    "steps": [point.step for point in history],
    "equal": loaded.predict(features).tolist() == chosen.predict(features).tolist(),
    "status": mlflow.get_run(parent.info.run_id).info.status,
    "active": mlflow.active_run() is None,
}
