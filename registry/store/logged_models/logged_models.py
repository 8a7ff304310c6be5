"""Logged models and uploads in SQL; the caller stores the files.

Guarantees: a READY row appears only with its whole manifest, after the caller has stored and verified every file.
Before the first byte, a row in `uploads` names the location, so `gc` can find it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from registry.entities import LifecycleStage, LoggedModel, LoggedModelStatus, Manifest, ManifestEntry, Metric
from registry.exceptions import InvalidStateError, LoggedModelNotFoundError, NotFoundError, UploadExpiredError
from registry.store.clock import monotonic_now_ms, now_ms
from registry.store.compiled_statements import Compiled
from registry.store.dialects import AnyRow, AnySelect, table, upsert
from registry.store.logged_models.signatures import insert_signatures
from registry.store.long_lists import among
from registry.store.tables import (
    ExperimentRow,
    LoggedModelMetricRow,
    LoggedModelParamRow,
    LoggedModelRow,
    LoggedModelTagRow,
    ModelFileRow,
    ModelVersionRow,
    ParamRow,
    RegisteredModelRow,
    RunRow,
    UploadRow,
)
from registry.store.tracking.experiments import active_location
from registry.store.tracking.metrics.read import insert_model_points, link_run_points, value_from_db
from registry.store.tracking.run_inputs import insert_run_models
from registry.store.tracking.runs import writable_run
from registry.store.transactions import Store, read_transaction, single_query, write_transaction

# MLflow's name of the tag that lists the versions of a logged model.
VERSIONS_TAG: Final = "mlflow.modelVersions"


@dataclass(frozen=True, slots=True)
class Seal:
    """A stored model directory: its manifest, and the flavors and signature of its MLmodel file.

    `flavors` are the names under ``flavors:``; `signature` is JSON, None without one.
    """

    manifest: Manifest
    flavors: Sequence[str] = ()
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class NewModel:
    """A logged model to insert; `signatures` maps the id of the signing key to the bundle.

    A copy that keeps the id of its original also keeps its `creation_time` (milliseconds), and each attempt to upload
    it has an `upload_id` of its own: so a crash, or another process that copies the same, is in nobody's way.
    """

    model_id: str
    experiment_id: str
    name: str
    run_id: str | None = None
    model_type: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    step: int = 0
    signatures: Mapping[str, str] = field(default_factory=dict)
    creation_time: int | None = None
    upload_id: str | None = None

    @property
    def upload_name(self) -> str:
        """The name of its upload and of its directory."""
        return self.upload_id or self.model_id


@dataclass(frozen=True, slots=True)
class SealedCopy:
    """Files stored at `location`, to be inserted as a logged model together with the version that refers to it."""

    new: NewModel
    seal: Seal
    location: str

    @property
    def model_id(self) -> str:
        """The id of the logged model."""
        return self.new.model_id


class LoggedModelStore(Store):
    """The logged models of a database."""

    @write_transaction
    def begin_upload(self, connection: Connection, model_id: str, experiment_id: str) -> str:
        """Insert an upload and return the location for its files; it is committed before the first byte is stored."""
        experiment, root = active_location(connection, experiment_id)
        location = _relative_location(model_id)
        row = {
            "model_id": model_id,
            "experiment_id": experiment,
            "location": location,
            "started": monotonic_now_ms(connection),
        }
        connection.execute(insert(table(UploadRow)), row)
        return f"{root.rstrip('/')}/{location}"

    @write_transaction
    def create(self, connection: Connection, new: NewModel, seal: Seal | None) -> LoggedModel:
        """Create a logged model: READY with a seal, PENDING without.

        It gets the params of its run and becomes an output of the run. A READY model also gets the run's points at
        `new.step`.

        Raises:
            UploadExpiredError: there is a seal, but the upload was never begun or was removed by gc.
        """
        insert_logged_model(connection, new, seal)
        if seal is not None:
            _link_points(connection, _require(connection, new.model_id), new.step)
        return _read_one(connection, new.model_id)

    @write_transaction
    def finalize(
        self, connection: Connection, model_id: str, seal: Seal | None, *, step: int | None = None
    ) -> LoggedModel:
        """Make a PENDING model READY with a seal, or FAILED without; `step` adds the run's points at that step."""
        row = _require(connection, model_id, lock=True)
        if row.status != LoggedModelStatus.PENDING:
            raise InvalidStateError(
                f"The logged model {model_id} is {row.status} already and cannot be finalized again."
            )
        status = LoggedModelStatus.READY if seal else LoggedModelStatus.FAILED
        _insert_files(connection, row.id, seal)
        _change(connection, row.id, status=status, **_sealed(seal))
        if step is not None:
            _link_points(connection, row, step)
        return _read_one(connection, model_id)

    @read_transaction
    def get(self, connection: Connection, model_id: str) -> LoggedModel:
        """Return a logged model by id, deleted ones excluded."""
        return _read_one(connection, model_id)

    @single_query
    def find_in_run(self, connection: Connection, run_id: str, name: str) -> str | None:
        """Return the id of the newest READY logged model of a run with that name, or None."""
        return _FIND_IN_RUN.value(connection, {"given_run": run_id, "given_name": name})

    @read_transaction
    def names_in_run(self, connection: Connection, run_id: str) -> list[str]:
        """Return the names of the READY logged models that a run made, sorted."""
        query = select(LoggedModelRow.name).distinct().join(RunRow, RunRow.id == LoggedModelRow.run_id)
        return sorted(connection.scalars(query.where(RunRow.run_id == run_id, *_IS_READY)))

    @read_transaction
    def manifest(self, connection: Connection, model_id: str) -> Manifest:
        """Return the manifest of a sealed model. Deleted ones are included: versions may still refer to them."""
        key = connection.execute(select(LoggedModelRow.id).where(LoggedModelRow.model_id == model_id)).scalar()
        if key is None:
            raise LoggedModelNotFoundError(f"Logged model with ID '{model_id}' not found.")
        return read_manifest(connection, key)

    @read_transaction
    def location(self, connection: Connection, model_id: str) -> str:
        """Return the location of a model's files. Deleted ones are included: versions may still refer to them."""
        query = select(ExperimentRow.artifact_location, LoggedModelRow.location)
        query = query.join(LoggedModelRow, LoggedModelRow.experiment_id == ExperimentRow.id)
        row = connection.execute(query.where(LoggedModelRow.model_id == model_id)).one_or_none()
        if row is None:
            raise LoggedModelNotFoundError(f"Logged model with ID '{model_id}' not found.")
        return f"{row.artifact_location.rstrip('/')}/{row.location}"

    @write_transaction
    def delete(self, connection: Connection, model_id: str) -> None:
        """Mark a logged model as deleted; versions that refer to it still load."""
        row = _require(connection, model_id)
        _change(connection, row.id, lifecycle_stage=LifecycleStage.DELETED, deleted_time=monotonic_now_ms(connection))

    @write_transaction
    def set_tags(self, connection: Connection, model_id: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        row = _require(connection, model_id)
        _insert_pairs(connection, LoggedModelTagRow, row.id, tags)
        _change(connection, row.id)

    @write_transaction
    def delete_tag(self, connection: Connection, model_id: str, key: str) -> None:
        """Delete a tag; raise NotFoundError if the model has no such tag."""
        row = _require(connection, model_id)
        tag = (LoggedModelTagRow.logged_model_id == row.id) & (LoggedModelTagRow.key == key)
        if connection.execute(delete(LoggedModelTagRow).where(tag)).rowcount == 0:
            raise NotFoundError(f"No tag with key {key!r} found for model with ID {model_id!r}.")
        _change(connection, row.id)

    @write_transaction
    def log_params(self, connection: Connection, model_id: str, params: Mapping[str, str]) -> None:
        """Add params."""
        _insert_pairs(connection, LoggedModelParamRow, _require(connection, model_id).id, params)

    @write_transaction
    def add_points(self, connection: Connection, run_id: str, points: Sequence[Metric]) -> None:
        """Add points of a run to the logged models that they name, except points that a model has."""
        run_key = connection.execute(select(RunRow.id).where(RunRow.run_id == run_id)).scalar_one_or_none()
        models = {model_id: _read_one(connection, model_id) for model_id in {str(each.model_id) for each in points}}
        existing = {
            (model_id, point.key, point.step, point.timestamp, point.value)
            for model_id, model in models.items()
            for point in model.metrics
        }
        added = [
            point
            for point in points
            if (point.model_id, point.key, point.step, point.timestamp, point.value) not in existing
        ]
        insert_model_points(connection, run_key, added)


def insert_logged_model(connection: Connection, new: NewModel, seal: Seal | None) -> None:
    """Insert a logged model; see `LoggedModelStore.create`."""
    if seal is not None:
        _end_upload(connection, new.upload_name)
    experiment, _ = active_location(connection, new.experiment_id)
    run_key = None if new.run_id is None else writable_run(connection, new.run_id)
    now = monotonic_now_ms(connection)
    values = {
        "model_id": new.model_id,
        "experiment_id": experiment,
        "run_id": run_key,
        "name": new.name,
        "model_type": new.model_type,
        "status": LoggedModelStatus.READY if seal else LoggedModelStatus.PENDING,
        "location": _relative_location(new.upload_name),
        "creation_time": now if new.creation_time is None else new.creation_time,
        "last_update_time": now,
        "lifecycle_stage": LifecycleStage.ACTIVE,
        **_sealed(seal),
    }
    key = connection.execute(insert(table(LoggedModelRow)).returning(LoggedModelRow.id), values).scalar_one()
    _insert_files(connection, key, seal)
    # A copy has the params that its original got from the run, not those that the run has now.
    inherited = _run_params(connection, run_key) if new.creation_time is None else {}
    _insert_pairs(connection, LoggedModelParamRow, key, {**inherited, **new.params})
    # The versions tag is computed when a model is read; an imported one refers to another registry.
    own_tags = {name: value for name, value in new.tags.items() if name != VERSIONS_TAG}
    _insert_pairs(connection, LoggedModelTagRow, key, own_tags)
    insert_signatures(connection, key, new.signatures)
    if run_key is not None:
        insert_run_models(connection, run_key, "output", [(new.model_id, new.step)])


_IS_READY: Final = (
    LoggedModelRow.status == LoggedModelStatus.READY,
    LoggedModelRow.lifecycle_stage == LifecycleStage.ACTIVE,
)

_FIND_IN_RUN: Final = Compiled(
    select(LoggedModelRow.model_id)
    .join(RunRow, RunRow.id == LoggedModelRow.run_id)
    .where(
        RunRow.run_id == bindparam("given_run"),
        LoggedModelRow.name == bindparam("given_name"),
        *_IS_READY,
    )
    .order_by(LoggedModelRow.id.desc())
    .limit(1)
)


def select_logged_models() -> AnySelect:
    """Return a query with all columns that `read_logged_models` needs."""
    return (
        select(LoggedModelRow.__table__, ExperimentRow.artifact_location, RunRow.run_id.label("source_run_id"))
        .join(ExperimentRow, ExperimentRow.id == LoggedModelRow.experiment_id)
        .outerjoin(RunRow, RunRow.id == LoggedModelRow.run_id)
    )


def read_logged_models(connection: Connection, rows: Iterable[AnyRow]) -> list[LoggedModel]:
    """Build logged models from rows of `select_logged_models`, in their order."""
    model_rows = list(rows)
    keys = [row.id for row in model_rows]
    if not keys:
        return []
    params = _read_pairs(connection, LoggedModelParamRow, keys)
    tags = _read_pairs(connection, LoggedModelTagRow, keys)
    metrics = _read_metrics(connection, {row.id: row.model_id for row in model_rows})
    versions = _read_versions_tags(connection, keys)
    return [
        LoggedModel(
            experiment_id=str(row.experiment_id),
            model_id=row.model_id,
            name=row.name,
            artifact_location=f"{row.artifact_location.rstrip('/')}/{row.location}",
            creation_timestamp=row.creation_time,
            last_updated_timestamp=row.last_update_time,
            model_type=row.model_type,
            source_run_id=row.source_run_id,
            status=LoggedModelStatus(row.status),
            status_message=row.status_message,
            tags={**tags[row.id], **versions.get(row.id, {})},
            params=params[row.id],
            metrics=metrics[row.id],
            digest=row.digest,
            size_bytes=row.size_bytes,
        )
        for row in model_rows
    ]


def read_manifest(connection: Connection, key: int) -> Manifest:
    """Return the manifest of the sealed model with this key."""
    query = select(ModelFileRow.path, ModelFileRow.size, ModelFileRow.sha256).where(ModelFileRow.logged_model_id == key)
    return Manifest.of(ManifestEntry(path, size, sha256) for path, size, sha256 in connection.execute(query))


def _relative_location(model_id: str) -> str:
    return f"models/{model_id}/artifacts"


def _end_upload(connection: Connection, model_id: str) -> None:
    """Delete the upload's row; from now on the logged model refers to the files."""
    if connection.execute(delete(UploadRow).where(UploadRow.model_id == model_id)).rowcount == 0:
        raise UploadExpiredError(
            f"The upload of the logged model {model_id} has expired: storing its files took longer than gc's grace "
            "period, and gc removed them. Log the model again, and give gc a longer grace period (--grace)."
        )


def _sealed(seal: Seal | None) -> dict[str, Any]:
    if seal is None:
        return {}
    return {
        "digest": seal.manifest.digest,
        "size_bytes": seal.manifest.size,
        "flavors": json.dumps(sorted(seal.flavors)),
        "signature": seal.signature,
    }


def _require(connection: Connection, model_id: str, *, lock: bool = False) -> AnyRow:
    query = select(LoggedModelRow.id, LoggedModelRow.status, LoggedModelRow.run_id).where(
        LoggedModelRow.model_id == model_id, LoggedModelRow.lifecycle_stage == LifecycleStage.ACTIVE
    )
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise LoggedModelNotFoundError(f"Logged model with ID '{model_id}' not found.")
    return row


def _link_points(connection: Connection, model: AnyRow, step: int) -> None:
    if model.run_id is not None:
        link_run_points(connection, model.run_id, model.id, step)


def _read_one(connection: Connection, model_id: str) -> LoggedModel:
    key = _require(connection, model_id).id
    row = connection.execute(select_logged_models().where(LoggedModelRow.id == key)).one()
    return read_logged_models(connection, [row])[0]


def _change(connection: Connection, key: int, **values: Any) -> None:
    connection.execute(
        update(LoggedModelRow).where(LoggedModelRow.id == key).values(last_update_time=now_ms(), **values)
    )


def _insert_files(connection: Connection, key: int, seal: Seal | None) -> None:
    if seal is not None and seal.manifest.entries:
        rows = [
            {"logged_model_id": key, "path": entry.path, "size": entry.size, "sha256": entry.sha256}
            for entry in seal.manifest.entries
        ]
        connection.execute(insert(table(ModelFileRow)), rows)


def _insert_pairs(
    connection: Connection,
    kind: type[LoggedModelParamRow] | type[LoggedModelTagRow],
    key: int,
    pairs: Mapping[str, str],
) -> None:
    rows = [{"logged_model_id": key, "key": name, "value": value} for name, value in pairs.items()]
    upsert(connection, kind, rows)


def _run_params(connection: Connection, run_key: int | None) -> dict[str, str]:
    if run_key is None:
        return {}
    query = select(ParamRow.key, ParamRow.value).where(ParamRow.run_id == run_key)
    return {row.key: row.value for row in connection.execute(query)}


def _read_pairs(
    connection: Connection, kind: type[LoggedModelParamRow] | type[LoggedModelTagRow], keys: Sequence[int]
) -> dict[int, dict[str, str]]:
    pairs: dict[int, dict[str, str]] = {key: {} for key in keys}
    query = (
        select(kind.logged_model_id, kind.key, kind.value)
        .where(among(kind.logged_model_id, keys, connection.dialect.name))
        .order_by(kind.key)
    )
    for model_key, key, value in connection.execute(query):
        pairs[model_key][key] = value
    return pairs


def _read_versions_tags(connection: Connection, keys: Sequence[int]) -> dict[int, dict[str, str]]:
    """Compute MLflow's tag that lists the versions of each model from the current versions, so it is never stale."""
    query = (
        select(ModelVersionRow.logged_model_id, RegisteredModelRow.name, ModelVersionRow.version)
        .join(RegisteredModelRow, RegisteredModelRow.id == ModelVersionRow.model_id)
        .where(
            among(ModelVersionRow.logged_model_id, keys, connection.dialect.name),
            ModelVersionRow.deleted_time.is_(None),
            RegisteredModelRow.deleted_time.is_(None),
        )
        .order_by(ModelVersionRow.id)
    )
    versions_by_model: dict[int, list[dict[str, Any]]] = {}
    for key, name, version in connection.execute(query):
        versions_by_model.setdefault(key, []).append({"name": name, "version": version})
    return {key: {VERSIONS_TAG: json.dumps(versions)} for key, versions in versions_by_model.items()}


def _read_metrics(connection: Connection, models: Mapping[int, str]) -> dict[int, list[Metric]]:
    metrics: dict[int, list[Metric]] = {key: [] for key in models}
    query = (
        select(LoggedModelMetricRow.__table__, RunRow.run_id.label("public_run_id"))
        .outerjoin(RunRow, RunRow.id == LoggedModelMetricRow.run_id)
        .where(among(LoggedModelMetricRow.logged_model_id, models, connection.dialect.name))
        .order_by(LoggedModelMetricRow.id)
    )
    for row in connection.execute(query):
        metrics[row.logged_model_id].append(
            Metric(
                key=row.key,
                value=value_from_db(row.value),
                timestamp=row.timestamp,
                step=row.step,
                model_id=models[row.logged_model_id],
                dataset_name=row.dataset_name,
                dataset_digest=row.dataset_digest,
                run_id=row.public_run_id,
            )
        )
    return metrics
