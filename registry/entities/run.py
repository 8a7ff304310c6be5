"""Runs and what is logged to them, as frozen values with MLflow's names.

Owns the shape of a run; how one is stored is `store`'s matter. Invariant: an entity never changes after it was read.
Times are milliseconds since the epoch, UTC.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Final

from registry.entities.dataset import RunInputs, RunOutputs
from registry.entities.entity import Entity
from registry.exceptions import InvalidParameterError


class RunStatus:
    """The status of a run: a number, as in MLflow, with its name by `to_string`."""

    RUNNING: Final = 1
    SCHEDULED: Final = 2
    FINISHED: Final = 3
    FAILED: Final = 4
    KILLED: Final = 5

    _NAMES: ClassVar[dict[int, str]] = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}

    @staticmethod
    def to_string(status: int | str) -> str:
        """The name of a status, given as its number or already as its name.

        Raises:
            InvalidParameterError: the status is not one of the five.
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
        """The number of a status name."""
        name = RunStatus.to_string(status_str)
        return next(number for number, known in RunStatus._NAMES.items() if known == name)

    @staticmethod
    def is_terminated(status: int | str) -> bool:
        """Whether a run with this status has ended."""
        return RunStatus.to_string(status) in ("FINISHED", "FAILED", "KILLED")

    @staticmethod
    def all_status() -> list[int]:
        """All five numbers."""
        return list(RunStatus._NAMES)


class LifecycleStage:
    """Whether a run or experiment is active or (softly) deleted."""

    ACTIVE: Final = "active"
    DELETED: Final = "deleted"


class ViewType:
    """Which lifecycle stages a search looks at."""

    ACTIVE_ONLY: Final = 1
    DELETED_ONLY: Final = 2
    ALL: Final = 3

    @staticmethod
    def stages(view_type: int) -> tuple[str, ...]:
        """The lifecycle stages that a view shows.

        Raises:
            InvalidParameterError: not one of the three views.
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
    """What kind of program made a run (the tag ``mlflow.source.type``)."""

    NOTEBOOK: Final = 1
    JOB: Final = 2
    PROJECT: Final = 3
    LOCAL: Final = 4
    UNKNOWN: Final = 1000

    _NAMES: ClassVar[dict[int, str]] = {1: "NOTEBOOK", 2: "JOB", 3: "PROJECT", 4: "LOCAL", 1000: "UNKNOWN"}

    @staticmethod
    def to_string(status: int) -> str:
        """The name of a source type."""
        return SourceType._NAMES.get(status, "UNKNOWN")


# Not frozen like its neighbours: that makes making one five times as slow, and of these a run logs millions.
@dataclass(slots=True, unsafe_hash=True)
class Metric(Entity):
    """One point of a metric: a value at a step and a time (milliseconds since the epoch)."""

    key: str
    value: float
    timestamp: int
    step: int = 0
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None
    run_id: str | None = None

    def to_dictionary(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Param(Entity):
    """A setting of a run; written once."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class RunTag(Entity):
    """A label of a run; may be overwritten."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class RunInfo(Entity):
    """What a run is, apart from what was logged to it."""

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
        """The run's id, under the name that MLflow 2 gave it."""
        return self.run_id


@dataclass(frozen=True, slots=True)
class RunData(Entity):
    """What was logged to a run: the latest value of each metric, params and tags."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def to_dictionary(self) -> dict[str, Any]:
        """Copies of the three mappings."""
        return {"metrics": dict(self.metrics), "params": dict(self.params), "tags": dict(self.tags)}


@dataclass(frozen=True)
class Run(Entity):
    """A run as it was when it was read."""

    info: RunInfo
    data: RunData = field(default_factory=RunData)
    inputs: RunInputs = field(default_factory=RunInputs)
    outputs: RunOutputs = field(default_factory=RunOutputs)

    def to_dictionary(self) -> dict[str, Any]:
        """Nested dictionaries of everything the run holds."""
        return {
            "info": asdict(self.info),
            "data": self.data.to_dictionary(),
            "inputs": asdict(self.inputs),
            "outputs": asdict(self.outputs),
        }
