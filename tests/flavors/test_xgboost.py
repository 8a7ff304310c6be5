"""The xgboost flavor: models survive a round trip, and classes or files that are not XGBoost's are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
import yaml
from sklearn.pipeline import Pipeline

from registry import flavors
from registry.exceptions import (
    ArtifactNotFoundError,
    InvalidModelError,
    InvalidParameterError,
    MissingDependencyError,
    SchemaEnforcementError,
)
from registry.flavors import optional_imports
from registry.flavors.xgboost import XGBoostPredictor


def _edit(directory: Path, **changes: Any) -> None:
    form = yaml.safe_load((directory / "MLmodel").read_text())
    form["flavors"]["xgboost"].update(changes)
    form["flavors"]["python_function"].update({key: value for key, value in changes.items() if key == "data"})
    (directory / "MLmodel").write_text(yaml.safe_dump(form))


@pytest.fixture
def saved(tmp_path: Path, classifier: xgboost.XGBClassifier) -> Path:
    flavors.save_model(classifier, tmp_path / "model", "xgboost")
    return tmp_path / "model"


def test_a_classifier_comes_back_equal(saved: Path, classifier: xgboost.XGBClassifier, frame: pd.DataFrame) -> None:
    loaded = flavors.load_model(saved, "xgboost")
    assert type(loaded) is xgboost.XGBClassifier
    assert loaded.predict_proba(frame).tolist() == classifier.predict_proba(frame).tolist()


@pytest.mark.parametrize("model_format", ["ubj", "json"])
def test_a_booster_comes_back_equal(
    tmp_path: Path, classifier: xgboost.XGBClassifier, frame: pd.DataFrame, model_format: str
) -> None:
    booster = classifier.get_booster()
    flavors.save_model(booster, tmp_path / "model", "xgboost", model_format=model_format)
    assert (tmp_path / "model" / f"model.{model_format}").is_file()
    expected = booster.predict(xgboost.DMatrix(frame)).tolist()
    assert flavors.load_pyfunc(tmp_path / "model").predict(frame).tolist() == expected


def test_the_mlmodel_file_names_what_mlflow_names(saved: Path) -> None:
    entries = flavors.Model.load(saved).flavors
    assert entries["xgboost"] == {
        "code": None,
        "data": "model.ubj",
        "model_class": "xgboost.sklearn.XGBClassifier",
        "model_format": "ubj",
        "wrapper_parameters": "wrapper_parameters.json",
        "xgb_version": xgboost.__version__,
    }
    assert entries["python_function"]["loader_module"] == "mlflow.xgboost"


def test_the_signature_comes_from_the_example(
    tmp_path: Path, classifier: xgboost.XGBClassifier, frame: pd.DataFrame
) -> None:
    model = flavors.save_model(classifier, tmp_path / "model", "xgboost", input_example=frame.head(2))
    assert model.signature is not None
    assert str(model.signature.inputs) == str([f"{name}" for name in "abcd"]).replace(
        "',", "': double (required),"
    ).replace("']", "': double (required)]")
    assert str(model.signature.outputs) == "[long (required)]"
    assert flavors.Model.load(tmp_path / "model") == model


def test_pyfunc_reorders_columns_and_drops_others(
    tmp_path: Path, classifier: xgboost.XGBClassifier, frame: pd.DataFrame
) -> None:
    flavors.save_model(classifier, tmp_path / "model", "xgboost", input_example=frame.head(2))
    loaded = flavors.load_pyfunc(tmp_path / "model")
    mixed = frame[["d", "b", "a", "c"]].assign(more=1.0)
    assert loaded.predict(mixed).tolist() == classifier.predict(frame).tolist()
    with pytest.raises(SchemaEnforcementError, match=r"missing inputs \['a'\]"):
        loaded.predict(frame.drop(columns="a"))


def test_params_that_predict_does_not_take_are_ignored(
    tmp_path: Path, classifier: xgboost.XGBClassifier, frame: pd.DataFrame
) -> None:
    signature = flavors.infer_signature(frame, params={"output_margin": True, "other": 1})
    flavors.save_model(classifier, tmp_path / "model", "xgboost", signature=signature)
    predicted = flavors.load_pyfunc(tmp_path / "model").predict(frame)
    assert predicted.tolist() == classifier.predict(frame, output_margin=True).tolist()


def test_an_old_file_without_class_is_a_booster(saved: Path) -> None:
    _edit(saved, model_class=None)
    assert type(flavors.load_model(saved, "xgboost")) is xgboost.Booster


@pytest.mark.parametrize(
    "name", ["os.system", "subprocess.Popen", "xgboost.core.DMatrix", "xgboost.XGBClassifier", 3, ["a"]]
)
@pytest.mark.parametrize("allow_code", [False, True])
def test_a_class_outside_the_table_is_refused(saved: Path, name: object, allow_code: bool) -> None:
    _edit(saved, model_class=name)
    with pytest.raises(InvalidModelError, match="names the class"):
        flavors.load_model(saved, "xgboost", allow_code=allow_code)


@pytest.mark.parametrize("content", [b"", b"not a model", b"{", b'{"learner": 3}'])
def test_a_file_that_xgboost_cannot_read_is_refused(saved: Path, content: bytes) -> None:
    (saved / "model.ubj").write_bytes(content)
    with pytest.raises(InvalidModelError, match=r"model\.ubj"):
        flavors.load_model(saved, "xgboost")


def test_a_missing_model_file_is_named(saved: Path) -> None:
    (saved / "model.ubj").unlink()
    with pytest.raises(ArtifactNotFoundError, match=r"model\.ubj"):
        flavors.load_pyfunc(saved)


def test_a_path_outside_is_refused(saved: Path) -> None:
    (saved.parent / "outside.ubj").write_bytes((saved / "model.ubj").read_bytes())
    _edit(saved, data="../outside.ubj")
    with pytest.raises(InvalidModelError, match=r"outside\.ubj"):
        flavors.load_pyfunc(saved)


class _Own(xgboost.XGBRegressor):
    pass


@pytest.mark.parametrize("model", [object(), "model", None, _Own(), xgboost.XGBClassifier])
def test_what_is_no_xgboost_model_is_refused_and_leaves_nothing(tmp_path: Path, model: object) -> None:
    with pytest.raises(InvalidParameterError, match="Expected an XGBoost model"):
        flavors.save_model(model, tmp_path / "model", "xgboost")
    assert not (tmp_path / "model").exists()


def test_a_model_that_is_not_trained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError):
        flavors.save_model(xgboost.XGBClassifier(), tmp_path / "model", "xgboost")


def test_an_unknown_format_is_refused(tmp_path: Path, classifier: xgboost.XGBClassifier) -> None:
    with pytest.raises(InvalidParameterError, match="model_format 'onnx'"):
        flavors.save_model(classifier, tmp_path / "model", "xgboost", model_format="onnx")


def test_requirements_say_xgboost_whichever_build_is_installed(saved: Path) -> None:
    assert f"xgboost=={xgboost.__version__}" in (saved / "requirements.txt").read_text().splitlines()


def test_a_missing_package_names_its_extra() -> None:
    with pytest.raises(MissingDependencyError, match=r"pip install 'registry-ml\[xgboost\]'"):
        optional_imports.optional_import("xgboost_that_is_not_there", "xgboost")


def test_the_raw_model_and_an_array_are_at_hand(
    saved: Path, frame: pd.DataFrame, classifier: xgboost.XGBClassifier
) -> None:
    loaded = flavors.load_pyfunc(saved)
    assert type(loaded.get_raw_model()) is xgboost.XGBClassifier
    with pytest.raises(InvalidParameterError, match="get_raw_model"):
        loaded.unwrap_python_model()
    assert np.array_equal(loaded.predict(frame), classifier.predict(frame))


@pytest.mark.parametrize("missing", [float("nan"), -1.0])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("native", ["wrapper", "booster"])
def test_a_frame_of_floats_predicts_what_xgboost_predicts(
    tmp_path: Path, frame: pd.DataFrame, native: str, dtype: str, missing: float
) -> None:
    data = frame.mask(frame < -1.0, missing).mask(frame > 1.5, np.nan).astype(dtype)
    model = xgboost.XGBRegressor(n_estimators=5, missing=missing).fit(data, frame["a"])
    saved = model if native == "wrapper" else model.get_booster()
    expected = saved.predict(data if native == "wrapper" else xgboost.DMatrix(data))
    flavors.save_model(saved, tmp_path / "model", "xgboost", input_example=data.head(2))
    loaded = flavors.load_pyfunc(tmp_path / "model")
    assert loaded.predict(data).tolist() == expected.tolist()
    assert loaded.predict(data[["d", "c", "b", "a"]]).tolist() == expected.tolist()
    assert loaded.predict(data.head(1)).tolist() == expected[:1].tolist()


@pytest.mark.parametrize("native", ["wrapper", "booster"])
def test_without_a_signature_the_names_are_still_those_of_the_model(
    tmp_path: Path, frame: pd.DataFrame, classifier: xgboost.XGBClassifier, native: str
) -> None:
    saved = classifier if native == "wrapper" else classifier.get_booster()
    flavors.save_model(saved, tmp_path / "model", "xgboost")
    loaded = flavors.load_pyfunc(tmp_path / "model")
    for wrong in (frame[["b", "a", "c", "d"]], frame.rename(columns={"a": "z"}), frame[["a", "b"]]):
        with pytest.raises(ValueError, match="feature_names mismatch"):
            loaded.predict(wrong)


@pytest.mark.parametrize("native", ["wrapper", "booster"])
def test_infinity_is_taken_or_refused_as_xgboost_does(
    tmp_path: Path, frame: pd.DataFrame, classifier: xgboost.XGBClassifier, native: str
) -> None:
    saved = classifier if native == "wrapper" else classifier.get_booster()
    flavors.save_model(saved, tmp_path / "model", "xgboost")
    data = frame.head(2).replace(frame.iloc[0, 0], np.inf)

    def outcome(predict: Any) -> Any:
        try:
            return predict().tolist()
        except (ValueError, xgboost.core.XGBoostError) as error:
            return type(error).__name__

    expected = outcome(lambda: saved.predict(data if native == "wrapper" else xgboost.DMatrix(data)))
    assert outcome(lambda: flavors.load_pyfunc(tmp_path / "model").predict(data)) == expected


def test_integers_go_to_xgboost_as_an_array_and_change_no_prediction() -> None:
    generator = np.random.default_rng(1)
    mixed = pd.DataFrame(
        {
            "i8": generator.integers(-9, 9, 300).astype("int8"),
            "u4": generator.integers(0, 10**9, 300).astype("uint32"),
            "i8long": generator.integers(-(2**52), 2**52, 300),
            "f4": generator.normal(size=300).astype("float32"),
            "f8": generator.normal(size=300),
        }
    )
    target = mixed["i8"] + mixed["f4"] + mixed["i8long"] / 2**52 + mixed["u4"] / 10**9
    model = xgboost.XGBRegressor(n_estimators=20, n_jobs=1).fit(mixed, target)
    predictor = XGBoostPredictor(model)

    rows = predictor._rows(mixed)
    assert (rows.dtype, rows.shape) == (np.float64, (300, 5))
    assert predictor.predict(mixed).tolist() == model.predict(mixed).tolist()


@pytest.mark.parametrize("value", [2**53, -(2**60) - 1])
def test_an_integer_that_no_double_holds_goes_to_xgboost_as_it_is(value: int) -> None:
    table = pd.DataFrame({"a": [1, 2, value], "b": [0.5, 1.5, 2.5]})
    model = xgboost.XGBRegressor(n_estimators=2, n_jobs=1).fit(table, [0, 1, 2])
    predictor = XGBoostPredictor(model)
    assert predictor._rows(table) is None
    assert predictor.predict(table).tolist() == model.predict(table).tolist()


def test_rows_of_doubles_are_predicted_as_the_frame_that_they_stand_for(
    tmp_path: Path, classifier: xgboost.XGBClassifier, frame: pd.DataFrame
) -> None:
    signature = flavors.infer_signature(frame, params={"output_margin": True})
    for name, model in (("wrapper", classifier), ("booster", classifier.get_booster())):
        flavors.save_model(model, tmp_path / name, "xgboost", signature=signature)
        loaded = flavors.load_pyfunc(tmp_path / name)
        assert (loaded.takes_rows, loaded.only_computes) == (True, True)
        as_rows = loaded.predict_rows(frame.to_numpy(), {"output_margin": False})
        assert as_rows.tolist() == loaded.predict(frame, {"output_margin": False}).tolist()


@pytest.mark.parametrize("kind", ["no signature", "tensor", "32-bit floats", "other names", "another flavor"])
def test_rows_are_not_for_models_that_take_something_else(
    kind: str, tmp_path: Path, classifier: xgboost.XGBClassifier, pipeline: Pipeline, frame: pd.DataFrame
) -> None:
    signatures = {
        "tensor": flavors.infer_signature(frame.to_numpy()),
        "32-bit floats": flavors.infer_signature(frame.astype("float32")),
        "other names": flavors.infer_signature(frame.rename(columns={"a": "z"})),
    }
    model, flavor = (pipeline, "sklearn") if kind == "another flavor" else (classifier, "xgboost")
    signature = signatures.get(kind, False if kind == "no signature" else flavors.infer_signature(frame))
    flavors.save_model(model, tmp_path / "model", flavor, signature=signature)
    assert flavors.load_pyfunc(tmp_path / "model").takes_rows is False


@pytest.mark.parametrize("missing", [np.nan, -1.0])
@pytest.mark.parametrize("rounds", [None, 2])
def test_rows_are_predicted_as_the_wrapper_does_with_its_missing_value_and_best_iteration(
    missing: float, rounds: int | None, frame: pd.DataFrame
) -> None:
    holed = frame.mask(frame > 1.2, missing)
    model = xgboost.XGBRegressor(
        n_estimators=30, missing=missing, early_stopping_rounds=rounds, learning_rate=1.0, n_jobs=1
    )
    model.fit(holed, frame["a"], eval_set=[(holed.head(20), frame["b"].head(20))], verbose=False)
    assert (getattr(model, "best_iteration", 29) < 29) == (rounds is not None)
    assert XGBoostPredictor(model).predict(holed).tolist() == model.predict(holed).tolist()
