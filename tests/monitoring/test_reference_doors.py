"""Every flavor's `log_model` takes `reference` and seals its profile with the model."""

import importlib
from collections.abc import Callable
from typing import Any

import model_kinds
import pandas as pd
import pytest

import registry
from registry import monitoring

FRAME = pd.DataFrame({"a": [0.5, 1.5, 2.5, 3.5] * 5, "b": [1.0, 0.0] * 10})


def _sklearn() -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression().fit(FRAME, FRAME["a"])


def _xgboost() -> Any:
    from xgboost import XGBRegressor

    return XGBRegressor(n_estimators=2, n_jobs=1).fit(FRAME, FRAME["a"])


def _lightgbm() -> Any:
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=2, n_jobs=1, verbose=-1).fit(FRAME, FRAME["a"])


def _of_kind(kind: str) -> Callable[[], Any]:
    return lambda: model_kinds.train(kind)


def _predict(model_input: list[float]) -> list[float]:
    return model_input


@pytest.mark.parametrize(
    ("flavor", "packages", "train"),
    [
        ("sklearn", [], _sklearn),
        ("xgboost", [], _xgboost),
        ("lightgbm", [], _lightgbm),
        ("pyfunc", [], lambda: _predict),
        *((kind, model_kinds.PACKAGES[kind], _of_kind(kind)) for kind in ("catboost", "onnx", "pytorch", "prophet")),
    ],
)
def test_a_reference_is_sealed_with_the_model_of_each_flavor(
    flavor: str, packages: list[str], train: Callable[[], Any], sqlite_url: str
) -> None:
    for package in packages:
        pytest.importorskip(package)
    registry.set_tracking_uri(sqlite_url)
    door = importlib.import_module(f"registry.{flavor}")
    model = {"python_model": train()} if flavor == "pyfunc" else {}

    with registry.start_run():
        given = () if model else (train(),)
        info = door.log_model(*given, name="model", reference=FRAME, signature=False, **model)

    profile = monitoring.get_reference(info.model_uri)
    assert [(column.name, column.count) for column in profile.columns] == [("a", 20), ("b", 20)]
    client = registry.MlflowClient()
    assert "reference.parquet" in [file.path for file in client.list_logged_model_artifacts(info.model_id)]
