"""Stages of model versions, and `UNSET` for an omitted `expected_current`."""

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
    """The type of `UNSET`, the default of arguments for which None is a value."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET


def parse_stage(stage: object) -> str:
    """Return the canonical name of a stage given in any case.

    Raises:
        InvalidParameterError: it is not None, Staging, Production or Archived.
    """
    canonical = _CANONICAL.get(stage.lower()) if isinstance(stage, str) else None
    if canonical is None:
        raise InvalidParameterError(
            f"Invalid Model Version stage: {stage!r}. Value must be one of {', '.join(ALL_STAGES)}."
        )
    return canonical


def active_stage(stage: str) -> str:
    """Return the canonical name of a stage that has one holder, Staging or Production, given in any case.

    Raises:
        InvalidParameterError: it is another stage.
    """
    parsed = parse_stage(stage)
    if parsed not in ACTIVE_STAGES:
        raise InvalidParameterError(f"The stage {parsed} has no holder; {' and '.join(ACTIVE_STAGES)} have.")
    return parsed
