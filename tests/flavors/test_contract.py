"""Every flavor of ours keeps the contract that plug-ins are held to."""

import warnings
from typing import Any

import catboost
import lightgbm
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import xgboost
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPRegressor

from registry.flavors import PythonModel
from registry.testing import FlavorContract, assert_same_predictions

generator = np.random.default_rng(3)
X = pd.DataFrame(generator.normal(size=(60, 3)), columns=["a", "b", "c"])
y = (X["a"] + X["b"] > 0).astype(int)
SINGLE = X.astype("float32")


class TestXGBoost(FlavorContract):
    flavor = "xgboost"

    def make_model(self) -> Any:
        return xgboost.XGBClassifier(n_estimators=3, max_depth=2, nthread=1).fit(X, y)

    def make_data(self) -> Any:
        return X[:5]


class TestLightGBM(FlavorContract):
    flavor = "lightgbm"

    def make_model(self) -> Any:
        return lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1, min_child_samples=2).fit(X, y)

    def make_data(self) -> Any:
        return X[:5]


class TestSklearn(FlavorContract):
    flavor = "sklearn"

    def make_model(self) -> Any:
        return LogisticRegression().fit(X, y)

    def make_data(self) -> Any:
        return X[:5]


class TestSklearnAsAPickle(TestSklearn):
    runs_code = True

    def save_options(self) -> dict[str, Any]:
        return {"serialization_format": "cloudpickle"}


class TestCatBoost(FlavorContract):
    flavor = "catboost"

    def make_model(self) -> Any:
        model = catboost.CatBoostClassifier(
            iterations=3, depth=2, thread_count=1, verbose=False, allow_writing_files=False
        )
        return model.fit(X, y)

    def make_data(self) -> Any:
        return X[:5]


class TestCatBoostAsJSON(TestCatBoost):
    def save_options(self) -> dict[str, Any]:
        return {"format": "json"}


class TestONNX(FlavorContract):
    flavor = "onnx"

    def make_model(self) -> Any:
        return to_onnx(LogisticRegression().fit(X, y), SINGLE[:1].to_numpy(), options={"zipmap": False})

    def make_data(self) -> Any:
        return SINGLE[:5].to_numpy()

    def predict(self, model: Any, data: Any) -> Any:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        outputs = [item.name for item in session.get_outputs()]
        answers = session.run(outputs, {session.get_inputs()[0].name: data})
        return dict(zip(outputs, answers, strict=True))


class TestONNXWithExternalData(TestONNX):
    def save_options(self) -> dict[str, Any]:
        return {"size_threshold": 0}

    def make_model(self) -> Any:
        network = MLPRegressor(hidden_layer_sizes=(8,), max_iter=2, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return to_onnx(network.fit(X, y), SINGLE[:1].to_numpy())


def _sum() -> PythonModel:
    # A class made in a function is pickled by value.
    class Sum(PythonModel):
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return model_input["a"] + model_input["b"]

    return Sum()


class TestPythonFunction(FlavorContract):
    flavor = "python_function"
    runs_code = True

    def make_model(self) -> Any:
        return _sum()

    def make_data(self) -> Any:
        return X[:5]

    def predict(self, model: Any, data: Any) -> Any:
        return model.predict(None, data)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ([1.0], [1.0 + 1e-15]),
        ({"a": [1]}, {"b": [1]}),
        ({"a": [1]}, {"a": [2]}),
        (X[:2], X[:2].rename(columns={"a": "z"})),
    ],
)
def test_predictions_that_differ_fail_the_contract(expected: Any, actual: Any) -> None:
    with pytest.raises(AssertionError):
        assert_same_predictions(expected, actual)
