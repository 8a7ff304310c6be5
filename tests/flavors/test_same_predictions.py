"""A loaded model equals the saved one: parameters, predictions and scores."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from s3_servers import S3Server
from same_models import CASES, CATEGORIES, CODE, GAPS, NUMBERS, differences
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.pipeline import Pipeline

import registry
from registry import MlflowClient, flavors
from registry.exceptions import InvalidModelError
from registry.flavors.xgboost_parameters import FILE_NAME


@pytest.mark.parametrize("name", CASES)
def test_a_loaded_wrapper_is_the_saved_one(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    model = case.model()
    flavors.save_model(model, tmp_path / "model", "xgboost")
    flavors.check_directory(tmp_path / "model")
    assert differences(case, model, flavors.load_model(tmp_path / "model", "xgboost")) == []
    assert np.array_equal(flavors.load_pyfunc(tmp_path / "model").predict(case.data), model.predict(case.data))


@pytest.mark.parametrize("name", CODE)
def test_a_parameter_that_is_code_is_named_and_left_out(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    case, left_out = CODE[name]
    model = case.model()
    flavors.save_model(model, tmp_path / "model", "xgboost")
    assert f"The parameters {left_out} of this {case.wrapper} are code and are not saved" in caplog.text
    loaded = flavors.load_model(tmp_path / "model", "xgboost")
    assert differences(case, model, loaded, ignore=(*left_out, "score")) == []


@pytest.mark.parametrize("name", CASES)
def test_a_booster_is_the_saved_one(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    booster = case.model().get_booster()
    flavors.save_model(booster, tmp_path / "model", "xgboost")
    loaded = flavors.load_model(tmp_path / "model", "xgboost")
    matrix = xgboost.DMatrix(case.data, enable_categorical=True)
    assert np.array_equal(loaded.predict(matrix), booster.predict(matrix))
    assert loaded.attributes() == booster.attributes()
    assert (loaded.feature_names, loaded.feature_types) == (booster.feature_names, booster.feature_types)
    assert np.array_equal(flavors.load_pyfunc(tmp_path / "model").predict(case.data), booster.predict(matrix))


@pytest.fixture
def logged(sqlite_url: str) -> dict[str, Any]:
    """Register every case as version 1 of its own model."""
    registry.set_tracking_uri(sqlite_url)
    models = {name: case.model() for name, case in CASES.items()}
    for position, model in enumerate(models.values()):
        registry.xgboost.log_model(model, name="model", registered_model_name=f"m{position}")
    return models


def _differing(models: dict[str, Any], prefix: str) -> dict[str, list[str]]:
    found = {}
    for position, (name, model) in enumerate(models.items()):
        case, uri = CASES[name], f"models:/{prefix}{position}/1"
        found[name] = differences(case, model, registry.xgboost.load_model(uri))
        if not np.array_equal(registry.pyfunc.load_model(uri).predict(case.data), model.predict(case.data)):
            found[name].append("pyfunc")
    return {name: faults for name, faults in found.items() if faults}


def test_a_registered_wrapper_is_the_logged_one(logged: dict[str, Any]) -> None:
    assert _differing(logged, "m") == {}


def test_a_copied_version_is_the_logged_one(logged: dict[str, Any]) -> None:
    client = MlflowClient()
    for position in range(len(logged)):
        client.copy_model_version(f"models:/m{position}/1", f"c{position}")
    assert _differing(logged, "c") == {}


def test_a_version_copied_to_another_registry_is_the_logged_one(logged: dict[str, Any], tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    client = MlflowClient()
    for position in range(len(logged)):
        client.copy_model_version(f"models:/m{position}/1", f"m{position}", to=other)
    registry.set_tracking_uri(other)
    assert _differing(logged, "m") == {}


def test_an_imported_version_is_the_logged_one(logged: dict[str, Any], tmp_path: Path) -> None:
    client = MlflowClient()
    files = [client.export_model(f"m{position}", tmp_path / f"m{position}.zip") for position in range(len(logged))]
    other = f"sqlite:///{tmp_path / 'other.db'}"
    for file in files:
        MlflowClient(other).import_model(file)
    registry.set_tracking_uri(other)
    assert _differing(logged, "m") == {}


def test_a_version_on_s3_is_the_logged_one(
    sqlite_url: str,
    moto_s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    s3_environment: Callable[[S3Server], S3Server],
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", s3_environment(moto_s3).fresh_root())
    assert _differing(request.getfixturevalue("logged"), "m") == {}


@pytest.mark.parametrize("serialization_format", ["skops", "cloudpickle"])
@pytest.mark.parametrize("function", ["predict", "predict_proba"])
def test_a_scikit_learn_model_is_the_saved_one(
    tmp_path: Path, pipeline: Pipeline, frame: pd.DataFrame, labels: pd.Series, function: str, serialization_format: str
) -> None:
    options = {"serialization_format": serialization_format, "pyfunc_predict_fn": function}
    flavors.save_model(pipeline, tmp_path / "model", "sklearn", **options)
    loaded = flavors.load_model(tmp_path / "model", "sklearn", allow_code=serialization_format != "skops")
    assert str(loaded.get_params()) == str(pipeline.get_params())
    assert loaded.score(frame, labels) == pipeline.score(frame, labels)
    for name in ("predict", "predict_proba"):
        assert np.array_equal(getattr(loaded, name)(frame), getattr(pipeline, name)(frame))
    predictor = flavors.load_pyfunc(tmp_path / "model", allow_code=serialization_format != "skops")
    assert np.array_equal(predictor.predict(frame), getattr(pipeline, function)(frame))


def test_a_wrapper_inside_a_pipeline_keeps_its_parameters(tmp_path: Path) -> None:
    model = Pipeline([("model", xgboost.XGBRegressor(n_estimators=4, missing=-1, max_depth=2))]).fit(GAPS, NUMBERS)
    flavors.save_model(model, tmp_path / "model", "sklearn")
    loaded = flavors.load_model(tmp_path / "model", "sklearn")
    assert str(loaded["model"].get_params()) == str(model["model"].get_params())
    assert np.array_equal(loaded.predict(GAPS), model.predict(GAPS))


class _Forgetful(xgboost.XGBRegressor):
    """A wrapper that does not predict with its Booster."""

    def predict(self, *data: Any, **options: Any) -> Any:
        return super().predict(*data, **options) + 1


_Forgetful.__module__, _Forgetful.__qualname__ = "xgboost.sklearn", "XGBRegressor"


def test_saving_says_if_the_reloaded_model_predicts_something_else(
    tmp_path: Path, frame: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    model = _Forgetful(n_estimators=2).fit(frame, frame["a"])
    saved = flavors.save_model(model, tmp_path / "model", "xgboost", input_example=frame.head(3))
    assert "The saved model predicts something else for its input example" in caplog.text
    assert saved.signature is not None


@pytest.mark.parametrize("signature", [None, False, "given"])
def test_saving_says_nothing_if_it_predicts_the_same(
    tmp_path: Path, frame: pd.DataFrame, caplog: pytest.LogCaptureFixture, signature: Any
) -> None:
    chosen = flavors.infer_signature(frame) if signature == "given" else signature
    made: list[tuple[str, Any]] = [
        ("xgboost", xgboost.XGBRegressor(n_estimators=2, missing=-1).fit(frame, frame["a"])),
        ("sklearn", RandomForestRegressor(3, random_state=0).fit(frame, frame["a"])),
        ("python_function", _sum),
    ]
    for flavor, model in made:
        flavors.save_model(model, tmp_path / flavor, flavor, input_example=frame.head(3), signature=chosen)
    assert caplog.text == ""


def _sum(model_input: Any) -> Any:
    return model_input.sum(axis=1)


def test_an_example_of_nan_predictions_is_the_same(
    tmp_path: Path, frame: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    model = DummyRegressor(strategy="constant", constant=0.0).fit(frame, frame["a"])
    model.constant_ = np.array([[np.nan]])
    flavors.save_model(model, tmp_path / "model", "sklearn", input_example=frame.head(2))
    assert "predicts something else" not in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"parameters": []}',
        '{"parameters": {"n_jobs": 1000000}}',
        '{"parameters": {"n_jobs": "all"}}',
        '{"parameters": {"missing": "x"}}',
        '{"parameters": {"missing": {"$float": "many"}}}',
        '{"parameters": {"feature_weights": {"$array": ["x"], "dtype": "float64"}}}',
        '{"parameters": {"feature_weights": {"$array": [1], "dtype": "object"}}}',
        '{"parameters": {"x": {"$map": [[[1], 2]]}}}',
        "[" * 100_000,
    ],
)
def test_parameters_that_cannot_be_read_are_refused(tmp_path: Path, content: str) -> None:
    flavors.save_model(CASES["XGBRegressor, defaults"].model(), tmp_path / "model", "xgboost")
    (tmp_path / "model" / FILE_NAME).write_text(content)
    with pytest.raises(InvalidModelError, match=r"wrapper_parameters\.json"):
        flavors.load_model(tmp_path / "model", "xgboost")


def test_parameters_from_outside_set_no_other_attribute(tmp_path: Path) -> None:
    flavors.save_model(CASES["XGBRegressor, defaults"].model(), tmp_path / "model", "xgboost")
    hostile = {"parameters": {"predict": "x", "_Booster": 3, "__class__": "y", "max_depth": 7}}
    (tmp_path / "model" / FILE_NAME).write_text(json.dumps(hostile))
    loaded = flavors.load_model(tmp_path / "model", "xgboost")
    assert (type(loaded), loaded.max_depth) == (xgboost.XGBRegressor, 7)
    assert callable(loaded.predict)
    assert isinstance(loaded.get_booster(), xgboost.Booster)


def test_a_booster_with_categories_predicts_from_text(tmp_path: Path) -> None:
    model = CASES["XGBRegressor, categories"].model()
    for position, saved in enumerate([model, model.get_booster()]):
        directory = tmp_path / str(position)
        flavors.save_model(saved, directory, "xgboost", input_example=CATEGORIES.head(5))
        loaded = flavors.load_pyfunc(directory)
        expected = model.predict(CATEGORIES.head(5)).tolist()
        assert loaded.predict(CATEGORIES.head(5)).tolist() == expected
        assert loaded.predict(loaded.input_example).tolist() == expected
        assert loaded.predict(CATEGORIES.head(5).astype({"k": str})).tolist() == expected
