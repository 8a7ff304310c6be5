"""Verify a model: its hash chain, and its rows against its events.

Edits are detected, not prevented: a user with write access can rewrite a whole chain, which only a checkpoint kept
elsewhere shows.

Guarantees: a report is returned only if every check passed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, exists, func, select

from registry.entities import LoggedModelStatus
from registry.entities.history import HistoryEvent, check_times_grow
from registry.entities.history_replay import ModelState, Period, VersionState, replay
from registry.exceptions import IntegrityError
from registry.store.dialects import AnyRow
from registry.store.registry.history_writer import event_of
from registry.store.registry.imported_history import check_imported_history
from registry.store.registry.promotion_evidence import check_judged_evidence, check_judged_points
from registry.store.registry.queries import require_model
from registry.store.registry.state_from_tables import SealedFiles, read_sealed, read_state
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
    """Result of a verification: the chain's end, counts of events and versions, and the sealed files.

    `unlisted` are locations whose files were checked but that could not be listed, so an added file is not detected.
    `notes` are legitimate changes since a promotion was judged, and checks that are impossible after gc.
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
    """Verifies models against their history."""

    @read_transaction
    def verify(self, connection: Connection, name: str) -> VerificationReport:
        """Verify a model that is not deleted.

        Raises:
            ModelNotFoundError: There is no such model.
            IntegrityError: The first mismatch, with the actual and the expected value.
        """
        return verified(connection, require_model(connection, name))

    @read_transaction
    def verify_uid(self, connection: Connection, model_uid: str) -> VerificationReport:
        """Verify a model by uid, deleted or not.

        Raises:
            IntegrityError: There is no such model, or a check failed.
        """
        query = select(RegisteredModelRow.__table__).where(RegisteredModelRow.uid == model_uid)
        row = connection.execute(query).one_or_none()
        if row is None:
            raise IntegrityError(f"The registered model with uid {model_uid} is gone from the database.")
        return verified(connection, row)

    @read_transaction
    def check_complete(self, connection: Connection) -> None:
        """Check that every counted event exists and belongs to an existing model.

        Raises:
            IntegrityError: A whole model, or its whole history, was removed.
        """
        owned = exists().where(RegisteredModelRow.id == HistoryRow.model_id)
        orphan = connection.execute(select(HistoryRow.id).where(~owned).limit(1)).scalar_one_or_none()
        if orphan is not None:
            raise IntegrityError(f"Event {orphan} belongs to a registered model that is missing from the database.")
        counted = connection.execute(select(RegistryIdRow.last_event)).scalar_one_or_none()
        if counted is None:
            raise IntegrityError("The row of registry_id, which identifies this database, is missing.")
        present, last = connection.execute(select(func.count(), func.max(HistoryRow.id)).select_from(HistoryRow)).one()
        if (present, last or 0) != (counted, counted):
            raise IntegrityError(
                f"The registry counted {counted} events of all models, but {present} exist, the last with number "
                f"{last}: the history of a whole model was removed or added."
            )


def verified(connection: Connection, model: AnyRow) -> VerificationReport:
    """Verify a model, a row of `registered_models`.

    Raises:
        IntegrityError: The first mismatch.
    """
    try:
        return _verify(connection, model)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Values that we never write, such as a text for a number, or an event without its details.
        raise IntegrityError(f"The history or a table of {model.name!r} has an impossible value: {error!r}.") from error


def _verify(connection: Connection, model: AnyRow) -> VerificationReport:
    events = checked_chain(connection, model)
    expected = replay(events)
    for field, actual, recorded in _differences(read_state(connection, model), expected):
        raise IntegrityError(f"{field} of {model.name!r} is {actual!r}, but its history says {recorded!r}.")
    if model.last_version != expected.last_version:
        raise IntegrityError(
            f"The model {model.name!r} counts {model.last_version} versions, but its history has "
            f"{expected.last_version}."
        )
    if (model.name_key, model.last_event_us) != (casefold_name(model.name), events[-1].time_us if events else 0):
        raise IntegrityError(
            f"The row of the model {model.name!r} has the case-folded name or the last event time of another model."
        )
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
        notes=(
            *check_judged_points(connection, model.name, events, expected),
            *check_judged_evidence(connection, model.name, events, expected),
        ),
    )


def checked_chain(connection: Connection, model: AnyRow) -> list[HistoryEvent]:
    """Return the events of a model after checking their chain.

    Raises:
        IntegrityError: An event was edited, or is missing.
    """
    query = select(HistoryRow.__table__).where(HistoryRow.model_id == model.id).order_by(HistoryRow.seq)
    return check_chain(model, connection.execute(query))


def check_chain(model: AnyRow, rows: Iterable[AnyRow]) -> list[HistoryEvent]:
    """Return the events of a model, from its rows in `history` by sequence, after checking their chain.

    Raises:
        IntegrityError: An event was edited, or is missing.
    """
    events: list[HistoryEvent] = []
    previous_hash = None
    for row in rows:
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
    """Yield (field, actual, expected) of every difference, the simplest first."""
    for field in ("name", "description", "deleted"):
        yield from _compare(f"The {field}", getattr(actual, field), getattr(expected, field))
    yield from _compare_items("The tag", actual.tags, expected.tags)
    for number in sorted({*actual.versions, *expected.versions}):
        version, recorded = actual.versions.get(number), expected.versions.get(number)
        if version is None or recorded is None:
            yield f"Version {number}", _presence(version), _presence(recorded)
        else:
            yield from _compare_versions(number, version, recorded)
            if not expected.deleted:  # a deleted model gets no events, so later signatures have none
                yield from _compare_signatures(number, version, recorded)
    yield from _compare_items("The alias", actual.aliases, expected.aliases)
    yield from _compare_items("The rules for stage", actual.rules, expected.rules)
    yield from _compare_items("The approval", actual.approvals, expected.approvals)
    yield from _compare_items("The incident", actual.incidents, expected.incidents)
    yield from _compare_items("The period of", _by_beginning(actual), _by_beginning(expected))


def _by_beginning(state: ModelState) -> dict[tuple[str, int], Period]:
    return {(period.stage, period.since): period for period in state.periods}


def _compare_versions(number: int, actual: VersionState, expected: VersionState) -> Iterator[tuple[str, Any, Any]]:
    for field in _VERSION_FIELDS:
        words = field.replace("_", " ")
        yield from _compare(f"The {words} of version {number}", getattr(actual, field), getattr(expected, field))
    for field, value in expected.recorded.items():
        words = field.replace("_", " ")
        yield from _compare(f"The {words} of version {number}", actual.recorded.get(field), value)
    yield from _compare_items(f"The tag of version {number}", actual.tags, expected.tags)


def _compare_signatures(number: int, actual: VersionState, expected: VersionState) -> Iterator[tuple[str, Any, Any]]:
    """Yield differing signatures; for a version of an older release, only those that have an event."""
    signatures = actual.signatures
    if not expected.knows_signatures:
        signatures = {key: digest for key, digest in signatures.items() if key in expected.signatures}
    yield from _compare_items(f"The signature of version {number} by the key", signatures, expected.signatures)


def _presence(version: VersionState | None) -> str:
    return "missing" if version is None else "present"


def _compare_items(
    field: str, actual: Mapping[Any, Any], expected: Mapping[Any, Any]
) -> Iterator[tuple[str, Any, Any]]:
    for key in sorted({*actual, *expected}):
        yield from _compare(f"{field} {key!r}", actual.get(key), expected.get(key))


def _compare(field: str, actual: Any, expected: Any) -> Iterator[tuple[str, Any, Any]]:
    if actual != expected:
        yield field, actual, expected


def _check_manifests(name: str, sealed: list[SealedFiles], expected: ModelState) -> None:
    for files in sealed:
        recorded = expected.versions[files.version].digest
        if files.manifest.digest != recorded:
            raise IntegrityError(
                f"The manifest of version {files.version} of {name!r} hashes to {files.manifest.digest}, but its "
                f"history says {recorded}: a line of the manifest was edited."
            )
        if files.size_bytes != files.manifest.size:
            raise IntegrityError(
                f"The size of version {files.version} of {name!r} is {files.size_bytes}, but its files have "
                f"{files.manifest.size} bytes."
            )


def _check_files_are_kept(connection: Connection, model: AnyRow) -> None:
    """Check that the logged model of every version is sealed, belongs to an experiment, and is not purged."""
    has_experiment = exists().where(ExperimentRow.id == LoggedModelRow.experiment_id)
    is_gone = (
        LoggedModelRow.purged_time.is_not(None) | (LoggedModelRow.status != LoggedModelStatus.READY) | ~has_experiment
    )
    query = (
        select(ModelVersionRow.version)
        .join(LoggedModelRow, LoggedModelRow.id == ModelVersionRow.logged_model_id)
        .where(ModelVersionRow.model_id == model.id, ModelVersionRow.deleted_time.is_(None), is_gone)
    )
    version = connection.execute(query.order_by(ModelVersionRow.version).limit(1)).scalar()
    if version is not None:
        raise IntegrityError(
            f"Version {version} of {model.name!r} is not deleted, but its logged model is unsealed, purged or without "
            "an experiment."
        )
