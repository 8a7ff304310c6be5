"""Read logged models with their params, tags, metrics and versions, many in one round trip.

Guarantees: the tag that lists the versions of a model is computed from the current versions, so it is never stale.
"""

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, bindparam, select

from registry.entities import LifecycleStage, LoggedModel, LoggedModelStatus, Manifest, ManifestEntry, Metric
from registry.exceptions import LoggedModelNotFoundError
from registry.store.compiled_statements import Compiled, named_rows
from registry.store.dialects import AnyRow, AnySelect
from registry.store.driver_sql import Answer, Statement, run_all
from registry.store.long_lists import in_keys, keys_parameter
from registry.store.tables import (
    ExperimentRow,
    LoggedModelMetricRow,
    LoggedModelParamRow,
    LoggedModelRow,
    LoggedModelTagRow,
    ModelFileRow,
    ModelVersionRow,
    RegisteredModelRow,
    RunRow,
)
from registry.store.tracking.metrics.read import value_from_db

# MLflow's name of the tag that lists the versions of a logged model.
VERSIONS_TAG: Final = "mlflow.modelVersions"
KEY_OF_ID: Final = select(LoggedModelRow.id).where(LoggedModelRow.model_id == bindparam("public_id")).scalar_subquery()
"""The key of the logged model ``public_id``: a statement that uses it need not wait for the key."""


def select_logged_models() -> AnySelect:
    """Return a query with all columns that `read_logged_models` needs."""
    return (
        select(LoggedModelRow.__table__, ExperimentRow.artifact_location, RunRow.run_id.label("source_run_id"))
        .join(ExperimentRow, ExperimentRow.id == LoggedModelRow.experiment_id)
        .outerjoin(RunRow, RunRow.id == LoggedModelRow.run_id)
    )


def read_logged_models(connection: Connection, rows: Iterable[AnyRow]) -> list[LoggedModel]:
    """Build logged models from rows of `select_logged_models`, in their order; one round trip."""
    model_rows = list(rows)
    dialect = connection.dialect.name
    parameter = keys_parameter(dialect, [row.id for row in model_rows])
    queries = _related_queries(dialect, by_id=False)
    return _build(model_rows, run_all(connection, *(query.statement(connection, parameter) for query in queries)))


def _build(rows: Sequence[AnyRow], answers: Sequence[Answer]) -> list[LoggedModel]:
    params, tags, points, versions = answers
    params_by_key, tags_by_key = _pairs_of(rows, params), _pairs_of(rows, tags)
    metrics = _metrics_of({row.id: row.model_id for row in rows}, points)
    version_tags = _versions_tags_of(versions)
    return [
        LoggedModel(
            experiment_id=str(row.experiment_id),
            model_id=row.model_id,
            name=row.name,
            artifact_location=model_location(row.artifact_location, row.location),
            creation_timestamp=row.creation_time,
            last_updated_timestamp=row.last_update_time,
            model_type=row.model_type,
            source_run_id=row.source_run_id,
            status=LoggedModelStatus(row.status),
            status_message=row.status_message,
            tags={**tags_by_key[row.id], **version_tags.get(row.id, {})},
            params=params_by_key[row.id],
            metrics=metrics[row.id],
            digest=row.digest,
            size_bytes=row.size_bytes,
        )
        for row in rows
    ]


def read_manifest(connection: Connection, key: int) -> Manifest:
    """Return the manifest of the sealed model with this key."""
    query = select(ModelFileRow.path, ModelFileRow.size, ModelFileRow.sha256).where(ModelFileRow.logged_model_id == key)
    return Manifest.of(ManifestEntry(path, size, sha256) for path, size, sha256 in connection.execute(query))


def model_location(artifact_location: str, location: str) -> str:
    """Return where the files of a logged model are: below their experiment's location, or where they were adopted."""
    return location if is_adopted(location) else f"{artifact_location.rstrip('/')}/{location}"


def is_adopted(location: str) -> bool:
    """Tell whether the location of a logged model is that of adopted files; they are not this registry's."""
    return not location.startswith("models/")


def read_logged_model(connection: Connection, model_id: str) -> LoggedModel:
    """Return a logged model that is not deleted; one round trip.

    Raises:
        LoggedModelNotFoundError: There is no such model.
    """
    statements = model_statements(connection, model_id)
    run_all(connection, *statements)
    if not statements[0].rows:
        raise LoggedModelNotFoundError(f"Logged model with ID '{model_id}' not found.")
    return built_model(statements)


def model_statements(connection: Connection, model_id: str) -> list[Statement]:
    """Return the queries that `built_model` takes when they are answered."""
    queries = (_BY_ID, *_related_queries(connection.dialect.name, by_id=True))
    return [query.statement(connection, {"public_id": model_id}) for query in queries]


def built_model(answered: Sequence[Statement]) -> LoggedModel:
    """Return the model that `model_statements` found."""
    answers = [statement.answer for statement in answered if statement.answer is not None]
    return _build(named_rows(answers[0]), answers[1:])[0]


@functools.cache
def _related_queries(dialect: str, *, by_id: bool) -> Sequence[Compiled]:
    """Return the queries whose answers `_build` takes: for the model ``public_id``, or those of `keys_parameter`."""

    def is_of_model(key: Any) -> ColumnElement[bool]:
        same: ColumnElement[bool] = key == KEY_OF_ID
        return same if by_id else in_keys(dialect, key)

    param, tag, point, version = LoggedModelParamRow, LoggedModelTagRow, LoggedModelMetricRow, ModelVersionRow
    pairs = [
        select(row.logged_model_id, row.key, row.value).where(is_of_model(row.logged_model_id)).order_by(row.key)
        for row in (param, tag)
    ]
    points = (
        select(point.__table__, RunRow.run_id.label("public_run_id"))
        .outerjoin(RunRow, RunRow.id == point.run_id)
        .where(is_of_model(point.logged_model_id))
        .order_by(point.id)
    )
    versions = (
        select(version.logged_model_id, RegisteredModelRow.name, version.version)
        .join(RegisteredModelRow, RegisteredModelRow.id == version.model_id)
        .where(
            is_of_model(version.logged_model_id),
            version.deleted_time.is_(None),
            RegisteredModelRow.deleted_time.is_(None),
        )
        .order_by(version.id)
    )
    return [Compiled(query) for query in (*pairs, points, versions)]


_BY_ID: Final = Compiled(
    select_logged_models().where(
        LoggedModelRow.model_id == bindparam("public_id"), LoggedModelRow.lifecycle_stage == LifecycleStage.ACTIVE
    )
)


def _pairs_of(rows: Iterable[AnyRow], answer: Answer) -> dict[int, dict[str, str]]:
    pairs: dict[int, dict[str, str]] = {row.id: {} for row in rows}
    for model_key, key, value in answer.rows:
        pairs[model_key][key] = value
    return pairs


def _versions_tags_of(answer: Answer) -> dict[int, dict[str, str]]:
    """Compute MLflow's tag that lists the versions of each model from the current versions, so it is never stale."""
    versions_by_model: dict[int, list[dict[str, Any]]] = {}
    for key, name, version in answer.rows:
        versions_by_model.setdefault(key, []).append({"name": name, "version": version})
    return {key: {VERSIONS_TAG: json.dumps(versions)} for key, versions in versions_by_model.items()}


def _metrics_of(models: Mapping[int, str], answer: Answer) -> dict[int, list[Metric]]:
    metrics: dict[int, list[Metric]] = {key: [] for key in models}
    for row in named_rows(answer):
        metrics[row.logged_model_id].append(
            Metric(
                key=row.key,
                value=value_from_db(row.value),
                timestamp=row.timestamp,
                step=row.step,
                model_id=models[row.logged_model_id],
                dataset_name=row.dataset_name,
                dataset_digest=row.dataset_digest,
                run_id=row.public_run_id,
            )
        )
    return metrics
