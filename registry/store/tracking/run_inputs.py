"""Inputs and outputs of runs in SQL: data sets that a run reads, logged models that it uses or makes.

Guarantees: a data set is one row per (experiment, name, digest), and its use by a run is one row per context. Logging
the same use again adds its tags and removes nothing.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, bindparam, select

from registry.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    RunInputs,
    RunOutputs,
)
from registry.exceptions import LoggedModelNotFoundError
from registry.store.compiled_statements import Compiled, named_rows
from registry.store.dialects import insert_into, table, upsert
from registry.store.driver_sql import Answer, Statement
from registry.store.long_lists import in_keys, keys_parameter
from registry.store.tables import (
    DatasetInputRow,
    DatasetInputTagRow,
    DatasetRow,
    LoggedModelRow,
    RunModelRow,
)
from registry.store.tracking.run_data import Which, of_runs

CONTEXT_TAG = "mlflow.data.context"


def insert_dataset_inputs(
    connection: Connection, experiment: int, run_key: int, datasets: Iterable[DatasetInput]
) -> None:
    """Record that a run used data sets, in the round trip of the next statement."""
    dialect = connection.dialect.name
    for dataset_input in datasets:
        dataset = dataset_input.dataset
        tags = {tag.key: tag.value for tag in dataset_input.tags}
        known = {"experiment_id": experiment, "name": dataset.name, "digest": dataset.digest}
        described = {
            "source_type": dataset.source_type,
            "source": dataset.source,
            "schema": dataset.schema,
            "profile": dataset.profile,
        }
        use = {f"given_{name}": value for name, value in known.items()}
        use |= {"given_run": run_key, "given_context": tags.pop(CONTEXT_TAG, "")}
        _insert_dataset(dialect).send(connection, {**known, **described})
        _insert_use(dialect).send(connection, use)
        for name, value in tags.items():
            _insert_use_tag(dialect).send(connection, {**use, "given_key": name, "given_value": value})


@functools.cache
def _insert_dataset(dialect: str) -> Compiled:
    return Compiled(insert_into(dialect, DatasetRow).on_conflict_do_nothing())


@functools.cache
def _insert_use(dialect: str) -> Compiled:
    columns = ["run_id", "dataset_id", "context"]
    rows = select(_given("run", DatasetInputRow.run_id), DatasetRow.id, _given("context", DatasetInputRow.context))
    insert = insert_into(dialect, DatasetInputRow).from_select(columns, rows.where(*_of_dataset()))
    return Compiled(insert.on_conflict_do_nothing())


@functools.cache
def _insert_use_tag(dialect: str) -> Compiled:
    tags = table(DatasetInputTagRow).c
    rows = (
        select(DatasetInputRow.id, _given("key", tags.key), _given("value", tags.value))
        .join(DatasetRow, DatasetRow.id == DatasetInputRow.dataset_id)
        .where(
            *_of_dataset(),
            DatasetInputRow.run_id == bindparam("given_run"),
            DatasetInputRow.context == bindparam("given_context"),
        )
    )
    insert = insert_into(dialect, DatasetInputTagRow).from_select(["input_id", "key", "value"], rows)
    return Compiled(
        insert.on_conflict_do_update(index_elements=["input_id", "key"], set_={"value": insert.excluded["value"]})
    )


def _given(name: str, column: Any) -> ColumnElement[Any]:
    return bindparam(f"given_{name}", type_=column.type)


def _of_dataset() -> Sequence[ColumnElement[bool]]:
    columns = table(DatasetRow).c
    return [columns[name] == _given(name, columns[name]) for name in ("experiment_id", "name", "digest")]


def models_statement(connection: Connection, model_ids: Sequence[str]) -> Statement:
    """Return the query of the keys of logged models, for `insert_run_models`."""
    dialect = connection.dialect.name
    return _models_by_id(dialect).statement(connection, keys_parameter(dialect, model_ids, "ids"))


@functools.cache
def _models_by_id(dialect: str) -> Compiled:
    models = table(LoggedModelRow).c
    return Compiled(select(models.model_id, models.id).where(in_keys(dialect, models.model_id, "ids", Text())))


def insert_run_models(
    connection: Connection, run_key: int, direction: str, models: Iterable[tuple[str, int]], known: Statement
) -> None:
    """Record that a run used ("input") or made ("output") logged models, given as (model id, step).

    `known` is the answered `models_statement` of these models.

    Raises:
        LoggedModelNotFoundError: There is no such model.
    """
    steps, keys = list(models), dict(known.rows)
    for model_id, _ in steps:
        if model_id not in keys:
            raise LoggedModelNotFoundError(f"Logged model with ID '{model_id}' not found.")
    rows = {keys[model_id]: step for model_id, step in steps}  # the last step of a model counts
    upsert(
        connection,
        RunModelRow,
        [
            {"run_id": run_key, "direction": direction, "logged_model_id": key, "step": step}
            for key, step in rows.items()
        ],
    )


def inputs_and_outputs_queries(dialect: str, which: Which = "keys") -> tuple[Compiled, Compiled, Compiled]:
    """Return the queries whose answers `group_inputs_and_outputs` takes, for the runs of `of_runs`."""
    return _models_query(dialect, which), _datasets_query(dialect, which), _input_tags_query(dialect, which)


def group_inputs_and_outputs(
    answers: Sequence[Answer], run_keys: Iterable[int]
) -> tuple[dict[int, RunInputs], dict[int, RunOutputs]]:
    """Return the inputs and outputs of runs, by run key."""
    models, datasets, input_tags = map(named_rows, answers)
    inputs = {key: RunInputs() for key in run_keys}
    outputs = {key: RunOutputs() for key in inputs}
    for row in models:
        if row.direction == "input":
            inputs[row.run_id].model_inputs.append(LoggedModelInput(row.model_id))
        else:
            outputs[row.run_id].model_outputs.append(LoggedModelOutput(row.model_id, row.step))
    tags: dict[int, list[InputTag]] = {row.use: [] for row in datasets}
    for row in datasets:
        if row.context:
            tags[row.use].append(InputTag(CONTEXT_TAG, row.context))
        dataset = Dataset(row.name, row.digest, row.source_type, row.source, row.schema, row.profile)
        inputs[row.run_id].dataset_inputs.append(DatasetInput(dataset, tags[row.use]))
    for row in input_tags:
        tags[row.input_id].append(InputTag(row.key, row.value))
    return inputs, outputs


@functools.cache
def _models_query(dialect: str, which: Which) -> Compiled:
    return Compiled(
        select(RunModelRow.run_id, RunModelRow.direction, LoggedModelRow.model_id, RunModelRow.step)
        .join(LoggedModelRow, LoggedModelRow.id == RunModelRow.logged_model_id)
        .where(of_runs(dialect, table(RunModelRow).c.run_id, which))
        .order_by(RunModelRow.step, LoggedModelRow.id)
    )


@functools.cache
def _datasets_query(dialect: str, which: Which) -> Compiled:
    return Compiled(
        select(DatasetRow.__table__, DatasetInputRow.run_id, DatasetInputRow.context, DatasetInputRow.id.label("use"))
        .join(DatasetInputRow, DatasetInputRow.dataset_id == DatasetRow.id)
        .where(of_runs(dialect, table(DatasetInputRow).c.run_id, which))
        .order_by(DatasetInputRow.id)
    )


@functools.cache
def _input_tags_query(dialect: str, which: Which) -> Compiled:
    tags, uses = table(DatasetInputTagRow), table(DatasetInputRow).c
    query = select(tags).join(DatasetInputRow, DatasetInputRow.id == tags.c.input_id)
    return Compiled(query.where(of_runs(dialect, uses.run_id, which)).order_by(tags.c.key))
