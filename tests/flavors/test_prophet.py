"""Prophet models are kept as JSON, and load without consent; the tests that need prophet are storms."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import registry as mlflow
from registry import flavors
from registry.exceptions import InvalidModelError, InvalidParameterError, MissingDependencyError
from registry.testing import FlavorContract

HAS_PROPHET = importlib.util.find_spec("prophet") is not None
DAYS = pd.DataFrame({"ds": pd.date_range("2026-01-01", periods=40), "y": np.sin(np.arange(40)) + np.arange(40)})
# Prophet calls pandas in a way that pandas 3 announces the end of.
QUIET = pytest.mark.filterwarnings("ignore:The inplace keyword", "ignore:The 'convert_dates' keyword")


@pytest.mark.skipif(HAS_PROPHET, reason="prophet is installed")
def test_without_prophet_the_error_names_the_extra() -> None:
    with pytest.raises(MissingDependencyError, match=r"registry-ml\[prophet\]"):
        flavors.save_model(object(), "new", "prophet")
    with pytest.raises(MissingDependencyError, match=r"registry-ml\[prophet\]"):
        mlflow.prophet.save_model(object(), "new")
    with pytest.raises(MissingDependencyError, match=r"registry-ml\[prophet\]"):
        mlflow.prophet.log_model(object(), "days")
    assert flavors.get_flavor("prophet").requirements({}) == ["prophet"]


def needs_prophet(test: Any) -> Any:
    """Mark a test as one of those that are run where prophet is installed, and asked for."""
    return pytest.mark.storm(pytest.mark.skipif(not HAS_PROPHET, reason="prophet is not installed")(QUIET(test)))


def forecaster(**options: Any) -> Any:
    """Return a forecaster without intervals, which are drawn at random."""
    from prophet import Prophet

    return Prophet(uncertainty_samples=0, yearly_seasonality=False, daily_seasonality=False, **options)


@needs_prophet
class TestProphet(FlavorContract):
    flavor = "prophet"

    def make_model(self) -> Any:
        return forecaster(n_changepoints=3).fit(DAYS)

    def make_data(self) -> Any:
        return DAYS[["ds"]].tail(5)


@needs_prophet
class TestProphetWithMore(TestProphet):
    """Holidays, a regressor and a seasonality of its own are in other places of the file."""

    def make_model(self) -> Any:
        model = forecaster(n_changepoints=1, seasonality_mode="multiplicative")
        model.add_country_holidays("US")
        model.add_regressor("z")
        model.add_seasonality("monthly", period=30.5, fourier_order=2)
        return model.fit(DAYS.assign(z=np.cos(np.arange(40))))

    def make_data(self) -> Any:
        return DAYS[["ds"]].assign(z=1.5).tail(5)


@needs_prophet
def test_a_model_that_is_not_fitted_or_of_another_class_is_refused() -> None:
    from prophet import Prophet

    class Own(Prophet):
        pass

    with pytest.raises(InvalidParameterError, match="already been fit"):
        flavors.save_model(forecaster(), "new", "prophet")
    with pytest.raises(InvalidParameterError, match="whole object with registry.pyfunc.save_model"):
        flavors.save_model(Own(), "new", "prophet")
    with pytest.raises(InvalidParameterError, match="has no option format"):
        flavors.save_model(forecaster(), "new", "prophet", format="json")


@needs_prophet
def test_text_of_another_form_is_an_error_of_ours() -> None:
    flavors.save_model(forecaster(n_changepoints=1).fit(DAYS), "saved", "prophet")
    file = Path("saved/model.pr")
    content = json.loads(json.loads(file.read_text()))

    for changed in ({"params": None}, {"changepoints": "{"}, {"seasonalities": 3}, {"start": "never"}):
        file.write_text(json.dumps(json.dumps(content | changed)))
        with pytest.raises(InvalidModelError, match="cannot read"):
            flavors.load_pyfunc("saved")


@needs_prophet
def test_the_module_logs_loads_and_predicts() -> None:
    model = forecaster(n_changepoints=1).fit(DAYS)
    with mlflow.start_run() as run:
        mlflow.prophet.log_model(model, "days", registered_model_name="days")

    loaded = mlflow.prophet.load_model(f"runs:/{run.info.run_id}/days")
    expected = model.predict(DAYS)
    pd.testing.assert_frame_equal(loaded.predict(DAYS), expected)
    pd.testing.assert_frame_equal(mlflow.pyfunc.load_model("models:/days/1").predict(DAYS[["ds"]]), expected)
    mlflow.prophet.save_model(model, "saved")
    pd.testing.assert_frame_equal(mlflow.prophet.load_model("saved").predict(DAYS), expected)
