"""Logging to the active run: MLflow's module-level functions for params, metrics, tags and inputs.

Where no run is active one is started and stays active, as in MLflow, but none for a key that is refused. What is logged
is durable when the call returns; with `synchronous=False` it is queued, and the returned ticket has `wait()`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from registry.client.async_logging import RunOperations
from registry.client.tracking.runs import check_batch, log_checked
from registry.entities import DatasetInput, InputTag, LoggedModelInput, LoggedModelOutput, Metric, Param, RunTag
from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.fluent import state
from registry.fluent.runs import target
from registry.validation.arguments import check_list, check_mapping
from registry.validation.values import flattened, metric_value, now_ms


def log_param(key: str, value: Any, synchronous: bool | None = None) -> Any:
    """Write a param of the active run once; the value that was given.

    Raises:
        ParamConflictError: it has another value already.
    """
    batch = check_batch(params=[Param(key, value)])
    client, run = target()
    queued = log_checked(client, run, batch, synchronous)
    return value if queued is None else queued


def log_params(
    params: Mapping[str, Any],
    synchronous: bool | None = None,
    run_id: str | None = None,
    *,
    flatten: bool = False,
) -> RunOperations | None:
    """Write params once, all or none.

    A nested mapping is stored as its text, as in MLflow; with `flatten` each of its settings is a param of its own,
    under the keys joined by dots: ``{"features": {"window": 5}}`` becomes ``features.window``.

    Raises:
        ParamConflictError: one has another value already.
    """
    settings = check_mapping(params, "params")
    given = flattened(settings) if flatten else settings
    batch = check_batch(params=[Param(key, value) for key, value in given.items()])
    client, run = target(run_id)
    return log_checked(client, run, batch, synchronous)


def log_metric(
    key: str,
    value: Any,
    step: int | None = None,
    synchronous: bool | None = None,
    timestamp: int | None = None,
    run_id: str | None = None,
    model_id: str | None = None,
    dataset: Any = None,
) -> RunOperations | None:
    """Append a point to a metric; `timestamp` is in milliseconds since the epoch, now by default.

    Raises:
        InvalidParameterError: the value is not one number.
    """
    batch = check_batch(_points([(key, value)], step, timestamp, model_id, dataset))
    client, run = target(run_id)
    return log_checked(client, run, batch, synchronous)


def log_metrics(
    metrics: Mapping[str, Any],
    step: int | None = None,
    synchronous: bool | None = None,
    run_id: str | None = None,
    timestamp: int | None = None,
    model_id: str | None = None,
    dataset: Any = None,
) -> RunOperations | None:
    """Append a point to each of several metrics, all or none, at one step and time."""
    batch = check_batch(_points(check_mapping(metrics, "metrics").items(), step, timestamp, model_id, dataset))
    client, run = target(run_id)
    return log_checked(client, run, batch, synchronous)


def set_tag(key: str, value: Any, synchronous: bool | None = None) -> RunOperations | None:
    """Set a tag of the active run."""
    batch = check_batch(tags=[RunTag(key, value)])
    client, run = target()
    return log_checked(client, run, batch, synchronous)


def set_tags(tags: Mapping[str, Any], synchronous: bool | None = None) -> RunOperations | None:
    """Set tags of the active run, all or none."""
    batch = check_batch(tags=[RunTag(key, value) for key, value in check_mapping(tags, "tags").items()])
    client, run = target()
    return log_checked(client, run, batch, synchronous)


def delete_tag(key: str) -> None:
    """Remove a tag of the active run.

    Raises:
        NotFoundError: it has no such tag.
    """
    client, run = target()
    client.delete_tag(run, key)


def log_input(
    dataset: Any,
    context: str | None = None,
    tags: Mapping[str, str] | None = None,
    model: LoggedModelInput | None = None,
) -> None:
    """Record that the active run read a data set, and what for (`context`, such as "training")."""
    log_inputs([dataset] if dataset is not None else [], [context], [tags], [model] if model else None)


def log_inputs(
    datasets: Sequence[Any] | None = None,
    contexts: Sequence[str | None] | None = None,
    tags_list: Sequence[Mapping[str, str] | None] | None = None,
    models: Sequence[LoggedModelInput] | None = None,
) -> None:
    """Record the data sets and logged models that the active run read.

    `contexts` and `tags_list`, where they are given, have one entry for each data set.

    Raises:
        InvalidParameterError: the lists differ in length.
    """
    read = check_list(datasets, "datasets", object)
    uses = [
        DatasetInput(_dataset(dataset).to_entity(), _input_tags(context, tags))
        for dataset, context, tags in zip(
            read, _each(read, contexts, "contexts"), _each(read, tags_list, "tags_list"), strict=True
        )
    ]
    client, run = target()
    client.log_inputs(run, uses, models)


def flush_async_logging() -> None:
    """Return when everything that was queued with `synchronous=False` is written, or has failed."""
    state.client().flush_async_logging()


def log_outputs(models: Sequence[LoggedModelOutput]) -> None:
    """Record logged models that the active run made."""
    client, run = target()
    client.log_outputs(run, models)


def _points(
    metrics: Iterable[tuple[str, Any]], step: int | None, timestamp: int | None, model_id: str | None, dataset: Any
) -> list[Metric]:
    moment, at_step = now_ms() if timestamp is None else timestamp, 0 if step is None else step
    name, digest = (None, None) if dataset is None else (_dataset(dataset).name, dataset.digest)
    return [Metric(key, metric_value(key, value), moment, at_step, model_id, name, digest) for key, value in metrics]


def _input_tags(context: str | None, tags: Mapping[str, str] | None) -> list[InputTag]:
    own = [] if context is None else [InputTag("mlflow.data.context", context)]
    return own + [InputTag(key, str(value)) for key, value in check_mapping(tags, "tags").items()]


def _dataset(dataset: Any) -> Any:
    """A data set, or whatever else has what a data set has.

    Raises:
        InvalidTypeError: it lacks that.
    """
    if not all(hasattr(dataset, name) for name in ("name", "digest", "to_entity")):
        raise InvalidTypeError(
            f"A data set is made by data.from_pandas(frame, name=…), got a value of type {type(dataset).__name__}."
        )
    return dataset


def _each(datasets: Sequence[Any], given: Sequence[Any] | None, what: str) -> list[Any]:
    values = check_list(given, what, object) or [None] * len(datasets)
    if len(values) != len(datasets):
        raise InvalidParameterError(f"{what} has {len(values)} entries for {len(datasets)} data sets.")
    return values
