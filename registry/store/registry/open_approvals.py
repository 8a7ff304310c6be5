"""Find the versions that wait for approvals."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, and_, or_, select

from registry.entities.stages import ARCHIVED, STAGING
from registry.store.dialects import AnyRow, AnySelect
from registry.store.long_lists import among
from registry.store.registry.promotion_rules import counted_user
from registry.store.tables import ApprovalRow, ModelVersionRow, PromotionRulesRow, RegisteredModelRow

# How many of a model's newest versions may wait for an approval; older ones are overtaken.
_CANDIDATES: Final = 20


@dataclass(frozen=True, slots=True)
class OpenApproval:
    """A version that may enter a guarded stage, and who has approved it so far.

    `registered_by` and `approvers` are names that count: database users on PostgreSQL, else actors.
    """

    name: str
    version: int
    stage: str
    current_stage: str
    holder: int | None
    rules: str
    registered_by: str | None
    approvers: frozenset[str]
    creation_time: int


def find_open_approvals(connection: Connection, limit: int) -> list[OpenApproval]:
    """Return the versions that rules with approvals may let into a stage: newer than its holder, newest first."""
    guarded = _guarded_stages(connection)
    if not guarded:
        return []
    rows = [
        (row, stage)
        for row in connection.execute(_candidates(connection, {row.model_id for row in guarded}, limit))
        for stage in guarded
        if stage.model_id == row.model_id and _may_enter(row, stage)
    ]
    approvals = _approvals(connection, {row.model_id for row, _ in rows})
    return [
        OpenApproval(
            stage.name,
            row.version,
            stage.stage,
            row.current_stage,
            stage.holder,
            stage.rules,
            row.counted_user or row.user_id,
            approvals.get((row.model_id, row.version, stage.stage), frozenset()),
            row.creation_time,
        )
        for row, stage in rows
    ]


def _guarded_stages(connection: Connection) -> Sequence[AnyRow]:
    """Return the stages of living models whose rules ask for approvals, with their holders."""
    holder = (
        select(ModelVersionRow.version)
        .where(
            ModelVersionRow.model_id == PromotionRulesRow.model_id,
            ModelVersionRow.current_stage == PromotionRulesRow.stage,
        )
        .correlate(PromotionRulesRow)
        .scalar_subquery()
    )
    query = (
        select(PromotionRulesRow.__table__, RegisteredModelRow.name, holder.label("holder"))
        .join(RegisteredModelRow, RegisteredModelRow.id == PromotionRulesRow.model_id)
        .where(RegisteredModelRow.deleted_time.is_(None), PromotionRulesRow.rules.like('%"approvals"%'))
        .order_by(RegisteredModelRow.name)
    )
    return connection.execute(query).all()


def _candidates(connection: Connection, models: Collection[int], limit: int) -> AnySelect:
    version, model = ModelVersionRow, RegisteredModelRow
    return (
        select(version.__table__, counted_user(version.session_user).label("counted_user"))
        .join(model, model.id == version.model_id)
        .where(
            among(version.model_id, models, connection.dialect.name),
            version.version > model.last_version - _CANDIDATES,
            and_(
                version.deleted_time.is_(None), or_(version.current_stage == "None", version.current_stage == STAGING)
            ),
        )
        .order_by(version.creation_time.desc())
        .limit(limit)
    )


def _may_enter(row: AnyRow, stage: AnyRow) -> bool:
    is_newer = stage.holder is None or row.version > stage.holder
    return bool(is_newer and row.current_stage not in (stage.stage, ARCHIVED))


def _approvals(connection: Connection, models: Collection[int]) -> Mapping[tuple[int, int, str], frozenset[str]]:
    user = counted_user(ApprovalRow.session_user).label("counted_user")
    query = select(ApprovalRow.__table__, user).where(among(ApprovalRow.model_id, models, connection.dialect.name))
    found: dict[tuple[int, int, str], frozenset[str]] = {}
    for row in connection.execute(query):
        key = (row.model_id, row.version, row.stage)
        found[key] = found.get(key, frozenset()) | {row.counted_user or row.actor}
    return found
