"""The main job: train, log, register, promote, resolve, predict, as a script of MLflow's does it."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from xgboost import XGBClassifier

import registry as mlflow


@pytest.fixture(scope="module")
def breast_cancer() -> tuple[np.ndarray, np.ndarray]:
    return load_breast_cancer(return_X_y=True)


def test_a_trained_model_comes_back_from_production_with_equal_predictions(breast_cancer) -> None:
    data, target = breast_cancer
    model = XGBClassifier(n_estimators=5, n_jobs=1).fit(data, target)
    mlflow.set_experiment("nba-game-predictions")
    with mlflow.start_run() as run:
        mlflow.log_params({"algorithm": "XGBoost", "n_estimators": 5})
        mlflow.log_metrics({"accuracy": 0.75, "f1_score": 0.75})
        mlflow.xgboost.log_model(model, "model")
    mlflow.register_model(f"runs:/{run.info.run_id}/model", "nba-game-predictor")
    client = mlflow.tracking.MlflowClient()
    client.transition_model_version_stage(name="nba-game-predictor", version=1, stage="Production")

    loaded = mlflow.pyfunc.load_model("models:/nba-game-predictor/Production")

    assert loaded.predict(data).tolist() == model.predict(data).tolist()
    finished = mlflow.get_run(run.info.run_id)
    assert finished.info.status == "FINISHED"
    assert finished.data.params == {"algorithm": "XGBoost", "n_estimators": "5"}
    assert finished.data.metrics == {"accuracy": 0.75, "f1_score": 0.75}


def test_promoting_a_second_version_archives_the_first(breast_cancer) -> None:
    data, target = breast_cancer
    client = mlflow.tracking.MlflowClient()
    for trees in (1, 2):
        with mlflow.start_run():
            mlflow.xgboost.log_model(
                XGBClassifier(n_estimators=trees, n_jobs=1).fit(data, target), name="m", registered_model_name="nba"
            )
        client.transition_model_version_stage("nba", trees, "Production")

    assert client.get_model_version("nba", 1).current_stage == "Archived"
    assert client.get_model_version("nba", 2).current_stage == "Production"
