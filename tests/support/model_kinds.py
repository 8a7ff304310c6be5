"""A small model of each kind that takes a package of its own, made here and in mlflow's environment alike."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

# The packages that a kind needs, and the formats that MLflow and we have in common.
PACKAGES = {
    "catboost": ["catboost"],
    "onnx": ["onnx", "onnxruntime", "skl2onnx"],
    "pytorch": ["torch"],
    "pytorch as a pickle": ["torch"],
    "prophet": ["prophet"],
}


def flavor(kind: str) -> str:
    """Return the flavor of a kind."""
    return kind.partition(" ")[0]


def rows(kind: str) -> Any:
    """Return what a model of a kind predicts: a DataFrame, or an array for programs of PyTorch."""
    if kind == "prophet":
        return pd.DataFrame({"ds": pd.date_range("2026-03-01", periods=4)})
    frame = pd.DataFrame({"a": [0.5, 1.5, 2.5, 3.5], "b": [1.0, 0.0, 1.0, 0.0]})
    return frame.to_numpy(dtype=np.float32) if kind == "pytorch" else frame


def train(kind: str) -> Any:
    """Return a trained model of a kind."""
    frame = rows("onnx")
    if kind == "catboost":
        from catboost import CatBoostRegressor

        few = {"iterations": 3, "depth": 2, "thread_count": 1, "verbose": False, "allow_writing_files": False}
        return CatBoostRegressor(**few).fit(frame, frame["a"])
    if kind == "onnx":
        from skl2onnx import to_onnx
        from sklearn.linear_model import LinearRegression

        return to_onnx(LinearRegression().fit(frame, frame["a"]), frame[:1].to_numpy())
    if kind == "prophet":
        from prophet import Prophet

        days = pd.DataFrame({"ds": pd.date_range("2026-01-01", periods=40), "y": np.arange(40.0)})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Prophet(uncertainty_samples=0, yearly_seasonality=False, daily_seasonality=False).fit(days)
    import torch

    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1)).eval()


def exported(module: Any) -> Any:
    """Return a PyTorch module as a program for any number of rows."""
    import torch

    return torch.export.export(module, (torch.zeros(3, 2),), dynamic_shapes=({0: torch.export.Dim("rows")},))


def predictions(model: Any, kind: str) -> Any:
    """Return what a pyfunc model predicts for `rows`, as plain values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predicted = pd.DataFrame(model.predict(rows(kind)))
    return json.loads(predicted.to_json(orient="values", double_precision=15, date_format="iso"))


def save_by_mlflow(kind: str, path: Path) -> Any:
    """Save a model by real mlflow. Return what mlflow predicts with it."""
    import mlflow

    options: dict[str, Any] = {"pip_requirements": [], "input_example": rows(kind)}
    if flavor(kind) == "pytorch":
        options["serialization_format"] = "pt2" if kind == "pytorch" else "pickle"
    getattr(mlflow, flavor(kind)).save_model(train(kind), path, **options)
    return predictions(mlflow.pyfunc.load_model(path), kind)
