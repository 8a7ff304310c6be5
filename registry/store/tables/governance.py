"""Tables of history, stage periods, promotion rules and approvals."""

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
    partial_index,
)


class RegistryIdRow(Base):
    """The single row with the database's UUID, its number of history events and its latest known time (see `clock`)."""

    __tablename__ = "registry_id"
    __table_args__ = (CheckConstraint("one_row = 1", name="one_row"),)

    one_row: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False, server_default=text("1"))
    id: Mapped[Key]
    last_event: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    latest_ms: Mapped[Millis] = mapped_column(BigInteger, server_default=text("0"))


class CommitMarkerRow(Base):
    """The last transaction of a connection that writes to PostgreSQL (see `store.commit_markers`)."""

    __tablename__ = "commit_markers"
    __table_args__ = (CLUSTERED,)

    writer: Mapped[KeyPart]
    token: Mapped[Key]
    time: Mapped[Millis]


class ArtifactRootRow(Base):
    """An artifact root that this database, or the original that it was copied from, has claimed.

    `database` and `server` identify the database that claimed it (see `store.ownership`). `generation` counts the runs
    of gc on the root and `token` is the random id of the last one; the marker file at the root holds both.
    `previous_token` is the marker's token while gc has updated this row but not yet the marker.
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
    """A change of a registered model; append-only. `id` counts the events of all models in commit order.

    `hash` is the SHA-256 of the event's canonical form and `prev_hash` (see `entities.history`).
    """

    __tablename__ = "history"
    __table_args__ = (
        UniqueConstraint("model_id", "seq"),
        partial_index("ix_history_renamed_from", "kind = 'renamed'", "from_value"),
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
    """An event of an imported model's earlier history, in canonical form (JSON); append-only.

    `segment` numbers the registries that the model passed through, from 1, oldest first. The ``imported`` event of the
    model's own history contains the last hash of the newest segment (see `entities.history.ImportedHistory`).
    """

    __tablename__ = "foreign_history"
    __table_args__ = CLUSTERED

    model_id: Mapped[int] = mapped_column(ID, ForeignKey("registered_models.id"), primary_key=True, autoincrement=False)
    segment: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    event: Mapped[str] = mapped_column(Text)


class StagePeriodRow(Base):
    """A period in which a version held a stage, or an alias (written ``@alias``); times are microseconds.

    `until` is NULL while the period lasts. `before` is the period that this one ended. A rollback copies `before` of
    the period that it restores, so a second rollback goes further back.
    """

    __tablename__ = "stage_periods"
    __table_args__ = (
        UniqueConstraint("model_id", "stage", "since"),
        partial_index("uq_stage_periods_open", "until IS NULL", "model_id", "stage", unique=True),
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
    """The promotion rules of a stage, as validated JSON."""

    __tablename__ = "promotion_rules"
    __table_args__ = CLUSTERED

    model_id: Mapped[int] = owner("registered_models.id")
    stage: Mapped[KeyPart]
    rules: Mapped[str] = mapped_column(Text)


class ApprovalRow(Base):
    """An approval for a version to enter a stage.

    The same `actor` with two database users (`session_user`, empty on SQLite) counts as two approvers, unless the users
    are in `trusted_pages`.
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


class TrustedPageRow(Base):
    """A database user of a page that signs its visitors in: what it does counts as done by the actor that it names.

    Only the owner of the schema may write this table.
    """

    __tablename__ = "trusted_pages"
    __table_args__ = CLUSTERED

    db_user: Mapped[KeyPart]
