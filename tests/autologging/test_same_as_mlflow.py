"""Autologging of real mlflow and ours log the same names and values; what differs is listed here."""

import os
import re
from pathlib import Path

import pytest
from autologging_comparison import describe, differences
from mlflow_environment import VARIABLE

pytestmark = pytest.mark.slow

# Our logged models get the params of their run, and all points of the rounds' metrics. MLflow makes the model of
# `train` before it has logged params, and gives a wrapper's model the points of round 0 alone.
_MODELS = [r"\[\d+\]/models\[\d\]/params/\w+: only here: .*", r"\[\d+\]/models\[\d\]/metrics: only here: [\w-]+ at \d+"]
DIFFERENCES: dict[str, list[str]] = {
    "xgboost_train": _MODELS,
    "xgboost_ranking": _MODELS,
    "xgboost_wrapper": _MODELS,
    "sklearn_estimators": [],
    "sklearn_search": [
        # The best estimator is logged when its run has metrics already. Where the search and the best estimator have a
        # param of one name, it has its own; MLflow gives it that of the search.
        *_MODELS,
        r"\[0\]/models\[0\]/params/verbose: here 'False', in mlflow '0'",
        r"\[1\]/models\[0\]/params/random_state: here 'None', in mlflow '0'",
        # To MLflow a halving search is no search: it logs the params, the metrics and the model.
        r"\[2\]/(artifacts|metrics/best_cv_score|params/best_C): only here: .*",
        r"\[2\]/(children|models): here .*",
    ],
    "sklearn_after_training": [
        # Two fits in one run whose params contradict each other: MLflow drops what belongs to the second.
        r"\[0\]/params/(copy_X|positive): only here: .*",
        r"\[0\]/metrics/(mean_squared_error|LinearRegression).*: only here: .*",
        r"\[0\]/datasets.*",
        r"\[0\]/tags/estimator_(name|class): here .*",
        r"\[0\]/models.*",
        *_MODELS,
    ],
    "lightgbm_models": _MODELS,
}


@pytest.mark.parametrize("script", sorted(DIFFERENCES))
def test_a_script_leaves_the_same_behind(script: str, tmp_path: Path) -> None:
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f"{VARIABLE} is not set: it names the Python of an environment that has mlflow installed")

    ours = describe(script, tmp_path / "ours")
    theirs = describe(script, tmp_path / "theirs", mlflow_python=python)

    lines = differences(ours, theirs)
    unexpected = [line for line in lines if not any(re.fullmatch(known, line) for known in DIFFERENCES[script])]
    assert unexpected == []
