"""Tables of logged models: files, params, tags, metrics, signatures, uploads and removals."""

from sqlalchemy import BigInteger, CheckConstraint, Double, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry.store.tables.base import CLUSTERED, ID, NEVER_REUSED, Base, Digest, Id, Key, KeyPart, Millis, owner


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

    id: Mapped[Id]
    model_id: Mapped[Key]
    experiment_id: Mapped[int] = mapped_column(ID, ForeignKey("experiments.id"))
    run_id: Mapped[int | None] = mapped_column(ID, ForeignKey("runs.id", ondelete="SET NULL"), index=True)
    name: Mapped[Key]
    model_type: Mapped[str | None] = mapped_column(Text)
    status: Mapped[Key]
    status_message: Mapped[str | None] = mapped_column(Text)
    location: Mapped[str] = mapped_column(Text)
    digest: Mapped[Digest | None]
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    flavors: Mapped[str | None] = mapped_column(Text)
    signature: Mapped[str | None] = mapped_column(Text)
    creation_time: Mapped[Millis]
    last_update_time: Mapped[Millis]
    lifecycle_stage: Mapped[Key]
    deleted_time: Mapped[Millis | None]
    purged_time: Mapped[Millis | None]


class ModelFileRow(Base):
    """A file of a manifest."""

    __tablename__ = "model_files"
    __table_args__ = CLUSTERED

    logged_model_id: Mapped[int] = owner("logged_models.id")
    path: Mapped[KeyPart]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[Digest]


class LoggedModelParamRow(Base):
    """A param of a logged model."""

    __tablename__ = "logged_model_params"
    __table_args__ = CLUSTERED

    logged_model_id: Mapped[int] = owner("logged_models.id")
    key: Mapped[KeyPart]
    value: Mapped[Key]


class LoggedModelTagRow(Base):
    """A tag of a logged model."""

    __tablename__ = "logged_model_tags"
    __table_args__ = CLUSTERED

    logged_model_id: Mapped[int] = owner("logged_models.id")
    key: Mapped[KeyPart]
    value: Mapped[Key]


class LoggedModelMetricRow(Base):
    """A metric point of a logged model, measured by a run; a NULL value is NaN.

    `evaluation_dataset_id` is set by evaluations: the data set's schema and the digest of its whole content.
    """

    __tablename__ = "logged_model_metrics"
    __table_args__ = (Index("ix_logged_model_metrics_logged_model_id_key", "logged_model_id", "key"),)

    id: Mapped[Id]
    logged_model_id: Mapped[int] = mapped_column(ID, ForeignKey("logged_models.id", ondelete="CASCADE"))
    run_id: Mapped[int | None] = mapped_column(ID, ForeignKey("runs.id", ondelete="SET NULL"), index=True)
    key: Mapped[Key]
    step: Mapped[int] = mapped_column(BigInteger)
    timestamp: Mapped[Millis]
    value: Mapped[float | None] = mapped_column(Double)
    dataset_name: Mapped[Key | None]
    dataset_digest: Mapped[Key | None]
    evaluation_dataset_id: Mapped[int | None] = mapped_column(ID, ForeignKey("evaluation_datasets.id"))


class RunModelRow(Base):
    """A logged model that a run used (`input`) or made (`output`) at a step."""

    __tablename__ = "run_models"
    __table_args__ = (CheckConstraint("direction IN ('input', 'output')", name="direction"), CLUSTERED)

    run_id: Mapped[int] = owner("runs.id")
    direction: Mapped[KeyPart]
    logged_model_id: Mapped[int] = mapped_column(
        ID, ForeignKey("logged_models.id", ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True
    )
    step: Mapped[int] = mapped_column(BigInteger)


class UploadRow(Base):
    """An upload under way: committed before its first byte, deleted when the logged model's row is inserted."""

    __tablename__ = "uploads"
    __table_args__ = (UniqueConstraint("model_id"), NEVER_REUSED)

    id: Mapped[Id]
    model_id: Mapped[Key]
    experiment_id: Mapped[int] = mapped_column(ID, ForeignKey("experiments.id"))
    location: Mapped[str] = mapped_column(Text)
    started: Mapped[Millis]


class RemovalRow(Base):
    """Unreferenced files that gc has yet to remove; `location` is relative to the experiment's `artifact_location`.

    The transaction that deletes the last reference inserts this row, so a crash does not lose track of the files.
    """

    __tablename__ = "removals"
    __table_args__ = NEVER_REUSED

    id: Mapped[Id]
    experiment_id: Mapped[int] = mapped_column(ID, ForeignKey("experiments.id"))
    location: Mapped[str] = mapped_column(Text)
    since: Mapped[Millis]


class ModelSignatureRow(Base):
    """A signature of a logged model's manifest; `key_id` is the SHA-256 of the public key, `bundle` is JSON."""

    __tablename__ = "model_signatures"
    __table_args__ = CLUSTERED

    logged_model_id: Mapped[int] = owner("logged_models.id")
    key_id: Mapped[KeyPart]
    bundle: Mapped[str] = mapped_column(Text)
    creation_time: Mapped[Millis]
