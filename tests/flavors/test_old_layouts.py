"""Directories as MLflow 1.x and 2.x wrote them."""

import pickle
import shutil
from pathlib import Path

import pandas as pd
import pytest
import xgboost
from sklearn.pipeline import Pipeline

from registry import flavors
from registry.exceptions import CodeExecutionRefusedError

XGBOOST_1 = """
artifact_path: model
flavors:
  python_function:
    data: model.xgb
    env: conda.yaml
    loader_module: mlflow.xgboost
    python_version: 3.7.0
  xgboost:
    data: model.xgb
    xgb_version: 1.3.0
run_id: 0123456789abcdef0123456789abcdef
utc_time_created: '2021-01-01 00:00:00.000000'
"""
SKLEARN_2 = """
artifact_path: model
flavors:
  python_function:
    env: {conda: conda.yaml, virtualenv: python_env.yaml}
    loader_module: mlflow.sklearn
    model_path: model.pkl
    predict_fn: predict
    python_version: 3.10.0
  sklearn:
    code: null
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.3.0
mlflow_version: 2.9.2
model_uuid: 0123456789abcdef0123456789abcdef
signature:
  inputs: '[{"type": "double", "name": "a", "required": true}, {"type": "double", "name": "b"}, {"type": "double",
    "name": "c"}, {"type": "double", "name": "d"}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'
  params: null
"""


def test_an_xgboost_model_without_class_and_with_the_old_extension_loads(
    tmp_path: Path, classifier: xgboost.XGBClassifier, frame: pd.DataFrame
) -> None:
    booster = classifier.get_booster()
    (tmp_path / "MLmodel").write_text(XGBOOST_1)
    booster.save_model(tmp_path / "model.json")
    shutil.move(tmp_path / "model.json", tmp_path / "model.xgb")
    expected = booster.predict(xgboost.DMatrix(frame)).tolist()
    assert flavors.load_pyfunc(tmp_path).predict(frame).tolist() == expected
    assert type(flavors.load_model(tmp_path, "xgboost")) is xgboost.Booster


def test_a_pickled_estimator_loads_with_consent(tmp_path: Path, pipeline: Pipeline, frame: pd.DataFrame) -> None:
    (tmp_path / "MLmodel").write_text(SKLEARN_2)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(pipeline))
    with pytest.raises(CodeExecutionRefusedError):
        flavors.load_pyfunc(tmp_path)
    loaded = flavors.load_pyfunc(tmp_path, allow_code=True)
    assert loaded.predict(frame[["d", "c", "b", "a"]]).tolist() == pipeline.predict(frame).tolist()
    assert (loaded.metadata.mlflow_version, loaded.model_id) == ("2.9.2", None)


@pytest.mark.parametrize(
    "text",
    [
        "flavors: {sklearn: {pickled_model: model.pkl}}",
        "flavors: {python_function: {loader_module: mlflow.sklearn, model_path: model.pkl}}",
    ],
)
def test_the_least_that_mlflow_takes_loads(tmp_path: Path, pipeline: Pipeline, frame: pd.DataFrame, text: str) -> None:
    (tmp_path / "MLmodel").write_text(text)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(pipeline))
    if "python_function" in text:
        loaded = flavors.load_pyfunc(tmp_path, allow_code=True)
    else:
        loaded = flavors.load_model(tmp_path, "sklearn", allow_code=True)
    assert loaded.predict(frame).tolist() == pipeline.predict(frame).tolist()
