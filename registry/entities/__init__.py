"""The values that the client returns and takes, with the names of ``mlflow.entities``."""

from typing import TYPE_CHECKING

from registry.entities.dataset import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    RunInputs,
    RunOutputs,
)
from registry.entities.experiment import Experiment, ExperimentTag
from registry.entities.logged_model import LoggedModel, LoggedModelParameter, LoggedModelStatus, LoggedModelTag
from registry.entities.manifest import Manifest, ManifestEntry
from registry.entities.paging import FileInfo, PagedList
from registry.entities.run import (
    LifecycleStage,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunStatus,
    RunTag,
    SourceType,
    ViewType,
)

__all__ = [
    "Dataset",
    "DatasetInput",
    "Experiment",
    "ExperimentTag",
    "FileInfo",
    "InputTag",
    "LifecycleStage",
    "LoggedModel",
    "LoggedModelInput",
    "LoggedModelOutput",
    "LoggedModelParameter",
    "LoggedModelStatus",
    "LoggedModelTag",
    "Manifest",
    "ManifestEntry",
    "Metric",
    "PagedList",
    "Param",
    "Run",
    "RunData",
    "RunInfo",
    "RunInputs",
    "RunOutputs",
    "RunStatus",
    "RunTag",
    "SourceType",
    "ViewType",
]

if not TYPE_CHECKING:
    from registry.unsupported import attributes

    __getattr__ = attributes(__name__, __all__)
