"""The sklearn flavor: skops by default, pickles only if the caller allows code, and no trust by the file itself."""

import pickle
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from threadpoolctl import threadpool_info
from xgboost import XGBClassifier

from registry import flavors
from registry.exceptions import CodeExecutionRefusedError, InvalidModelError, InvalidParameterError
from registry.flavors.sklearn import SklearnPredictor


class OwnEstimator(ClassifierMixin, BaseEstimator):
    """A class that skops cannot know."""

    def fit(self, data: Any, labels: Any) -> "OwnEstimator":
        self.fitted_ = True
        return self

    def predict(self, data: Any) -> list[int]:
        return [7] * len(data)


OWN = f"{OwnEstimator.__module__}.{OwnEstimator.__qualname__}"


class Evil:
    """An object that runs a command of its choice when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_pipeline_comes_back_equal_without_consent(tmp_path: Path, pipeline: Pipeline, frame: pd.DataFrame) -> None:
    flavors.save_model(pipeline, tmp_path / "model", "sklearn")
    assert (tmp_path / "model" / "model.skops").is_file()
    loaded = flavors.load_model(tmp_path / "model", "sklearn")
    assert loaded.predict_proba(frame).tolist() == pipeline.predict_proba(frame).tolist()


def test_a_pipeline_around_xgboost_comes_back_equal(tmp_path: Path, frame: pd.DataFrame, labels: pd.Series) -> None:
    model = make_pipeline(FunctionTransformer(), XGBClassifier(n_estimators=3)).fit(frame, labels)
    flavors.save_model(model, tmp_path / "model", "sklearn")
    assert flavors.load_pyfunc(tmp_path / "model").predict(frame).tolist() == model.predict(frame).tolist()
    names = [line.partition("==")[0] for line in (tmp_path / "model" / "requirements.txt").read_text().splitlines()]
    assert names == ["scikit-learn", "skops", "xgboost"]


def test_the_predict_function_of_pyfunc_can_be_chosen(tmp_path: Path, pipeline: Pipeline, frame: pd.DataFrame) -> None:
    flavors.save_model(pipeline, tmp_path / "model", "sklearn", pyfunc_predict_fn="predict_proba")
    loaded = flavors.load_pyfunc(tmp_path / "model")
    assert loaded.predict(frame).tolist() == pipeline.predict_proba(frame).tolist()


def test_an_estimator_without_predict_has_no_pyfunc_flavor(tmp_path: Path) -> None:
    model = flavors.save_model(FunctionTransformer(), tmp_path / "model", "sklearn")
    assert list(model.flavors) == ["sklearn"]


@pytest.mark.parametrize("serialization_format", ["pickle", "cloudpickle"])
def test_a_pickle_is_loaded_with_consent_only(
    tmp_path: Path, pipeline: Pipeline, frame: pd.DataFrame, serialization_format: str
) -> None:
    flavors.save_model(pipeline, tmp_path / "model", "sklearn", serialization_format=serialization_format)
    for load in (flavors.load_pyfunc, lambda path: flavors.load_model(path, "sklearn")):
        with pytest.raises(CodeExecutionRefusedError, match=r"allow_code=True.*REGISTRY_ALLOW_CODE"):
            load(tmp_path / "model")
    loaded = flavors.load_pyfunc(tmp_path / "model", allow_code=True)
    assert loaded.predict(frame).tolist() == pipeline.predict(frame).tolist()


@pytest.mark.parametrize("claimed", ["skops", "pickle", "safe", None])
def test_a_pickle_runs_nothing_whatever_the_mlmodel_file_calls_it(tmp_path: Path, claimed: str | None) -> None:
    (tmp_path / "model.skops").write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
    entry = {"pickled_model": "model.skops", "serialization_format": claimed, "skops_trusted_types": ["pathlib.Path"]}
    function = {"loader_module": "mlflow.sklearn", "model_path": "model.skops", "allow_code": True}
    form = {"flavors": {"sklearn": entry, "python_function": function}, "metadata": {"allow_code": True}}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump(form))
    for load in (flavors.load_pyfunc, lambda path: flavors.load_model(path, "sklearn")):
        with pytest.raises(CodeExecutionRefusedError):
            load(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("consent", [1, "yes", None])
def test_only_true_is_consent(tmp_path: Path, pipeline: Pipeline, consent: Any) -> None:
    flavors.save_model(pipeline, tmp_path / "model", "sklearn", serialization_format="pickle")
    with pytest.raises(CodeExecutionRefusedError):
        flavors.load_model(tmp_path / "model", "sklearn", allow_code=consent)


def test_a_type_that_nobody_vouches_for_is_refused_at_saving(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match=r"OwnEstimator.*skops_trusted_types"):
        flavors.save_model(OwnEstimator(), tmp_path / "model", "sklearn")
    assert not (tmp_path / "model").exists()


def test_trust_in_a_type_comes_from_the_caller_and_not_from_the_file(tmp_path: Path, frame: pd.DataFrame) -> None:
    flavors.save_model(OwnEstimator(), tmp_path / "model", "sklearn", skops_trusted_types=[OWN])
    assert flavors.Model.load(tmp_path / "model").flavors["sklearn"]["skops_trusted_types"] == [OWN]
    for load in (flavors.load_pyfunc, lambda path: flavors.load_model(path, "sklearn")):
        with pytest.raises(CodeExecutionRefusedError, match="OwnEstimator"):
            load(tmp_path / "model")
    trusted = flavors.load_pyfunc(tmp_path / "model", skops_trusted_types=[OWN])
    consented = flavors.load_pyfunc(tmp_path / "model", allow_code=True)
    assert trusted.predict(frame) == consented.predict(frame) == [7] * len(frame)


@pytest.mark.parametrize("content", [b"PK\x05\x06" + b"\0" * 18, b"PK\x03\x04broken"])
def test_a_damaged_skops_file_is_refused(tmp_path: Path, content: bytes) -> None:
    flavors.save_model(LogisticRegression(), tmp_path / "model", "sklearn")
    (tmp_path / "model" / "model.skops").write_bytes(content)
    with pytest.raises((InvalidModelError, CodeExecutionRefusedError)):
        flavors.load_model(tmp_path / "model", "sklearn")


def test_a_damaged_pickle_is_refused(tmp_path: Path, pipeline: Pipeline) -> None:
    flavors.save_model(pipeline, tmp_path / "model", "sklearn", serialization_format="pickle")
    (tmp_path / "model" / "model.pkl").write_bytes(b"\x80\x04nonsense")
    with pytest.raises(InvalidModelError, match=r"model\.pkl"):
        flavors.load_model(tmp_path / "model", "sklearn", allow_code=True)


def test_a_predict_function_that_is_none_of_the_known_is_refused(tmp_path: Path, pipeline: Pipeline) -> None:
    with pytest.raises(InvalidParameterError, match="__class__"):
        flavors.save_model(pipeline, tmp_path / "model", "sklearn", pyfunc_predict_fn="__class__")
    flavors.save_model(pipeline, tmp_path / "model", "sklearn")
    text = (tmp_path / "model" / "MLmodel").read_text()
    (tmp_path / "model" / "MLmodel").write_text(text.replace("predict_fn: predict", "predict_fn: set_params"))
    with pytest.raises(InvalidModelError, match="set_params"):
        flavors.load_pyfunc(tmp_path / "model")


@pytest.mark.parametrize("model", [object(), LogisticRegression, None, "x"])
def test_what_is_no_estimator_is_refused(tmp_path: Path, model: object) -> None:
    with pytest.raises(InvalidParameterError, match="Expected a scikit-learn estimator"):
        flavors.save_model(model, tmp_path / "model", "sklearn")


def test_an_unknown_serialization_format_is_refused(tmp_path: Path, pipeline: Pipeline) -> None:
    with pytest.raises(InvalidParameterError, match="'joblib'"):
        flavors.save_model(pipeline, tmp_path / "model", "sklearn", serialization_format="joblib")


class Counts(BaseEstimator):  # type: ignore[misc]
    """Predicts how many threads OpenMP would use."""

    def predict(self, data: Any) -> list[int]:
        return [threads() for _ in data]


def threads() -> int:
    return max(library["num_threads"] for library in threadpool_info() if library["user_api"] == "openmp")


def test_threads_are_limited_while_it_predicts_and_not_afterwards() -> None:
    before = threads()
    predictor = SklearnPredictor(Counts())
    assert predictor.predict([0]) == [before]
    for count in (before + 2, 1):
        predictor.limit_threads(count)
        assert (predictor.predict([0, 0]), threads()) == ([count, count], before)
