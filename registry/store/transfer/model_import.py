"""A registered model that comes from an export, with everything that it brings: one transaction.

Leaves bytes and judging the export to the caller. Invariant: an arrived model's tables are what its own new history
says; its past elsewhere is kept beside, unchanged, and the new history holds its last hash.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from registry.entities import Metric
from registry.entities.history import EventKind, ImportedHistory
from registry.entities.portable import PortableVersion
from registry.entities.replay import ModelState, VersionState
from registry.entities.stages import ACTIVE_STAGES
from registry.store.dialects import upsert
from registry.store.models.logged_models import SealedCopy, insert_logged_model
from registry.store.registry.history_writer import LockedModel, RegistryStore, not_deleted
from registry.store.registry.imported_history import insert_imported_history, read_imported_history
from registry.store.registry.models import check_name_collision, insert_model, name_is_taken
from registry.store.registry.queries import require_model
from registry.store.registry.stage_periods import open_period
from registry.store.registry.verify_history import checked_chain
from registry.store.registry.versions import NewVersion, insert_version
from registry.store.tables import LoggedModelRow, ModelAliasRow, ModelVersionRow, PromotionRulesRow, RegisteredModelRow
from registry.store.tracking.metrics.read import insert_model_points
from registry.store.transactions import read_transaction, write_transaction
from registry.store.transfer.run_import import ImportedRun, insert_run


@dataclass(frozen=True, slots=True)
class ImportedLoggedModel:
    """A logged model whose bytes are here under a new id, and what was measured on it."""

    copy: SealedCopy
    metrics: Sequence[Metric]


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """A registered model that is to appear under a free name.

    `state` is what the last of `segments` folds into; `logged_models` are by the ids that they had.
    """

    name: str
    segments: Sequence[ImportedHistory]
    state: ModelState
    versions: Sequence[PortableVersion]
    logged_models: Mapping[str, ImportedLoggedModel]
    runs: Sequence[ImportedRun]
    with_stages: bool


class ModelImportStore(RegistryStore):
    """Takes registered models in, and shows their past elsewhere."""

    @read_transaction
    def check_free(self, connection: Connection, name: str) -> None:
        """Pass if a model may appear under a name.

        Raises:
            AlreadyExistsError: the name, or a twin of it, is taken.
        """
        check_name_collision(connection, name)
        if connection.execute(select(RegisteredModelRow.id).where(not_deleted(name))).first() is not None:
            raise name_is_taken(connection, name)

    @write_transaction
    def take(self, connection: Connection, arrival: ImportedModel, *, reason: str | None = None) -> None:
        """Let the model, its versions, logged models and runs appear.

        Raises:
            AlreadyExistsError: the name, or a twin of it, is taken.
            ConflictError: another run has the id of one that arrives.
        """
        state = arrival.state
        if not insert_model(
            connection, arrival.name, self.actor, description=state.description, tags=state.tags, reason=reason
        ):
            raise name_is_taken(connection, arrival.name)
        with self.locked(connection, arrival.name) as ledger:
            own = arrival.segments[-1]
            closing = {**own.closing, "name": state.name, "last_version": state.last_version}
            ledger.record(EventKind.IMPORTED, after=arrival.name, reason=reason, details=closing)
            insert_imported_history(connection, ledger.key, arrival.segments)
            for run in arrival.runs:
                insert_run(connection, run)
            for model in arrival.logged_models.values():
                _insert_model(connection, model)
            for version in arrival.versions:
                _insert_version(ledger, arrival, version)
            _insert_rules(ledger, state)
            if arrival.with_stages:
                _insert_holders(ledger, arrival)
            ledger.change(last_version=state.last_version)

    @read_transaction
    def past(self, connection: Connection, name: str) -> list[ImportedHistory]:
        """The histories that a living model had elsewhere, oldest first; empty if it was made here.

        Raises:
            ModelNotFoundError: no such model.
            IntegrityError: its history was edited.
        """
        row = require_model(connection, name)
        return read_imported_history(connection, row.id, checked_chain(connection, row))


def _insert_model(connection: Connection, model: ImportedLoggedModel) -> None:
    new = model.copy.new
    insert_logged_model(connection, new, model.copy.seal)
    run_key = connection.execute(select(LoggedModelRow.run_id).where(LoggedModelRow.model_id == new.model_id)).scalar()
    insert_model_points(connection, run_key, model.metrics)


def _insert_version(ledger: LockedModel, arrival: ImportedModel, version: PortableVersion) -> None:
    was, own = arrival.state.versions[version.version], arrival.segments[-1]
    new = NewVersion(
        source=was.source or "",
        model_id=arrival.logged_models[version.model_id].copy.new.model_id,
        run_id=was.run_id,
        run_link=version.run_link,
        description=was.description,
        tags=was.tags,
        origin=f"{own.registry_id}/{own.model_uid}/{version.version}",
    )
    insert_version(ledger, version.version, new, details={"original": _original(was)})


def _original(was: VersionState) -> dict[str, str | None]:
    return {"model_id": was.model_id, "user_id": was.user_id, "session_user": was.session_user}


def _insert_rules(ledger: LockedModel, state: ModelState) -> None:
    """Rules come along in any case: a stage that was guarded is never open after an import."""
    for stage, text in sorted(state.rules.items()):
        ledger.record(EventKind.RULES_SET, after=text, details={"stage": stage})
    rows = [{"model_id": ledger.key, "stage": stage, "rules": text} for stage, text in state.rules.items()]
    upsert(ledger.connection, PromotionRulesRow, rows)


def _insert_holders(ledger: LockedModel, arrival: ImportedModel) -> None:
    """Put versions into the stages, and under the aliases, that they had; rules judged them when they got there."""
    here = {version.version for version in arrival.versions}
    for number in sorted(here):
        stage = arrival.state.versions[number].stage
        if stage != "None":
            _insert_stage(ledger, number, stage)
    for alias, number in sorted(arrival.state.aliases.items()):
        if number in here:
            event = ledger.record(EventKind.ALIAS_SET, version=number, after=str(number), details={"alias": alias})
            row = {"model_id": ledger.key, "alias": alias, "version": number}
            upsert(ledger.connection, ModelAliasRow, [row])
            open_period(ledger.connection, ledger.key, f"@{alias}", number, event.time_us)


def _insert_stage(ledger: LockedModel, number: int, stage: str) -> None:
    event = ledger.record(
        EventKind.STAGE_CHANGED, version=number, before="None", after=stage, details={"imported": True}
    )
    this = (ModelVersionRow.model_id == ledger.key) & (ModelVersionRow.version == number)
    ledger.connection.execute(update(ModelVersionRow).where(this).values(current_stage=stage))
    if stage in ACTIVE_STAGES:
        open_period(ledger.connection, ledger.key, stage, number, event.time_us)
