"""Tables of registered models, their versions and aliases."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
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


class RegisteredModelRow(Base):
    """A registered model and its counters; every transaction that changes the model locks this row first.

    `name_key` is the folded name (`validation.names.casefold_name`); it is unique among models that are not deleted. A
    deleted model stays as a tombstone. `last_seq`, `last_event_us` and `head_hash` describe the end of its history.
    """

    __tablename__ = "registered_models"
    __table_args__ = (
        UniqueConstraint("uid"),
        partial_index("uq_registered_models_living_name", "deleted_time IS NULL", "name_key", unique=True),
        Index("ix_registered_models_name", "name"),
        NEVER_REUSED,
    )

    id: ColumnElement[Id]
    uid: ColumnElement[Key]
    name: ColumnElement[Key]
    name_key: ColumnElement[Key]
    description: ColumnElement[str | None] = column(Text)
    creation_time: ColumnElement[Millis]
    last_update_time: ColumnElement[Millis]
    deleted_time: ColumnElement[Millis | None]
    last_version: ColumnElement[int] = column(BigInteger, server_default=text("0"))
    last_seq: ColumnElement[int] = column(BigInteger, server_default=text("0"))
    last_event_us: ColumnElement[Micros] = column(BigInteger, server_default=text("0"))
    head_hash: ColumnElement[Digest | None]


class RegisteredModelTagRow(Base):
    """A tag of a registered model."""

    __tablename__ = "registered_model_tags"
    __table_args__ = CLUSTERED

    model_id: ColumnElement[int] = owner("registered_models.id")
    key: ColumnElement[KeyPart]
    value: ColumnElement[Key]


def _one_holder(stage: str) -> Index:
    """Return the index that allows at most one version per model in a stage.

    There is one index per stage: SQLite does not use a partial index with an ``IN`` predicate for ``=``.
    """
    return partial_index(
        f"uq_model_versions_one_{stage.lower()}", f"current_stage = '{stage}'", "model_id", unique=True
    )


class ModelVersionRow(Base):
    """A model version. It refers to one logged model and never changes that; a deleted version keeps its number.

    No INSERT names `current_stage`, so a role without the right to set stages can create versions. `user_id` is the
    user's name as the client says it, `session_user` the one that PostgreSQL authenticated. `origin` names the version
    of another registry that this one is a copy of, as ``<registry id>/<model uid>/<version>``.
    """

    __tablename__ = "model_versions"
    __table_args__ = (
        CheckConstraint("current_stage IN ('None', 'Staging', 'Production', 'Archived')", name="current_stage"),
        CheckConstraint("deleted_time IS NULL OR current_stage = 'None'", name="deleted_has_no_stage"),
        CheckConstraint("version > 0", name="version"),
        UniqueConstraint("model_id", "version"),
        partial_index("uq_model_versions_living_origin", "deleted_time IS NULL", "model_id", "origin", unique=True),
        _one_holder("Staging"),
        _one_holder("Production"),
        NEVER_REUSED,
    )

    id: ColumnElement[Id]
    model_id: ColumnElement[int] = column(ID, ForeignKey("registered_models.id"))
    version: ColumnElement[int] = column(BigInteger)
    logged_model_id: ColumnElement[int] = column(ID, ForeignKey("logged_models.id"), index=True)
    current_stage: ColumnElement[Key] = column(KEY, server_default=text("'None'"))
    source: ColumnElement[str] = column(Text)
    run_id: ColumnElement[str | None] = column(KEY, index=True)
    run_link: ColumnElement[str | None] = column(Text)
    origin: ColumnElement[Key | None]
    description: ColumnElement[str | None] = column(Text)
    user_id: ColumnElement[Key | None]
    session_user: ColumnElement[Key | None]
    creation_time: ColumnElement[Millis]
    last_update_time: ColumnElement[Millis]
    deleted_time: ColumnElement[Millis | None]


class ModelVersionTagRow(Base):
    """A tag of a model version."""

    __tablename__ = "model_version_tags"
    __table_args__ = CLUSTERED

    version_id: ColumnElement[int] = owner("model_versions.id")
    key: ColumnElement[KeyPart]
    value: ColumnElement[Key]


class ModelAliasRow(Base):
    """An alias and the version that it refers to."""

    __tablename__ = "model_aliases"
    __table_args__ = (
        ForeignKeyConstraint(["model_id", "version"], ["model_versions.model_id", "model_versions.version"]),
        Index("ix_model_aliases_model_id_version", "model_id", "version"),
        CLUSTERED,
    )

    model_id: ColumnElement[int] = column(ID, primary_key=True, autoincrement=False)
    alias: ColumnElement[KeyPart]
    version: ColumnElement[int] = column(BigInteger)
