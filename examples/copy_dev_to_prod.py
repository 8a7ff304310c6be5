"""Copy an approved version from a development registry to a production registry, with its files and its run.

Two directories stand for the two registries; PostgreSQL URLs and S3 prefixes work the same way.
Run it in any directory: `python copy_dev_to_prod.py`.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression

import registry as mlflow
from registry import MetricAtLeast, TagEquals
from registry.exceptions import PromotionRefusedError

DEV, PROD = "file:./dev-registry", "file:./prod-registry"
MODEL = "churn"

random = np.random.default_rng(7)
customers = random.normal(size=(400, 3))
left = (customers @ [1.5, -1.0, 0.5] + random.normal(0, 0.3, 400) > 0).astype(int)

# Development: train, log, register.
mlflow.set_tracking_uri(DEV)
dev = mlflow.MlflowClient(DEV)
with mlflow.start_run():
    model = LogisticRegression().fit(customers[:300], left[:300])
    mlflow.log_metric("accuracy", model.score(customers[300:], left[300:]))
    info = mlflow.sklearn.log_model(model, name="model", registered_model_name=MODEL)
version = info.registered_model_version
dev.set_model_version_tag(MODEL, version, "reviewed", "yes")

# Production: its own database, its own files, its own rules. Copying the same version again gives the same copy.
prod = mlflow.MlflowClient(PROD)
copied = dev.copy_model_version(f"models:/{MODEL}/{version}", MODEL, to=PROD, reason="release 2026.3")
again = dev.copy_model_version(f"models:/{MODEL}/{version}", MODEL, to=PROD)
assert again.version == copied.version
assert copied.digest == dev.get_model_version(MODEL, version).digest
print(f"{DEV} version {version} is {PROD} version {copied.version}, digest {copied.digest[:12]}…")

# The run came along, so that the rules of the production registry can judge its metrics.
rules = [MetricAtLeast("accuracy", 0.8), TagEquals("reviewed", "yes")]
prod.set_promotion_rules(MODEL, "Production", rules, reason="house rules")
for verdict in prod.check_promotion(MODEL, copied.version, "Production"):
    print(f"{'passed' if verdict.passed else 'failed'}: expected {verdict.expected}, actual {verdict.actual}")
try:
    prod.transition_model_version_stage(MODEL, copied.version, "Production", reason="release 2026.3")
except PromotionRefusedError as error:
    raise SystemExit(f"not promoted: {error}") from error

# A serving host needs no write access.
mlflow.set_tracking_uri(PROD)
served = mlflow.pyfunc.load_model(f"models:/{MODEL}/Production")
assert served.predict(customers[300:]).tolist() == model.predict(customers[300:]).tolist()
print(f"{PROD} serves the model; it predicts as in development")
