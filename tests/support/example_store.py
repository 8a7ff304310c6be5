"""A small registry for the examples in docstrings, and the names that the examples may use.

docs/reference/api.md describes it to readers: an experiment ``games`` with three finished runs, and a registered model
``churn`` with versions 1, 2 and 3. Version 2 holds Production and the alias ``champion``; version 1 held Production
before.
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
    """Return forty games: two numbers about each, and whether the home team won."""
    generator = np.random.default_rng(7)
    features = pd.DataFrame({"rest_days": generator.normal(2, 1, 40), "rating_gap": generator.normal(0, 5, 40)})
    return features, (features["rating_gap"] + generator.normal(0, 2, 40) > 0).astype(int)


def make_store(directory: Path) -> dict[str, Any]:
    """Fill `directory`/mlruns. Return the values that the examples need."""
    before = Path.cwd()
    os.chdir(directory)
    try:
        features, target = training_data()
        registry.set_experiment("games")
        run_ids = []
        for depth in (2, 3, 4):
            with registry.start_run(run_name=f"depth-{depth}") as run:
                registry.log_params({"algorithm": "XGBoost", "max_depth": depth})
                for step in range(3):
                    registry.log_metric("auc", 0.7 + 0.02 * depth + 0.01 * step, step=step)
                registry.log_metric("logloss", 0.6 - 0.05 * depth)
                registry.set_tag("team", "analytics")
                registry.log_text("all good", "notes.txt")
                model = xgboost.XGBClassifier(n_estimators=3, max_depth=depth, nthread=1).fit(features, target)
                signature = registry.models.infer_signature(features, model.predict(features))
                registry.xgboost.log_model(model, name="model", signature=signature)
            registry.register_model(f"runs:/{run.info.run_id}/model", "churn")
            run_ids.append(run.info.run_id)
        client = registry.MlflowClient()
        client.transition_model_version_stage("churn", 1, "Production")
        client.transition_model_version_stage("churn", 2, "Production", reason="better auc")
        client.set_registered_model_alias("churn", "champion", 2)
        return {"run_ids": run_ids}
    finally:
        os.chdir(before)


def example_names(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the names that examples use: `registry`, `mlflow`, `client`, `run_id`, `model`, `X`, `y`, `np`, `pd`."""
    features, target = training_data()
    return {
        "registry": registry,
        "mlflow": registry,
        "client": registry.MlflowClient(),
        "run_id": facts["run_ids"][-1],
        "run_ids": facts["run_ids"],
        "model": xgboost.XGBClassifier(n_estimators=3, max_depth=3, nthread=1).fit(features, target),
        "X": features,
        "y": target,
        "np": np,
        "pd": pd,
    }


def copy_store(source: Path, target: Path) -> None:
    """Copy a store, and say so in the copy: an example must not write to the files of another one."""
    shutil.copytree(source / "mlruns", target / "mlruns")
    registry.MlflowClient(str(target / "mlruns")).adopt(new_root=str(target / "mlruns"))
