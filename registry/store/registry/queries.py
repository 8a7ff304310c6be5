"""Read registered models and versions as entities, many at a time.

Guarantees: every version has its tags and aliases, whichever query it comes from.
"""

import functools
import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Text, bindparam, cast, func, select

from registry.entities.model_registry import ModelVersion, RegisteredModel
from registry.entities.stages import ACTIVE_STAGES
from registry.exceptions import VersionNotFoundError
from registry.store.compiled_statements import Compiled, first_row, named_rows
from registry.store.dialects import AnyRow, AnySelect, table
from registry.store.driver_sql import Answer, Statement, run_all
from registry.store.long_lists import in_keys, keys_parameter
from registry.store.registry.history_writer import KEY_OF_NAME, NOT_DELETED, model_not_found, name_params
from registry.store.tables import (
    LoggedModelRow,
    ModelAliasRow,
    ModelVersionRow,
    ModelVersionTagRow,
    RegisteredModelRow,
    RegisteredModelTagRow,
)


def select_versions(*, with_deleted: bool = False) -> AnySelect:
    """Return a query of the columns that `read_versions` needs, over models that are not deleted.

    By default, deleted versions are left out.
    """
    query = (
        select(
            ModelVersionRow.__table__,
            RegisteredModelRow.name,
            LoggedModelRow.model_id.label("public_model_id"),
            LoggedModelRow.digest,
        )
        .join(RegisteredModelRow, RegisteredModelRow.id == ModelVersionRow.model_id)
        .join(LoggedModelRow, LoggedModelRow.id == ModelVersionRow.logged_model_id)
        .where(RegisteredModelRow.deleted_time.is_(None))
    )
    return query if with_deleted else query.where(ModelVersionRow.deleted_time.is_(None))


def read_versions(connection: Connection, rows: Iterable[AnyRow]) -> list[ModelVersion]:
    """Return the versions of rows of `select_versions`, in their order; one round trip."""
    rows = list(rows)
    dialect = connection.dialect.name
    tags, aliases = run_all(
        connection,
        _version_tags(dialect).statement(connection, keys_parameter(dialect, [row.id for row in rows])),
        _model_aliases(dialect).statement(connection, keys_parameter(dialect, list({row.model_id for row in rows}))),
    )
    return _build_versions(rows, tags, aliases)


def _build_versions(rows: Sequence[AnyRow], tag_rows: Answer, alias_rows: Answer) -> list[ModelVersion]:
    tags: dict[int, dict[str, str]] = {row.id: {} for row in rows}
    for tag in named_rows(tag_rows):
        tags[tag.version_id][tag.key] = tag.value
    aliases: dict[tuple[int, int], list[str]] = {(row.model_id, row.version): [] for row in rows}
    for alias in named_rows(alias_rows):
        aliases.get((alias.model_id, alias.version), []).append(alias.alias)
    return [_version(row, tags[row.id], aliases[row.model_id, row.version]) for row in rows]


def read_models(connection: Connection, rows: Iterable[AnyRow]) -> list[RegisteredModel]:
    """Return the registered models of rows of `registered_models`, in their order; one round trip."""
    rows = list(rows)
    parameter = keys_parameter(connection.dialect.name, [row.id for row in rows])
    queries = model_queries(connection.dialect.name)
    return build_models(rows, run_all(connection, *(query.statement(connection, parameter) for query in queries)))


def model_queries(dialect: str, *, by_name: bool = False) -> Sequence[Compiled]:
    """Return the queries whose answers `build_models` takes, for the model of a name or those of `keys_parameter`."""
    return _model_tags(dialect, by_name), _model_aliases(dialect, by_name), *latest_queries(dialect, by_name=by_name)


def build_models(rows: Sequence[AnyRow], answers: Sequence[Answer]) -> list[RegisteredModel]:
    """Return the registered models of rows of `registered_models`."""
    tag_rows, alias_rows, latest_rows, version_tags = answers
    tags: dict[int, dict[str, str]] = {row.id: {} for row in rows}
    for tag in named_rows(tag_rows):
        tags[tag.model_id][tag.key] = tag.value
    aliases: dict[int, dict[str, int]] = {row.id: {} for row in rows}
    for alias in named_rows(alias_rows):
        aliases[alias.model_id][alias.alias] = alias.version
    latest: dict[str, list[ModelVersion]] = {row.name: [] for row in rows}
    for version in _build_versions(named_rows(latest_rows), version_tags, alias_rows):
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
        for row in rows
    ]


def latest_versions(connection: Connection, name: str, stages: Collection[str]) -> list[ModelVersion]:
    """Return the highest version of each of these stages of a model, lowest version first; one round trip."""
    dialect = connection.dialect.name
    queries = (*latest_queries(dialect, by_name=True), _model_aliases(dialect, by_name=True))
    rows, tags, aliases = run_all(connection, *(query.statement(connection, name_params(name)) for query in queries))
    versions = _build_versions(named_rows(rows), tags, aliases)
    return [version for version in versions if version.current_stage in stages]


@functools.cache
def latest_queries(dialect: str, *, by_name: bool) -> tuple[Compiled, Compiled]:
    """Return queries of the highest version per model and stage, without deleted ones, and of the tags of these."""
    highest = (
        select(func.max(ModelVersionRow.id))
        .where(_of_models(dialect, ModelVersionRow.model_id, by_name), ModelVersionRow.deleted_time.is_(None))
        .group_by(ModelVersionRow.model_id, ModelVersionRow.current_stage)
    )
    latest = select_versions().where(ModelVersionRow.id.in_(highest)).order_by(ModelVersionRow.version)
    tags = select(ModelVersionTagRow.__table__).where(ModelVersionTagRow.version_id.in_(highest))
    return Compiled(latest), Compiled(tags.order_by(ModelVersionTagRow.key))


def _of_models(dialect: str, column: Any, by_name: bool) -> ColumnElement[bool]:
    same: ColumnElement[bool] = column == KEY_OF_NAME
    return same if by_name else in_keys(dialect, column)


@functools.cache
def _version_tags(dialect: str) -> Compiled:
    tags = table(ModelVersionTagRow)
    return Compiled(select(tags).where(in_keys(dialect, tags.c.version_id)).order_by(tags.c.key))


@functools.cache
def _model_tags(dialect: str, by_name: bool = False) -> Compiled:
    tags = table(RegisteredModelTagRow)
    return Compiled(select(tags).where(_of_models(dialect, tags.c.model_id, by_name)).order_by(tags.c.key))


@functools.cache
def _model_aliases(dialect: str, by_name: bool = False) -> Compiled:
    aliases = table(ModelAliasRow)
    return Compiled(select(aliases).where(_of_models(dialect, aliases.c.model_id, by_name)).order_by(aliases.c.alias))


def read_model(connection: Connection, name: str) -> RegisteredModel:
    """Return a model that is not deleted; one round trip.

    Raises:
        ModelNotFoundError: There is no such model.
    """
    run_all(connection, *(found := model_statements(connection, name)))
    check_model(connection, found[0], name)
    return built_model(found)


def model_statements(connection: Connection, name: str) -> list[Statement]:
    """Return the queries that `built_model` takes when they are answered; the first is `model_statement`."""
    queries = model_queries(connection.dialect.name, by_name=True)
    given = name_params(name)
    return [model_statement(connection, name), *(query.statement(connection, given) for query in queries)]


def built_model(answered: Sequence[Statement]) -> RegisteredModel:
    """Return the model that `model_statements` found."""
    rows, *answers = (statement.answer for statement in answered if statement.answer is not None)
    return build_models(named_rows(rows), answers)[0]


def require_model(connection: Connection, name: str) -> AnyRow:
    """Return the row of a model that is not deleted, without locking it.

    Raises:
        ModelNotFoundError: There is no such model.
    """
    run_all(connection, found := model_statement(connection, name))
    return check_model(connection, found, name)


def model_statement(connection: Connection, name: str) -> Statement:
    """Return the query of the row of a model that is not deleted, for `check_model`."""
    return _MODEL.statement(connection, name_params(name))


def check_model(connection: Connection, found: Statement, name: str) -> AnyRow:
    """Return the row that `model_statement` found.

    Raises:
        ModelNotFoundError: There is no such model.
    """
    row = first_row(found)
    if row is None:
        raise model_not_found(connection, name)
    return row


def version_statement(connection: Connection, name: str, version: int) -> Statement:
    """Return the query of a version's row in `model_versions`, deleted or not."""
    return _VERSION.statement(connection, {**name_params(name), "number": version})


def find_version(connection: Connection, name: str, version: int) -> AnyRow | None:
    """Return the row of a version in `model_versions`, deleted or not, or None."""
    statement = version_statement(connection, name, version)
    run_all(connection, statement)
    return first_row(statement)


_MODEL: Final = Compiled(select(RegisteredModelRow.__table__).where(NOT_DELETED))
_SHOWN_VERSIONS: Final = 5
_NUMBER: Final[Any] = bindparam("number")
_IN_MODEL: Final = ModelVersionRow.model_id == KEY_OF_NAME
_VERSION: Final = Compiled(select(ModelVersionRow.__table__).where(_IN_MODEL, ModelVersionRow.version == _NUMBER))


def require_version(connection: Connection, name: str, version: int) -> AnyRow:
    """Return the row of a version in `model_versions` that is not deleted.

    Raises:
        VersionNotFoundError: There is no such version, or it is deleted.
    """
    row = find_version(connection, name, version)
    if row is None:
        raise _version_not_found(connection, name, version)
    return not_deleted_row(row, name, version)


def _version_not_found(connection: Connection, name: str, version: int) -> VersionNotFoundError:
    """Return the error for a version that never existed: it names the newest that do."""
    numbers = select(ModelVersionRow.version).where(_IN_MODEL, ModelVersionRow.deleted_time.is_(None))
    newest = connection.execute(
        numbers.order_by(ModelVersionRow.version.desc()).limit(_SHOWN_VERSIONS), name_params(name)
    ).scalars()
    shown = ", ".join(map(str, newest))
    there = f"the newest that exist are {shown}" if "," in shown else f"only {shown} exists" if shown else "it has none"
    return VersionNotFoundError(f"Model Version (name={name}, version={version}) not found; {there}.")


def not_deleted_row(row: AnyRow | None, name: str, version: int) -> AnyRow:
    """Return the row of a version, unless it is missing or deleted.

    Raises:
        VersionNotFoundError: There is no such version, or it is deleted.
    """
    if row is None or row.deleted_time is not None:
        deleted = "; it was deleted" if row is not None else ""
        raise VersionNotFoundError(f"Model Version (name={name}, version={version}) not found{deleted}")
    return row


def find_version_entity(connection: Connection, name: str, version: int) -> ModelVersion | None:
    """Return a version that is not deleted, or None; one statement."""
    run_all(connection, found := one_version_statement(connection, name, version))
    row = first_row(found)
    return None if row is None else version_of(row)


def read_version(connection: Connection, name: str, version: int) -> ModelVersion:
    """Return a version that is not deleted.

    Raises:
        ModelNotFoundError, VersionNotFoundError: There is no such model or version, or it is deleted.
    """
    found = find_version_entity(connection, name, version)
    if found is None:
        require_model(connection, name)
        require_version(connection, name, version)
        raise VersionNotFoundError(f"Model Version (name={name}, version={version}) not found")
    return found


def one_version_statement(connection: Connection, name: str, version: int, *, with_deleted: bool = False) -> Statement:
    """Return the query of a version, for `version_of`."""
    query = _one_version(connection.dialect.name, with_deleted=with_deleted)
    return query.statement(connection, {**name_params(name), "number": version})


@functools.cache
def _one_version(dialect: str, *, with_deleted: bool) -> Compiled:
    return Compiled(select_one_version(dialect, with_deleted=with_deleted))


def select_one_version(dialect: str, number: Any = _NUMBER, *, with_deleted: bool = False) -> AnySelect:
    """Return a query of a version of the model in `name_params`, with all columns that `version_of` needs.

    `number` is an expression for the version; by default, the parameter ``number``. By default, a deleted version is
    left out.
    """
    to_object, to_array = (
        (func.json_group_object, func.json_group_array)
        if dialect == "sqlite"
        else (func.json_object_agg, func.json_agg)
    )
    tag, alias = ModelVersionTagRow, ModelAliasRow
    tags = select(cast(to_object(tag.key, tag.value), Text)).where(tag.version_id == ModelVersionRow.id)
    aliases = select(cast(to_array(alias.alias), Text)).where(
        alias.model_id == ModelVersionRow.model_id, alias.version == ModelVersionRow.version
    )
    columns = (tags.scalar_subquery().label("tags"), aliases.scalar_subquery().label("aliases"))
    query = select_versions(with_deleted=with_deleted).add_columns(*columns)
    return query.where(_IN_MODEL, ModelVersionRow.version == number)


def version_of(row: AnyRow) -> ModelVersion:
    """Return the version of a row of `select_one_version`, which has tags and aliases as JSON."""
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
    """Return a clause on the stages and aliases of a model that have versions, for messages."""
    stages = select(ModelVersionRow.current_stage, ModelVersionRow.version).where(
        ModelVersionRow.model_id == model_key, ModelVersionRow.current_stage.in_(ACTIVE_STAGES)
    )
    aliases = select(ModelAliasRow.alias, ModelAliasRow.version).where(ModelAliasRow.model_id == model_key)
    occupied = [f"{stage} (version {version})" for stage, version in connection.execute(stages)]
    occupied += [f"@{alias} (version {version})" for alias, version in connection.execute(aliases)]
    return f"in use: {', '.join(occupied)}" if occupied else "no stage or alias is in use"
