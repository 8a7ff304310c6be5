"""Runs, with their params, metrics and tags; the names are MLflow's.

Guarantees: an entity does not change after it was read. Times are milliseconds since the epoch, UTC.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Final

from registry.entities import html
from registry.entities.dataset import RunInputs, RunOutputs
from registry.entities.entity import Entity
from registry.exceptions import InvalidParameterError


class RunStatus:
    """The status of a run: a number, as in MLflow; `to_string` gives its name."""

    RUNNING: Final = 1
    SCHEDULED: Final = 2
    FINISHED: Final = 3
    FAILED: Final = 4
    KILLED: Final = 5

    _NAMES: ClassVar[dict[int, str]] = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}

    @staticmethod
    def to_string(status: int | str) -> str:
        """Return the name of a status, given as number or name.

        Raises:
            InvalidParameterError: there is no such status.
        """
        name = RunStatus._NAMES.get(status) if isinstance(status, int) else str(status)
        if name not in RunStatus._NAMES.values():
            allowed = ", ".join(RunStatus._NAMES.values())
            raise InvalidParameterError(
                f"Could not get run status corresponding to string {status}. It is one of {allowed}."
            )
        return str(name)

    @staticmethod
    def from_string(status_str: str) -> int:
        """Return the number of a status name."""
        name = RunStatus.to_string(status_str)
        return next(number for number, known in RunStatus._NAMES.items() if known == name)

    @staticmethod
    def is_terminated(status: int | str) -> bool:
        """Tell whether a run with this status has ended."""
        return RunStatus.to_string(status) in ("FINISHED", "FAILED", "KILLED")

    @staticmethod
    def all_status() -> list[int]:
        """Return the numbers of all statuses."""
        return list(RunStatus._NAMES)


class LifecycleStage:
    """The lifecycle stages of runs and experiments; a deleted one can be restored until gc removes it."""

    ACTIVE: Final = "active"
    DELETED: Final = "deleted"


class ViewType:
    """The lifecycle stages that a search includes."""

    ACTIVE_ONLY: Final = 1
    DELETED_ONLY: Final = 2
    ALL: Final = 3

    @staticmethod
    def stages(view_type: int) -> tuple[str, ...]:
        """Return the lifecycle stages that a view includes.

        Raises:
            InvalidParameterError: there is no such view.
        """
        try:
            return _VIEW_STAGES[view_type]
        except (KeyError, TypeError):
            raise InvalidParameterError(
                f"Unknown view type {view_type!r}; use ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY or ViewType.ALL."
            ) from None


_VIEW_STAGES: Final[dict[int, tuple[str, ...]]] = {
    ViewType.ACTIVE_ONLY: (LifecycleStage.ACTIVE,),
    ViewType.DELETED_ONLY: (LifecycleStage.DELETED,),
    ViewType.ALL: (LifecycleStage.ACTIVE, LifecycleStage.DELETED),
}


class SourceType:
    """The kind of program that created a run (the tag ``mlflow.source.type``)."""

    NOTEBOOK: Final = 1
    JOB: Final = 2
    PROJECT: Final = 3
    LOCAL: Final = 4
    UNKNOWN: Final = 1000

    _NAMES: ClassVar[dict[int, str]] = {1: "NOTEBOOK", 2: "JOB", 3: "PROJECT", 4: "LOCAL", 1000: "UNKNOWN"}

    @staticmethod
    def to_string(status: int) -> str:
        """Return the name of a source type; ``"UNKNOWN"`` for other numbers."""
        return SourceType._NAMES.get(status, "UNKNOWN")


# Not frozen, unlike the other entities: a run logs millions, and creating a frozen instance takes five times as long.
@dataclass(slots=True, unsafe_hash=True)
class Metric(Entity):
    """A metric point: a value at a step and a time.

    Attributes:
        key: The name of the metric.
        value: The value; NaN and infinities are allowed.
        timestamp: Milliseconds since the epoch, UTC.
        step: The training step; may be negative.
        model_id: The logged model that the value was measured on, or None.
        dataset_name: The data set that the value was measured on, or None.
        dataset_digest: The digest of that data set, or None.
        run_id: The run that logged it, or None.
    """

    key: str
    value: float
    timestamp: int
    step: int = 0
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None
    run_id: str | None = None

    def to_dictionary(self) -> dict[str, Any]:
        """Return the fields as a dictionary."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Param(Entity):
    """A param of a run; it can be written only once."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class RunTag(Entity):
    """A tag of a run; it can be overwritten."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class RunInfo(Entity):
    """The properties of a run, without its logged data.

    Attributes:
        run_id: The id, 32 hexadecimal digits unless it was imported.
        experiment_id: The id of its experiment.
        user_id: The user who started it.
        status: ``"RUNNING"``, ``"SCHEDULED"``, ``"FINISHED"``, ``"FAILED"`` or ``"KILLED"``.
        start_time: Milliseconds since the epoch, UTC.
        end_time: Milliseconds since the epoch, UTC, or None while it runs.
        lifecycle_stage: ``"active"`` or ``"deleted"``.
        artifact_uri: The path or URI of its artifacts.
        run_name: The name; not unique.
    """

    run_id: str
    experiment_id: str
    user_id: str
    status: str
    start_time: int
    end_time: int | None
    lifecycle_stage: str
    artifact_uri: str
    run_name: str

    @property
    def run_uuid(self) -> str:
        """The run's id, under MLflow 2's name."""
        return self.run_id


@dataclass(frozen=True, slots=True)
class RunData(Entity):
    """The logged data of a run.

    Attributes:
        metrics: The latest value of each metric: highest step, then timestamp, then value.
        params: The params by key, as text.
        tags: The tags by key.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def to_dictionary(self) -> dict[str, Any]:
        """Return copies of the metrics, params and tags."""
        return {"metrics": dict(self.metrics), "params": dict(self.params), "tags": dict(self.tags)}


@dataclass(frozen=True)
class Run(Entity):
    """A run, as it was when it was read.

    Attributes:
        info: Its id, name, status, times and artifact URI.
        data: Its latest metrics, params and tags.
        inputs: The data sets and logged models that it used.
        outputs: The logged models that it created.
    """

    info: RunInfo
    data: RunData = field(default_factory=RunData)
    inputs: RunInputs = field(default_factory=RunInputs)
    outputs: RunOutputs = field(default_factory=RunOutputs)

    def to_dictionary(self) -> dict[str, Any]:
        """Return everything about the run as nested dictionaries."""
        return {
            "info": asdict(self.info),
            "data": self.data.to_dictionary(),
            "inputs": asdict(self.inputs),
            "outputs": asdict(self.outputs),
        }

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        info = self.info
        facts = {
            "Status": info.status,
            "Started": html.moment(info.start_time),
            "Ended": html.moment(info.end_time),
            "By": info.user_id,
            "Experiment": info.experiment_id,
            "Run id": info.run_id,
        }
        groups = {"Metrics": self.data.metrics, "Params": self.data.params, "Tags": self.data.tags}
        return html.card(f"Run {info.run_name}", facts, groups)
