"""Tables of history, stage periods, promotion rules and approvals."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    text,
)

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
    column,
    owner,
    partial_index,
)


class RegistryIdRow(Base):
    """The single row with the database's UUID, its number of history events and its latest known time (see `clock`)."""

    __tablename__ = "registry_id"
    __table_args__ = (CheckConstraint("one_row = 1", name="one_row"),)

    one_row: ColumnElement[int] = column(Integer, primary_key=True, autoincrement=False, server_default=text("1"))
    id: ColumnElement[Key]
    last_event: ColumnElement[int] = column(BigInteger, server_default=text("0"))
    latest_ms: ColumnElement[Millis] = column(BigInteger, server_default=text("0"))


class CommitMarkerRow(Base):
    """The last transaction of a connection that writes to PostgreSQL (see `store.commit_markers`)."""

    __tablename__ = "commit_markers"
    __table_args__ = (CLUSTERED,)

    writer: ColumnElement[KeyPart]
    token: ColumnElement[Key]
    time: ColumnElement[Millis]


class ArtifactRootRow(Base):
    """An artifact root that this database, or the original that it was copied from, has claimed.

    `database` and `server` identify the database that claimed it (see `store.ownership`). `generation` counts the runs
    of gc on the root and `token` is the random id of the last one; the marker file at the root holds both.
    `previous_token` is the marker's token while gc has updated this row but not yet the marker.
    """

    __tablename__ = "artifact_roots"
    __table_args__ = CLUSTERED

    root: ColumnElement[KeyPart]
    database: ColumnElement[Key]
    server: ColumnElement[Key | None]
    generation: ColumnElement[int] = column(BigInteger)
    token: ColumnElement[Key]
    previous_token: ColumnElement[Key | None]


class HistoryRow(Base):
    """A change of a registered model; append-only. `id` counts the events of all models in commit order.

    `hash` is the SHA-256 of the event's canonical form and `prev_hash` (see `entities.history`).
    """

    __tablename__ = "history"
    __table_args__ = (
        UniqueConstraint("model_id", "seq"),
        Index("ix_history_model_id_version", "model_id", "version", "seq"),
        partial_index("ix_history_renamed_from", "kind = 'renamed'", "from_value"),
    )

    id: ColumnElement[int] = column(ID, primary_key=True, autoincrement=False)
    model_id: ColumnElement[int] = column(ID, ForeignKey("registered_models.id"))
    seq: ColumnElement[int] = column(BigInteger)
    kind: ColumnElement[Key]
    version: ColumnElement[int | None] = column(BigInteger)
    from_value: ColumnElement[Key | None]
    to_value: ColumnElement[Key | None]
    actor: ColumnElement[Key]
    session_user: ColumnElement[Key | None]
    reason: ColumnElement[str | None] = column(Text)
    time_us: ColumnElement[Micros]
    details: ColumnElement[str | None] = column(Text)
    prev_hash: ColumnElement[Digest | None]
    hash: ColumnElement[Digest]


class ImportedEventRow(Base):
    """An event of an imported model's earlier history, in canonical form (JSON); append-only.

    `segment` numbers the registries that the model passed through, from 1, oldest first. The ``imported`` event of the
    model's own history contains the last hash of the newest segment (see `entities.history.ImportedHistory`).
    """

    __tablename__ = "foreign_history"
    __table_args__ = CLUSTERED

    model_id: ColumnElement[int] = column(ID, ForeignKey("registered_models.id"), primary_key=True, autoincrement=False)
    segment: ColumnElement[int] = column(Integer, primary_key=True, autoincrement=False)
    seq: ColumnElement[int] = column(BigInteger, primary_key=True, autoincrement=False)
    event: ColumnElement[str] = column(Text)


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

    id: ColumnElement[Id]
    model_id: ColumnElement[int] = column(ID, ForeignKey("registered_models.id"))
    stage: ColumnElement[Key]
    version: ColumnElement[int] = column(BigInteger)
    since: ColumnElement[Micros]
    until: ColumnElement[Micros | None]
    before: ColumnElement[int | None] = column(ID, ForeignKey("stage_periods.id"))


class PromotionRulesRow(Base):
    """The promotion rules of a stage, as validated JSON."""

    __tablename__ = "promotion_rules"
    __table_args__ = CLUSTERED

    model_id: ColumnElement[int] = owner("registered_models.id")
    stage: ColumnElement[KeyPart]
    rules: ColumnElement[str] = column(Text)


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

    model_id: ColumnElement[int] = column(ID, primary_key=True, autoincrement=False)
    version: ColumnElement[int] = column(BigInteger, primary_key=True, autoincrement=False)
    stage: ColumnElement[KeyPart]
    actor: ColumnElement[KeyPart]
    session_user: ColumnElement[str] = column(KEY, primary_key=True, server_default=text("''"))
    reason: ColumnElement[str | None] = column(Text)
    time_us: ColumnElement[Micros]


class TrustedPageRow(Base):
    """A database user of a page that signs its visitors in: what it does counts as done by the actor that it names.

    Only the owner of the schema may write this table.
    """

    __tablename__ = "trusted_pages"
    __table_args__ = CLUSTERED

    db_user: ColumnElement[KeyPart]
