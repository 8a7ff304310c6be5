"""Store promotion rules and approvals, and collect the facts that rules are evaluated on (by `rules.evaluate`).

Guarantees: rules are evaluated inside the promoting transaction, on the rows of that moment.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, Connection, bindparam, case, delete, insert, null, select

from registry.entities import Evidence
from registry.entities.evidence import SHADOW
from registry.entities.history import EventKind
from registry.entities.monitors import IncidentStatus
from registry.store.clock import read_clock_us
from registry.store.compiled_statements import Compiled, first_row, first_value, named_rows, send_core
from registry.store.dialects import AnyRow, table, upsert
from registry.store.driver_sql import Answer, Statement, end_with_next, run_all
from registry.store.logged_models.evidence import read_metric_evidence, read_records
from registry.store.monitors.checks import find_newest_check
from registry.store.registry.history_writer import KEY_OF_NAME, LockedModel, RegistryStore, name_params
from registry.store.registry.promotion_evidence import judged_metrics, points_for_event, select_points
from registry.store.registry.queries import (
    not_deleted_row,
    require_model,
    require_version,
    select_one_version,
    version_statement,
)
from registry.store.registry.stage_periods import select_holder
from registry.store.tables import (
    ApprovalRow,
    IncidentRow,
    LoggedModelRow,
    ModelVersionRow,
    ModelVersionTagRow,
    PromotionRulesRow,
    TrustedPageRow,
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
        rules_before = rules_statement(connection, name, stage)
        with self.locked(connection, name, rules_before) as model:
            before = first_value(rules_before)
            if before != text:
                details = {"stage": stage}
                model.record(EventKind.RULES_SET, before=before, after=text, reason=reason, details=details)
                upsert(connection, PromotionRulesRow, [{"model_id": model.key, "stage": stage, "rules": text}])

    @write_transaction
    def delete_rules(self, connection: Connection, name: str, stage: str, *, reason: str | None = None) -> None:
        """Remove the rules of a stage; do nothing if it has none."""
        rules_before = rules_statement(connection, name, stage)
        with self.locked(connection, name, rules_before) as model:
            before = first_value(rules_before)
            if before is not None:
                model.record(EventKind.RULES_DELETED, before=before, reason=reason, details={"stage": stage})
                condition = (PromotionRulesRow.model_id == model.key) & (PromotionRulesRow.stage == stage)
                send_core(connection, delete(PromotionRulesRow).where(condition))

    @read_transaction
    def get_rules(self, connection: Connection, name: str, stage: str) -> "tuple[PromotionRule, ...]":
        """Return the rules of a stage; empty if it has none."""
        stored = rules_statement(connection, name, stage)
        end_with_next(connection)
        run_all(connection, stored)
        text = first_value(stored)
        if text is None:
            require_model(connection, name)
            return ()
        from registry.rules import rules_from_json

        return rules_from_json(text)

    @write_transaction
    def approve(
        self, connection: Connection, name: str, version: int, stage: str, *, reason: str | None = None
    ) -> None:
        """Approve a version for a stage. Idempotent."""
        existing_version = version_statement(connection, name, version)
        with self.locked(connection, name, existing_version) as model:
            not_deleted_row(first_row(existing_version), name, version)
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
                send_core(connection, insert(table(ApprovalRow)).values(row))

    @read_transaction
    def check(self, connection: Connection, name: str, version: int, stage: str) -> "list[Verdict]":
        """Evaluate the rules of a stage for a version; changes nothing."""
        statement = candidate_statement(connection, name, version, stage)
        run_all(connection, statement)
        candidate = first_row(statement)
        if candidate is None:
            require_model(connection, name)
            candidate = require_version(connection, name, version)
        end_with_next(connection)
        return list(evaluate_rules(connection, candidate, name, stage).verdicts)

    @read_transaction
    def check_many(
        self, connection: Connection, name: str, versions: Sequence[int], stage: str
    ) -> "dict[int, Sequence[Verdict]]":
        """Evaluate the rules of a stage for versions at one moment, by version; deleted ones are left out."""
        statements = [candidate_statement(connection, name, version, stage) for version in versions]
        run_all(connection, *statements)
        rows = [row for statement in statements if (row := first_row(statement)) is not None]
        judgements = _evaluate_all(connection, rows, name, stage)
        return {row.version: judgement.verdicts for row, judgement in zip(rows, judgements, strict=True)}


def candidate_statement(connection: Connection, name: str, version: int, stage: str) -> Statement:
    """Return the query of a version (of `select_one_version`), with `holder` and `rules` of the stage to enter."""
    values = {**name_params(name), "number": version, "entered": stage}
    return _candidate(connection.dialect.name, stage).statement(connection, values)


@functools.cache
def _candidate(dialect: str, stage: str) -> Compiled:
    holder = select_holder(stage).correlate(None).scalar_subquery()
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


def evaluate_rules(connection: Connection, row: AnyRow, name: str, stage: str) -> Judgement:
    """Evaluate a stage's rules on a row of `candidate_statement`, compared with the version in the stage.

    Reads the facts of both versions in one round trip.
    """
    return _evaluate_all(connection, [row], name, stage)[0]


def _evaluate_all(connection: Connection, rows: Sequence[AnyRow], name: str, stage: str) -> list[Judgement]:
    """Evaluate a stage's rules on rows of `candidate_statement` that were read at one moment."""
    if not rows or rows[0].rules is None:
        return [Judgement() for _ in rows]
    from registry.rules import evaluate, rules_from_json

    rules, holder = rules_from_json(rows[0].rules), rows[0].holder
    versions = list(dict.fromkeys(number for number in (*(row.version for row in rows), holder) if number is not None))
    values = [{"model_key": rows[0].model_id, "number": version, "entered": stage} for version in versions]
    answers = run_all(connection, *(query.statement(connection, value) for value in values for query in _FACTS))
    judged = judged_metrics(rules)
    known = {version: _facts(answers[place * len(_FACTS) :], judged) for place, version in enumerate(versions)}
    judgements = []
    for row in rows:
        candidate, points = known[row.version]
        candidate = replace(candidate, name=name, evidence=_evidence(connection, row.logged_model_id, rules))
        candidate = replace(candidate, **_monitoring_facts(connection, row, rules))
        holder_facts, holder_points = (None, []) if holder in (None, row.version) else known[holder]
        verdicts = tuple(evaluate(rules, candidate, holder_facts))
        judgements.append(Judgement(verdicts, (*points, *holder_points)))
    return judgements


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


def rules_statement(connection: Connection, name: str, stage: str) -> Statement:
    """Return the query of the rules of a stage, as JSON."""
    return _RULES_OF.statement(connection, {**name_params(name), "entered": stage})


def counted_user(column: Any) -> ColumnElement[Any]:
    """Return the database user that counts as a person: NULL for a trusted page, behind which the actor counts."""
    is_page = select(TrustedPageRow.db_user).where(TrustedPageRow.db_user == column).exists()
    return case((is_page, null()), else_=column)


_RULES: Final = select(PromotionRulesRow.rules).where(
    PromotionRulesRow.model_id == KEY_OF_NAME, PromotionRulesRow.stage == bindparam("entered")
)
_RULES_OF: Final = Compiled(_RULES)
_THIS: Final = (ModelVersionRow.model_id == bindparam("model_key"), ModelVersionRow.version == bindparam("number"))
# The facts about one version, each query with the parameters model_key, number and entered.
_FACTS: Final = (
    Compiled(
        select(
            ModelVersionRow.version,
            ModelVersionRow.run_id,
            counted_user(ModelVersionRow.session_user).label("session_user"),
            ModelVersionRow.user_id,
            LoggedModelRow.flavors,
            LoggedModelRow.signature,
            LoggedModelRow.digest,
        )
        .join(LoggedModelRow, LoggedModelRow.id == ModelVersionRow.logged_model_id)
        .where(*_THIS)
    ),
    Compiled(select_points(select(ModelVersionRow.run_id).where(*_THIS).scalar_subquery())),
    Compiled(
        select(ModelVersionTagRow.key, ModelVersionTagRow.value)
        .join(ModelVersionRow, ModelVersionRow.id == ModelVersionTagRow.version_id)
        .where(*_THIS)
    ),
    Compiled(
        select(ApprovalRow.actor, counted_user(ApprovalRow.session_user)).where(
            ApprovalRow.model_id == bindparam("model_key"),
            ApprovalRow.version == bindparam("number"),
            ApprovalRow.stage == bindparam("entered"),
        )
    ),
)


def _evidence(connection: Connection, model_key: int, rules: "Sequence[PromotionRule]") -> tuple[Evidence, ...]:
    """Return the evidence on a logged model that rules look at: metrics on data sets, and other records."""
    from registry.rules import BetterThanHolder, ShadowAgreement

    has_shadows = any(isinstance(rule, ShadowAgreement) for rule in rules)
    on_data = [rule for rule in rules if getattr(rule, "dataset", None) is not None]
    if not on_data:
        return tuple(read_records(connection, model_key, {SHADOW})) if has_shadows else ()
    metrics = [getattr(rule, "metric", None) for rule in on_data if not isinstance(rule, BetterThanHolder)]
    names = None if None in metrics else {name for name in metrics if name is not None}
    of_metrics = read_metric_evidence(connection, model_key, names) if metrics else ()
    return (*of_metrics, *read_records(connection, model_key))


def _monitoring_facts(connection: Connection, row: AnyRow, rules: "Sequence[PromotionRule]") -> dict[str, Any]:
    """Return the facts that only the rules on incidents and checks need."""
    from registry.rules import CheckedWithin, NoOpenIncident

    facts: dict[str, Any] = {}
    if any(isinstance(rule, NoOpenIncident) for rule in rules):
        # Whoever opens an incident locks the model first, as this transaction did.
        query = select(IncidentRow.id, IncidentRow.cause, IncidentRow.status).where(
            IncidentRow.model_id == row.model_id, IncidentRow.status != str(IncidentStatus.CLOSED)
        )
        facts["incidents"] = tuple(tuple(found) for found in connection.execute(query.order_by(IncidentRow.id)))
    if any(isinstance(rule, CheckedWithin) for rule in rules):
        facts["last_check"] = find_newest_check(connection, row.model_id, row.version)
        facts["now_ms"] = read_clock_us(connection) // 1000
    return facts


def _facts(answers: Sequence[Answer], judged: set[str]) -> "tuple[Facts, list[dict[str, Any]]]":
    """Return the facts that rules are evaluated on, and the points of the judged metrics.

    On PostgreSQL the database user counts as approver, so that one person cannot approve twice; behind a trusted page
    the actor counts.
    """
    version_rows, point_rows, tags, approvals = answers[: len(_FACTS)]
    (version,) = named_rows(version_rows)
    points = {point.key: point for point in named_rows(point_rows)}
    from registry.rules import Facts

    facts = Facts(
        version=version.version,
        metrics={key: value_from_db(point.value) for key, point in points.items()},
        signature=version.signature,
        tags=dict(tags.rows),
        flavors=frozenset(json.loads(version.flavors or "[]")),
        approvers=frozenset(session_user or actor for actor, session_user in approvals.rows),
        registered_by=version.session_user or version.user_id,
        digest=version.digest,
    )
    return facts, points_for_event(version.version, version.run_id, points, judged)
