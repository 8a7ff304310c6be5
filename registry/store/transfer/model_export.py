"""Read a registered model with all that belongs to it, for an export or a copy.

Guarantees: nothing is changed, and the history chain and the tables were verified in the snapshot that is read.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, and_, exists, select, union_all

from registry.entities import Run
from registry.entities.history import ImportedHistory
from registry.entities.logged_model import LoggedModel
from registry.entities.portable_model import (
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
from registry.store.logged_models.read import read_logged_models, read_manifest, select_logged_models
from registry.store.long_lists import among
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
    RegisteredModelRow,
    RegistryIdRow,
    RunRow,
)
from registry.store.tracking.metrics.read import value_from_db
from registry.store.tracking.run_read import read_runs, select_runs
from registry.store.transactions import Store, read_transaction

Point = tuple[str, int, int, float]
"""Key, step, timestamp (milliseconds) and value."""

_BATCH: Final = 5_000


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """An exported model, and the locations of the files of its logged models, by model id."""

    model: PortableModel
    locations: Mapping[str, str]


class ModelExportStore(Store):
    """Reader of models, logged models and runs for an export."""

    @read_transaction
    def model(self, connection: Connection, name: str, versions: Sequence[int] | None) -> ExportedModel:
        """Read a model with the given versions, None for all; its runs do not include metric points.

        Raises:
            ModelNotFoundError, VersionNotFoundError: the model or a version does not exist or is deleted.
            IntegrityError: its history or a table was edited.
        """
        row = require_model(connection, name)
        verified(connection, row)
        events = checked_chain(connection, row)
        registry_id = connection.execute(select(RegistryIdRow.id)).scalar_one()
        own = ImportedHistory(registry_id, row.uid, tuple(events))
        version_rows = _read_versions(connection, row, versions)
        model_rows = _read_sealed_rows(connection, sorted({version.logged_model_id for version in version_rows}))
        logged = {entity.model_id: entity for entity in read_logged_models(connection, model_rows)}
        names = experiment_names(connection)
        run_ids = {version.run_id for version in version_rows} | {entity.source_run_id for entity in logged.values()}
        portable = PortableModel(
            segments=[*read_imported_history(connection, row.id, events), own],
            versions=[
                PortableVersion(version.version, version.public_model_id, version.run_link) for version in version_rows
            ],
            logged_models=[
                logged_model_to_portable(connection, model, logged[model.model_id], names) for model in model_rows
            ],
            runs=_read_runs(connection, run_ids, names),
        )
        return ExportedModel(portable, {entity.model_id: entity.artifact_location for entity in logged.values()})

    @read_transaction
    def names(self, connection: Connection) -> list[str]:
        """Return the names of the registered models, sorted."""
        kept = RegisteredModelRow.deleted_time.is_(None)
        return list(connection.scalars(select(RegisteredModelRow.name).where(kept).order_by(RegisteredModelRow.name)))

    @read_transaction
    def logged_model(self, connection: Connection, model_id: str) -> PortableLoggedModel:
        """Read a sealed logged model. Deleted ones are included, because versions may still refer to them."""
        key = connection.execute(select(LoggedModelRow.id).where(LoggedModelRow.model_id == model_id)).scalar()
        if key is None:
            raise LoggedModelNotFoundError(f"Logged model with ID '{model_id}' not found.")
        (row,) = _read_sealed_rows(connection, [key])
        return logged_model_to_portable(
            connection, row, read_logged_models(connection, [row])[0], experiment_names(connection)
        )

    @read_transaction
    def run(self, connection: Connection, run_id: str) -> PortableRun:
        """Read a run without its metric points."""
        runs = _read_runs(connection, {run_id}, experiment_names(connection))
        if not runs:
            raise RunNotFoundError(f"Run with id={run_id} not found")
        return runs[0]

    @read_transaction
    def latest_points(self, connection: Connection, run_id: str) -> list[Point]:
        """Return the latest point of each metric of a run, sorted by key."""
        latest = LatestMetricRow
        query = select(latest.key, latest.step, latest.timestamp, latest.value).join(RunRow)
        rows = connection.execute(query.where(RunRow.run_id == run_id).order_by(latest.key))
        return [(row.key, row.step, row.timestamp, value_from_db(row.value)) for row in rows]

    @read_transaction
    def points(self, connection: Connection, run_id: str, consume: Callable[[Sequence[Point]], object]) -> None:
        """Pass all points of a run to `consume` in batches; of a series purged by gc, only the latest point is left."""
        latest, point = LatestMetricRow, MetricRow
        of_run = select(RunRow.id).where(RunRow.run_id == run_id).scalar_subquery()
        present = select(latest.key, point.step, point.timestamp, point.value).join(
            latest, latest.id == point.series_id
        )
        purged = select(latest.key, latest.step, latest.timestamp, latest.value).where(
            and_(latest.run_id == of_run, ~exists().where(point.series_id == latest.id))
        )
        query = union_all(present.where(latest.run_id == of_run), purged)
        rows = connection.execution_options(yield_per=_BATCH).execute(query)
        for batch in rows.partitions():
            consume([(row.key, row.step, row.timestamp, value_from_db(row.value)) for row in batch])


def _read_versions(connection: Connection, model: AnyRow, versions: Sequence[int] | None) -> Sequence[AnyRow]:
    query = (
        select(ModelVersionRow.__table__, LoggedModelRow.model_id.label("public_model_id"))
        .join(LoggedModelRow, LoggedModelRow.id == ModelVersionRow.logged_model_id)
        .where(ModelVersionRow.model_id == model.id, ModelVersionRow.deleted_time.is_(None))
        .order_by(ModelVersionRow.version)
    )
    rows = connection.execute(query).all()
    if versions is None:
        return rows
    missing = sorted(set(versions) - {row.version for row in rows})
    if missing:
        raise VersionNotFoundError(f"Model Version (name={model.name}, version={missing[0]}) not found")
    return [row for row in rows if row.version in versions]


def _read_sealed_rows(connection: Connection, keys: Sequence[int]) -> Sequence[AnyRow]:
    query = (
        select_logged_models()
        .where(among(LoggedModelRow.id, keys, connection.dialect.name))
        .order_by(LoggedModelRow.id)
    )
    rows = connection.execute(query).all()
    for row in rows:
        if row.purged_time is not None:
            raise InvalidStateError(f"The files of the logged model {row.model_id} were removed by gc.")
    return rows


def logged_model_to_portable(
    connection: Connection, row: AnyRow, entity: LoggedModel, names: Mapping[str, str]
) -> PortableLoggedModel:
    """Return a logged model of a row; `names` are the names of experiments by public id."""
    manifest = read_manifest(connection, row.id)
    signatures = select(ModelSignatureRow.key_id, ModelSignatureRow.bundle).where(
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
        signatures={signature.key_id: signature.bundle for signature in connection.execute(signatures)},
    )


def experiment_names(connection: Connection) -> dict[str, str]:
    """Return the names of all experiments, by public id."""
    return {str(row.id): row.name for row in connection.execute(select(ExperimentRow.id, ExperimentRow.name))}


def _read_runs(connection: Connection, run_ids: Iterable[str | None], names: Mapping[str, str]) -> list[PortableRun]:
    known_ids = [run_id for run_id in run_ids if run_id is not None]
    rows = connection.execute(
        select_runs().where(among(RunRow.run_id, known_ids, connection.dialect.name)).order_by(RunRow.run_id)
    ).all()
    return [run_to_portable(run, names) for run in read_runs(connection, rows)]


def run_to_portable(run: Run, names: Mapping[str, str]) -> PortableRun:
    """Return a run without its points; `names` are the names of experiments by public id."""
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
                use.dataset.name,
                use.dataset.digest,
                use.dataset.source_type,
                use.dataset.source,
                use.dataset.schema,
                use.dataset.profile,
                {tag.key: tag.value for tag in use.tags},
            )
            for use in run.inputs.dataset_inputs
        ],
    )
