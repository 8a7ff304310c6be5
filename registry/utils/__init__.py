"""The two modules of ``mlflow.utils`` whose constants other packages read, such as Optuna's callback."""

from registry.unsupported import explain_missing
from registry.utils import mlflow_tags as mlflow_tags, validation as validation

__all__ = ["mlflow_tags", "validation"]

explain_missing(globals())
