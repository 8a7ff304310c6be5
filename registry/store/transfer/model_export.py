"""Reading a registered model whole, for an export or a copy. Changes nothing.

Invariant: what leaves was verified in the same snapshot: the chain is whole and the tables are what it says.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, and_, exists, select, union_all

from registry.entities import Run
from registry.entities.history import ImportedHistory
from registry.entities.logged_model import LoggedModel
from registry.entities.portable import (
    PortableFile,
    PortableInput,
    PortableLoggedModel,
    PortableMetric,
    PortableModel,
    PortableRun,
    PortableVersion,
)
from registry.exceptions import InvalidStateError, LoggedModelNotFoundError, RunNotFoundError, VersionNotFoundError
from registry.store.dialects import AnyRow
from registry.store.long_lists import among
from registry.store.models.logged_models import read_logged_models, read_manifest, select_logged_models
from registry.store.registry.imported_history import read_imported_history
from registry.store.registry.queries import require_model
from registry.store.registry.verify_history import checked_chain, verified
from registry.store.tables import (
    ExperimentRow,
    LatestMetricRow,
    LoggedModelRow,
    MetricRow,
    ModelSignatureRow,
    ModelVersionRow,
    RegistryIdRow,
    RunRow,
)
from registry.store.tracking.metrics.read import value_from_db
from registry.store.tracking.runs import read_runs, select_runs
from registry.store.transactions import Store, read_transaction

Point = tuple[str, int, int, float]
"""Key, step, timestamp (milliseconds) and value."""

_BATCH: Final = 5_000


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """A model that is to leave, and where the files of its logged models are, by model id."""

    model: PortableModel
    locations: Mapping[str, str]


class ModelExportStore(Store):
    """Reads what leaves this registry."""

    @read_transaction
    def model(self, connection: Connection, name: str, versions: Sequence[int] | None) -> ExportedModel:
        """A living model with these living versions, or with all of them; its runs do not have their points yet.

        Raises:
            ModelNotFoundError, VersionNotFoundError: no such model or version.
            IntegrityError: its history or a table was edited.
        """
        row = require_model(connection, name)
        verified(connection, row)
        events = checked_chain(connection, row)
        registry_id = connection.execute(select(RegistryIdRow.id)).scalar_one()
        own = ImportedHistory(registry_id, row.uid, tuple(events))
        numbered = _versions(connection, row, versions)
        rows = _logged_models(connection, sorted({found.logged_model_id for found in numbered}))
        logged = {entity.model_id: entity for entity in read_logged_models(connection, rows)}
        names = _experiments(connection)
        run_ids = {found.run_id for found in numbered} | {entity.source_run_id for entity in logged.values()}
        portable = PortableModel(
            segments=[*read_imported_history(connection, row.id, events), own],
            versions=[PortableVersion(found.version, found.public_model_id, found.run_link) for found in numbered],
            logged_models=[_portable(connection, found, logged[found.model_id], names) for found in rows],
            runs=_runs(connection, run_ids, names),
        )
        return ExportedModel(portable, {entity.model_id: entity.artifact_location for entity in logged.values()})

    @read_transaction
    def logged_model(self, connection: Connection, model_id: str) -> PortableLoggedModel:
        """A sealed logged model, deleted ones included: versions may still name it.

        Raises:
            LoggedModelNotFoundError: no such model.
            InvalidStateError: its files were removed by gc.
        """
        key = connection.execute(select(LoggedModelRow.id).where(LoggedModelRow.model_id == model_id)).scalar()
        if key is None:
            raise LoggedModelNotFoundError(f"Logged model with ID '{model_id}' not found.")
        (row,) = _logged_models(connection, [key])
        return _portable(connection, row, read_logged_models(connection, [row])[0], _experiments(connection))

    @read_transaction
    def run(self, connection: Connection, run_id: str) -> PortableRun:
        """A run, without its points.

        Raises:
            RunNotFoundError: no such run.
        """
        found = _runs(connection, {run_id}, _experiments(connection))
        if not found:
            raise RunNotFoundError(f"Run with id={run_id} not found")
        return found[0]

    @read_transaction
    def latest_points(self, connection: Connection, run_id: str) -> list[Point]:
        """The latest point of every metric of a run, by key."""
        latest = LatestMetricRow
        query = select(latest.key, latest.step, latest.timestamp, latest.value).join(RunRow)
        rows = connection.execute(query.where(RunRow.run_id == run_id).order_by(latest.key))
        return [(row.key, row.step, row.timestamp, value_from_db(row.value)) for row in rows]

    @read_transaction
    def points(self, connection: Connection, run_id: str, take: Callable[[Sequence[Point]], object]) -> None:
        """Hand all points of a run to `take`, some thousand at a time; of a series that gc emptied the latest one."""
        latest, point = LatestMetricRow, MetricRow
        of_run = select(RunRow.id).where(RunRow.run_id == run_id).scalar_subquery()
        kept = select(latest.key, point.step, point.timestamp, point.value).join(latest, latest.id == point.series_id)
        emptied = select(latest.key, latest.step, latest.timestamp, latest.value).where(
            and_(latest.run_id == of_run, ~exists().where(point.series_id == latest.id))
        )
        query = union_all(kept.where(latest.run_id == of_run), emptied)
        rows = connection.execution_options(yield_per=_BATCH).execute(query)
        for batch in rows.partitions():
            take([(row.key, row.step, row.timestamp, value_from_db(row.value)) for row in batch])


def _versions(connection: Connection, model: AnyRow, wanted: Sequence[int] | None) -> Sequence[AnyRow]:
    query = (
        select(ModelVersionRow.__table__, LoggedModelRow.model_id.label("public_model_id"))
        .join(LoggedModelRow, LoggedModelRow.id == ModelVersionRow.logged_model_id)
        .where(ModelVersionRow.model_id == model.id, ModelVersionRow.deleted_time.is_(None))
        .order_by(ModelVersionRow.version)
    )
    rows = connection.execute(query).all()
    if wanted is None:
        return rows
    missing = sorted(set(wanted) - {row.version for row in rows})
    if missing:
        raise VersionNotFoundError(f"Model Version (name={model.name}, version={missing[0]}) not found")
    return [row for row in rows if row.version in wanted]


def _logged_models(connection: Connection, keys: Sequence[int]) -> Sequence[AnyRow]:
    rows = connection.execute(
        select_logged_models()
        .where(among(LoggedModelRow.id, keys, connection.dialect.name))
        .order_by(LoggedModelRow.id)
    )
    found = rows.all()
    for row in found:
        if row.purged_time is not None:
            raise InvalidStateError(f"The files of the logged model {row.model_id} were removed by gc.")
    return found


def _portable(
    connection: Connection, row: AnyRow, entity: LoggedModel, names: Mapping[str, str]
) -> PortableLoggedModel:
    manifest = read_manifest(connection, row.id)
    signed = select(ModelSignatureRow.key_id, ModelSignatureRow.bundle).where(
        ModelSignatureRow.logged_model_id == row.id
    )
    return PortableLoggedModel(
        model_id=entity.model_id,
        experiment=names[entity.experiment_id],
        name=entity.name,
        files=[PortableFile(entry.path, entry.size, entry.sha256) for entry in manifest.entries],
        run_id=entity.source_run_id,
        model_type=entity.model_type,
        params=dict(entity.params),
        tags=dict(entity.tags),
        metrics=[
            PortableMetric(
                point.key, point.step, point.timestamp, repr(point.value), point.dataset_name, point.dataset_digest
            )
            for point in entity.metrics
        ],
        signatures={found.key_id: found.bundle for found in connection.execute(signed)},
    )


def _experiments(connection: Connection) -> dict[str, str]:
    """Names of experiments by id."""
    return {str(row.id): row.name for row in connection.execute(select(ExperimentRow.id, ExperimentRow.name))}


def _runs(connection: Connection, run_ids: Iterable[str | None], names: Mapping[str, str]) -> list[PortableRun]:
    wanted = [run_id for run_id in run_ids if run_id is not None]
    rows = connection.execute(
        select_runs().where(among(RunRow.run_id, wanted, connection.dialect.name)).order_by(RunRow.run_id)
    ).all()
    return [_portable_run(run, names) for run in read_runs(connection, rows)]


def _portable_run(run: Run, names: Mapping[str, str]) -> PortableRun:
    return PortableRun(
        run_id=run.info.run_id,
        experiment=names[run.info.experiment_id],
        name=run.info.run_name,
        user_id=run.info.user_id,
        status=run.info.status,
        start_time=run.info.start_time,
        end_time=run.info.end_time,
        params=dict(run.data.params),
        tags=dict(run.data.tags),
        inputs=[
            PortableInput(
                used.dataset.name,
                used.dataset.digest,
                used.dataset.source_type,
                used.dataset.source,
                used.dataset.schema,
                used.dataset.profile,
                {tag.key: tag.value for tag in used.tags},
            )
            for used in run.inputs.dataset_inputs
        ],
    )
