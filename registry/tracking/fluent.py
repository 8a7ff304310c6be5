"""MLflow's path of the module-level functions (``mlflow.tracking.fluent``); they stand in `registry` itself."""

from registry import *  # noqa: F403
from registry.unsupported import explain_missing

explain_missing(globals())
