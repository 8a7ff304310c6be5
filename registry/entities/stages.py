"""Stages of model versions, and `UNSET`, which stands for "no check"."""

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
    """The type of `UNSET`: an argument that was not given, where None has a meaning of its own."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET


def parse_stage(stage: object) -> str:
    """Return the canonical name of a stage written in any case.

    Raises:
        InvalidParameterError: `stage` is not one of None, Staging, Production, Archived.
    """
    canonical = _CANONICAL.get(stage.lower()) if isinstance(stage, str) else None
    if canonical is None:
        raise InvalidParameterError(
            f"Invalid Model Version stage: {stage!r}. Value must be one of {', '.join(ALL_STAGES)}."
        )
    return canonical


def active_stage(stage: str) -> str:
    """Return the canonical name of Staging or Production, written in any case.

    Raises:
        InvalidParameterError: `stage` is another stage; only these two have a holder.
    """
    parsed = parse_stage(stage)
    if parsed not in ACTIVE_STAGES:
        raise InvalidParameterError(f"The stage {parsed} has no holder; use {' or '.join(ACTIVE_STAGES)}.")
    return parsed
