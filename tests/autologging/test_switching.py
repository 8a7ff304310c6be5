"""Switching autologging on and off: what is patched, when, and that the originals come back."""

import subprocess
import sys
from typing import Any

import lightgbm
import pytest
import sklearn.linear_model
import sklearn.metrics
import sklearn.model_selection
import sklearn.pipeline
import xgboost

import registry
from registry.autologging.patching import Patches
from registry.exceptions import InvalidParameterError

PLACES: list[tuple[Any, str]] = [
    (xgboost, "train"),
    (xgboost.sklearn, "train"),
    (xgboost.DMatrix, "__init__"),
    (xgboost.XGBClassifier, "fit"),
    (xgboost.XGBRFRegressor, "fit"),
    (lightgbm, "train"),
    (lightgbm.Dataset, "__init__"),
    (lightgbm.LGBMClassifier, "fit"),
    (sklearn.linear_model.LogisticRegression, "fit"),
    (sklearn.linear_model.LogisticRegression, "predict"),
    (sklearn.linear_model.LinearRegression, "score"),
    (sklearn.pipeline.Pipeline, "predict"),
    (sklearn.pipeline.Pipeline, "fit_transform"),
    (sklearn.model_selection.GridSearchCV, "fit"),
    (sklearn.metrics, "accuracy_score"),
    (sklearn.model_selection, "cross_val_score"),
]
MISSING = object()


def attributes() -> list[Any]:
    return [vars(owner).get(name, MISSING) for owner, name in PLACES]


def test_disabling_puts_back_the_very_objects_and_what_was_inherited_is_inherited_again() -> None:
    before = attributes()

    registry.autolog()
    patched = attributes()
    registry.autolog(disable=True)

    assert all(now is not then for now, then in zip(patched, before, strict=True))
    assert all(now is then for now, then in zip(attributes(), before, strict=True))


def test_enabling_twice_patches_once() -> None:
    before = attributes()

    registry.autolog()
    registry.xgboost.autolog(importance_types=["gain"])
    registry.sklearn.autolog()
    originals = [getattr(now, "__wrapped__", None) for now in attributes()]
    registry.autolog(disable=True)

    assert not any(hasattr(original, "_self_patched_name") for original in originals)
    assert attributes()[0] is before[0]


def test_the_call_for_all_keeps_what_a_flavor_has_set() -> None:
    registry.xgboost.autolog(log_models=False)
    registry.autolog(log_models=True)

    xgboost.train({}, xgboost.DMatrix([[1.0], [2.0]], label=[0, 1]), 1)

    [run] = registry.search_runs(output_format="list")
    assert run.outputs.model_outputs == []


def test_a_flavor_that_was_switched_off_stays_off_for_the_call_for_all() -> None:
    before = vars(xgboost)["train"]
    registry.xgboost.autolog(disable=True)
    registry.autolog()

    assert xgboost.train is before
    assert lightgbm.train is not before


def test_excluded_flavors_are_left_alone() -> None:
    before = attributes()

    registry.autolog(exclude_flavors=["xgboost", "lightgbm"])

    assert [xgboost.train is before[0], lightgbm.train is before[5]] == [True, True]
    assert vars(sklearn.linear_model.LogisticRegression)["fit"] is not before[8]


def test_a_patch_of_somebody_else_on_top_stays_and_ours_does_nothing_any_more() -> None:
    class Owner:
        def method(self) -> str:
            return "original"

    patches = Patches()
    patches.wrap(Owner, "method", lambda wrapped, _instance, args, kwargs: f"ours {wrapped(*args, **kwargs)}")
    ours = vars(Owner)["method"]
    Owner.method = lambda self: f"theirs {ours(self)}"  # type: ignore[method-assign]
    assert Owner().method() == "theirs ours original"

    patches.restore()

    assert Owner().method() == "theirs original"


def test_a_negative_number_of_child_runs_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="`max_tuning_runs` must be non-negative, instead got -1"):
        registry.sklearn.autolog(max_tuning_runs=-1)


def test_autologging_can_be_switched_on_before_the_packages_are_imported() -> None:
    program = """
import sys
import registry as mlflow
mlflow.autolog()
assert not {"sklearn", "xgboost", "lightgbm"} & set(sys.modules)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
X_test, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
with mlflow.start_run():
    model = LogisticRegression().fit(X_test, y)
    accuracy_score(y, model.predict(X_test))
run = mlflow.last_active_run()
assert run.data.metrics["accuracy_score_X_test"] == 1.0, run.data.metrics
assert mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/model").predict([[3.0]]).tolist() == [1]
import xgboost
assert type(xgboost.train).__name__ == "PatchedFunction"
assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=300)
    assert done.stderr.replace("\\n", "") == ""
    assert done.returncode == 0


def test_an_old_version_is_left_alone_if_asked(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    before = xgboost.train
    monkeypatch.setattr(xgboost, "__version__", "1.7.6")

    registry.xgboost.autolog(disable_for_unsupported_versions=True)

    assert xgboost.train is before
    assert told == ["Autologging of xgboost 1.7.6 is off: it is tested from version 2.1 on."]


def test_an_old_version_is_patched_with_a_warning_otherwise(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    monkeypatch.setattr(xgboost, "__version__", "1.7.6")

    registry.xgboost.autolog()

    assert told == ["Autologging of xgboost 1.7.6 may be incomplete: it is tested from version 2.1 on."]


def test_without_wrapt_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wrapt", None)

    with pytest.raises(registry.exceptions.MissingDependencyError, match=r"pip install 'registry-ml\[autologging\]'"):
        registry.autolog()
