"""Autologging with `log_reference` seals a profile of the training data with the model."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import registry
from registry import monitoring
from registry.autologging import integrations
from registry.exceptions import NotFoundError
from registry.monitoring.references import profile_of_training


def games() -> tuple[pd.DataFrame, Any]:
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"gap": random.normal(0, 1, 300), "rest": random.exponential(2, 300)})
    frame.loc[:9, "rest"] = np.nan
    return frame, (frame["gap"] > 0).astype(int)


def train_estimator(inputs: pd.DataFrame, won: Any) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=3).fit(inputs, won)


def train_search(inputs: pd.DataFrame, won: Any) -> Any:
    from sklearn.model_selection import GridSearchCV
    from sklearn.tree import DecisionTreeClassifier

    return GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=2).fit(inputs, won)


def train_xgboost_wrapper(inputs: pd.DataFrame, won: Any) -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=3, n_jobs=1).fit(inputs, won)


def train_lightgbm_wrapper(inputs: pd.DataFrame, won: Any) -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=3, n_jobs=1, verbose=-1).fit(inputs, won)


def train_xgboost(inputs: pd.DataFrame, won: Any) -> Any:
    import xgboost

    matrix = xgboost.DMatrix(inputs, label=won)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, matrix, 3)
    return lambda rows: booster.predict(xgboost.DMatrix(rows))


def train_lightgbm(inputs: pd.DataFrame, won: Any) -> Any:
    import lightgbm

    dataset = lightgbm.Dataset(inputs, label=won)
    return lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, dataset, 3).predict


@pytest.mark.parametrize(
    ("train", "is_class"),
    [
        (train_estimator, True),
        (train_search, True),
        (train_xgboost_wrapper, True),
        (train_lightgbm_wrapper, True),
        (train_xgboost, False),
        (train_lightgbm, False),
    ],
)
def test_the_sealed_reference_describes_inputs_targets_and_predictions(
    train: Callable[[Any, Any], Any], is_class: bool, told: list[str], sqlite_url: str
) -> None:
    registry.set_tracking_uri(sqlite_url)
    inputs, won = games()
    before = inputs.copy()
    registry.autolog(log_reference=True, silent=False)

    model = train(inputs, won)
    integrations.forget()

    predictions = np.asarray(model.predict(inputs) if hasattr(model, "predict") else model(inputs))
    profile = monitoring.get_reference(f"runs:/{registry.last_active_run().info.run_id}/model")
    assert told == []
    pd.testing.assert_frame_equal(inputs, before)
    assert profile.rows == 300
    assert profile.get("input", "gap").mean == pytest.approx(inputs["gap"].mean())
    assert profile.get("input", "rest").missing == 10
    target = profile.get("target", "target")
    if is_class:
        assert target.categories == {"0": int((won == 0).sum()), "1": int((won == 1).sum())}
    else:
        assert target.mean == pytest.approx(won.mean())
    predicted = profile.get("prediction", "prediction")
    if is_class:
        assert sum((predicted.categories or {}).values()) == 300
        assert (predicted.categories or {})["1"] == int(predictions.sum())
    else:
        assert predicted.mean == pytest.approx(predictions.mean(), rel=1e-6)
    assert profile.performance is None
    assert profile.sample is not None
    assert len(profile.sample) == 300


def test_a_version_that_autologging_registered_is_checked_against_its_training_data(sqlite_url: str) -> None:
    registry.set_tracking_uri(sqlite_url)
    inputs, won = games()
    registry.sklearn.autolog(log_reference=True, registered_model_name="wins", silent=True)
    model = train_estimator(inputs, won)
    integrations.forget()
    registry.last_active_run()  # waits for the upload

    monitoring.log_inference("models:/wins/1", inputs, model.predict(inputs))
    quiet = monitoring.check("wins", stage=None, version=1, window="1h", log=False)
    assert quiet.causes == ()
    shifted = inputs.assign(gap=inputs["gap"] + 9)
    monitoring.log_inference("models:/wins/1", shifted, model.predict(shifted))
    report = monitoring.check("wins", stage=None, version=1, window="1h", log=False)
    assert "input/gap:distribution" in report.causes


def test_without_being_asked_autologging_seals_no_training_data(sqlite_url: str) -> None:
    registry.set_tracking_uri(sqlite_url)
    registry.autolog(silent=True)
    train_estimator(*games())
    integrations.forget()
    with pytest.raises(NotFoundError, match="has no reference"):
        monitoring.get_reference(f"runs:/{registry.last_active_run().info.run_id}/model")


def test_a_reference_that_cannot_be_made_is_one_warning_and_the_model_is_logged(
    told: list[str], sqlite_url: str
) -> None:
    import xgboost

    registry.set_tracking_uri(sqlite_url)
    inputs, won = games()
    registry.xgboost.autolog(log_reference=True)
    matrix = xgboost.DMatrix(inputs, label=won)
    del inputs
    xgboost.train({"nthread": 1}, matrix, 2)
    integrations.forget()

    run_id = registry.last_active_run().info.run_id
    assert registry.get_logged_model(registry.MlflowClient().get_run(run_id).outputs.model_outputs[0].model_id)
    assert told == [
        "Autologging of xgboost.train is incomplete: the model has no reference for drift (InvalidTypeError: the data "
        "that the DMatrix was made from are gone; keep them in a variable)."
    ]


def test_data_that_cannot_be_looked_at_later_are_named_as_the_cause(told: list[str], sqlite_url: str) -> None:
    import xgboost

    registry.set_tracking_uri(sqlite_url)
    registry.xgboost.autolog(log_reference=True)
    rows = games()[0].to_numpy().tolist()
    xgboost.train({"nthread": 1}, xgboost.DMatrix(rows, label=games()[1]), 2)
    integrations.forget()

    assert registry.last_active_run() is not None
    assert told == [
        "Autologging of xgboost.train is incomplete: the model has no reference for drift (InvalidTypeError: no "
        "reference can be made from data of type list; make the DMatrix from a DataFrame or an array)."
    ]


def test_excluded_columns_of_training_data_are_not_sealed(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_MONITORING_EXCLUDE", "rest")
    registry.set_tracking_uri(sqlite_url)
    registry.sklearn.autolog(log_reference=True, silent=True)
    train_estimator(*games())
    integrations.forget()
    profile = monitoring.get_reference(f"runs:/{registry.last_active_run().info.run_id}/model")
    assert [column.name for column in profile.columns if column.role == "input"] == ["gap"]


def test_training_data_are_profiled_in_parts_and_predicted_from_copies() -> None:
    inputs, won = games()
    seen: list[int] = []

    def predict(part: pd.DataFrame) -> Any:
        seen.append(len(part))
        part["gap"] = 0.0
        return part["rest"].fillna(0)

    whole = profile_of_training(inputs, won, predict, rows_at_once=128)

    assert seen == [128, 128, 44]
    assert whole.get("input", "gap").mean == pytest.approx(inputs["gap"].mean())
    assert profile_of_training(inputs.to_numpy().tolist()).rows == 300
    assert profile_of_training(inputs.to_numpy(), won.to_numpy(), rows_at_once=7).get("target", "target").count == 300
