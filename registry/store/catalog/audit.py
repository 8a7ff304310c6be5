"""Verifying a model: its chain, and that the tables are what its events say.

Edits are detected, not prevented: whoever may write the database can rewrite a whole chain, which only a checkpoint
kept elsewhere shows. Invariant: a report is returned only if everything that was looked at is well.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from registry.entities import Manifest
from registry.entities.history import HistoryEvent
from registry.entities.replay import ModelState, Period, VersionState, replay
from registry.exceptions import IntegrityError
from registry.store.catalog.ledger import event_of
from registry.store.catalog.reading import require_model
from registry.store.logged_models import read_manifest
from registry.store.scopes import Store, reads
from registry.store.statements import AnyRow
from registry.store.tables import (
    ExperimentRow,
    HistoryRow,
    LoggedModelRow,
    ModelAliasRow,
    ModelVersionRow,
    ModelVersionTagRow,
    PromotionRulesRow,
    RegisteredModelRow,
    RegisteredModelTagRow,
    StagePeriodRow,
)


@dataclass(frozen=True, slots=True)
class SealedFiles:
    """The bytes behind a version: where they are and what they must be."""

    version: int
    location: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What was verified: the chain's end, how many events and versions, and the files whose bytes may be read next."""

    name: str
    model_uid: str
    seq: int
    hash: str
    events: int
    versions: int
    sealed: tuple[SealedFiles, ...]


class AuditStore(Store):
    """Compares tables with history."""

    @reads
    def verify(self, connection: Connection, name: str) -> AuditReport:
        """Check the chain of a living model, and its rows against it.

        Raises:
            ModelNotFoundError: no such model.
            IntegrityError: the first thing that is wrong, with what is there and what was expected.
        """
        return _verify(connection, require_model(connection, name))

    @reads
    def verify_uid(self, connection: Connection, model_uid: str) -> AuditReport:
        """The same for a model by its uid, deleted ones included.

        Raises:
            IntegrityError: there is no such model, or something is wrong.
        """
        query = select(RegisteredModelRow.__table__).where(RegisteredModelRow.uid == model_uid)
        row = connection.execute(query).one_or_none()
        if row is None:
            raise IntegrityError(f"The registered model with uid {model_uid} is gone from the database.")
        return _verify(connection, row)


def _verify(connection: Connection, model: AnyRow) -> AuditReport:
    events = _checked_chain(connection, model)
    expected = replay(events)
    actual, sealed = _read_state(connection, model)
    for what, found, wanted in _differences(actual, expected):
        raise IntegrityError(f"{what} of {model.name!r} is {found!r}, but its history says {wanted!r}.")
    _check_manifests(model.name, sealed, expected)
    return AuditReport(
        name=model.name,
        model_uid=model.uid,
        seq=model.last_seq,
        hash=model.head_hash or "",
        events=len(events),
        versions=len(expected.versions),
        sealed=tuple(sealed),
    )


def _checked_chain(connection: Connection, model: AnyRow) -> list[HistoryEvent]:
    query = select(HistoryRow.__table__).where(HistoryRow.model_id == model.id).order_by(HistoryRow.seq)
    events: list[HistoryEvent] = []
    previous_hash, previous_time = None, 0
    for row in connection.execute(query):
        event = event_of(row, model.uid)
        where = f"Event {event.seq} of {model.name!r}"
        if event.seq != len(events) + 1:
            raise IntegrityError(f"{where} follows event {len(events)}: events are missing from its history.")
        if event.prev_hash != previous_hash:
            raise IntegrityError(f"{where} does not continue the event before it: the chain of hashes is broken there.")
        if event.hash != row.hash:
            raise IntegrityError(f"{where} was edited: its hash is {event.hash}, recorded was {row.hash}.")
        if event.time_us <= previous_time:
            raise IntegrityError(f"{where} is not later than the event before it.")
        previous_hash, previous_time = row.hash, event.time_us
        events.append(event)
    if (len(events), previous_hash) != (model.last_seq, model.head_hash):
        raise IntegrityError(
            f"The history of {model.name!r} ends at event {len(events)}, but the model counted {model.last_seq}: "
            "its end was cut off or replaced."
        )
    return events


def _differences(actual: ModelState, expected: ModelState) -> Iterator[tuple[str, Any, Any]]:
    """What differs, the simplest things first."""
    for what in ("name", "description", "deleted"):
        yield from _differing(f"The {what}", getattr(actual, what), getattr(expected, what))
    yield from _differing_items("The tag", actual.tags, expected.tags)
    for number in sorted({*actual.versions, *expected.versions}):
        found, wanted = actual.versions.get(number), expected.versions.get(number)
        if found is None or wanted is None:
            yield f"Version {number}", "missing" if found is None else "there", "missing" if wanted is None else "there"
        else:
            yield from _differing_versions(number, found, wanted)
    yield from _differing_items("The alias", actual.aliases, expected.aliases)
    yield from _differing_items("The rules for stage", actual.rules, expected.rules)
    yield from _differing("The record of who held which stage", actual.periods, expected.periods)


def _differing_versions(number: int, found: VersionState, wanted: VersionState) -> Iterator[tuple[str, Any, Any]]:
    for what in ("digest", "stage", "deleted", "description"):
        yield from _differing(f"The {what} of version {number}", getattr(found, what), getattr(wanted, what))
    yield from _differing_items(f"The tag of version {number}", found.tags, wanted.tags)


def _differing_items(what: str, found: Mapping[Any, Any], wanted: Mapping[Any, Any]) -> Iterator[tuple[str, Any, Any]]:
    for key in sorted({*found, *wanted}):
        yield from _differing(f"{what} {key!r}", found.get(key), wanted.get(key))


def _differing(what: str, found: Any, wanted: Any) -> Iterator[tuple[str, Any, Any]]:
    if found != wanted:
        yield what, found, wanted


def _read_state(connection: Connection, model: AnyRow) -> tuple[ModelState, list[SealedFiles]]:
    state = ModelState(
        name=model.name,
        description=model.description,
        deleted=model.deleted_time is not None,
        tags=_pairs(connection, RegisteredModelTagRow, RegisteredModelTagRow.model_id == model.id),
    )
    sealed: list[SealedFiles] = []
    for row in connection.execute(_select_versions(model.id)):
        tags = _pairs(connection, ModelVersionTagRow, ModelVersionTagRow.version_id == row.id)
        deleted = row.deleted_time is not None
        state.versions[row.version] = VersionState(row.digest, row.current_stage, row.description, tags, deleted)
        if row.purged_time is None:
            location = f"{row.artifact_location.rstrip('/')}/{row.location}"
            sealed.append(SealedFiles(row.version, location, read_manifest(connection, row.logged_model_id)))
    aliases = select(ModelAliasRow.alias, ModelAliasRow.version).where(ModelAliasRow.model_id == model.id)
    state.aliases = {row.alias: row.version for row in connection.execute(aliases)}
    rules = select(PromotionRulesRow.stage, PromotionRulesRow.rules).where(PromotionRulesRow.model_id == model.id)
    state.rules = {row.stage: row.rules for row in connection.execute(rules)}
    periods = select(StagePeriodRow.__table__).where(StagePeriodRow.model_id == model.id)
    ordered = connection.execute(periods.order_by(StagePeriodRow.stage, StagePeriodRow.since))
    state.periods = [Period(row.stage, row.since, row.version, row.until) for row in ordered]
    return state, sealed


def _select_versions(model_key: int) -> Any:
    return (
        select(
            ModelVersionRow.__table__,
            LoggedModelRow.digest,
            LoggedModelRow.location,
            LoggedModelRow.purged_time,
            ExperimentRow.artifact_location,
        )
        .join(LoggedModelRow, LoggedModelRow.id == ModelVersionRow.logged_model_id)
        .join(ExperimentRow, ExperimentRow.id == LoggedModelRow.experiment_id)
        .where(ModelVersionRow.model_id == model_key)
        .order_by(ModelVersionRow.version)
    )


def _pairs(connection: Connection, kind: Any, condition: Any) -> dict[str, str]:
    return {row.key: row.value for row in connection.execute(select(kind.key, kind.value).where(condition))}


def _check_manifests(name: str, sealed: list[SealedFiles], expected: ModelState) -> None:
    for files in sealed:
        wanted = expected.versions[files.version].digest
        if files.manifest.digest != wanted:
            raise IntegrityError(
                f"The manifest of version {files.version} of {name!r} hashes to {files.manifest.digest}, but its "
                f"history says {wanted}: a line of its list of files was edited."
            )
