"""Stages of model versions, and the words for "no check"."""

from enum import Enum
from typing import Final

from registry.exceptions import InvalidParameterError

NONE: Final = "None"
STAGING: Final = "Staging"
PRODUCTION: Final = "Production"
ARCHIVED: Final = "Archived"

ALL_STAGES: Final = (NONE, STAGING, PRODUCTION, ARCHIVED)
ACTIVE_STAGES: Final = (STAGING, PRODUCTION)

_CANONICAL: Final = {stage.lower(): stage for stage in ALL_STAGES}


class Unset(Enum):
    """The type of `UNSET`: an argument that was not given, where None means something else."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET


def parse_stage(stage: object) -> str:
    """The canonical name of a stage written in any case.

    Raises:
        InvalidParameterError: not one of None, Staging, Production, Archived.
    """
    canonical = _CANONICAL.get(stage.lower()) if isinstance(stage, str) else None
    if canonical is None:
        raise InvalidParameterError(
            f"Invalid Model Version stage: {stage!r}. Value must be one of {', '.join(ALL_STAGES)}."
        )
    return canonical


def active_stage(stage: str) -> str:
    """Staging or Production, given in any case.

    Raises:
        InvalidParameterError: another stage; nobody holds those.
    """
    parsed = parse_stage(stage)
    if parsed not in ACTIVE_STAGES:
        raise InvalidParameterError(f"The stage {parsed} has no holder; {' and '.join(ACTIVE_STAGES)} have.")
    return parsed
