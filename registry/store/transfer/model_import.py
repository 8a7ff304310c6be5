"""Insert an imported registered model with its versions, logged models and runs, in one transaction.

The caller stores the files and validates the export first. Guarantees: the tables of an imported model match its new
history; its earlier history is kept beside it unchanged, and the new history contains its last hash.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, false, insert, select, update

from registry.entities import Metric
from registry.entities.history import EventKind, ImportedHistory
from registry.entities.history_replay import ModelState
from registry.entities.portable_model import PortableVersion
from registry.entities.stages import ACTIVE_STAGES
from registry.store.compiled_statements import Compiled, all_rows
from registry.store.dialects import table, upsert
from registry.store.driver_sql import end_with_next, run_all
from registry.store.logged_models.logged_models import SealedCopy, insert_logged_model
from registry.store.registry.history_writer import (
    KEY_OF_NAME,
    LockedModel,
    RegistryStore,
    name_params,
    not_deleted,
    write_on_exit,
)
from registry.store.registry.imported_history import (
    imported_histories_of,
    insert_imported_history,
    select_imported_events,
)
from registry.store.registry.queries import check_model, model_statement
from registry.store.registry.registered_models import check_name_collision, insert_model, name_is_taken
from registry.store.registry.stage_periods import open_period
from registry.store.registry.verify_history import check_chain
from registry.store.registry.versions import NewVersion, insert_version, logged_model_facts
from registry.store.tables import (
    Base,
    HistoryRow,
    ImportedEventRow,
    ModelAliasRow,
    ModelVersionRow,
    PromotionRulesRow,
    RegisteredModelRow,
    StagePeriodRow,
)
from registry.store.tracking.metrics.read import insert_model_points
from registry.store.transactions import read_transaction, write_transaction
from registry.store.transfer.run_import import ImportedRun, insert_run


@dataclass(frozen=True, slots=True)
class ImportedLoggedModel:
    """An imported logged model: its files, stored under a new id, and its metrics."""

    copy: SealedCopy
    metrics: Sequence[Metric]


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """A registered model to insert under a free name.

    `state` is the result of replaying the last of `segments`. The keys of `logged_models` are their original ids; a
    version whose logged model is not among them refers to the one that is here already under its original id.
    """

    name: str
    segments: Sequence[ImportedHistory]
    state: ModelState
    versions: Sequence[PortableVersion]
    logged_models: Mapping[str, ImportedLoggedModel]
    runs: Sequence[ImportedRun]
    with_stages: bool


class ModelImportStore(RegistryStore):
    """Writer of imported registered models, and reader of their earlier histories."""

    @read_transaction
    def check_free(self, connection: Connection, name: str) -> None:
        """Raise AlreadyExistsError if the name, or one that is easily confused with it, is taken."""
        check_name_collision(connection, name)
        if connection.execute(select(RegisteredModelRow.id).where(not_deleted(name))).first() is not None:
            raise name_is_taken(connection, name)

    @write_transaction
    def check_allowed(self, connection: Connection, *, rules: bool, stages: bool) -> None:
        """Raise PermissionDeniedError if this user of a PostgreSQL database may not insert what an import brings."""
        rows: list[type[Base]] = [RegisteredModelRow]
        rows += [PromotionRulesRow] if rules else []
        rows += [ModelAliasRow, StagePeriodRow] if stages else []
        for row in rows:  # PostgreSQL checks the right to insert even if there is no row to insert
            target = table(row)
            connection.execute(insert(target).from_select(target.c.keys(), select(target).where(false())))

    @write_transaction
    def insert(self, connection: Connection, imported: ImportedModel, *, reason: str | None = None) -> None:
        """Insert the model, its versions, logged models and runs.

        Raises:
            AlreadyExistsError: the name, or one that is easily confused with it, is taken.
            ConflictError: a different run has the id of an imported run.
        """
        state = imported.state
        inserted = insert_model(
            connection, imported.name, self.actor, description=state.description, tags=state.tags, reason=reason
        )
        if inserted is None:
            raise name_is_taken(connection, imported.name)
        with write_on_exit(inserted) as model:
            own = imported.segments[-1]
            closing = {**own.closing, "name": state.name, "last_version": state.last_version}
            model.record(EventKind.IMPORTED, after=imported.name, reason=reason, details=closing)
            insert_imported_history(connection, model.key, imported.segments)
            for run in imported.runs:
                insert_run(connection, run)
            for logged_model in imported.logged_models.values():
                _insert_logged_model(connection, logged_model)
            for version in imported.versions:
                _insert_version(model, imported, version)
            _insert_rules(model, state)
            if imported.with_stages:
                _insert_stages_and_aliases(model, imported)
            model.change(last_version=state.last_version)

    @read_transaction
    def imported_histories(self, connection: Connection, name: str) -> list[ImportedHistory]:
        """Return the histories of a model in other registries, oldest first; empty if it was created here.

        Raises:
            ModelNotFoundError: no such model.
            IntegrityError: its history was edited.
        """
        given, model = name_params(name), model_statement(connection, name)
        events, imported = _EVENTS.statement(connection, given), _IMPORTED_EVENTS.statement(connection, given)
        end_with_next(connection)
        run_all(connection, model, events, imported)
        chain = check_chain(check_model(connection, model, name), all_rows(events))
        return imported_histories_of(all_rows(imported), chain)


_EVENTS: Final = Compiled(
    select(HistoryRow.__table__).where(HistoryRow.model_id == KEY_OF_NAME).order_by(HistoryRow.seq)
)
_IMPORTED_EVENTS: Final = Compiled(select_imported_events().where(ImportedEventRow.model_id == KEY_OF_NAME))


def _insert_logged_model(connection: Connection, model: ImportedLoggedModel) -> None:
    new = model.copy.new
    insert_logged_model(connection, new, model.copy.seal)
    insert_model_points(connection, new.run_id, model.metrics)


def _insert_version(locked: LockedModel, imported: ImportedModel, version: PortableVersion) -> None:
    original, own = imported.state.versions[version.version], imported.segments[-1]
    logged = imported.logged_models.get(version.model_id)
    new = NewVersion(
        source=original.source or "",
        model_id=version.model_id if logged is None else logged.copy.new.model_id,
        run_id=original.run_id,
        run_link=version.run_link,
        description=original.description,
        tags=original.tags,
        origin=f"{own.registry_id}/{own.model_uid}/{version.version}",
    )
    identity = {"model_id": original.model_id, "user_id": original.user_id, "session_user": original.session_user}
    facts = logged_model_facts(locked.connection, new.model_id)
    run_all(locked.connection, *facts)
    insert_version(locked, version.version, new, facts, details={"original": identity})


def _insert_rules(locked: LockedModel, state: ModelState) -> None:
    """Insert all promotion rules, even without stages: an import must not unguard a stage."""
    for stage, text in sorted(state.rules.items()):
        locked.record(EventKind.RULES_SET, after=text, details={"stage": stage})
    rows = [{"model_id": locked.key, "stage": stage, "rules": text} for stage, text in state.rules.items()]
    upsert(locked.connection, PromotionRulesRow, rows)


def _insert_stages_and_aliases(locked: LockedModel, imported: ImportedModel) -> None:
    """Restore the stages and aliases of the imported versions, without evaluating promotion rules again."""
    numbers = {version.version for version in imported.versions}
    for number in sorted(numbers):
        stage = imported.state.versions[number].stage
        if stage != "None":
            _insert_stage(locked, number, stage)
    for alias, number in sorted(imported.state.aliases.items()):
        if number in numbers:
            event = locked.record(EventKind.ALIAS_SET, version=number, after=str(number), details={"alias": alias})
            row = {"model_id": locked.key, "alias": alias, "version": number}
            upsert(locked.connection, ModelAliasRow, [row])
            open_period(locked.connection, locked.key, f"@{alias}", number, event.time_us)


def _insert_stage(locked: LockedModel, number: int, stage: str) -> None:
    event = locked.record(
        EventKind.STAGE_CHANGED, version=number, before="None", after=stage, details={"imported": True}
    )
    row = (ModelVersionRow.model_id == locked.key) & (ModelVersionRow.version == number)
    locked.connection.execute(update(ModelVersionRow).where(row).values(current_stage=stage))
    if stage in ACTIVE_STAGES:
        open_period(locked.connection, locked.key, stage, number, event.time_us)
