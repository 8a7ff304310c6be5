"""Logged models and uploads in SQL; the caller stores the files.

Guarantees: a READY row appears only with its whole manifest, after the caller has stored and verified every file.
Before the first byte, a row in `uploads` names the location, so `gc` can find it.
"""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from registry.entities import LifecycleStage, LoggedModel, LoggedModelStatus, Manifest, ManifestEntry, Metric
from registry.exceptions import InvalidStateError, LoggedModelNotFoundError, NotFoundError, UploadExpiredError
from registry.store.clock import clock_statement, monotonic_now_ms, now_ms
from registry.store.compiled_statements import CheckedWrite, Compiled
from registry.store.dialects import AnyRow, insert_into, table
from registry.store.driver_sql import Statement, end_with_next, run_all, send
from registry.store.logged_models.read import KEY_OF_ID, VERSIONS_TAG, built_model, model_statements, read_logged_model
from registry.store.logged_models.signatures import insert_signatures
from registry.store.tables import (
    LoggedModelParamRow,
    LoggedModelRow,
    LoggedModelTagRow,
    ModelFileRow,
    ParamRow,
    RunModelRow,
    RunRow,
    UploadRow,
)
from registry.store.tracking.experiments import check_active, experiment_statement
from registry.store.tracking.metrics.read import (
    check_model,
    insert_model_points,
    link_run_points,
    model_statement,
)
from registry.store.tracking.runs import check_writable, run_statement
from registry.store.transactions import Store, read_transaction, single_query, write_transaction

PairRow: TypeAlias = type[LoggedModelParamRow] | type[LoggedModelTagRow]


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

    It gets the params of its run too, unless `inherits_params` is False, and the run's points at `step` with all those
    of the metrics in `metric_keys`. `adopted_location` is where files are that stay there; they have no upload.
    `creation_time` (milliseconds) is that of an imported model, or of the original of a copy that keeps its id. Each
    attempt to upload such a copy has an `upload_id` of its own: so a crash, or another process that copies the same, is
    in nobody's way.
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
    inherits_params: bool = True
    adopted_location: str | None = None
    creation_time: int | None = None
    metric_keys: Sequence[str] = ()
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
        found, clock = experiment_statement(connection, experiment_id), clock_statement(connection)
        run_all(connection, found, clock)
        experiment, root = check_active(found, experiment_id)
        location = _relative_location(model_id)
        row = {
            "model_id": model_id,
            "experiment_id": experiment,
            "location": location,
            "started": monotonic_now_ms(connection, clock),
        }
        _INSERT_UPLOAD.send(connection, row)
        return f"{root.rstrip('/')}/{location}"

    @write_transaction
    def forget_upload(self, connection: Connection, model_id: str) -> bool:
        """Forget an upload that was begun; return whether there was one. The caller answers for its files."""
        return connection.execute(delete(UploadRow).where(UploadRow.model_id == model_id)).rowcount > 0

    def create(self, new: NewModel, seal: Seal | None) -> LoggedModel:
        """Create a logged model: READY with a seal, PENDING without.

        It gets the params of its run and becomes an output of the run. A READY model also gets points of the run.

        Raises:
            UploadExpiredError: there is a seal, but the upload was never begun or was removed by gc.
        """
        answered = self._create(new, seal)
        # Answers can get lost together with that to COMMIT.
        return self.get(new.model_id) if None in [one.answer for one in answered] else built_model(answered)

    @write_transaction
    def _create(self, connection: Connection, new: NewModel, seal: Seal | None) -> list[Statement]:
        insert_logged_model(connection, new, seal)
        if seal is not None:
            link_run_points(connection, new.model_id, new.step, new.metric_keys)
        return [send(connection, statement) for statement in model_statements(connection, new.model_id)]

    def finalize(self, model_id: str, seal: Seal | None, *, step: int | None = None) -> LoggedModel:
        """Make a PENDING model READY with a seal, or FAILED without; `step` adds the run's points at that step."""
        answered = self._finalize(model_id, seal, step)
        # Answers can get lost together with that to COMMIT.
        return self.get(model_id) if None in [one.answer for one in answered] else built_model(answered)

    @write_transaction
    def _finalize(self, connection: Connection, model_id: str, seal: Seal | None, step: int | None) -> list[Statement]:
        row = _require(connection, model_id, lock=True)
        if row.status != LoggedModelStatus.PENDING:
            raise InvalidStateError(
                f"The logged model {model_id} is {row.status} already and cannot be finalized again."
            )
        status = LoggedModelStatus.READY if seal else LoggedModelStatus.FAILED
        _insert_files(connection, model_id, seal)
        _change(connection, row.id, status=status, **_sealed(seal))
        if step is not None:
            link_run_points(connection, model_id, step)
        return [send(connection, statement) for statement in model_statements(connection, model_id)]

    @read_transaction
    def get(self, connection: Connection, model_id: str) -> LoggedModel:
        """Return a logged model by id, deleted ones excluded."""
        end_with_next(connection)
        return read_logged_model(connection, model_id)

    @single_query
    def find_in_run(self, connection: Connection, run_id: str, name: str) -> str | None:
        """Return the id of the newest READY logged model of a run with that name, or None."""
        return _FIND_IN_RUN.value(connection, {"given_run": run_id, "given_name": name})

    @single_query
    def names_in_run(self, connection: Connection, run_id: str) -> list[str]:
        """Return the names of the READY logged models that a run made, sorted."""
        query = select(LoggedModelRow.name).distinct().join(RunRow, RunRow.id == LoggedModelRow.run_id)
        return sorted(connection.scalars(query.where(RunRow.run_id == run_id, *_IS_READY)))

    @read_transaction
    def manifest(self, connection: Connection, model_id: str) -> Manifest:
        """Return the manifest of a sealed model. Deleted ones are included: versions may still refer to them."""
        end_with_next(connection)
        model, files = run_all(
            connection, *(query.statement(connection, {"public_id": model_id}) for query in _MANIFEST)
        )
        if not model.rows:
            raise LoggedModelNotFoundError(f"Logged model with ID '{model_id}' not found.")
        return Manifest.of(ManifestEntry(path, size, sha256) for path, size, sha256 in files.rows)

    @write_transaction
    def delete(self, connection: Connection, model_id: str) -> None:
        """Mark a logged model as deleted; versions that refer to it still load."""
        found, clock = model_statement(connection, model_id), clock_statement(connection)
        run_all(connection, found, clock)
        key, now = check_model(found, model_id), monotonic_now_ms(connection, clock)
        _change(connection, key, lifecycle_stage=LifecycleStage.DELETED, deleted_time=now)

    def set_tags(self, model_id: str, tags: Mapping[str, str]) -> None:
        """Set tags."""
        self._write(model_id, lambda: self._set_tags(model_id, tags))

    @write_transaction
    def _set_tags(self, connection: Connection, model_id: str, tags: Mapping[str, str]) -> None:
        _TOUCH.send(connection, {"public_id": model_id, "now": now_ms()})
        _set_pairs(connection, LoggedModelTagRow, model_id, tags)

    def delete_tag(self, model_id: str, key: str) -> None:
        """Delete a tag; raise NotFoundError if the model has no such tag."""
        self._write(model_id, lambda: self._delete_tag(model_id, key), tag=key)

    @write_transaction
    def _delete_tag(self, connection: Connection, model_id: str, key: str) -> None:
        _TOUCH.send(connection, {"public_id": model_id, "now": now_ms()})
        _DELETE_TAG.send(connection, {"public_id": model_id, "given_key": key})

    def log_params(self, model_id: str, params: Mapping[str, str]) -> None:
        """Add params."""
        if params:
            self._write(model_id, lambda: self._log_params(model_id, params))
        else:
            self._explain(model_id)

    @write_transaction
    def _log_params(self, connection: Connection, model_id: str, params: Mapping[str, str]) -> None:
        _set_pairs(connection, LoggedModelParamRow, model_id, params)

    def _write(self, model_id: str, write: Callable[[], None], tag: str | None = None) -> None:
        explain = functools.partial(self._explain, model_id, tag)
        self.write_or_explain(write, explain, f"logged model {model_id}")

    @read_transaction
    def _explain(self, connection: Connection, model_id: str, tag: str | None = None) -> None:
        """Raise the reason why a logged model cannot be written to, or has no such tag, if there is one."""
        model = read_logged_model(connection, model_id)
        if tag is not None and tag not in model.tags:
            raise NotFoundError(f"No tag with key {tag!r} found for model with ID {model_id!r}.")

    @write_transaction
    def add_points(self, connection: Connection, run_id: str, points: Sequence[Metric]) -> None:
        """Add points of a run to the logged models that they name, except points that a model has."""
        models = {
            model_id: read_logged_model(connection, model_id) for model_id in {str(each.model_id) for each in points}
        }
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
        insert_model_points(connection, run_id, added)


def insert_logged_model(connection: Connection, new: NewModel, seal: Seal | None) -> None:
    """Insert a logged model; see `LoggedModelStore.create`."""
    found, clock = experiment_statement(connection, new.experiment_id), clock_statement(connection)
    run, params = (
        run_statement(connection, new.run_id or ""),
        _RUN_PARAMS.statement(connection, {"given_id": new.run_id}),
    )
    ended = _END_UPLOAD.statement(connection, {"public_id": new.upload_name})
    was_uploaded = seal is not None and new.adopted_location is None
    run_all(connection, found, clock, run, params, *([ended] if was_uploaded else []))
    if was_uploaded and (ended.answer is None or ended.answer.written == 0):
        raise UploadExpiredError(
            f"The upload of the logged model {new.model_id} has expired: storing its files took longer than gc's grace "
            "period, and gc removed them. Log the model again, and give gc a longer grace period (--grace)."
        )
    experiment, _ = check_active(found, new.experiment_id)
    run_key = None if new.run_id is None else check_writable(run, new.run_id)
    now = monotonic_now_ms(connection, clock)
    values = {
        "model_id": new.model_id,
        "experiment_id": experiment,
        "run_id": run_key,
        "name": new.name,
        "model_type": new.model_type,
        "status": LoggedModelStatus.READY if seal else LoggedModelStatus.PENDING,
        "location": new.adopted_location or _relative_location(new.upload_name),
        "creation_time": now if new.creation_time is None else new.creation_time,
        "last_update_time": now,
        "lifecycle_stage": LifecycleStage.ACTIVE,
        **_sealed(seal),
    }
    _INSERT.send(connection, values)
    _insert_files(connection, new.model_id, seal)
    inherited = dict(params.rows) if new.inherits_params else {}
    # The versions tag is computed when a model is read; an imported one refers to another registry.
    own_tags = {name: value for name, value in new.tags.items() if name != VERSIONS_TAG}
    for kind, pairs in ((LoggedModelParamRow, {**inherited, **new.params}), (LoggedModelTagRow, own_tags)):
        rows = [{"public_id": new.model_id, "key": name, "value": value} for name, value in pairs.items()]
        _INSERT_PAIRS[kind].write_many(connection, rows)
    if new.signatures:
        insert_signatures(connection, _require(connection, new.model_id).id, new.signatures)
    if run_key is not None:
        output = {"run_id": run_key, "direction": "output", "step": new.step}
        _INSERT_OUTPUT.send(connection, {**output, "public_id": new.model_id})


_INSERT: Final = Compiled(insert(table(LoggedModelRow)))
_INSERT_UPLOAD: Final = Compiled(insert(table(UploadRow)))
# From now on the logged model refers to the files.
_END_UPLOAD: Final = Compiled(delete(UploadRow).where(UploadRow.model_id == bindparam("public_id")))
_INSERT_FILE: Final = Compiled(insert(table(ModelFileRow)).values(logged_model_id=KEY_OF_ID))
_INSERT_OUTPUT: Final = Compiled(insert(table(RunModelRow)).values(logged_model_id=KEY_OF_ID))
_INSERT_PAIRS: Final = {
    kind: Compiled(insert(table(kind)).values(logged_model_id=KEY_OF_ID))
    for kind in (LoggedModelParamRow, LoggedModelTagRow)
}
_RUN_PARAMS: Final = Compiled(
    select(ParamRow.key, ParamRow.value)
    .join(RunRow, RunRow.id == ParamRow.run_id)
    .where(RunRow.run_id == bindparam("given_id"))
)
_CHANGE: Final = Compiled(update(table(LoggedModelRow)).where(table(LoggedModelRow).c.id == bindparam("model_key")))
_IS_GIVEN: Final = (
    LoggedModelRow.model_id == bindparam("public_id"),
    LoggedModelRow.lifecycle_stage == LifecycleStage.ACTIVE,
)
_TOUCH: Final = CheckedWrite(update(table(LoggedModelRow)).where(*_IS_GIVEN).values(last_update_time=bindparam("now")))
_DELETE_TAG: Final = CheckedWrite(
    delete(LoggedModelTagRow).where(
        LoggedModelTagRow.logged_model_id == KEY_OF_ID, LoggedModelTagRow.key == bindparam("given_key")
    )
)
_MANIFEST: Final = (
    Compiled(select(LoggedModelRow.id).where(LoggedModelRow.model_id == bindparam("public_id"))),
    Compiled(
        select(ModelFileRow.path, ModelFileRow.size, ModelFileRow.sha256).where(
            ModelFileRow.logged_model_id == KEY_OF_ID
        )
    ),
)


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


def _relative_location(model_id: str) -> str:
    return f"models/{model_id}/artifacts"


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


def _change(connection: Connection, key: int, **values: Any) -> None:
    _CHANGE.send(connection, {"model_key": key, "last_update_time": now_ms(), **values})


def _insert_files(connection: Connection, model_id: str, seal: Seal | None) -> None:
    if seal is not None:
        rows = [
            {"public_id": model_id, "path": entry.path, "size": entry.size, "sha256": entry.sha256}
            for entry in seal.manifest.entries
        ]
        _INSERT_FILE.write_many(connection, rows)


def _set_pairs(connection: Connection, kind: PairRow, model_id: str, pairs: Mapping[str, str]) -> None:
    """Set params or tags of a logged model that is not deleted; sorted, so that transactions lock rows in one order."""
    statement = _set_pair(connection.dialect.name, is_tag=kind is LoggedModelTagRow)
    for name, value in sorted(pairs.items()):
        statement.send(connection, {"public_id": model_id, "given_key": name, "given_value": value})


@functools.cache
def _set_pair(dialect: str, *, is_tag: bool) -> CheckedWrite:
    kind: PairRow = LoggedModelTagRow if is_tag else LoggedModelParamRow
    columns = table(kind).c
    given = [bindparam(f"given_{name}", type_=columns[name].type) for name in ("key", "value")]
    insert = insert_into(dialect, kind).from_select(
        ["logged_model_id", "key", "value"], select(LoggedModelRow.id, *given).where(*_IS_GIVEN)
    )
    keys = ["logged_model_id", "key"]
    return CheckedWrite(insert.on_conflict_do_update(index_elements=keys, set_={"value": insert.excluded["value"]}))
