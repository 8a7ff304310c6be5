"""The values that the client returns and takes, with the names of ``mlflow.entities``."""

from registry.entities.dataset import (
    Dataset as Dataset,
    DatasetInput as DatasetInput,
    InputTag as InputTag,
    LoggedModelInput as LoggedModelInput,
    LoggedModelOutput as LoggedModelOutput,
    RunInputs as RunInputs,
    RunOutputs as RunOutputs,
)
from registry.entities.evidence import EvaluatedDataset as EvaluatedDataset, Evidence as Evidence
from registry.entities.experiment import Experiment as Experiment, ExperimentTag as ExperimentTag
from registry.entities.logged_model import (
    LoggedModel as LoggedModel,
    LoggedModelParameter as LoggedModelParameter,
    LoggedModelStatus as LoggedModelStatus,
    LoggedModelTag as LoggedModelTag,
)
from registry.entities.manifest import Manifest as Manifest, ManifestEntry as ManifestEntry
from registry.entities.model_comparison import ComparedModel as ComparedModel, PairedDifference as PairedDifference
from registry.entities.monitors import (
    Guard as Guard,
    Incident as Incident,
    Monitor as Monitor,
    MonitorCheck as MonitorCheck,
    TriggerDelivery as TriggerDelivery,
)
from registry.entities.paging import FileInfo as FileInfo, PagedList as PagedList
from registry.entities.run import (
    LifecycleStage as LifecycleStage,
    Metric as Metric,
    Param as Param,
    Run as Run,
    RunData as RunData,
    RunInfo as RunInfo,
    RunStatus as RunStatus,
    RunTag as RunTag,
    SourceType as SourceType,
    ViewType as ViewType,
)
from registry.unsupported import explain_missing

explain_missing(globals())
