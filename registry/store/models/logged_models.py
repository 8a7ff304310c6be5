"""Logged models in SQL: what is sealed where, and which bytes are on their way.

Leaves the bytes to whoever calls. Invariant: a READY row appears only with its whole manifest, after the caller has
stored and verified every byte; before the first byte an `uploads` row names the place, so that `gc` can find it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from registry.entities import LifecycleStage, LoggedModel, LoggedModelStatus, Manifest, ManifestEntry, Metric
from registry.exceptions import InvalidStateError, LoggedModelNotFoundError, NotFoundError, UploadExpiredError
from registry.store.clock import monotonic_now_ms, now_ms
from registry.store.compiled import Compiled
from registry.store.dialects import AnyRow, AnySelect, table, upsert
from registry.store.long_lists import among
from registry.store.models.signatures import insert_signatures
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
from registry.store.tracking.metrics.read import link_run_points, value_from_db
from registry.store.tracking.run_inputs import insert_run_models
from registry.store.tracking.runs import writable_run
from registry.store.transactions import Store, read_transaction, single_query, write_transaction

# MLflow's name of the tag that lists the versions of a logged model.
VERSIONS_TAG: Final = "mlflow.modelVersions"


@dataclass(frozen=True, slots=True)
class Seal:
    """What is known of a directory once it is stored: its files, and what its MLmodel file says.

    `flavors` are the names under ``flavors:``; `signature` is the signature as JSON, None without one.
    """

    manifest: Manifest
    flavors: Sequence[str] = ()
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class NewModel:
    """A logged model that is to appear; `signatures` are bundles by the id of the key that gave them."""

    model_id: str
    experiment_id: str
    name: str
    run_id: str | None = None
    model_type: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    step: int = 0
    signatures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SealedCopy:
    """Files stored at `location` as a logged model that is to appear together with the version which names it."""

    new: NewModel
    seal: Seal
    location: str

    @property
    def model_id(self) -> str:
        """The id of the logged model."""
        return self.new.model_id


class LoggedModelStore(Store):
    """Creates, finds and changes logged models."""

    @write_transaction
    def begin_upload(self, connection: Connection, model_id: str, experiment_id: str) -> str:
        """Note that bytes of a model are about to be stored; the place for them.

        Raises:
            ExperimentNotFoundError, InvalidParameterError: no such experiment, or it is deleted.
        """
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
        """A logged model: READY with a seal, PENDING without. It gets the params of its run and becomes its output.

        A READY one gets the points of its run at `new.step` too.

        Raises:
            RunNotFoundError, ExperimentNotFoundError: the run or experiment does not exist.
            InvalidParameterError: it is deleted.
            UploadExpiredError: the model has a seal, but its upload was never begun or was given up by gc.
        """
        insert_logged_model(connection, new, seal)
        if seal is not None:
            _link_points(connection, _require(connection, new.model_id), new.step)
        return _read_one(connection, new.model_id)

    @write_transaction
    def finalize(
        self, connection: Connection, model_id: str, seal: Seal | None, *, step: int | None = None
    ) -> LoggedModel:
        """Make a PENDING model READY with a seal, or FAILED without; with `step` it gets the points of its run there.

        Raises:
            LoggedModelNotFoundError: no such model.
            InvalidStateError: it is not PENDING.
        """
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
        """A logged model by id, deleted ones excluded.

        Raises:
            LoggedModelNotFoundError: no such model.
        """
        return _read_one(connection, model_id)

    @single_query
    def find_in_run(self, connection: Connection, run_id: str, name: str) -> str | None:
        """The id of the newest READY logged model of that name that a run made, or None."""
        return _FIND_IN_RUN.value(connection, {"given_run": run_id, "given_name": name})

    @read_transaction
    def manifest(self, connection: Connection, model_id: str) -> Manifest:
        """Which files a sealed model has, deleted ones included: versions may still name it.

        Raises:
            LoggedModelNotFoundError: no such model.
        """
        key = connection.execute(select(LoggedModelRow.id).where(LoggedModelRow.model_id == model_id)).scalar()
        if key is None:
            raise LoggedModelNotFoundError(f"Logged model with ID '{model_id}' not found.")
        return read_manifest(connection, key)

    @read_transaction
    def location(self, connection: Connection, model_id: str) -> str:
        """Where the files of a model are, deleted ones included: versions may still name it."""
        query = select(ExperimentRow.artifact_location, LoggedModelRow.location)
        query = query.join(LoggedModelRow, LoggedModelRow.experiment_id == ExperimentRow.id)
        row = connection.execute(query.where(LoggedModelRow.model_id == model_id)).one_or_none()
        if row is None:
            raise LoggedModelNotFoundError(f"Logged model with ID '{model_id}' not found.")
        return f"{row.artifact_location.rstrip('/')}/{row.location}"

    @write_transaction
    def delete(self, connection: Connection, model_id: str) -> None:
        """Mark a logged model as deleted; versions that name it go on loading."""
        row = _require(connection, model_id)
        _change(connection, row.id, lifecycle_stage=LifecycleStage.DELETED, deleted_time=monotonic_now_ms(connection))

    @write_transaction
    def set_tags(self, connection: Connection, model_id: str, tags: Mapping[str, str]) -> None:
        """Set labels."""
        row = _require(connection, model_id)
        _insert_pairs(connection, LoggedModelTagRow, row.id, tags)
        _change(connection, row.id)

    @write_transaction
    def delete_tag(self, connection: Connection, model_id: str, key: str) -> None:
        """Remove a label.

        Raises:
            NotFoundError: the model has no such label.
        """
        row = _require(connection, model_id)
        gone = delete(LoggedModelTagRow).where(
            LoggedModelTagRow.logged_model_id == row.id, LoggedModelTagRow.key == key
        )
        if connection.execute(gone).rowcount == 0:
            raise NotFoundError(f"No tag with key {key!r} found for model with ID {model_id!r}.")
        _change(connection, row.id)

    @write_transaction
    def log_params(self, connection: Connection, model_id: str, params: Mapping[str, str]) -> None:
        """Add params."""
        _insert_pairs(connection, LoggedModelParamRow, _require(connection, model_id).id, params)


def insert_logged_model(connection: Connection, new: NewModel, seal: Seal | None) -> None:
    """Let a logged model appear; see `LoggedModelStore.create`."""
    if seal is not None:
        _end_upload(connection, new.model_id)
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
        "location": _relative_location(new.model_id),
        "creation_time": now,
        "last_update_time": now,
        "lifecycle_stage": LifecycleStage.ACTIVE,
        **_sealed(seal),
    }
    key = connection.execute(insert(table(LoggedModelRow)).returning(LoggedModelRow.id), values).scalar_one()
    _insert_files(connection, key, seal)
    _insert_pairs(connection, LoggedModelParamRow, key, {**_run_params(connection, run_key), **new.params})
    # The tag of versions is made anew here; one that came along speaks of another registry.
    own_tags = {name: value for name, value in new.tags.items() if name != VERSIONS_TAG}
    _insert_pairs(connection, LoggedModelTagRow, key, own_tags)
    insert_signatures(connection, key, new.signatures)
    if run_key is not None:
        insert_run_models(connection, run_key, "output", [(new.model_id, new.step)])


_FIND_IN_RUN: Final = Compiled(
    select(LoggedModelRow.model_id)
    .join(RunRow, RunRow.id == LoggedModelRow.run_id)
    .where(
        RunRow.run_id == bindparam("given_run"),
        LoggedModelRow.name == bindparam("given_name"),
        LoggedModelRow.status == LoggedModelStatus.READY,
        LoggedModelRow.lifecycle_stage == LifecycleStage.ACTIVE,
    )
    .order_by(LoggedModelRow.id.desc())
    .limit(1)
)


def select_logged_models() -> AnySelect:
    """A query of all columns that `read_logged_models` needs."""
    return (
        select(LoggedModelRow.__table__, ExperimentRow.artifact_location, RunRow.run_id.label("source_run_id"))
        .join(ExperimentRow, ExperimentRow.id == LoggedModelRow.experiment_id)
        .outerjoin(RunRow, RunRow.id == LoggedModelRow.run_id)
    )


def read_logged_models(connection: Connection, rows: Iterable[AnyRow]) -> list[LoggedModel]:
    """The models of these rows of `select_logged_models`, in their order."""
    found = list(rows)
    keys = [row.id for row in found]
    if not keys:
        return []
    params = _read_pairs(connection, LoggedModelParamRow, keys)
    tags = _read_pairs(connection, LoggedModelTagRow, keys)
    metrics = _read_metrics(connection, {row.id: row.model_id for row in found})
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
        for row in found
    ]


def read_manifest(connection: Connection, key: int) -> Manifest:
    """The manifest of a sealed model, by its key."""
    query = select(ModelFileRow.path, ModelFileRow.size, ModelFileRow.sha256).where(ModelFileRow.logged_model_id == key)
    return Manifest.of(ManifestEntry(path, size, sha256) for path, size, sha256 in connection.execute(query))


def _relative_location(model_id: str) -> str:
    return f"models/{model_id}/artifacts"


def _end_upload(connection: Connection, model_id: str) -> None:
    """Take an upload off the list of those under way; from then on the logged model names the bytes."""
    if connection.execute(delete(UploadRow).where(UploadRow.model_id == model_id)).rowcount == 0:
        raise UploadExpiredError(
            f"The files of the logged model {model_id} are not under way any more: storing them took longer than gc's "
            "grace period, and gc removed them. Log the model again, and let gc wait longer (--grace)."
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
    found: dict[int, dict[str, str]] = {key: {} for key in keys}
    query = (
        select(kind.logged_model_id, kind.key, kind.value)
        .where(among(kind.logged_model_id, keys, connection.dialect.name))
        .order_by(kind.key)
    )
    for model_key, key, value in connection.execute(query):
        found[model_key][key] = value
    return found


def _read_versions_tags(connection: Connection, keys: Sequence[int]) -> dict[int, dict[str, str]]:
    """MLflow's tag that names the versions of a model, made of the versions that there are: it is never out of date."""
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
    found: dict[int, list[dict[str, Any]]] = {}
    for key, name, version in connection.execute(query):
        found.setdefault(key, []).append({"name": name, "version": version})
    return {key: {VERSIONS_TAG: json.dumps(versions)} for key, versions in found.items()}


def _read_metrics(connection: Connection, models: Mapping[int, str]) -> dict[int, list[Metric]]:
    found: dict[int, list[Metric]] = {key: [] for key in models}
    query = (
        select(LoggedModelMetricRow.__table__, RunRow.run_id.label("public_run_id"))
        .outerjoin(RunRow, RunRow.id == LoggedModelMetricRow.run_id)
        .where(among(LoggedModelMetricRow.logged_model_id, models, connection.dialect.name))
        .order_by(LoggedModelMetricRow.id)
    )
    for row in connection.execute(query):
        found[row.logged_model_id].append(
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
    return found
