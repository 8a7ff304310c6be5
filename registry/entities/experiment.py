"""Experiments: named groups of runs that share a place for their bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from registry.entities.entity import Entity

DEFAULT_EXPERIMENT_ID: Final = "0"
DEFAULT_EXPERIMENT_NAME: Final = "Default"


@dataclass(frozen=True, slots=True)
class ExperimentTag(Entity):
    """A label of an experiment."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Experiment(Entity):
    """An experiment as it was when it was read; times are milliseconds since the epoch."""

    experiment_id: str
    name: str
    artifact_location: str
    lifecycle_stage: str
    tags: Mapping[str, str] = field(default_factory=dict)
    creation_time: int | None = None
    last_update_time: int | None = None
