"""Every flavor of ours keeps the contract that plug-ins are held to."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.linear_model import LogisticRegression

from registry.flavors import PythonModel
from registry.testing import FlavorContract, assert_same_predictions

generator = np.random.default_rng(3)
X = pd.DataFrame(generator.normal(size=(60, 3)), columns=["a", "b", "c"])
y = (X["a"] + X["b"] > 0).astype(int)


class TestXGBoost(FlavorContract):
    flavor = "xgboost"

    def make_model(self) -> Any:
        return xgboost.XGBClassifier(n_estimators=3, max_depth=2, nthread=1).fit(X, y)

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
