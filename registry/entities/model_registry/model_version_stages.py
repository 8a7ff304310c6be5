"""The names of stages, at MLflow's module path."""

from registry.entities import stages

ALL_STAGES = stages.ALL_STAGES
STAGE_ARCHIVED = stages.ARCHIVED
STAGE_NONE = stages.NONE
STAGE_PRODUCTION = stages.PRODUCTION
STAGE_STAGING = stages.STAGING
get_canonical_stage = stages.parse_stage
