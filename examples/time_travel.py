"""Guard Production with rules, override one with a reason, roll back, and ask who was in Production when.

Run it in any directory: `python time_travel.py`.
"""

from datetime import UTC, datetime

import numpy as np
from sklearn.tree import DecisionTreeRegressor

import registry as mlflow
from registry import MetricAtMost, MetricNotWorse, SignatureCompatible
from registry.exceptions import PromotionRefusedError

MODEL = "attendance"
random = np.random.default_rng(7)
days = random.uniform(0, 10, size=(300, 2))
crowd = 1_000 * np.sin(days[:, 0]) + 200 * days[:, 1]
client = mlflow.MlflowClient()
mlflow.set_experiment(MODEL)


def register(depth: int) -> int:
    """Train a tree of this depth, log it with its mean error, and register it. Return the version."""
    with mlflow.start_run(run_name=f"depth {depth}"):
        tree = DecisionTreeRegressor(max_depth=depth, random_state=7).fit(days[:200], crowd[:200])
        mlflow.log_param("depth", depth)
        mlflow.log_metric("mean_error", float(np.abs(tree.predict(days[200:]) - crowd[200:]).mean()))
        info = mlflow.sklearn.log_model(tree, name="model", input_example=days[:2], registered_model_name=MODEL)
    return info.registered_model_version


good, bad = register(6), register(1)

# Rules are data of the model and the stage. They are checked inside the promoting transaction.
rules = [
    MetricAtMost("mean_error", 400),
    MetricNotWorse("mean_error", higher_is_better=False, tolerance=20),
    SignatureCompatible(),
]
client.set_promotion_rules(MODEL, "Production", rules, reason="agreed with the box office")
client.transition_model_version_stage(MODEL, good, "Production", reason="passes every rule")
served_since = datetime.now(UTC)

try:
    client.transition_model_version_stage(MODEL, bad, "Production")
except PromotionRefusedError as error:
    print(f"refused: {error}\n")

# An emergency needs a reason. `expected_current` makes it fail if somebody else was faster.
client.transition_model_version_stage(
    MODEL, bad, "Production", override=True, expected_current=good, reason="the good one is too slow tonight"
)
client.rollback(MODEL, "Production", expected_current=bad, reason="the old one is fast enough again")

# Time travel: what did we serve then, and what do we serve now?
then = mlflow.resolve(f"models:/{MODEL}/Production?at={served_since.isoformat()}")
now = mlflow.resolve(f"models:/{MODEL}/Production")
assert then.version == now.version == good

print(mlflow.stage_holders(MODEL)[["stage", "version", "since", "until", "reason"]].to_string(index=False), "\n")
print(mlflow.history(MODEL)[["seq", "kind", "version", "actor", "reason"]].to_string(index=False), "\n")
report = mlflow.verify(MODEL, read_bytes=True)
print(f"verified: {report.events} events, {report.versions} versions, every file read")
