# An unmodified mlflow script: autologging, models of three kinds, nested runs, registering, stages, aliases, loading.
import sys

import mlflow
import numpy as np
import pandas as pd
import xgboost
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV


class Doubled(mlflow.pyfunc.PythonModel):
    def predict(self, model_input):
        return model_input * 2


mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("nba")
X = pd.DataFrame(np.random.default_rng(0).random((60, 2)), columns=["elo", "rest"])
y = (X["elo"] > 0.5).astype(int)
mlflow.sklearn.autolog(silent=True, log_models=False)
mlflow.xgboost.autolog(silent=True)
with mlflow.start_run(run_name="grid"):
    GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(X, y)
with mlflow.start_run(run_name="boosted") as run:
    xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(X, y), 3, evals=[(xgboost.DMatrix(X, y), "train")])
    mlflow.log_text("hello", "notes/a.txt")
    model = LogisticRegression().fit(X, y)
    signature = infer_signature(X, model.predict(X))
    mlflow.sklearn.log_model(
        model, name="linear", signature=signature, registered_model_name="churn", pip_requirements=["scikit-learn"]
    )
    with mlflow.start_run(run_name="inner", nested=True):
        mlflow.pyfunc.log_model(name="doubled", python_model=Doubled(), pip_requirements=["pandas"])
mlflow.register_model(f"runs:/{run.info.run_id}/linear", "churn")

client = mlflow.MlflowClient()
client.transition_model_version_stage("churn", 1, "Production")
client.transition_model_version_stage("churn", 2, "Production", archive_existing_versions=True)
client.set_registered_model_alias("churn", "champion", 2)
client.copy_model_version("models:/churn/2", "churn-copy")
history = client.get_metric_history(run.info.run_id, "train-logloss")
try:
    client.get_run("0" * 32)
except mlflow.MlflowException as error:
    missing = (type(error).__name__, error.error_code)
try:
    client.set_registered_model_alias("churn", "latest", 2)
except mlflow.MlflowException as error:
    refused = error.error_code
loaded = mlflow.pyfunc.load_model("models:/churn/Production").predict(X)
answer = {
    "runs": sorted(mlflow.search_runs(experiment_names=["nba"])["tags.mlflow.runName"].dropna()),
    "stages": sorted(
        (version.version, version.current_stage) for version in client.search_model_versions("name='churn'")
    ),
    "alias": client.get_model_version_by_alias("churn", "champion").version,
    "same": bool((mlflow.sklearn.load_model("models:/churn@champion").predict(X) == loaded).all()),
    "copy": type(mlflow.sklearn.load_model("models:/churn-copy/1")).__name__,
    "steps": [point.step for point in history],
    "model metrics": sorted(
        {metric.key for metric in client.search_logged_models([run.info.experiment_id])[-1].metrics}
    ),
    "files": sorted(file.path for file in client.list_artifacts(run.info.run_id, "notes")),
    "model files": sorted(file.path for file in mlflow.artifacts.list_artifacts("models:/churn/2")),
    "text": mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/notes/a.txt"),
    "inputs": len(client.get_run(run.info.run_id).inputs.dataset_inputs),
    "missing": missing,
    "refused": refused,
}
