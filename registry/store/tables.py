"""The tables, as typed declarative classes; what a column means is said here once.

`migrations/` makes them (`create_all` appears nowhere) and `alembic check` holds the two together. Rows never leave
this room: other rooms see entities. Column kinds:

- `Id`: an integer surrogate key. Joins and big tables use it; callers never see it.
- `Key`: text that is compared and ordered by code point (collation ``C`` on PostgreSQL, BINARY on SQLite).
- `Millis`: milliseconds since the epoch, UTC. `Micros`: the same in microseconds, for the order of events.
"""

from typing import Annotated

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

KEY = Text().with_variant(Text(collation="C"), "postgresql")
ID = BigInteger().with_variant(Integer, "sqlite")

Id = Annotated[int, mapped_column(ID, primary_key=True, autoincrement=True)]
Key = Annotated[str, mapped_column(KEY)]
KeyPart = Annotated[str, mapped_column(KEY, primary_key=True)]
Millis = Annotated[int, mapped_column(BigInteger)]
Micros = Annotated[int, mapped_column(BigInteger)]
Digest = Annotated[str, mapped_column(KEY)]


def _owner(column: str) -> "Mapped[int]":
    return mapped_column(ID, ForeignKey(column, ondelete="CASCADE"), primary_key=True, autoincrement=False)


def _partial(name: str, predicate: str, *columns: str, unique: bool = False) -> Index:
    """An index over the rows for which a predicate holds, the same on both databases."""
    where = text(predicate)
    return Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


class Base(DeclarativeBase):
    """All tables; constraint names follow one convention, so that a migration can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


# A table whose rows are found by their whole key alone is stored in that key's order on SQLite.
_CLUSTERED = {"sqlite_with_rowid": False}
# Ids that people see, or that history refers to, are never given twice.
_NEVER_REUSED = {"sqlite_autoincrement": True}


class RegistryIdRow(Base):
    """One row: which database this is, how many history events it has, and how late it was at least (see `clock`)."""

    __tablename__ = "registry_id"
    __table_args__ = (CheckConstraint("one_row = 1", name="one_row"),)

    one_row: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False, server_default=text("1"))
    id: Mapped[Key]
    last_event: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    latest_ms: Mapped[Millis] = mapped_column(BigInteger, server_default=text("0"))


class ExperimentRow(Base):
    """`artifact_location` is absolute; everything below it is stored relative to it."""

    __tablename__ = "experiments"
    __table_args__ = (
        CheckConstraint("lifecycle_stage IN ('active', 'deleted')", name="lifecycle_stage"),
        UniqueConstraint("name"),
        _NEVER_REUSED,
    )

    id: Mapped[Id]
    name: Mapped[Key]
    artifact_location: Mapped[str] = mapped_column(Text)
    lifecycle_stage: Mapped[Key]
    creation_time: Mapped[Millis]
    last_update_time: Mapped[Millis]
    deleted_time: Mapped[Millis | None]


class ExperimentTagRow(Base):
    """A label of an experiment."""

    __tablename__ = "experiment_tags"
    __table_args__ = _CLUSTERED

    experiment_id: Mapped[int] = _owner("experiments.id")
    key: Mapped[KeyPart]
    value: Mapped[str] = mapped_column(Text)


class RunRow(Base):
    """`id` is ours, `run_id` is public. After `purged_time` its files and points are gone and the row is a record."""

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint("lifecycle_stage IN ('active', 'deleted')", name="lifecycle_stage"),
        CheckConstraint("status IN ('RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED')", name="status"),
        UniqueConstraint("run_id"),
        Index("ix_runs_newest", "experiment_id", "lifecycle_stage", "start_time", "run_id"),
        _NEVER_REUSED,
    )

    id: Mapped[Id]
    run_id: Mapped[Key]
    experiment_id: Mapped[int] = mapped_column(ID, ForeignKey("experiments.id"))
    name: Mapped[Key]
    user_id: Mapped[Key]
    status: Mapped[Key]
    start_time: Mapped[Millis]
    end_time: Mapped[Millis | None]
    lifecycle_stage: Mapped[Key]
    deleted_time: Mapped[Millis | None]
    purged_time: Mapped[Millis | None]


class ParamRow(Base):
    """A setting of a run."""

    __tablename__ = "params"
    __table_args__ = _CLUSTERED

    run_id: Mapped[int] = _owner("runs.id")
    key: Mapped[KeyPart]
    value: Mapped[Key]


class TagRow(Base):
    """A label of a run."""

    __tablename__ = "tags"
    __table_args__ = _CLUSTERED

    run_id: Mapped[int] = _owner("runs.id")
    key: Mapped[KeyPart]
    value: Mapped[Key]


class LatestMetricRow(Base):
    """A series of a run and its latest point: highest step, then timestamp, then value. A value of NULL is NaN.

    `experiment_id` is the run's, repeated so that the best runs of one experiment are found without reading the others.
    """

    __tablename__ = "latest_metrics"
    __table_args__ = (
        UniqueConstraint("run_id", "key"),
        Index("ix_latest_metrics_value", "experiment_id", "key", "value", "run_id"),
        _NEVER_REUSED,
    )

    id: Mapped[Id]
    run_id: Mapped[int] = mapped_column(ID, ForeignKey("runs.id", ondelete="CASCADE"))
    experiment_id: Mapped[int] = mapped_column(ID)
    key: Mapped[Key]
    step: Mapped[int] = mapped_column(BigInteger)
    timestamp: Mapped[Millis]
    value: Mapped[float | None] = mapped_column(Double)


class MetricRow(Base):
    """A point of a series. There is no key: equal points may repeat, and a key would double the table."""

    __tablename__ = "metrics"
    __table_args__ = (Index("ix_metrics_series_id_step", "series_id", "step"),)
    __mapper_args__ = {"primary_key": ["series_id", "step", "timestamp", "value"]}  # noqa: RUF012 - declarative's form

    series_id: Mapped[int] = mapped_column(ID, ForeignKey("latest_metrics.id", ondelete="CASCADE"))
    step: Mapped[int] = mapped_column(BigInteger)
    timestamp: Mapped[Millis]
    value: Mapped[float | None] = mapped_column(Double)


class DatasetRow(Base):
    """A data set of an experiment, by name and digest."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("experiment_id", "name", "digest"),)

    id: Mapped[Id]
    experiment_id: Mapped[int] = mapped_column(ID, ForeignKey("experiments.id", ondelete="CASCADE"))
    name: Mapped[Key]
    digest: Mapped[Key]
    source_type: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    schema: Mapped[str | None] = mapped_column(Text)
    profile: Mapped[str | None] = mapped_column(Text)


class DatasetInputRow(Base):
    """One use of a data set by a run; `context` is the tag ``mlflow.data.context``, empty if none was given."""

    __tablename__ = "dataset_inputs"
    __table_args__ = (UniqueConstraint("run_id", "dataset_id", "context"),)

    id: Mapped[Id]
    run_id: Mapped[int] = mapped_column(ID, ForeignKey("runs.id", ondelete="CASCADE"))
    dataset_id: Mapped[int] = mapped_column(ID, ForeignKey("datasets.id"), index=True)
    context: Mapped[Key]


class DatasetInputTagRow(Base):
    """A label of one use of a data set."""

    __tablename__ = "dataset_input_tags"
    __table_args__ = _CLUSTERED

    input_id: Mapped[int] = _owner("dataset_inputs.id")
    key: Mapped[KeyPart]
    value: Mapped[str] = mapped_column(Text)


class LoggedModelRow(Base):
    """A directory of files. READY means sealed: `digest` and `model_files` say what is there, for ever.

    `location` is relative to the experiment's `artifact_location`. `flavors` is a JSON list, `signature` JSON or NULL:
    promotion rules judge them without reading bytes. After `purged_time` the bytes are gone and the row is a record.
    """

    __tablename__ = "logged_models"
    __table_args__ = (
        CheckConstraint("status IN ('PENDING', 'READY', 'FAILED')", name="status"),
        CheckConstraint("lifecycle_stage IN ('active', 'deleted')", name="lifecycle_stage"),
        CheckConstraint("status <> 'READY' OR digest IS NOT NULL", name="ready_is_sealed"),
        UniqueConstraint("model_id"),
        Index("ix_logged_models_newest", "experiment_id", "lifecycle_stage", "creation_time", "model_id"),
        _NEVER_REUSED,
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
    """One line of a manifest."""

    __tablename__ = "model_files"
    __table_args__ = _CLUSTERED

    logged_model_id: Mapped[int] = _owner("logged_models.id")
    path: Mapped[KeyPart]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[Digest]


class LoggedModelParamRow(Base):
    """A param of a logged model."""

    __tablename__ = "logged_model_params"
    __table_args__ = _CLUSTERED

    logged_model_id: Mapped[int] = _owner("logged_models.id")
    key: Mapped[KeyPart]
    value: Mapped[Key]


class LoggedModelTagRow(Base):
    """A label of a logged model."""

    __tablename__ = "logged_model_tags"
    __table_args__ = _CLUSTERED

    logged_model_id: Mapped[int] = _owner("logged_models.id")
    key: Mapped[KeyPart]
    value: Mapped[Key]


class LoggedModelMetricRow(Base):
    """A point that a run measured on a logged model; NULL is NaN."""

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


class RunModelRow(Base):
    """A logged model that a run used (`input`) or made (`output`) at a step."""

    __tablename__ = "run_models"
    __table_args__ = (CheckConstraint("direction IN ('input', 'output')", name="direction"), _CLUSTERED)

    run_id: Mapped[int] = _owner("runs.id")
    direction: Mapped[KeyPart]
    logged_model_id: Mapped[int] = mapped_column(
        ID, ForeignKey("logged_models.id", ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True
    )
    step: Mapped[int] = mapped_column(BigInteger)


class UploadRow(Base):
    """Bytes on their way: committed before the first byte, removed when the logged model's row appears."""

    __tablename__ = "uploads"
    __table_args__ = (UniqueConstraint("model_id"), _NEVER_REUSED)

    id: Mapped[Id]
    model_id: Mapped[Key]
    experiment_id: Mapped[int] = mapped_column(ID, ForeignKey("experiments.id"))
    location: Mapped[str] = mapped_column(Text)
    started: Mapped[Millis]


class RemovalRow(Base):
    """Bytes that nothing names any more, until they are removed; `location` is relative to the experiment's place.

    The transaction that takes the last name away writes the row, so that a crash before the bytes are gone loses no
    trace of them.
    """

    __tablename__ = "removals"
    __table_args__ = _NEVER_REUSED

    id: Mapped[Id]
    experiment_id: Mapped[int] = mapped_column(ID, ForeignKey("experiments.id"))
    location: Mapped[str] = mapped_column(Text)
    since: Mapped[Millis]


class RegisteredModelRow(Base):
    """A name and its counters; locked first by every transaction that changes anything about the model.

    `name_key` is the folded name (`entities.naming.fold`): no two living models share one. A deleted model stays as a
    tombstone. `last_seq`, `last_event_us` and `head_hash` are the end of its history chain.
    """

    __tablename__ = "registered_models"
    __table_args__ = (
        UniqueConstraint("uid"),
        _partial("uq_registered_models_living_name", "deleted_time IS NULL", "name_key", unique=True),
        Index("ix_registered_models_name", "name"),
        _NEVER_REUSED,
    )

    id: Mapped[Id]
    uid: Mapped[Key]
    name: Mapped[Key]
    name_key: Mapped[Key]
    description: Mapped[str | None] = mapped_column(Text)
    creation_time: Mapped[Millis]
    last_update_time: Mapped[Millis]
    deleted_time: Mapped[Millis | None]
    last_version: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    last_seq: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    last_event_us: Mapped[Micros] = mapped_column(BigInteger, server_default=text("0"))
    head_hash: Mapped[Digest | None]


class RegisteredModelTagRow(Base):
    """A label of a registered model."""

    __tablename__ = "registered_model_tags"
    __table_args__ = _CLUSTERED

    model_id: Mapped[int] = _owner("registered_models.id")
    key: Mapped[KeyPart]
    value: Mapped[Key]


def _one_holder(stage: str) -> Index:
    """At most one version in this stage. The stage is a literal: SQLite does not use an ``IN`` predicate for ``=``."""
    return _partial(f"uq_model_versions_one_{stage.lower()}", f"current_stage = '{stage}'", "model_id", unique=True)


class ModelVersionRow(Base):
    """A number that names one logged model for ever. A deleted version keeps its row and its number.

    `current_stage` has a server default and is never named in an INSERT: a role without the right to set stages can
    create versions. `user_id` is who registered it by their own word, `session_user` by PostgreSQL's.
    `origin` is the version of another registry that it is a copy of, as ``<registry id>/<model uid>/<version>``.
    """

    __tablename__ = "model_versions"
    __table_args__ = (
        CheckConstraint("current_stage IN ('None', 'Staging', 'Production', 'Archived')", name="current_stage"),
        CheckConstraint("deleted_time IS NULL OR current_stage = 'None'", name="deleted_has_no_stage"),
        CheckConstraint("version > 0", name="version"),
        UniqueConstraint("model_id", "version"),
        _partial("uq_model_versions_living_origin", "deleted_time IS NULL", "model_id", "origin", unique=True),
        _one_holder("Staging"),
        _one_holder("Production"),
        _NEVER_REUSED,
    )

    id: Mapped[Id]
    model_id: Mapped[int] = mapped_column(ID, ForeignKey("registered_models.id"))
    version: Mapped[int] = mapped_column(BigInteger)
    logged_model_id: Mapped[int] = mapped_column(ID, ForeignKey("logged_models.id"), index=True)
    current_stage: Mapped[Key] = mapped_column(KEY, server_default=text("'None'"))
    source: Mapped[str] = mapped_column(Text)
    run_id: Mapped[str | None] = mapped_column(KEY, index=True)
    run_link: Mapped[str | None] = mapped_column(Text)
    origin: Mapped[Key | None]
    description: Mapped[str | None] = mapped_column(Text)
    user_id: Mapped[Key | None]
    session_user: Mapped[Key | None]
    creation_time: Mapped[Millis]
    last_update_time: Mapped[Millis]
    deleted_time: Mapped[Millis | None]


class ModelVersionTagRow(Base):
    """A label of a version."""

    __tablename__ = "model_version_tags"
    __table_args__ = _CLUSTERED

    version_id: Mapped[int] = _owner("model_versions.id")
    key: Mapped[KeyPart]
    value: Mapped[Key]


class ModelAliasRow(Base):
    """Which version an alias names now."""

    __tablename__ = "model_aliases"
    __table_args__ = (
        ForeignKeyConstraint(["model_id", "version"], ["model_versions.model_id", "model_versions.version"]),
        Index("ix_model_aliases_model_id_version", "model_id", "version"),
        _CLUSTERED,
    )

    model_id: Mapped[int] = mapped_column(ID, primary_key=True, autoincrement=False)
    alias: Mapped[KeyPart]
    version: Mapped[int] = mapped_column(BigInteger)


class HistoryRow(Base):
    """One change of a registered model, append-only. `id` counts all events in the order of their commits.

    `hash` is SHA-256 over the canonical form of the event and `prev_hash` (see `entities.history`).
    """

    __tablename__ = "history"
    __table_args__ = (
        UniqueConstraint("model_id", "seq"),
        _partial("ix_history_renamed_from", "kind = 'renamed'", "from_value"),
    )

    id: Mapped[int] = mapped_column(ID, primary_key=True, autoincrement=False)
    model_id: Mapped[int] = mapped_column(ID, ForeignKey("registered_models.id"))
    seq: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[Key]
    version: Mapped[int | None] = mapped_column(BigInteger)
    from_value: Mapped[Key | None]
    to_value: Mapped[Key | None]
    actor: Mapped[Key]
    session_user: Mapped[Key | None]
    reason: Mapped[str | None] = mapped_column(Text)
    time_us: Mapped[Micros]
    details: Mapped[str | None] = mapped_column(Text)
    prev_hash: Mapped[Digest | None]
    hash: Mapped[Digest]


class ForeignEventRow(Base):
    """An event that a model brought along when it was imported, in its canonical form (JSON); append-only.

    `segment` counts the registries that it came through, from 1, oldest first. The ``imported`` event of the model's
    own history holds the last hash of the newest segment (see `entities.segments`).
    """

    __tablename__ = "foreign_history"
    __table_args__ = _CLUSTERED

    model_id: Mapped[int] = mapped_column(ID, ForeignKey("registered_models.id"), primary_key=True, autoincrement=False)
    segment: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    event: Mapped[str] = mapped_column(Text)


class ModelSignatureRow(Base):
    """Somebody's signature of a logged model's manifest; `key_id` is the SHA-256 of the public key, `bundle` JSON."""

    __tablename__ = "model_signatures"
    __table_args__ = _CLUSTERED

    logged_model_id: Mapped[int] = _owner("logged_models.id")
    key_id: Mapped[KeyPart]
    bundle: Mapped[str] = mapped_column(Text)
    creation_time: Mapped[Millis]


class StagePeriodRow(Base):
    """Which version held a stage, or an alias (written ``@alias``), from when until when (microseconds).

    `until` is NULL while it holds. `before` is the period that this one ended; a rollback copies the link of the period
    that it restores, so that rolling back twice walks further back.
    """

    __tablename__ = "stage_periods"
    __table_args__ = (
        UniqueConstraint("model_id", "stage", "since"),
        _partial("uq_stage_periods_open", "until IS NULL", "model_id", "stage", unique=True),
        Index("ix_stage_periods_version", "model_id", "version", "stage"),
        _NEVER_REUSED,
    )

    id: Mapped[Id]
    model_id: Mapped[int] = mapped_column(ID, ForeignKey("registered_models.id"))
    stage: Mapped[Key]
    version: Mapped[int] = mapped_column(BigInteger)
    since: Mapped[Micros]
    until: Mapped[Micros | None]
    before: Mapped[int | None] = mapped_column(ID, ForeignKey("stage_periods.id"))


class PromotionRulesRow(Base):
    """The rules that a version must pass to enter a stage, as validated JSON."""

    __tablename__ = "promotion_rules"
    __table_args__ = _CLUSTERED

    model_id: Mapped[int] = _owner("registered_models.id")
    stage: Mapped[KeyPart]
    rules: Mapped[str] = mapped_column(Text)


class ApprovalRow(Base):
    """Somebody's word that a version may enter a stage.

    Two users of the database that call themselves by one name are two; `session_user` is empty on SQLite.
    """

    __tablename__ = "approvals"
    __table_args__ = (
        ForeignKeyConstraint(["model_id", "version"], ["model_versions.model_id", "model_versions.version"]),
        _CLUSTERED,
    )

    model_id: Mapped[int] = mapped_column(ID, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    stage: Mapped[KeyPart]
    actor: Mapped[KeyPart]
    session_user: Mapped[str] = mapped_column(KEY, primary_key=True, server_default=text("''"))
    reason: Mapped[str | None] = mapped_column(Text)
    time_us: Mapped[Micros]
