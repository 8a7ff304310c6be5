"""Experiments: named groups of runs with a common artifact location."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from registry.entities.entity import Entity

DEFAULT_EXPERIMENT_ID: Final = "0"
DEFAULT_EXPERIMENT_NAME: Final = "Default"


@dataclass(frozen=True, slots=True)
class ExperimentTag(Entity):
    """A tag of an experiment."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Experiment(Entity):
    """An experiment, as it was when it was read.

    Attributes:
        experiment_id: The id, an integer as text, such as ``"1"``.
        name: The unique name.
        artifact_location: The path or URI below which the files of its runs and models are stored.
        lifecycle_stage: ``"active"`` or ``"deleted"``.
        tags: The tags by key.
        creation_time: Milliseconds since the epoch, UTC.
        last_update_time: Milliseconds since the epoch, UTC.
    """

    experiment_id: str
    name: str
    artifact_location: str
    lifecycle_stage: str
    tags: Mapping[str, str] = field(default_factory=dict)
    creation_time: int | None = None
    last_update_time: int | None = None
