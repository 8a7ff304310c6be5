"""Verifying a model: its chain, and that the tables are what its events say.

Edits are detected, not prevented: whoever may write the database can rewrite a whole chain, which only a checkpoint
kept elsewhere shows. Invariant: a report is returned only if everything that was looked at is well.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, exists, func, select

from registry.entities import LoggedModelStatus
from registry.entities.history import HistoryEvent, check_times_grow
from registry.entities.replay import ModelState, Period, VersionState, replay
from registry.exceptions import IntegrityError
from registry.store.dialects import AnyRow
from registry.store.registry.current_state import SealedFiles, read_sealed, read_state
from registry.store.registry.history_writer import event_of
from registry.store.registry.imported_history import check_imported_history
from registry.store.registry.judged_points import check_judged_points
from registry.store.registry.queries import require_model
from registry.store.tables import (
    ExperimentRow,
    HistoryRow,
    LoggedModelRow,
    ModelVersionRow,
    RegisteredModelRow,
    RegistryIdRow,
)
from registry.store.transactions import Store, read_transaction
from registry.validation.names import casefold_name

_VERSION_FIELDS: Final = (
    "digest",
    "model_id",
    "source",
    "run_id",
    "user_id",
    "session_user",
    "stage",
    "deleted",
    "description",
    "origin",
)


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """What was verified: the chain's end, how many events and versions, and the files whose bytes may be read next.

    `unlisted` are places whose files were read, but that could not be listed: a file that was added there is not seen.
    `notes` say what changed since a promotion was judged without being an edit, and what gc made impossible to check.
    """

    name: str
    model_uid: str
    seq: int
    hash: str
    events: int
    versions: int
    sealed: tuple[SealedFiles, ...]
    unlisted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class VerificationStore(Store):
    """Compares tables with history."""

    @read_transaction
    def verify(self, connection: Connection, name: str) -> VerificationReport:
        """Check the chain of a living model, and its rows against it.

        Raises:
            ModelNotFoundError: no such model.
            IntegrityError: the first thing that is wrong, with what is there and what was expected.
        """
        return verified(connection, require_model(connection, name))

    @read_transaction
    def verify_uid(self, connection: Connection, model_uid: str) -> VerificationReport:
        """The same for a model by its uid, deleted ones included.

        Raises:
            IntegrityError: there is no such model, or something is wrong.
        """
        query = select(RegisteredModelRow.__table__).where(RegisteredModelRow.uid == model_uid)
        row = connection.execute(query).one_or_none()
        if row is None:
            raise IntegrityError(f"The registered model with uid {model_uid} is gone from the database.")
        return verified(connection, row)

    @read_transaction
    def check_complete(self, connection: Connection) -> None:
        """Pass if every event that was ever counted is there, and belongs to a model that is there.

        Raises:
            IntegrityError: a whole model, or its whole history, was removed.
        """
        owned = exists().where(RegisteredModelRow.id == HistoryRow.model_id)
        orphan = connection.execute(select(HistoryRow.id).where(~owned).limit(1)).scalar_one_or_none()
        if orphan is not None:
            raise IntegrityError(f"Event {orphan} of all belongs to a registered model that is gone from the database.")
        counted = connection.execute(select(RegistryIdRow.last_event)).scalar_one_or_none()
        if counted is None:
            raise IntegrityError("The row of registry_id is gone, which says which database this is.")
        there, last = connection.execute(select(func.count(), func.max(HistoryRow.id)).select_from(HistoryRow)).one()
        if (there, last or 0) != (counted, counted):
            raise IntegrityError(
                f"The registry counted {counted} events of all models, but {there} are there, the last with number "
                f"{last}: the history of a whole model was removed or added."
            )


def verified(connection: Connection, model: AnyRow) -> VerificationReport:
    """What was verified of a model, a row of `registered_models`.

    Raises:
        IntegrityError: the first thing that is wrong.
    """
    try:
        return _verify(connection, model)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Values that no code of ours writes: a number that is a text, an event without what its kind needs.
        raise IntegrityError(
            f"The history or a table of {model.name!r} holds a value that cannot be there: {error!r}."
        ) from error


def _verify(connection: Connection, model: AnyRow) -> VerificationReport:
    events = checked_chain(connection, model)
    expected = replay(events)
    for what, found, wanted in _differences(read_state(connection, model), expected):
        raise IntegrityError(f"{what} of {model.name!r} is {found!r}, but its history says {wanted!r}.")
    if model.last_version != expected.last_version:
        raise IntegrityError(
            f"The model {model.name!r} counts {model.last_version} versions, but its history has "
            f"{expected.last_version}."
        )
    if (model.name_key, model.last_event_us) != (casefold_name(model.name), events[-1].time_us if events else 0):
        raise IntegrityError(f"The row of the model {model.name!r} has a folded name or a last event of another.")
    check_imported_history(connection, model, events)
    sealed = read_sealed(connection, model.id)
    _check_manifests(model.name, sealed, expected)
    _check_files_are_kept(connection, model)
    return VerificationReport(
        name=model.name,
        model_uid=model.uid,
        seq=model.last_seq,
        hash=model.head_hash or "",
        events=len(events),
        versions=len(expected.versions),
        sealed=tuple(sealed),
        notes=tuple(check_judged_points(connection, model.name, events, expected)),
    )


def checked_chain(connection: Connection, model: AnyRow) -> list[HistoryEvent]:
    """The events of a model, after their chain was checked.

    Raises:
        IntegrityError: an event was edited, or is missing.
    """
    query = select(HistoryRow.__table__).where(HistoryRow.model_id == model.id).order_by(HistoryRow.seq)
    events: list[HistoryEvent] = []
    previous_hash = None
    for row in connection.execute(query):
        event = event_of(row, model.uid)
        where = f"Event {event.seq} of {model.name!r}"
        if event.seq != len(events) + 1:
            raise IntegrityError(f"{where} follows event {len(events)}: events are missing from its history.")
        if event.prev_hash != previous_hash:
            raise IntegrityError(f"{where} does not continue the event before it: the chain of hashes is broken there.")
        if event.hash != row.hash:
            raise IntegrityError(f"{where} was edited: its hash is {event.hash}, recorded was {row.hash}.")
        previous_hash = row.hash
        events.append(event)
    check_times_grow(events, repr(model.name))
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
            yield f"Version {number}", _presence(found), _presence(wanted)
        else:
            yield from _differing_versions(number, found, wanted)
            if not expected.deleted:  # nothing follows the deletion of a model, so that later signatures have no event
                yield from _differing_signatures(number, found, wanted)
    yield from _differing_items("The alias", actual.aliases, expected.aliases)
    yield from _differing_items("The rules for stage", actual.rules, expected.rules)
    yield from _differing_items("The approval", actual.approvals, expected.approvals)
    yield from _differing_items("Who held", _by_beginning(actual), _by_beginning(expected))


def _by_beginning(state: ModelState) -> dict[tuple[str, int], Period]:
    return {(period.stage, period.since): period for period in state.periods}


def _differing_versions(number: int, found: VersionState, wanted: VersionState) -> Iterator[tuple[str, Any, Any]]:
    for what in _VERSION_FIELDS:
        words = what.replace("_", " ")
        yield from _differing(f"The {words} of version {number}", getattr(found, what), getattr(wanted, what))
    for what, told in wanted.recorded.items():
        words = what.replace("_", " ")
        yield from _differing(f"The {words} of version {number}", found.recorded.get(what), told)
    yield from _differing_items(f"The tag of version {number}", found.tags, wanted.tags)


def _differing_signatures(number: int, found: VersionState, wanted: VersionState) -> Iterator[tuple[str, Any, Any]]:
    """Signatures that differ; of a version of an older release only those that have an event."""
    known = found.signatures
    if not wanted.knows_signatures:
        known = {key: known[key] for key in known if key in wanted.signatures}
    yield from _differing_items(f"The signature of version {number} by the key", known, wanted.signatures)


def _presence(version: VersionState | None) -> str:
    return "missing" if version is None else "there"


def _differing_items(what: str, found: Mapping[Any, Any], wanted: Mapping[Any, Any]) -> Iterator[tuple[str, Any, Any]]:
    for key in sorted({*found, *wanted}):
        yield from _differing(f"{what} {key!r}", found.get(key), wanted.get(key))


def _differing(what: str, found: Any, wanted: Any) -> Iterator[tuple[str, Any, Any]]:
    if found != wanted:
        yield what, found, wanted


def _check_manifests(name: str, sealed: list[SealedFiles], expected: ModelState) -> None:
    for files in sealed:
        wanted = expected.versions[files.version].digest
        if files.manifest.digest != wanted:
            raise IntegrityError(
                f"The manifest of version {files.version} of {name!r} hashes to {files.manifest.digest}, but its "
                f"history says {wanted}: a line of its list of files was edited."
            )
        if files.size_bytes != files.manifest.size:
            raise IntegrityError(
                f"The size of version {files.version} of {name!r} is {files.size_bytes}, but its files have "
                f"{files.manifest.size} bytes."
            )


def _check_files_are_kept(connection: Connection, model: AnyRow) -> None:
    """Pass if every living version names a logged model that is sealed, has a place, and was not purged by gc."""
    has_place = exists().where(ExperimentRow.id == LoggedModelRow.experiment_id)
    is_gone = LoggedModelRow.purged_time.is_not(None) | (LoggedModelRow.status != LoggedModelStatus.READY) | ~has_place
    query = (
        select(ModelVersionRow.version)
        .join(LoggedModelRow, LoggedModelRow.id == ModelVersionRow.logged_model_id)
        .where(ModelVersionRow.model_id == model.id, ModelVersionRow.deleted_time.is_(None), is_gone)
    )
    version = connection.execute(query.order_by(ModelVersionRow.version).limit(1)).scalar()
    if version is not None:
        raise IntegrityError(
            f"Version {version} of {model.name!r} is living, but its logged model is unsealed, purged or nowhere."
        )
