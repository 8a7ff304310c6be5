"""Client methods for promotion rules, approvals and rollback. MLflow has none of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from registry.client.base import ClientBase
from registry.client.registry.model_versions import parse_expected_current
from registry.entities.stages import UNSET, active_stage
from registry.validation.names import check_model_name, check_version

if TYPE_CHECKING:
    from registry.entities.model_registry import ModelVersion
    from registry.entities.stages import Unset
    from registry.rules import PromotionRule, Verdict


class PromotionMethods(ClientBase):
    """Client methods that guard promotions and undo them."""

    def rollback(
        self,
        name: str,
        stage: str = "Production",
        *,
        expected_current: "int | str | Unset | None" = UNSET,
        to: int | str | None = None,
        force: bool = False,
        dry_run: bool = False,
        reason: str | None = None,
    ) -> "ModelVersion":
        """Restore the previous holder of a stage. Calling it again goes one holder further back.

        Deleted versions are skipped, and an empty stage gets its last holder back. Promotion rules are not evaluated.

        Args:
            name: Registered model.
            stage: ``Staging`` or ``Production``, in any case.
            expected_current: Compare-and-set. Omit for no check, None if the stage must be empty, or the version that
                must hold it.
            to: Go back to this version, which must have held the stage. Default: the holder before the present one.
            force: Restore a version even if it has to leave another active stage for it, which is empty then.
            dry_run: Change nothing; return the version that would be restored.
            reason: Why, for the history.

        Returns:
            The version that holds the stage again.

        Raises:
            InUseError: The version holds another active stage, and `force` is False.
            NoPreviousHolderError: No other version that still exists held the stage, or `to` never did.
            StageConflictError: `expected_current` does not match the holder.

        Example:
            >>> client.rollback("churn", expected_current=2, reason="version 2 predicts NaN").version
            1
            >>> client.get_model_version("churn", 2).current_stage
            'Archived'
        """
        name, stage = check_model_name(name), active_stage(stage)
        expected = parse_expected_current(expected_current)
        number = None if to is None else check_version(to, "to")
        stages = self.backend.stages
        if dry_run:
            return stages.plan_rollback(name, stage, expected_current=expected, to=number, force=force)
        return stages.rollback(name, stage, expected_current=expected, to=number, force=force, reason=reason)

    def set_promotion_rules(
        self, name: str, stage: str, rules: "Sequence[PromotionRule]", *, reason: str | None = None
    ) -> None:
        """Set the rules that a version must pass to enter a stage, replacing those that it had.

        `transition_model_version_stage` evaluates them in the transaction that moves the version.

        Args:
            name: Registered model.
            stage: ``Staging`` or ``Production``, in any case.
            rules: At most 50 rules, such as `registry.MetricAtLeast`.
            reason: Why, for the history.

        Raises:
            InvalidParameterError: The stage is not Staging or Production, or there are too many rules.
            InvalidTypeError: An item is not a promotion rule.
            ModelNotFoundError: There is no such model.

        Example:
            >>> rules = [registry.MetricAtLeast("auc", 0.75), registry.Approvals(1)]
            >>> client.set_promotion_rules("churn", "Production", rules)
            >>> client.transition_model_version_stage("churn", 3, "Production")
            Traceback (most recent call last):
            registry.exceptions.PromotionRefusedError: ... Approvals(n=1) failed: expected 1 approval, actual 0...
        """
        self.backend.promotion_rules.set_rules(check_model_name(name), active_stage(stage), rules, reason=reason)

    def get_promotion_rules(self, name: str, stage: str) -> "list[PromotionRule]":
        """Return the promotion rules of a stage.

        Args:
            name: Registered model.
            stage: ``Staging`` or ``Production``, in any case.

        Returns:
            The rules in their order; an empty list if the stage has none.

        Raises:
            ModelNotFoundError: There is no such model.

        Example:
            >>> client.set_promotion_rules("churn", "Production", [registry.MetricNotWorse("auc")])
            >>> client.get_promotion_rules("churn", "Production")
            [MetricNotWorse(metric='auc', higher_is_better=True, tolerance=0.0)]
        """
        return list(self.backend.promotion_rules.get_rules(check_model_name(name), active_stage(stage)))

    def delete_promotion_rules(self, name: str, stage: str, *, reason: str | None = None) -> None:
        """Remove the promotion rules of a stage. Nothing happens if it has none.

        Args:
            name: Registered model.
            stage: ``Staging`` or ``Production``, in any case.
            reason: Why, for the history.

        Raises:
            ModelNotFoundError: There is no such model.

        Example:
            >>> client.set_promotion_rules("churn", "Production", [registry.Approvals(2)])
            >>> client.delete_promotion_rules("churn", "Production", reason="one maintainer left")
            >>> client.get_promotion_rules("churn", "Production")
            []
        """
        self.backend.promotion_rules.delete_rules(check_model_name(name), active_stage(stage), reason=reason)

    def approve(self, name: str, version: int | str, stage: str, reason: str | None = None) -> None:
        """Approve a version for a stage. Idempotent: each person counts once.

        An approval holds for that version and stage only. `registry.Approvals` counts them, except that of the person
        who registered the version.

        Args:
            name: Registered model.
            version: Version number.
            stage: ``Staging`` or ``Production``, in any case.
            reason: Why, for the history.

        Raises:
            VersionNotFoundError: The model has no such version.

        Example:
            >>> client.set_promotion_rules("churn", "Production", [registry.Approvals(1)])
            >>> client.check_promotion("churn", 3, "Production")[0].passed
            False
            >>> client.approve("churn", 3, "Production", reason="reviewed")  # somebody else registered it
            >>> client.check_promotion("churn", 3, "Production")[0].passed
            True
        """
        self.backend.promotion_rules.approve(
            check_model_name(name), check_version(version), active_stage(stage), reason=reason
        )

    def check_promotion(self, name: str, version: int | str, stage: str) -> "list[Verdict]":
        """Evaluate the promotion rules of a stage for a version, without changing anything.

        Args:
            name: Registered model.
            version: Version number.
            stage: ``Staging`` or ``Production``, in any case.

        Returns:
            One verdict per rule, in the order of the rules: ``passed``, ``expected``, ``actual`` and ``text``.

        Raises:
            VersionNotFoundError: The model has no such version.

        Example:
            >>> client.set_promotion_rules("churn", "Production", [registry.MetricAtLeast("auc", 0.9)])
            >>> client.check_promotion("churn", 2, "Production")[0].text
            "MetricAtLeast(metric='auc', value=0.9) failed: expected auc >= 0.9, actual 0.78"
        """
        return self.backend.promotion_rules.check(check_model_name(name), check_version(version), active_stage(stage))
