"""Rows of the registry as entities, many at a time.

Invariant: a version comes with its tags and aliases wherever it comes from; no search leaves them out.
"""

import functools
import json
from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Connection, Text, bindparam, cast, func, select

from registry.entities.model_registry import ModelVersion, RegisteredModel
from registry.entities.stages import ACTIVE_STAGES
from registry.exceptions import VersionNotFoundError
from registry.store.compiled import Compiled
from registry.store.dialects import AnyRow, AnySelect
from registry.store.long_lists import among
from registry.store.registry.history_writer import NOT_DELETED, model_not_found, name_params
from registry.store.tables import (
    LoggedModelRow,
    ModelAliasRow,
    ModelVersionRow,
    ModelVersionTagRow,
    RegisteredModelRow,
    RegisteredModelTagRow,
)


def select_versions() -> AnySelect:
    """A query of all columns that `read_versions` needs, over living versions of living models."""
    return (
        select(
            ModelVersionRow.__table__,
            RegisteredModelRow.name,
            LoggedModelRow.model_id.label("public_model_id"),
            LoggedModelRow.digest,
        )
        .join(RegisteredModelRow, RegisteredModelRow.id == ModelVersionRow.model_id)
        .join(LoggedModelRow, LoggedModelRow.id == ModelVersionRow.logged_model_id)
        .where(ModelVersionRow.deleted_time.is_(None), RegisteredModelRow.deleted_time.is_(None))
    )


def read_versions(connection: Connection, rows: Iterable[AnyRow]) -> list[ModelVersion]:
    """The versions of these rows of `select_versions`, in their order."""
    found = list(rows)
    if not found:
        return []
    tags: dict[int, dict[str, str]] = {row.id: {} for row in found}
    query = select(ModelVersionTagRow.__table__).where(
        among(ModelVersionTagRow.version_id, tags, connection.dialect.name)
    )
    for tag in connection.execute(query.order_by(ModelVersionTagRow.key)):
        tags[tag.version_id][tag.key] = tag.value
    aliases: dict[tuple[int, int], list[str]] = {(row.model_id, row.version): [] for row in found}
    name_params = select(ModelAliasRow.__table__).where(
        among(ModelAliasRow.model_id, {row.model_id for row in found}, connection.dialect.name)
    )
    for alias in connection.execute(name_params.order_by(ModelAliasRow.alias)):
        aliases.get((alias.model_id, alias.version), []).append(alias.alias)
    return [_version(row, tags[row.id], aliases[row.model_id, row.version]) for row in found]


def read_models(connection: Connection, rows: Iterable[AnyRow]) -> list[RegisteredModel]:
    """The registered models of these rows of `registered_models`, in their order."""
    found = list(rows)
    if not found:
        return []
    keys = [row.id for row in found]
    tags: dict[int, dict[str, str]] = {key: {} for key in keys}
    query = select(RegisteredModelTagRow.__table__).where(
        among(RegisteredModelTagRow.model_id, keys, connection.dialect.name)
    )
    for tag in connection.execute(query.order_by(RegisteredModelTagRow.key)):
        tags[tag.model_id][tag.key] = tag.value
    aliases: dict[int, dict[str, int]] = {key: {} for key in keys}
    name_params = (
        select(ModelAliasRow.__table__)
        .where(among(ModelAliasRow.model_id, keys, connection.dialect.name))
        .order_by(ModelAliasRow.alias)
    )
    for alias in connection.execute(name_params):
        aliases[alias.model_id][alias.alias] = alias.version
    latest: dict[str, list[ModelVersion]] = {row.name: [] for row in found}
    for version in read_versions(connection, connection.execute(select_latest(keys, connection.dialect.name)).all()):
        latest[version.name].append(version)
    return [
        RegisteredModel(
            name=row.name,
            creation_timestamp=row.creation_time,
            last_updated_timestamp=row.last_update_time,
            description=row.description,
            latest_versions=latest[row.name],
            tags=tags[row.id],
            aliases=aliases[row.id],
            model_uid=row.uid,
        )
        for row in found
    ]


def select_latest(model_keys: Sequence[int], dialect: str) -> AnySelect:
    """The highest living version per model and stage."""
    highest = (
        select(func.max(ModelVersionRow.id))
        .where(among(ModelVersionRow.model_id, model_keys, dialect), ModelVersionRow.deleted_time.is_(None))
        .group_by(ModelVersionRow.model_id, ModelVersionRow.current_stage)
    )
    return select_versions().where(ModelVersionRow.id.in_(highest)).order_by(ModelVersionRow.version)


def require_model(connection: Connection, name: str) -> AnyRow:
    """The row of a living model, not locked.

    Raises:
        ModelNotFoundError: no such model.
    """
    row = _MODEL.first(connection, name_params(name))
    if row is None:
        raise model_not_found(connection, name)
    return row


def find_version(connection: Connection, model_key: int, version: int) -> AnyRow | None:
    """The row of a version (of `model_versions` alone), deleted ones included, or None."""
    return _VERSION.first(connection, {"model_key": model_key, "number": version})


_MODEL: Final = Compiled(select(RegisteredModelRow.__table__).where(NOT_DELETED))
_THIS: Final = (ModelVersionRow.model_id == bindparam("model_key"), ModelVersionRow.version == bindparam("number"))
_VERSION: Final = Compiled(select(ModelVersionRow.__table__).where(*_THIS))


def require_version(connection: Connection, model_key: int, name: str, version: int) -> AnyRow:
    """The row of a living version (of `model_versions` alone).

    Raises:
        VersionNotFoundError: no such version, or it is deleted.
    """
    row = find_version(connection, model_key, version)
    if row is None or row.deleted_time is not None:
        deleted = "; it was deleted" if row is not None else ""
        raise VersionNotFoundError(f"Model Version (name={name}, version={version}) not found{deleted}")
    return row


def read_version(connection: Connection, model_key: int, name: str, version: int) -> ModelVersion:
    """One living version.

    Raises:
        VersionNotFoundError: no such version, or it is deleted.
    """
    row = _one(connection.dialect.name).first(connection, {"model_key": model_key, "number": version})
    if row is None:
        require_version(connection, model_key, name, version)
        raise VersionNotFoundError(f"Model Version (name={name}, version={version}) not found")
    return version_of(row)


@functools.cache
def _one(dialect: str) -> Compiled:
    return Compiled(select_one_version(dialect))


def select_one_version(dialect: str) -> AnySelect:
    """The living version ``number`` of the model ``model_key`` with all that `version_of` needs, in one statement."""
    pairs, texts = (
        (func.json_group_object, func.json_group_array)
        if dialect == "sqlite"
        else (func.json_object_agg, func.json_agg)
    )
    tag, alias = ModelVersionTagRow, ModelAliasRow
    tags = select(cast(pairs(tag.key, tag.value), Text)).where(tag.version_id == ModelVersionRow.id)
    aliases = select(cast(texts(alias.alias), Text)).where(
        alias.model_id == ModelVersionRow.model_id, alias.version == ModelVersionRow.version
    )
    columns = (tags.scalar_subquery().label("tags"), aliases.scalar_subquery().label("aliases"))
    return select_versions().add_columns(*columns).where(*_THIS)


def version_of(row: AnyRow) -> ModelVersion:
    """The entity of a row of `select_one_version`, which has tags and aliases as JSON."""
    return _version(row, dict(sorted(json.loads(row.tags or "{}").items())), sorted(json.loads(row.aliases or "[]")))


def _version(row: AnyRow, tags: dict[str, str], aliases: list[str]) -> ModelVersion:
    return ModelVersion(
        name=row.name,
        version=row.version,
        creation_timestamp=row.creation_time,
        last_updated_timestamp=row.last_update_time,
        current_stage=row.current_stage,
        source=row.source,
        description=row.description,
        user_id=row.user_id,
        run_id=row.run_id,
        run_link=row.run_link,
        tags=tags,
        aliases=aliases,
        model_id=row.public_model_id,
        digest=row.digest,
    )


def describe_occupied_stages(connection: Connection, model_key: int) -> str:
    """Which stages and aliases of a model name which versions, for messages."""
    stages = select(ModelVersionRow.current_stage, ModelVersionRow.version).where(
        ModelVersionRow.model_id == model_key, ModelVersionRow.current_stage.in_(ACTIVE_STAGES)
    )
    aliases = select(ModelAliasRow.alias, ModelAliasRow.version).where(ModelAliasRow.model_id == model_key)
    found = [f"{stage} (version {version})" for stage, version in connection.execute(stages)]
    found += [f"@{alias} (version {version})" for alias, version in connection.execute(aliases)]
    return f"in use: {', '.join(found)}" if found else "no stage or alias is in use"
