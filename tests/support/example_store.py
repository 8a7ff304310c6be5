"""A small registry that the examples in docstrings work on, and the names that they may use without saying so.

docs/reference/api.md describes it to readers: an experiment ``games`` with three finished runs, a registered model
``churn`` with versions 1, 2 and 3 (version 2 holds Production, version 1 held it before, ``champion`` is version 2).
"""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xgboost

import registry

RUN_IDS = []


def training_data() -> tuple[pd.DataFrame, pd.Series]:
    """Forty games: two numbers about each, and whether the home team won."""
    generator = np.random.default_rng(7)
    X = pd.DataFrame({"rest_days": generator.normal(2, 1, 40), "rating_gap": generator.normal(0, 5, 40)})
    return X, (X["rating_gap"] + generator.normal(0, 2, 40) > 0).astype(int)


def make_store(directory: Path) -> dict[str, Any]:
    """Fill `directory`/mlruns; return what the examples need to know of it."""
    before = Path.cwd()
    os.chdir(directory)
    try:
        X, y = training_data()
        registry.set_experiment("games")
        runs = []
        for version, depth in enumerate((2, 3, 4), start=1):
            with registry.start_run(run_name=f"depth-{depth}") as run:
                registry.log_params({"algorithm": "XGBoost", "max_depth": depth})
                for step in range(3):
                    registry.log_metric("auc", 0.7 + 0.02 * depth + 0.01 * step, step=step)
                registry.log_metric("logloss", 0.6 - 0.05 * depth)
                registry.set_tag("team", "analytics")
                registry.log_text("all good", "notes.txt")
                model = xgboost.XGBClassifier(n_estimators=3, max_depth=depth, nthread=1).fit(X, y)
                registry.xgboost.log_model(
                    model, name="model", signature=registry.models.infer_signature(X, model.predict(X))
                )
            registry.register_model(f"runs:/{run.info.run_id}/model", "churn")
            runs.append(run.info.run_id)
        client = registry.MlflowClient()
        client.transition_model_version_stage("churn", 1, "Production")
        client.transition_model_version_stage("churn", 2, "Production", reason="better auc")
        client.set_registered_model_alias("churn", "champion", 2)
        return {"run_ids": runs}
    finally:
        os.chdir(before)


def example_names(facts: dict[str, Any]) -> dict[str, Any]:
    """The names that examples use: `registry`, `mlflow`, `client`, `run_id`, `model`, `X`, `y`, `np`, `pd`."""
    X, y = training_data()
    return {
        "registry": registry,
        "mlflow": registry,
        "client": registry.MlflowClient(),
        "run_id": facts["run_ids"][-1],
        "run_ids": facts["run_ids"],
        "model": xgboost.XGBClassifier(n_estimators=3, max_depth=3, nthread=1).fit(X, y),
        "X": X,
        "y": y,
        "np": np,
        "pd": pd,
    }


def copy_store(source: Path, target: Path) -> None:
    """Copy a store, and say so in the copy: an example must not write to the files of another one."""
    shutil.copytree(source / "mlruns", target / "mlruns")
    registry.MlflowClient(str(target / "mlruns")).adopt(new_root=str(target / "mlruns"))
