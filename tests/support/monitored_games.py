"""Games that a model predicts, before and after they change, and a registry with the model in Production."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import registry
from registry import MlflowClient
from registry.monitoring import make_profile

NAME = "wins"
URI = "models:/wins/1"


def games(rows: int, seed: int = 0, shift: float = 0.0) -> tuple[pd.DataFrame, Any]:
    """Return inputs and who won; `shift` moves the rating gap by so many standard deviations."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "gap": generator.normal(shift, 1, rows),
            "rest": generator.exponential(2, rows),
        }
    )
    return frame, (frame["gap"] + generator.normal(0, 0.5, rows) > 0).astype(int).to_numpy()


def estimator() -> Any:
    """Return a model of the games."""
    return LogisticRegression().fit(*games(500))


def register(client: MlflowClient, *, reference: Any = "games") -> Any:
    """Log a model with its reference, register it as the next version, move it to Production; return the estimator."""
    registry.set_tracking_uri(client.tracking_uri)
    inputs, won = games(2_000)
    fitted = estimator()
    profile = make_profile(inputs, fitted.predict(inputs), won) if isinstance(reference, str) else reference
    with registry.start_run():
        info = registry.sklearn.log_model(
            fitted,
            name="model",
            registered_model_name=NAME,
            reference=profile,
            signature=registry.models.infer_signature(inputs, fitted.predict(inputs)),
        )
    client.transition_model_version_stage(NAME, info.registered_model_version, "Production")
    return fitted
