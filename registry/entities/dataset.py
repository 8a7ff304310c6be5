"""The inputs and outputs of runs: data sets and logged models."""

from dataclasses import asdict, dataclass, field
from typing import Any

from registry.entities.entity import Entity


@dataclass(frozen=True, slots=True)
class Dataset(Entity):
    """A data set, identified by name and digest.

    Attributes:
        name: The name given when it was logged.
        digest: A short hash of its content.
        source_type: The kind of source, such as ``"local"``.
        source: Where the data came from, as JSON or plain text.
        schema: The columns and their types as JSON, or None.
        profile: Statistics such as the number of rows as JSON, or None.
    """

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None

    def to_dictionary(self) -> dict[str, Any]:
        """Return the fields as a dictionary."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class InputTag(Entity):
    """A tag of one use of a data set; ``mlflow.data.context`` names its purpose, such as ``"training"``."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class DatasetInput(Entity):
    """A data set that a run used, and the tags of this use."""

    dataset: Dataset
    tags: list[InputTag] = field(default_factory=list)

    def to_dictionary(self) -> dict[str, Any]:
        """Return the data set and its tags as nested dictionaries."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LoggedModelInput(Entity):
    """A logged model that a run used."""

    model_id: str

    def to_dictionary(self) -> dict[str, Any]:
        """Return the fields as a dictionary."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LoggedModelOutput(Entity):
    """A logged model that a run created, and the training step at which it did so."""

    model_id: str
    step: int = 0

    def to_dictionary(self) -> dict[str, Any]:
        """Return the fields as a dictionary."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RunInputs(Entity):
    """The data sets and logged models that a run used."""

    dataset_inputs: list[DatasetInput] = field(default_factory=list)
    model_inputs: list[LoggedModelInput] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RunOutputs(Entity):
    """The logged models that a run created."""

    model_outputs: list[LoggedModelOutput] = field(default_factory=list)
