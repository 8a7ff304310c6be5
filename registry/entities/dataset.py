"""Data sets that runs read, and models that go into and come out of runs."""

from dataclasses import asdict, dataclass, field
from typing import Any

from registry.entities.entity import Entity


@dataclass(frozen=True, slots=True)
class Dataset(Entity):
    """What identifies a data set: its name and digest; source, schema and profile are JSON or plain text."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None

    def to_dictionary(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class InputTag(Entity):
    """A label of one use of a data set; ``mlflow.data.context`` says what it was used for."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class DatasetInput(Entity):
    """One use of a data set by a run."""

    dataset: Dataset
    tags: list[InputTag] = field(default_factory=list)

    def to_dictionary(self) -> dict[str, Any]:
        """The data set and its tags as dictionaries."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LoggedModelInput(Entity):
    """A logged model that a run used."""

    model_id: str

    def to_dictionary(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LoggedModelOutput(Entity):
    """A logged model that a run made, at a step of its training."""

    model_id: str
    step: int = 0

    def to_dictionary(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RunInputs(Entity):
    """What went into a run."""

    dataset_inputs: list[DatasetInput] = field(default_factory=list)
    model_inputs: list[LoggedModelInput] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RunOutputs(Entity):
    """What came out of a run."""

    model_outputs: list[LoggedModelOutput] = field(default_factory=list)
