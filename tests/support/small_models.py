"""A registered model that loads in a moment: y = 2x, saved by scikit-learn, in a run with a curve."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from sklearn.linear_model import LinearRegression

import registry


@dataclass(frozen=True)
class Doubling:
    """A run with the logged model ``model``, registered as version 1 of ``churn``."""

    run_id: str
    model: Any
    rows: pd.DataFrame


def log_doubling(name: str = "churn") -> Doubling:
    """Log and register a model that doubles its one column, in the experiment ``nba``."""
    rows, model = fitted()
    registry.set_experiment("nba")
    with registry.start_run(run_name="doubling") as run:
        steps = list(range(40))
        registry.MlflowClient().log_metric_history(run.info.run_id, "loss", steps, [1 / (step + 1) for step in steps])
        registry.log_metric("auc", 0.875)
        registry.log_text("a note", "notes/note.txt")
        registry.sklearn.log_model(
            model,
            name="model",
            signature=registry.models.infer_signature(rows, 2 * rows["x"]),
            registered_model_name=name,
        )
    return Doubling(run.info.run_id, model, rows)


def fitted() -> tuple[pd.DataFrame, Any]:
    """Return rows and a model that doubles them."""
    rows = pd.DataFrame({"x": [0.5, 1.5, 1e6 + 1 / 3]})
    return rows, LinearRegression(fit_intercept=False).fit(rows, 2 * rows["x"])
