"""An ordinary MLflow script: train a classifier, log, register and promote it, and predict with what was promoted."""

import sys

import mlflow
import mlflow.xgboost
from mlflow.models.signature import infer_signature
from mlflow.tracking import MlflowClient
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from sklearn.model_selection import train_test_split
from xgboost import XGBClassifier

mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("nba-game-predictions")

data = load_breast_cancer(as_frame=True)
train_x, test_x, train_y, test_y = train_test_split(data.data, data.target, random_state=7)
settings = {"n_estimators": 20, "max_depth": 3, "learning_rate": 0.3}

with mlflow.start_run(run_name="baseline", tags={"team": "analytics"}) as run:
    mlflow.log_params({"algorithm": "XGBoost", **settings})
    dataset = mlflow.data.from_pandas(train_x.assign(win=train_y), source="s3://panel/games.parquet", targets="win")
    mlflow.log_input(dataset, context="training")
    model = XGBClassifier(**settings, n_jobs=1).fit(train_x, train_y)
    predicted = model.predict(test_x)
    mlflow.log_metrics(
        {
            "accuracy": accuracy_score(test_y, predicted),
            "precision": precision_score(test_y, predicted),
            "recall": recall_score(test_y, predicted),
            "f1_score": f1_score(test_y, predicted),
        }
    )
    mlflow.log_text(f"rows: {len(train_x)}", "notes.txt")
    mlflow.xgboost.log_model(model, "model", signature=infer_signature(train_x, predicted))

version = mlflow.register_model(f"runs:/{run.info.run_id}/model", "nba-game-predictor")
client = MlflowClient()
client.transition_model_version_stage(
    name="nba-game-predictor", version=version.version, stage="Production", archive_existing_versions=True
)

loaded = mlflow.pyfunc.load_model("models:/nba-game-predictor/Production")
answer = {
    "equal": loaded.predict(test_x).tolist() == predicted.tolist(),
    "stage": client.get_model_version("nba-game-predictor", version.version).current_stage,
    "metrics": sorted(client.get_run(run.info.run_id).data.metrics),
    "dataset": client.get_run(run.info.run_id).inputs.dataset_inputs[0].dataset.digest,
    "artifacts": [item.path for item in client.list_artifacts(run.info.run_id)],
}
