"""Promotion rules, approvals and rollback: what guards a stage, and the way back.

MLflow has none of these methods.
"""

from collections.abc import Sequence

from registry.client.base import ClientBase
from registry.client.registry.model_versions import parse_expected_current
from registry.entities.model_registry import ModelVersion
from registry.entities.stages import UNSET, Unset, active_stage
from registry.rules import PromotionRule, Verdict
from registry.validation.names import check_model_name, check_version


class PromotionMethods(ClientBase):
    """Client methods that guard promotions and undo them."""

    def rollback(
        self,
        name: str,
        stage: str = "Production",
        *,
        expected_current: int | str | Unset | None = UNSET,
        reason: str | None = None,
    ) -> ModelVersion:
        """Put back who held a stage before; doing it again walks further back.

        Deleted versions are passed over, and an empty stage gets its last holder back. Rules are not judged again.

        Raises:
            NoPreviousHolderError: there is nobody to go back to.
            StageConflictError: `expected_current` does not hold the stage.
        """
        return self.backend.stages.rollback(
            check_model_name(name),
            active_stage(stage),
            expected_current=parse_expected_current(expected_current),
            reason=reason,
        )

    def set_promotion_rules(
        self, name: str, stage: str, rules: Sequence[PromotionRule], *, reason: str | None = None
    ) -> None:
        """Say what a version must pass to enter Staging or Production (rules of `registry.rules`)."""
        self.backend.promotion_rules.set_rules(check_model_name(name), active_stage(stage), rules, reason=reason)

    def get_promotion_rules(self, name: str, stage: str) -> list[PromotionRule]:
        """The rules of a stage; empty if it has none."""
        return list(self.backend.promotion_rules.get_rules(check_model_name(name), active_stage(stage)))

    def delete_promotion_rules(self, name: str, stage: str, *, reason: str | None = None) -> None:
        """Remove the rules of a stage; nothing happens if it has none."""
        self.backend.promotion_rules.delete_rules(check_model_name(name), active_stage(stage), reason=reason)

    def approve(self, name: str, version: int | str, stage: str, reason: str | None = None) -> None:
        """Say that a version may enter a stage; it counts for that stage alone, and once per person."""
        self.backend.promotion_rules.approve(
            check_model_name(name), check_version(version), active_stage(stage), reason=reason
        )

    def check_promotion(self, name: str, version: int | str, stage: str) -> list[Verdict]:
        """What the rules of a stage say of a version now; nothing is changed."""
        return self.backend.promotion_rules.check(check_model_name(name), check_version(version), active_stage(stage))
