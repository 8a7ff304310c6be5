"""Read the current state of a registered model from its tables, in the form that `replay` makes of its history.

The number of queries does not depend on the number of versions.
"""

from collections import defaultdict
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, select

from registry.entities import Manifest, ManifestEntry
from registry.entities.history_replay import IncidentState, ModelState, Period, VersionState
from registry.store.dialects import AnyRow
from registry.store.logged_models.read import is_adopted, model_location
from registry.store.registry.creation_event import recorded_of, signatures_of_versions
from registry.store.tables import (
    ApprovalRow,
    ExperimentRow,
    IncidentRow,
    LoggedModelRow,
    ModelAliasRow,
    ModelFileRow,
    ModelVersionRow,
    ModelVersionTagRow,
    PromotionRulesRow,
    RegisteredModelTagRow,
    StagePeriodRow,
)


@dataclass(frozen=True, slots=True)
class SealedFiles:
    """Location and manifest of a version's files; `size_bytes` is the size in its row."""

    version: int
    size_bytes: int | None
    location: str
    manifest: Manifest
    is_adopted: bool = False


def read_state(connection: Connection, model: AnyRow) -> ModelState:
    """Return the state of a model, a row of `registered_models`."""
    key = model.id
    aliases = select(ModelAliasRow.alias, ModelAliasRow.version).where(ModelAliasRow.model_id == key)
    rules = select(PromotionRulesRow.stage, PromotionRulesRow.rules).where(PromotionRulesRow.model_id == key)
    approvals = select(ApprovalRow.__table__).where(ApprovalRow.model_id == key)
    tags = select(RegisteredModelTagRow.key, RegisteredModelTagRow.value)
    return ModelState(
        name=model.name,
        description=model.description,
        deleted=model.deleted_time is not None,
        tags=_pairs(connection, tags.where(RegisteredModelTagRow.model_id == key)),
        versions=_versions(connection, key),
        aliases=_pairs(connection, aliases),
        rules=_pairs(connection, rules),
        approvals={
            (row.version, row.stage, row.actor, row.session_user): (row.reason, row.time_us)
            for row in connection.execute(approvals)
        },
        incidents=_incidents(connection, key),
        periods=_periods(connection, key),
    )


def read_sealed(connection: Connection, model_key: int) -> list[SealedFiles]:
    """Return location and manifest of every version that is not purged, by number."""
    locations = (
        select(
            ModelVersionRow.version,
            ModelVersionRow.logged_model_id,
            LoggedModelRow.location,
            LoggedModelRow.size_bytes,
            ExperimentRow.artifact_location,
        )
        .join(LoggedModelRow, LoggedModelRow.id == ModelVersionRow.logged_model_id)
        .join(ExperimentRow, ExperimentRow.id == LoggedModelRow.experiment_id)
        .where(ModelVersionRow.model_id == model_key, LoggedModelRow.purged_time.is_(None))
        .order_by(ModelVersionRow.version)
    )
    manifests = _manifests(connection, model_key)
    return [
        SealedFiles(
            row.version,
            row.size_bytes,
            model_location(row.artifact_location, row.location),
            manifests[row.logged_model_id],
            is_adopted(row.location),
        )
        for row in connection.execute(locations)
    ]


def _manifests(connection: Connection, model_key: int) -> defaultdict[int, Manifest]:
    named = select(ModelVersionRow.logged_model_id).where(ModelVersionRow.model_id == model_key)
    query = select(ModelFileRow.__table__).where(ModelFileRow.logged_model_id.in_(named))
    entries: defaultdict[int, list[ManifestEntry]] = defaultdict(list)
    for row in connection.execute(query):
        entries[row.logged_model_id].append(ManifestEntry(row.path, row.size, row.sha256))
    return defaultdict(lambda: Manifest.of([]), {key: Manifest.of(found) for key, found in entries.items()})


def _versions(connection: Connection, model_key: int) -> dict[int, VersionState]:
    query = (
        select(
            ModelVersionRow.__table__,
            LoggedModelRow.digest,
            LoggedModelRow.flavors,
            LoggedModelRow.signature,
            LoggedModelRow.model_id.label("public_model_id"),
        )
        .join(LoggedModelRow, LoggedModelRow.id == ModelVersionRow.logged_model_id)
        .where(ModelVersionRow.model_id == model_key)
    )
    tags, signatures = _version_tags(connection, model_key), signatures_of_versions(connection, model_key)
    return {
        row.version: VersionState(
            digest=row.digest,
            model_id=row.public_model_id,
            source=row.source,
            run_id=row.run_id,
            user_id=row.user_id,
            session_user=row.session_user,
            stage=row.current_stage,
            description=row.description,
            tags=tags[row.id],
            deleted=row.deleted_time is not None,
            origin=row.origin,
            recorded=recorded_of(row.creation_time, row.run_link, row.flavors, row.signature),
            signatures=signatures[row.logged_model_id],
        )
        for row in connection.execute(query)
    }


def _version_tags(connection: Connection, model_key: int) -> defaultdict[int, dict[str, str]]:
    query = (
        select(ModelVersionTagRow.__table__)
        .join(ModelVersionRow, ModelVersionRow.id == ModelVersionTagRow.version_id)
        .where(ModelVersionRow.model_id == model_key)
    )
    tags: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for row in connection.execute(query):
        tags[row.version_id][row.key] = row.value
    return tags


def _incidents(connection: Connection, model_key: int) -> dict[int, IncidentState]:
    query = select(IncidentRow.__table__).where(IncidentRow.model_id == model_key)
    return {
        row.id: IncidentState(**{field.name: getattr(row, field.name) for field in fields(IncidentState)})
        for row in connection.execute(query)
    }


def _periods(connection: Connection, model_key: int) -> list[Period]:
    query = select(StagePeriodRow.__table__).where(StagePeriodRow.model_id == model_key)
    rows = connection.execute(query.order_by(StagePeriodRow.stage, StagePeriodRow.since)).all()
    beginnings = {row.id: row.since for row in rows}
    # A link to a period of another model is read as 0, at which no period begins.
    return [
        Period(row.stage, row.since, row.version, row.until, row.before and beginnings.get(row.before, 0))
        for row in rows
    ]


def _pairs(connection: Connection, query: Any) -> dict[Any, Any]:
    return {name: value for name, value in connection.execute(query)}  # noqa: C416 - rows are no pairs to mypy
