"""Tables of what happened to registered models, and of what a version must pass."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from registry.store.tables.base import (
    CLUSTERED,
    ID,
    KEY,
    NEVER_REUSED,
    Base,
    Digest,
    Id,
    Key,
    KeyPart,
    Micros,
    Millis,
    owner,
    partial,
)


class RegistryIdRow(Base):
    """One row: which database this is, how many history events it has, and how late it was at least (see `clock`)."""

    __tablename__ = "registry_id"
    __table_args__ = (CheckConstraint("one_row = 1", name="one_row"),)

    one_row: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False, server_default=text("1"))
    id: Mapped[Key]
    last_event: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    latest_ms: Mapped[Millis] = mapped_column(BigInteger, server_default=text("0"))


class CommitMarkerRow(Base):
    """The last transaction of a connection that writes to PostgreSQL (see `commit_markers`)."""

    __tablename__ = "commit_markers"
    __table_args__ = (CLUSTERED,)

    writer: Mapped[KeyPart]
    token: Mapped[Key]
    time: Mapped[Millis]


class ArtifactRootRow(Base):
    """A root of artifacts that this database, or the one that it is a copy of, has claimed.

    `database` and `server` say which database that was (see `store.ownership`). `generation` counts the gcs
    there, `token` is the random name of the last of them; the marker at the root has the same two. `previous_token` is
    the marker's while a gc is between the row and the marker.
    """

    __tablename__ = "artifact_roots"
    __table_args__ = CLUSTERED

    root: Mapped[KeyPart]
    database: Mapped[Key]
    server: Mapped[Key | None]
    generation: Mapped[int] = mapped_column(BigInteger)
    token: Mapped[Key]
    previous_token: Mapped[Key | None]


class HistoryRow(Base):
    """One change of a registered model, append-only. `id` counts all events in the order of their commits.

    `hash` is SHA-256 over the canonical form of the event and `prev_hash` (see `entities.history`).
    """

    __tablename__ = "history"
    __table_args__ = (
        UniqueConstraint("model_id", "seq"),
        partial("ix_history_renamed_from", "kind = 'renamed'", "from_value"),
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


class ImportedEventRow(Base):
    """An event that a model brought along when it was imported, in its canonical form (JSON); append-only.

    `segment` counts the registries that it came through, from 1, oldest first. The ``imported`` event of the model's
    own history holds the last hash of the newest segment (see `entities.segments`).
    """

    __tablename__ = "foreign_history"
    __table_args__ = CLUSTERED

    model_id: Mapped[int] = mapped_column(ID, ForeignKey("registered_models.id"), primary_key=True, autoincrement=False)
    segment: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    event: Mapped[str] = mapped_column(Text)


class StagePeriodRow(Base):
    """Which version held a stage, or an alias (written ``@alias``), from when until when (microseconds).

    `until` is NULL while it holds. `before` is the period that this one ended; a rollback copies the link of the period
    that it restores, so that rolling back twice walks further back.
    """

    __tablename__ = "stage_periods"
    __table_args__ = (
        UniqueConstraint("model_id", "stage", "since"),
        partial("uq_stage_periods_open", "until IS NULL", "model_id", "stage", unique=True),
        Index("ix_stage_periods_version", "model_id", "version", "stage"),
        NEVER_REUSED,
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
    __table_args__ = CLUSTERED

    model_id: Mapped[int] = owner("registered_models.id")
    stage: Mapped[KeyPart]
    rules: Mapped[str] = mapped_column(Text)


class ApprovalRow(Base):
    """Somebody's word that a version may enter a stage.

    Two users of the database that call themselves by one name are two; `session_user` is empty on SQLite.
    """

    __tablename__ = "approvals"
    __table_args__ = (
        ForeignKeyConstraint(["model_id", "version"], ["model_versions.model_id", "model_versions.version"]),
        CLUSTERED,
    )

    model_id: Mapped[int] = mapped_column(ID, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    stage: Mapped[KeyPart]
    actor: Mapped[KeyPart]
    session_user: Mapped[str] = mapped_column(KEY, primary_key=True, server_default=text("''"))
    reason: Mapped[str | None] = mapped_column(Text)
    time_us: Mapped[Micros]
