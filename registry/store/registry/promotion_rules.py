"""Store promotion rules and approvals, and collect the facts that rules are evaluated on (by `rules.evaluate`).

Guarantees: rules are evaluated inside the promoting transaction, on the rows of that moment.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, null, select

from registry.entities.history import EventKind
from registry.entities.stages import ACTIVE_STAGES
from registry.store.compiled_statements import Compiled
from registry.store.dialects import AnyRow, table, upsert
from registry.store.registry.history_writer import LockedModel, RegistryStore
from registry.store.registry.promotion_evidence import judged_metrics, points_for_event, read_points
from registry.store.registry.queries import require_model, require_version, select_one_version
from registry.store.registry.stage_periods import select_holder
from registry.store.tables import (
    ApprovalRow,
    LoggedModelRow,
    ModelVersionTagRow,
    PromotionRulesRow,
)
from registry.store.tracking.metrics.read import value_from_db
from registry.store.transactions import read_transaction, write_transaction

if TYPE_CHECKING:
    from registry.rules import Facts, PromotionRule, Verdict


class PromotionRuleStore(RegistryStore):
    """Stores the rules of a model's stages, and the approvals of its versions."""

    @write_transaction
    def set_rules(
        self,
        connection: Connection,
        name: str,
        stage: str,
        rules: "Sequence[PromotionRule]",
        *,
        reason: str | None = None,
    ) -> None:
        """Replace the rules of a stage; to remove them all, use `delete_rules`."""
        from registry.rules import rules_to_json

        text = rules_to_json(rules)
        with self.locked(connection, name) as model:
            before = find_rules(connection, model.key, stage)
            if before != text:
                details = {"stage": stage}
                model.record(EventKind.RULES_SET, before=before, after=text, reason=reason, details=details)
                upsert(connection, PromotionRulesRow, [{"model_id": model.key, "stage": stage, "rules": text}])

    @write_transaction
    def delete_rules(self, connection: Connection, name: str, stage: str, *, reason: str | None = None) -> None:
        """Remove the rules of a stage; do nothing if it has none."""
        with self.locked(connection, name) as model:
            before = find_rules(connection, model.key, stage)
            if before is not None:
                model.record(EventKind.RULES_DELETED, before=before, reason=reason, details={"stage": stage})
                condition = (PromotionRulesRow.model_id == model.key) & (PromotionRulesRow.stage == stage)
                connection.execute(delete(PromotionRulesRow).where(condition))

    @read_transaction
    def get_rules(self, connection: Connection, name: str, stage: str) -> "tuple[PromotionRule, ...]":
        """Return the rules of a stage; empty if it has none."""
        text = find_rules(connection, require_model(connection, name).id, stage)
        if text is None:
            return ()
        from registry.rules import rules_from_json

        return rules_from_json(text)

    @write_transaction
    def approve(
        self, connection: Connection, name: str, version: int, stage: str, *, reason: str | None = None
    ) -> None:
        """Approve a version for a stage. Idempotent."""
        with self.locked(connection, name) as model:
            require_version(connection, model.key, name, version)
            user = model.session_user or ""
            key = {
                "model_id": model.key,
                "version": version,
                "stage": stage,
                "actor": self.actor,
                "session_user": user,
            }
            existing = select(ApprovalRow.actor).where(*(getattr(ApprovalRow, column) == key[column] for column in key))
            if connection.execute(existing).first() is None:
                event = model.record(EventKind.APPROVED, version=version, reason=reason, details={"stage": stage})
                row = {**key, "reason": reason, "time_us": event.time_us}
                connection.execute(insert(table(ApprovalRow)), row)

    @read_transaction
    def check(self, connection: Connection, name: str, version: int, stage: str) -> "list[Verdict]":
        """Evaluate the rules of a stage for a version; changes nothing."""
        key = require_model(connection, name).id
        candidate = candidate_version(connection, key, name, version, stage)
        return list(evaluate_rules(connection, name, candidate, stage).verdicts)


def candidate_version(connection: Connection, model_key: int, name: str, version: int, stage: str) -> AnyRow:
    """Return the row of a version (of `select_one_version`), with `holder` and `rules` of the stage to enter.

    Raises:
        VersionNotFoundError: There is no such version, or it is deleted.
    """
    values = {"model_key": model_key, "number": version, "entered": stage}
    row = _candidate(connection.dialect.name, stage).first(connection, values)
    return row or require_version(connection, model_key, name, version)


@functools.cache
def _candidate(dialect: str, stage: str) -> Compiled:
    holder = select_holder(stage).correlate(None).scalar_subquery() if stage in ACTIVE_STAGES else null()
    rules = _RULES.scalar_subquery()
    return Compiled(select_one_version(dialect).add_columns(holder.label("holder"), rules.label("rules")))


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdicts of a stage's rules on a version, and the metric points that they are based on."""

    verdicts: "tuple[Verdict, ...]" = ()
    points: tuple[dict[str, Any], ...] = ()

    @property
    def passed(self) -> bool:
        """Tell whether no rule failed."""
        return all(verdict.passed for verdict in self.verdicts)

    @property
    def details(self) -> dict[str, Any]:
        """Return the details for an event; empty if there are no rules."""
        if not self.verdicts:
            return {}
        judged = {"judged": list(self.points)} if self.points else {}
        return {"rules": [verdict.to_dict() for verdict in self.verdicts], **judged}


def evaluate_rules(connection: Connection, name: str, row: AnyRow, stage: str) -> Judgement:
    """Evaluate a stage's rules on a row of `candidate_version`, compared with the version in the stage."""
    if row.rules is None:
        return Judgement()
    from registry.rules import evaluate, rules_from_json

    rules = rules_from_json(row.rules)
    metrics = judged_metrics(rules)
    candidate, points = _facts(connection, row, stage, metrics)
    holder = None
    if row.holder is not None and row.holder != row.version:
        holder_row = require_version(connection, row.model_id, name, row.holder)
        holder, points_of_holder = _facts(connection, holder_row, stage, metrics)
        points += points_of_holder
    return Judgement(tuple(evaluate(rules, candidate, holder)), tuple(points))


def record_judgement(
    model: LockedModel, kind: EventKind, row: AnyRow, stage: str, judgement: Judgement, reason: str | None
) -> None:
    """Record that a promotion was refused, or the refusal overridden, with all figures."""
    model.record(
        kind,
        version=row.version,
        before=row.current_stage,
        after=stage,
        reason=reason,
        details=judgement.details,
    )


def find_rules(connection: Connection, model_key: int, stage: str) -> str | None:
    """Return the rules of a stage as JSON, or None."""
    return connection.execute(_RULES, {"model_key": model_key, "entered": stage}).scalar_one_or_none()


_RULES: Final = select(PromotionRulesRow.rules).where(
    PromotionRulesRow.model_id == bindparam("model_key"), PromotionRulesRow.stage == bindparam("entered")
)


def _facts(connection: Connection, row: AnyRow, stage: str, judged: set[str]) -> "tuple[Facts, list[dict[str, Any]]]":
    """Return the facts that rules are evaluated on, and the points of the judged metrics."""
    logged = select(LoggedModelRow.flavors, LoggedModelRow.signature).where(LoggedModelRow.id == row.logged_model_id)
    flavors, signature = connection.execute(logged).one()
    points = read_points(connection, row.run_id)
    from registry.rules import Facts

    facts = Facts(
        version=row.version,
        metrics={key: value_from_db(point.value) for key, point in points.items()},
        signature=signature,
        tags=_tags(connection, row.id),
        flavors=frozenset(json.loads(flavors or "[]")),
        approvers=_approvers(connection, row, stage),
        registered_by=row.session_user or row.user_id,
    )
    return facts, points_for_event(row.version, row.run_id, points, judged)


def _tags(connection: Connection, version_key: int) -> dict[str, str]:
    query = select(ModelVersionTagRow.key, ModelVersionTagRow.value)
    rows = connection.execute(query.where(ModelVersionTagRow.version_id == version_key))
    return {row.key: row.value for row in rows}


def _approvers(connection: Connection, row: AnyRow, stage: str) -> frozenset[str]:
    """Return who approved; on PostgreSQL the database user counts, so that one person cannot approve twice."""
    query = select(ApprovalRow.actor, ApprovalRow.session_user).where(
        ApprovalRow.model_id == row.model_id, ApprovalRow.version == row.version, ApprovalRow.stage == stage
    )
    return frozenset(session_user or actor for actor, session_user in connection.execute(query))
