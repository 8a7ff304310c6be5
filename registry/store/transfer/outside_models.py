"""Insert registered models that another system (MLflow) wrote, with the numbers of their versions.

Guarantees: the tables match the history, in which an ``imported`` event with the time of import ends each import.
Nothing about the past is invented: what the source says stands in the details of the events. A model that was changed
here since its last import gets new versions only.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from registry.entities import LoggedModelStatus, Metric
from registry.entities.history import EventKind
from registry.entities.stages import ACTIVE_STAGES, ARCHIVED, NONE
from registry.exceptions import ConflictError
from registry.store.dialects import AnyRow, upsert
from registry.store.driver_sql import run_all
from registry.store.logged_models.logged_models import NewModel, Seal, insert_logged_model
from registry.store.long_lists import among
from registry.store.registry.history_writer import LockedModel, RegistryStore, write_on_exit
from registry.store.registry.registered_models import check_name_collision, insert_or_lock, name_is_taken
from registry.store.registry.stage_periods import close_period, open_period
from registry.store.registry.versions import NewVersion, insert_version, logged_model_facts
from registry.store.tables import (
    HistoryRow,
    LoggedModelRow,
    ModelAliasRow,
    ModelVersionRow,
    ModelVersionTagRow,
    RegisteredModelRow,
    RegisteredModelTagRow,
)
from registry.store.tracking.metrics.read import insert_model_points
from registry.store.transactions import read_transaction, write_transaction


@dataclass(frozen=True, slots=True)
class OutsideVersion:
    """A version to insert under its number; its logged model exists. `details` are added to its event.

    `stage` is the stage that it gets here, at most one version per active stage; `source_stage` the one in the source.
    """

    version: int
    new: NewVersion
    stage: str = NONE
    source_stage: str = NONE
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutsideModel:
    """A registered model of another system; `last_version` is the highest number that it ever gave."""

    name: str
    system: str
    source: str
    versions: Sequence[OutsideVersion]
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    last_version: int = 0
    creation_time: int | None = None


@dataclass(frozen=True, slots=True)
class ModelOutcome:
    """Result of an import: versions that it added, versions that differ here, and whether stages were left alone."""

    added: Sequence[int]
    conflicts: Sequence[int]
    changed_here: bool


class OutsideModelStore(RegistryStore):
    """Writer of registered models and logged models of other systems."""

    @read_transaction
    def existing(self, connection: Connection, model_ids: Sequence[str]) -> set[str]:
        """Return those of the logged models that exist, deleted ones too."""
        query = select(LoggedModelRow.model_id)
        return set(connection.scalars(query.where(among(LoggedModelRow.model_id, model_ids, connection.dialect.name))))

    @write_transaction
    def insert_logged_model(
        self,
        connection: Connection,
        new: NewModel,
        seal: Seal | None,
        *,
        metrics: Sequence[Metric] = (),
        failed: bool = False,
        status_message: str | None = None,
    ) -> None:
        """Insert a logged model with its metrics: READY with a seal, else PENDING or FAILED."""
        insert_logged_model(connection, new, seal)
        for run_id in sorted({metric.run_id for metric in metrics}, key=str):
            insert_model_points(connection, run_id, [metric for metric in metrics if metric.run_id == run_id])
        if failed:
            this = update(LoggedModelRow).where(LoggedModelRow.model_id == new.model_id)
            connection.execute(this.values(status=LoggedModelStatus.FAILED, status_message=status_message))

    @write_transaction
    def write(self, connection: Connection, outside: OutsideModel, *, reason: str | None = None) -> ModelOutcome:
        """Insert the model, or bring an imported one up to date.

        Raises:
            AlreadyExistsError: A model here has a name that differs only in case or width.
            ConflictError: A model of this name was not imported from this system.
        """
        check_name_collision(connection, outside.name)
        locked, is_new = insert_or_lock(
            connection, outside.name, self.actor, description=outside.description, tags=outside.tags, reason=reason
        )
        if locked is None:
            raise name_is_taken(connection, outside.name)
        with write_on_exit(locked) as model:
            untouched = is_new or _is_untouched(connection, model, outside)
            existing = _versions(connection, model.key)
            added, conflicts = _insert_versions(model, outside, existing, reason)
            if untouched:
                _update_texts(model, outside, existing, reason)
                _update_stages(model, outside, reason)
                _update_aliases(model, outside, reason)
            if is_new or model.has_events:
                details = {
                    "system": outside.system,
                    "source": outside.source,
                    "versions": added,
                    "last_version": max(outside.last_version, int(model.row.last_version)),
                }
                model.record(EventKind.IMPORTED, after=outside.name, reason=reason, details=details)
                model.change(last_version=details["last_version"])
            if is_new and outside.creation_time is not None:
                model.change(creation_time=outside.creation_time)
        return ModelOutcome(added, conflicts, not untouched)

    @read_transaction
    def counts(self, connection: Connection, names: Sequence[str]) -> dict[str, int]:
        """Count models, their versions, tags and aliases, of models with these names."""
        these = select(RegisteredModelRow.id).where(
            among(RegisteredModelRow.name, names, connection.dialect.name), RegisteredModelRow.deleted_time.is_(None)
        )
        versions = select(ModelVersionRow.id).where(
            ModelVersionRow.model_id.in_(these), ModelVersionRow.deleted_time.is_(None)
        )
        queries = {
            "registered models": select(func.count()).select_from(these.subquery()),
            "versions": select(func.count()).select_from(versions.subquery()),
            "aliases": select(func.count()).select_from(ModelAliasRow).where(ModelAliasRow.model_id.in_(these)),
        }
        return {kind: int(connection.execute(query).scalar_one()) for kind, query in queries.items()}


def _is_untouched(connection: Connection, model: LockedModel, outside: OutsideModel) -> bool:
    """Tell whether nothing but imports has changed a model.

    Raises:
        ConflictError: It was never imported from this system.
    """
    query = select(HistoryRow.seq, HistoryRow.details).where(
        HistoryRow.model_id == model.key, HistoryRow.kind == EventKind.IMPORTED
    )
    imports = connection.execute(query.order_by(HistoryRow.seq.desc())).all()
    seqs = [row.seq for row in imports if json.loads(row.details or "{}").get("system") == outside.system]
    if not seqs:
        raise ConflictError(
            f"A registered model {outside.name!r} exists here that was not imported from {outside.system}. Import the "
            "other one under another name, with the option --rename (rename=…)."
        )
    return bool(seqs[0] == model.row.last_seq)


def _versions(connection: Connection, model_key: int) -> dict[int, AnyRow]:
    query = select(ModelVersionRow.__table__).where(ModelVersionRow.model_id == model_key)
    return {row.version: row for row in connection.execute(query)}


def _insert_versions(
    model: LockedModel, outside: OutsideModel, existing: Mapping[int, AnyRow], reason: str | None
) -> tuple[list[int], list[int]]:
    added: list[int] = []
    conflicts: list[int] = []
    for version in sorted(outside.versions, key=lambda version: version.version):
        row = existing.get(version.version)
        if row is not None:
            if row.origin != version.new.origin:
                conflicts.append(version.version)
            continue
        facts = logged_model_facts(model.connection, version.new.model_id)
        run_all(model.connection, *facts)
        insert_version(model, version.version, version.new, facts, reason=reason, details=version.details)
        added.append(version.version)
    return added, conflicts


def _update_texts(
    model: LockedModel, outside: OutsideModel, existing: Mapping[int, AnyRow], reason: str | None
) -> None:
    """Bring descriptions and tags up to date; versions and models that are new have theirs already."""
    connection = model.connection
    if model.row.description != outside.description and outside.description is not None:
        details = {"field": "description"}
        before, after = model.row.description, outside.description
        model.record(EventKind.UPDATED, before=before, after=after, reason=reason, details=details)
        model.change(description=after)
    query = select(RegisteredModelTagRow.key, RegisteredModelTagRow.value)
    rows = connection.execute(query.where(RegisteredModelTagRow.model_id == model.key))
    changes = _record_tags(model, None, _pairs(rows), outside.tags, reason)
    upsert(connection, RegisteredModelTagRow, [{"model_id": model.key, "key": k, "value": v} for k, v in changes])
    for version in outside.versions:
        row = existing.get(version.version)
        if row is None or row.deleted_time is not None or row.origin != version.new.origin:
            continue
        if version.new.description is not None and version.new.description != row.description:
            details = {"field": "description"}
            before, after = row.description, version.new.description
            number = version.version
            model.record(EventKind.UPDATED, version=number, before=before, after=after, reason=reason, details=details)
            this = update(ModelVersionRow).where(ModelVersionRow.id == row.id)
            connection.execute(this.values(description=after))
        query = select(ModelVersionTagRow.key, ModelVersionTagRow.value)
        rows = connection.execute(query.where(ModelVersionTagRow.version_id == row.id))
        changes = _record_tags(model, version.version, _pairs(rows), version.new.tags, reason)
        upsert(connection, ModelVersionTagRow, [{"version_id": row.id, "key": k, "value": v} for k, v in changes])


def _record_tags(
    model: LockedModel, version: int | None, before: Mapping[str, str], after: Mapping[str, str], reason: str | None
) -> list[tuple[str, str]]:
    """Record the tags that differ, and return them."""
    changed = [(key, value) for key, value in sorted(after.items()) if before.get(key) != value]
    for key, value in changed:
        details = {"key": key}
        old = before.get(key)
        model.record(EventKind.TAG_SET, version=version, before=old, after=value, reason=reason, details=details)
    return changed


def _update_stages(model: LockedModel, outside: OutsideModel, reason: str | None) -> None:
    """Move versions to their stages. All that leave an active stage leave first, as it has one holder."""
    rows = _versions(model.connection, model.key)
    stages = {
        version.version: (version.stage, version.source_stage)
        for version in outside.versions
        if rows[version.version].deleted_time is None and rows[version.version].origin == version.new.origin
    }
    taken = {stage for stage, _ in stages.values()}.intersection(ACTIVE_STAGES)
    for number, row in rows.items():
        # A holder that the source deleted, or that came from another source, makes room as in a promotion.
        if number not in stages and row.current_stage in taken:
            stages[number] = (ARCHIVED, ARCHIVED)
    entering = []
    for number, (stage, source_stage) in sorted(stages.items()):
        row = rows[number]
        if row.current_stage == stage:
            continue
        if row.current_stage not in ACTIVE_STAGES:
            entering.append((row, row.current_stage, stage, source_stage))
        elif stage not in ACTIVE_STAGES:
            _move(model, row, row.current_stage, stage, source_stage, reason)
        else:  # in two steps: two versions may change places
            _move(model, row, row.current_stage, NONE, NONE, reason)
            entering.append((row, NONE, stage, source_stage))
    for move in entering:
        _move(model, *move, reason)


def _move(model: LockedModel, row: AnyRow, before: str, after: str, source_stage: str, reason: str | None) -> None:
    """Move a version from a stage to another, and record it; `source_stage` is told where it is another one."""
    details: dict[str, Any] = {"imported": True}
    if source_stage != after:
        details["stage_in_source"] = source_stage
    kind = EventKind.STAGE_CHANGED
    event = model.record(kind, version=row.version, before=before, after=after, reason=reason, details=details)
    this = update(ModelVersionRow).where(ModelVersionRow.id == row.id)
    model.connection.execute(this.values(current_stage=after))
    if before in ACTIVE_STAGES:
        close_period(model.connection, model.key, before, event.time_us)
    if after in ACTIVE_STAGES:
        open_period(model.connection, model.key, after, row.version, event.time_us)


def _update_aliases(model: LockedModel, outside: OutsideModel, reason: str | None) -> None:
    connection = model.connection
    versions = {number for number, row in _versions(connection, model.key).items() if row.deleted_time is None}
    query = select(ModelAliasRow.alias, ModelAliasRow.version).where(ModelAliasRow.model_id == model.key)
    before = _pairs(connection.execute(query))
    for alias in sorted({*before, *outside.aliases}):
        old, new = before.get(alias), outside.aliases.get(alias)
        details = {"alias": alias}
        if new == old or (new is not None and new not in versions):
            continue
        if new is None:
            event = model.record(EventKind.ALIAS_DELETED, version=old, before=str(old), reason=reason, details=details)
            this = (ModelAliasRow.model_id == model.key) & (ModelAliasRow.alias == alias)
            connection.execute(delete(ModelAliasRow).where(this))
            close_period(connection, model.key, f"@{alias}", event.time_us)
        else:
            shown = None if old is None else str(old)
            event = model.record(
                EventKind.ALIAS_SET, version=new, before=shown, after=str(new), reason=reason, details=details
            )
            upsert(connection, ModelAliasRow, [{"model_id": model.key, "alias": alias, "version": new}])
            open_period(connection, model.key, f"@{alias}", new, event.time_us)


def _pairs(rows: Iterable[AnyRow]) -> dict[str, Any]:
    return {key: value for key, value in rows}  # noqa: C416 - rows are no pairs to mypy
