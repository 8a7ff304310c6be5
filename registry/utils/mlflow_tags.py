"""The names of MLflow's tags that runs and models carry here (``mlflow.utils.mlflow_tags``)."""

from typing import Final

from registry.unsupported import explain_missing

__all__ = [
    "MLFLOW_AUTOLOGGING",
    "MLFLOW_DATASET_CONTEXT",
    "MLFLOW_GIT_COMMIT",
    "MLFLOW_PARENT_RUN_ID",
    "MLFLOW_RUN_NAME",
    "MLFLOW_RUN_NOTE",
    "MLFLOW_SOURCE_NAME",
    "MLFLOW_SOURCE_TYPE",
    "MLFLOW_USER",
]

MLFLOW_AUTOLOGGING: Final = "mlflow.autologging"
MLFLOW_DATASET_CONTEXT: Final = "mlflow.data.context"
MLFLOW_GIT_COMMIT: Final = "mlflow.source.git.commit"
MLFLOW_PARENT_RUN_ID: Final = "mlflow.parentRunId"
MLFLOW_RUN_NAME: Final = "mlflow.runName"
MLFLOW_RUN_NOTE: Final = "mlflow.note.content"
MLFLOW_SOURCE_NAME: Final = "mlflow.source.name"
MLFLOW_SOURCE_TYPE: Final = "mlflow.source.type"
MLFLOW_USER: Final = "mlflow.user"

explain_missing(globals())
