"""Evidence on logged models in SQL: metrics with the data set that they were measured on, and other records.

Guarantees: a metric of an evaluation and its data set are written in one transaction; a record never changes.
"""

import functools
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, select

from registry.entities import DatasetInput, EvaluatedDataset, Evidence, Metric
from registry.entities.evidence import METRIC
from registry.entities.history import canonical_json
from registry.store.clock import now_ms
from registry.store.compiled_statements import Compiled, all_rows, first_value
from registry.store.dialects import AnyRow, AnySelect, insert_into, table
from registry.store.driver_sql import Statement, end_with_next, run_all, send
from registry.store.engine import Database
from registry.store.tables import EvaluationDatasetRow, EvidenceRow, LoggedModelMetricRow, LoggedModelRow, RunRow
from registry.store.tracking.metrics.read import (
    check_model,
    insert_model_points,
    model_statement,
    value_from_db,
)
from registry.store.tracking.metrics.write import append_points
from registry.store.tracking.run_inputs import insert_dataset_inputs, insert_run_models, models_statement
from registry.store.tracking.runs import check_writable, require_written, run_statement
from registry.store.transactions import Store, read_transaction, write_transaction


class EvidenceStore(Store):
    """The evidence of a database, written in the name of one actor."""

    def __init__(self, database: Database, *, actor: str) -> None:
        super().__init__(database)
        self.actor = actor

    @write_transaction
    def log_evaluation(
        self,
        connection: Connection,
        run_id: str,
        metrics: Sequence[Metric],
        dataset: EvaluatedDataset,
        *,
        used: DatasetInput,
        model_id: str | None,
    ) -> None:
        """Add the metrics of an evaluation to a run and to a logged model, with the data set: all or nothing."""
        found = run_statement(connection, run_id)
        known = models_statement(connection, [] if model_id is None else [model_id])
        dataset_key = _insert_dataset(connection, dataset)
        run_all(connection, found, known, dataset_key)
        run_key, experiment = check_writable(found, run_id), int(found.rows[0][2])
        if metrics:
            require_written(connection, run_id, written=append_points(connection, run_id, metrics))
        insert_dataset_inputs(connection, experiment, run_key, [used])
        if model_id is not None:
            insert_run_models(connection, run_key, "input", [(model_id, 0)], known)
            insert_model_points(connection, run_id, metrics, first_value(dataset_key))

    @write_transaction
    def add(
        self,
        connection: Connection,
        model_id: str,
        kind: str,
        content: Mapping[str, Any],
        *,
        dataset: EvaluatedDataset | None,
        run_id: str | None,
    ) -> Evidence:
        """Add a record on a logged model, and return it."""
        text, timestamp = canonical_json(dict(content)), now_ms()
        model, run = model_statement(connection, model_id), run_statement(connection, run_id or "")
        dataset_key = None if dataset is None else _insert_dataset(connection, dataset)
        run_all(connection, model, run, *([] if dataset_key is None else [dataset_key]))
        row = {
            "logged_model_id": check_model(model, model_id),
            "kind": kind,
            "dataset_id": None if dataset_key is None else first_value(dataset_key),
            "run_id": None if run_id is None else check_writable(run, run_id),
            "content": text,
            "actor": self.actor,
            "timestamp": timestamp,
        }
        key = connection.execute(insert(table(EvidenceRow)).returning(EvidenceRow.id), row).scalar_one()
        return Evidence(key, kind, model_id, dataset, json.loads(text), timestamp, run_id)

    @read_transaction
    def list(self, connection: Connection, model_id: str, kind: str | None = None) -> Sequence[Evidence]:
        """Return the evidence on a logged model, of one kind or of all: metrics first, oldest first."""
        model = send(connection, model_statement(connection, model_id))
        metrics = _METRICS.send(connection, {"public_id": model_id}) if kind in (None, METRIC) else None
        query = select_records().where(LoggedModelRow.model_id == model_id)
        if kind is not None:
            query = query.where(EvidenceRow.kind == kind)
        end_with_next(connection)
        records = [record_of(row) for row in connection.execute(query)]
        check_model(model, model_id)
        return [*(map(metric_evidence_of, all_rows(metrics)) if metrics is not None else ()), *records]


def read_metric_evidence(
    connection: Connection, model_key: int, metrics: Collection[str] | None = None
) -> Sequence[Evidence]:
    """Return the metrics of a logged model that name a data set, oldest first; all, or those of these names."""
    query = _select_of_datasets().where(LoggedModelMetricRow.logged_model_id == model_key)
    if metrics is not None:
        query = query.where(LoggedModelMetricRow.key.in_(sorted(metrics)))
    return [metric_evidence_of(row) for row in connection.execute(query).all()]


def read_records(connection: Connection, model_key: int, kinds: Collection[str] | None = None) -> Sequence[Evidence]:
    """Return the other evidence on a logged model, oldest first; all, or of these kinds."""
    query = select_records().where(EvidenceRow.logged_model_id == model_key)
    if kinds is not None:
        query = query.where(EvidenceRow.kind.in_(sorted(kinds)))
    return [record_of(row) for row in connection.execute(query).all()]


def find_evidence(connection: Connection, kind: str, key: int) -> Evidence | None:
    """Return one record by its kind and number, or None."""
    if kind == METRIC:
        row = connection.execute(select_metric_evidence().where(LoggedModelMetricRow.id == key)).one_or_none()
        return None if row is None else metric_evidence_of(row)
    row = connection.execute(select_records().where(EvidenceRow.id == key)).one_or_none()
    return None if row is None else record_of(row)


_DATASET: Final = (
    EvaluationDatasetRow.sha256,
    EvaluationDatasetRow.schema,
    EvaluationDatasetRow.row_count,
)


def select_metric_evidence() -> AnySelect:
    """Return a query of the columns that `metric_evidence_of` needs, oldest first."""
    return (
        select(LoggedModelMetricRow.__table__, *_DATASET, LoggedModelRow.model_id, RunRow.run_id.label("public_run_id"))
        .join(LoggedModelRow, LoggedModelRow.id == LoggedModelMetricRow.logged_model_id)
        .outerjoin(EvaluationDatasetRow, EvaluationDatasetRow.id == LoggedModelMetricRow.evaluation_dataset_id)
        .outerjoin(RunRow, RunRow.id == LoggedModelMetricRow.run_id)
        .order_by(LoggedModelMetricRow.id)
    )


def _select_of_datasets() -> AnySelect:
    return select_metric_evidence().where(LoggedModelMetricRow.dataset_name.is_not(None))


_METRICS: Final = Compiled(_select_of_datasets().where(LoggedModelRow.model_id == bindparam("public_id")))


def metric_evidence_of(row: AnyRow) -> Evidence:
    """Return a metric point as evidence; the name and digest are those that stand beside the figure."""
    return Evidence(
        id=row.id,
        kind=METRIC,
        model_id=row.model_id,
        dataset=EvaluatedDataset(row.dataset_name, row.dataset_digest, row.sha256, row.schema, row.row_count),
        content={"metric": row.key, "value": repr(value_from_db(row.value)), "step": row.step},
        timestamp=row.timestamp,
        run_id=row.public_run_id,
    )


def select_records() -> AnySelect:
    """Return a query of the columns that `record_of` needs, oldest first."""
    dataset = (EvaluationDatasetRow.name, EvaluationDatasetRow.digest, *_DATASET)
    return (
        select(EvidenceRow.__table__, *dataset, LoggedModelRow.model_id, RunRow.run_id.label("public_run_id"))
        .join(LoggedModelRow, LoggedModelRow.id == EvidenceRow.logged_model_id)
        .outerjoin(EvaluationDatasetRow, EvaluationDatasetRow.id == EvidenceRow.dataset_id)
        .outerjoin(RunRow, RunRow.id == EvidenceRow.run_id)
        .order_by(EvidenceRow.id)
    )


def record_of(row: AnyRow) -> Evidence:
    """Return a row of `select_records` as evidence."""
    dataset = None
    if row.dataset_id is not None:
        dataset = EvaluatedDataset(row.name, row.digest, row.sha256, row.schema, row.row_count)
    content = json.loads(row.content)
    return Evidence(row.id, row.kind, row.model_id, dataset, content, row.timestamp, row.public_run_id)


def _insert_dataset(connection: Connection, dataset: EvaluatedDataset) -> Statement:
    """Insert a data set if it is missing, in the round trip of the next statement; return the query of its key."""
    key = {"name": dataset.name, "digest": dataset.digest, "sha256": dataset.sha256}
    values = {**key, "schema": dataset.schema, "row_count": dataset.rows}
    _insert_if_missing(connection.dialect.name).send(connection, values)
    return _DATASET_KEY.statement(connection, {f"given_{name}": value for name, value in key.items()})


@functools.cache
def _insert_if_missing(dialect: str) -> Compiled:
    return Compiled(insert_into(dialect, EvaluationDatasetRow).on_conflict_do_nothing())


_DATASET_KEY: Final = Compiled(
    select(EvaluationDatasetRow.id).where(
        *(table(EvaluationDatasetRow).c[name] == bindparam(f"given_{name}") for name in ("name", "digest", "sha256"))
    )
)
