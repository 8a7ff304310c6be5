"""Tables of logged models: files, params, tags, metrics, signatures, uploads and removals."""

from sqlalchemy import BigInteger, CheckConstraint, ColumnElement, Double, ForeignKey, Index, Text, UniqueConstraint

from registry.store.tables.base import (
    CLUSTERED,
    ID,
    NEVER_REUSED,
    Base,
    Digest,
    Id,
    Key,
    KeyPart,
    Millis,
    column,
    owner,
)


class LoggedModelRow(Base):
    """A logged model. READY means sealed: `digest` and its rows in `model_files` describe its files and never change.

    `location` is relative to the experiment's `artifact_location`; it is absolute if the files were adopted where they
    are, and then gc never removes them. `flavors` (a JSON list) and `signature` (JSON or
    NULL) are copied from the MLmodel file, so promotion rules need not read it. If `purged_time` is set, gc has removed
    the files and only this row is left.
    """

    __tablename__ = "logged_models"
    __table_args__ = (
        CheckConstraint("status IN ('PENDING', 'READY', 'FAILED')", name="status"),
        CheckConstraint("lifecycle_stage IN ('active', 'deleted')", name="lifecycle_stage"),
        CheckConstraint("status <> 'READY' OR digest IS NOT NULL", name="ready_is_sealed"),
        UniqueConstraint("model_id"),
        Index("ix_logged_models_newest", "experiment_id", "lifecycle_stage", "creation_time", "model_id"),
        NEVER_REUSED,
    )

    id: ColumnElement[Id]
    model_id: ColumnElement[Key]
    experiment_id: ColumnElement[int] = column(ID, ForeignKey("experiments.id"))
    run_id: ColumnElement[int | None] = column(ID, ForeignKey("runs.id", ondelete="SET NULL"), index=True)
    name: ColumnElement[Key]
    model_type: ColumnElement[str | None] = column(Text)
    status: ColumnElement[Key]
    status_message: ColumnElement[str | None] = column(Text)
    location: ColumnElement[str] = column(Text)
    digest: ColumnElement[Digest | None]
    size_bytes: ColumnElement[int | None] = column(BigInteger)
    flavors: ColumnElement[str | None] = column(Text)
    signature: ColumnElement[str | None] = column(Text)
    creation_time: ColumnElement[Millis]
    last_update_time: ColumnElement[Millis]
    lifecycle_stage: ColumnElement[Key]
    deleted_time: ColumnElement[Millis | None]
    purged_time: ColumnElement[Millis | None]


class ModelFileRow(Base):
    """A file of a manifest."""

    __tablename__ = "model_files"
    __table_args__ = CLUSTERED

    logged_model_id: ColumnElement[int] = owner("logged_models.id")
    path: ColumnElement[KeyPart]
    size: ColumnElement[int] = column(BigInteger)
    sha256: ColumnElement[Digest]


class LoggedModelParamRow(Base):
    """A param of a logged model."""

    __tablename__ = "logged_model_params"
    __table_args__ = CLUSTERED

    logged_model_id: ColumnElement[int] = owner("logged_models.id")
    key: ColumnElement[KeyPart]
    value: ColumnElement[Key]


class LoggedModelTagRow(Base):
    """A tag of a logged model."""

    __tablename__ = "logged_model_tags"
    __table_args__ = CLUSTERED

    logged_model_id: ColumnElement[int] = owner("logged_models.id")
    key: ColumnElement[KeyPart]
    value: ColumnElement[Key]


class LoggedModelMetricRow(Base):
    """A metric point of a logged model, measured by a run; a NULL value is NaN.

    `evaluation_dataset_id` is set by evaluations: the data set's schema and the digest of its whole content.
    """

    __tablename__ = "logged_model_metrics"
    __table_args__ = (Index("ix_logged_model_metrics_logged_model_id_key", "logged_model_id", "key"),)

    id: ColumnElement[Id]
    logged_model_id: ColumnElement[int] = column(ID, ForeignKey("logged_models.id", ondelete="CASCADE"))
    run_id: ColumnElement[int | None] = column(ID, ForeignKey("runs.id", ondelete="SET NULL"), index=True)
    key: ColumnElement[Key]
    step: ColumnElement[int] = column(BigInteger)
    timestamp: ColumnElement[Millis]
    value: ColumnElement[float | None] = column(Double)
    dataset_name: ColumnElement[Key | None]
    dataset_digest: ColumnElement[Key | None]
    evaluation_dataset_id: ColumnElement[int | None] = column(ID, ForeignKey("evaluation_datasets.id"))


class RunModelRow(Base):
    """A logged model that a run used (`input`) or made (`output`) at a step."""

    __tablename__ = "run_models"
    __table_args__ = (CheckConstraint("direction IN ('input', 'output')", name="direction"), CLUSTERED)

    run_id: ColumnElement[int] = owner("runs.id")
    direction: ColumnElement[KeyPart]
    logged_model_id: ColumnElement[int] = column(
        ID, ForeignKey("logged_models.id", ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True
    )
    step: ColumnElement[int] = column(BigInteger)


class UploadRow(Base):
    """An upload under way: committed before its first byte, deleted when the logged model's row is inserted."""

    __tablename__ = "uploads"
    __table_args__ = (UniqueConstraint("model_id"), NEVER_REUSED)

    id: ColumnElement[Id]
    model_id: ColumnElement[Key]
    experiment_id: ColumnElement[int] = column(ID, ForeignKey("experiments.id"))
    location: ColumnElement[str] = column(Text)
    started: ColumnElement[Millis]


class RemovalRow(Base):
    """Unreferenced files that gc has yet to remove; `location` is relative to the experiment's `artifact_location`.

    The transaction that deletes the last reference inserts this row, so a crash does not lose track of the files.
    """

    __tablename__ = "removals"
    __table_args__ = NEVER_REUSED

    id: ColumnElement[Id]
    experiment_id: ColumnElement[int] = column(ID, ForeignKey("experiments.id"))
    location: ColumnElement[str] = column(Text)
    since: ColumnElement[Millis]


class TombstoneRow(Base):
    """A run or logged model whose row gc removed: a copy from another registry must not bring it back."""

    __tablename__ = "tombstones"
    __table_args__ = (CLUSTERED,)

    public_id: ColumnElement[KeyPart]
    removed_time: ColumnElement[Millis]


class ModelSignatureRow(Base):
    """A signature of a logged model's manifest; `key_id` is the SHA-256 of the public key, `bundle` is JSON."""

    __tablename__ = "model_signatures"
    __table_args__ = CLUSTERED

    logged_model_id: ColumnElement[int] = owner("logged_models.id")
    key_id: ColumnElement[KeyPart]
    bundle: ColumnElement[str] = column(Text)
    creation_time: ColumnElement[Millis]
