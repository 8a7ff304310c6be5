"""The names of stages, at MLflow's module path."""

from typing import Final

from registry.entities.stages import ALL_STAGES, parse_stage
from registry.entities.stages import ARCHIVED as STAGE_ARCHIVED
from registry.entities.stages import NONE as STAGE_NONE
from registry.entities.stages import PRODUCTION as STAGE_PRODUCTION
from registry.entities.stages import STAGING as STAGE_STAGING

__all__ = [
    "ALL_STAGES",
    "STAGE_ARCHIVED",
    "STAGE_NONE",
    "STAGE_PRODUCTION",
    "STAGE_STAGING",
    "get_canonical_stage",
]

get_canonical_stage: Final = parse_stage
