"""Ordinary MLflow scripts (``tests/scripts``) run over `registry` with nothing changed but their imports."""

import os
from pathlib import Path
from typing import Any

import pytest
from mlflow_environment import VARIABLE
from mlflow_scripts import run_script

pytestmark = pytest.mark.slow

ANSWERS: dict[str, dict[str, Any]] = {
    "game_predictions": {
        "equal": True,
        "stage": "Production",
        "metrics": ["accuracy", "f1_score", "precision", "recall"],
        "dataset": "1eff3f2c",
        "artifacts": ["notes.txt"],
    },
    "parameter_sweep": {
        "children": 3,
        "sorted": True,
        "steps": [0, 1, 2],
        "equal": True,
        "status": "FINISHED",
        "active": True,
    },
    "champion_alias": {
        "codes": [True, "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"],
        "champion": 2,
        "tags": {"slope": "2.0", "validated": "yes"},
        "prediction": [40.0, 60.0, 80.0],
        "inputs": ["age", "calls"],
        "found": ["churn"],
        "versions": [1, 2],
        "experiments": 2,
    },
}


@pytest.mark.parametrize("script", sorted(ANSWERS))
def test_a_script_of_mlflow_runs_unchanged(script: str, tmp_path: Path) -> None:
    assert run_script(script, f"sqlite:///{tmp_path}/registry.db", tmp_path) == ANSWERS[script]


@pytest.mark.parametrize("script", sorted(ANSWERS))
def test_a_script_gives_the_same_answer_over_real_mlflow(script: str, tmp_path: Path) -> None:
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f"{VARIABLE} is not set: it names the Python of an environment that has mlflow installed")

    answer = run_script(script, f"sqlite:///{tmp_path}/mlflow.db", tmp_path, mlflow_python=python)

    assert answer == ANSWERS[script]
