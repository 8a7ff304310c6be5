"""The module-level functions under MLflow's path (``mlflow.tracking.fluent``); they are defined in `registry`."""

from registry import *  # noqa: F403
from registry.unsupported import explain_missing

explain_missing(globals())
