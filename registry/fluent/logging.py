"""Module-level functions that log params, metrics, tags and inputs to the active run.

If no run is active, they start one, and it stays active, as in MLflow. A key or value that is refused starts no run.
Values are durable when the call returns; with ``synchronous=False`` they are queued.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from registry.client.async_logging import RunOperations
from registry.client.tracking.batches import check_batch
from registry.client.tracking.logging import write_or_queue
from registry.entities import DatasetInput, InputTag, LoggedModelInput, LoggedModelOutput, Metric, Param, RunTag
from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.fluent import state
from registry.fluent.active_model import get_active_model_id
from registry.fluent.runs import choose_run
from registry.validation.arguments import check_list, check_mapping
from registry.validation.values import flattened, metric_value, now_ms


def log_param(key: str, value: Any, synchronous: bool | None = None) -> Any:
    """Write a param of the active run. A param is written once.

    Args:
        key: The param's key.
        value: The param's value. Stored as text. Text over 6,000 characters is cut, with a warning.
        synchronous: True waits until the param is durable; False queues it. Default: ``REGISTRY_ENABLE_ASYNC_LOGGING``,
            else True.

    Returns:
        The given value, or with ``synchronous=False`` a ticket whose ``wait()`` returns when the param is durable.

    Raises:
        ParamConflictError: The param has another value already.
        InvalidParameterError: The key cannot be stored.

    Example:
        >>> with mlflow.start_run() as run:
        ...     mlflow.log_param("eta", 0.1)
        0.1
        >>> mlflow.get_run(run.info.run_id).data.params
        {'eta': '0.1'}
    """
    batch = check_batch(params=[Param(key, value)])
    client, run = choose_run()
    ticket = write_or_queue(client, run, batch, synchronous)
    return value if ticket is None else ticket


def log_params(
    params: Mapping[str, Any],
    synchronous: bool | None = None,
    run_id: str | None = None,
    *,
    flatten: bool = False,
) -> RunOperations | None:
    """Write several params, all or none. A param is written once.

    Args:
        params: A mapping from key to value. A nested mapping is stored as its text, as in MLflow.
        synchronous: True waits until the params are durable; False queues them. Default:
            ``REGISTRY_ENABLE_ASYNC_LOGGING``, else True.
        run_id: The run. Default: the active run, which is started if there is none.
        flatten: Store each setting of a nested mapping as a param of its own, with keys joined by dots. Default: False.

    Returns:
        None, or with ``synchronous=False`` a ticket whose ``wait()`` returns when the params are durable.

    Raises:
        ParamConflictError: A param has another value already.
        InvalidParameterError: A key cannot be stored.

    Example:
        >>> with mlflow.start_run() as run:
        ...     mlflow.log_params({"eta": 0.1, "features": {"window": 5}}, flatten=True)
        >>> mlflow.get_run(run.info.run_id).data.params
        {'eta': '0.1', 'features.window': '5'}
    """
    settings = check_mapping(params, "params")
    flat = flattened(settings) if flatten else settings
    batch = check_batch(params=[Param(key, value) for key, value in flat.items()])
    client, run = choose_run(run_id)
    return write_or_queue(client, run, batch, synchronous)


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
    """Append a point to a metric.

    Args:
        key: The metric's key.
        value: One number, or an array or tensor that holds one. NaN and infinities are kept.
        step: An integer. Default: 0.
        synchronous: True waits until the point is durable; False queues it. Default: ``REGISTRY_ENABLE_ASYNC_LOGGING``,
            else True.
        timestamp: Milliseconds since the epoch. Default: now.
        run_id: The run. Default: the active run, which is started if there is none.
        model_id: The logged model that the metric describes. Default: the active model, if there is one.
        dataset: The data set on which the metric was measured, from `data.from_pandas`.

    Returns:
        None, or with ``synchronous=False`` a ticket whose ``wait()`` returns when the point is durable.

    Raises:
        InvalidParameterError: The value is not one number, or the key cannot be stored.

    Example:
        >>> with mlflow.start_run() as run:
        ...     for step, loss in enumerate([0.9, 0.5, 0.4]):
        ...         mlflow.log_metric("loss", loss, step=step)
        >>> mlflow.get_run(run.info.run_id).data.metrics
        {'loss': 0.4}
    """
    batch = check_batch(_to_metrics([(key, value)], step, timestamp, model_id, dataset))
    client, run = choose_run(run_id)
    return write_or_queue(client, run, batch, synchronous)


def log_metrics(
    metrics: Mapping[str, Any],
    step: int | None = None,
    synchronous: bool | None = None,
    run_id: str | None = None,
    timestamp: int | None = None,
    model_id: str | None = None,
    dataset: Any = None,
) -> RunOperations | None:
    """Append a point to each of several metrics at one step and time, all or none.

    Args:
        metrics: A mapping from key to number.
        step: An integer. Default: 0.
        synchronous: True waits until the points are durable; False queues them. Default:
            ``REGISTRY_ENABLE_ASYNC_LOGGING``, else True.
        run_id: The run. Default: the active run, which is started if there is none.
        timestamp: Milliseconds since the epoch. Default: now.
        model_id: The logged model that the metrics describe. Default: the active model, if there is one.
        dataset: The data set on which the metrics were measured, from `data.from_pandas`.

    Returns:
        None, or with ``synchronous=False`` a ticket whose ``wait()`` returns when the points are durable.

    Raises:
        InvalidParameterError: A value is not one number, or a key cannot be stored.

    Example:
        >>> with mlflow.start_run() as run:
        ...     mlflow.log_metrics({"auc": 0.81, "brier": 0.19}, step=10)
        >>> mlflow.get_run(run.info.run_id).data.metrics
        {'auc': 0.81, 'brier': 0.19}
    """
    batch = check_batch(_to_metrics(check_mapping(metrics, "metrics").items(), step, timestamp, model_id, dataset))
    client, run = choose_run(run_id)
    return write_or_queue(client, run, batch, synchronous)


def set_tag(key: str, value: Any, synchronous: bool | None = None) -> RunOperations | None:
    """Set a tag of the active run, overwriting an older value.

    Args:
        key: The tag's key.
        value: The tag's value. Stored as text. Text over 8,000 characters is cut, with a warning.
        synchronous: True waits until the tag is durable; False queues it. Default: ``REGISTRY_ENABLE_ASYNC_LOGGING``,
            else True.

    Returns:
        None, or with ``synchronous=False`` a ticket whose ``wait()`` returns when the tag is durable.

    Raises:
        InvalidParameterError: The key cannot be stored.

    Example:
        >>> with mlflow.start_run() as run:
        ...     mlflow.set_tag("team", "analytics")
        >>> mlflow.get_run(run.info.run_id).data.tags["team"]
        'analytics'
    """
    batch = check_batch(tags=[RunTag(key, value)])
    client, run = choose_run()
    return write_or_queue(client, run, batch, synchronous)


def set_tags(tags: Mapping[str, Any], synchronous: bool | None = None) -> RunOperations | None:
    """Set several tags of the active run, all or none.

    Args:
        tags: A mapping from key to value. Values are stored as text.
        synchronous: True waits until the tags are durable; False queues them. Default:
            ``REGISTRY_ENABLE_ASYNC_LOGGING``, else True.

    Returns:
        None, or with ``synchronous=False`` a ticket whose ``wait()`` returns when the tags are durable.

    Raises:
        InvalidParameterError: A key cannot be stored.

    Example:
        >>> with mlflow.start_run() as run:
        ...     mlflow.set_tags({"team": "analytics", "season": 2026})
        >>> mlflow.get_run(run.info.run_id).data.tags["season"]
        '2026'
    """
    batch = check_batch(tags=[RunTag(key, value) for key, value in check_mapping(tags, "tags").items()])
    client, run = choose_run()
    return write_or_queue(client, run, batch, synchronous)


def delete_tag(key: str) -> None:
    """Delete a tag of the active run.

    Args:
        key: The tag's key.

    Raises:
        NotFoundError: The run has no such tag.

    Example:
        >>> with mlflow.start_run(tags={"draft": "yes"}) as run:
        ...     mlflow.delete_tag("draft")
        >>> "draft" in mlflow.get_run(run.info.run_id).data.tags
        False
    """
    client, run = choose_run()
    client.delete_tag(run, key)


def log_input(
    dataset: Any,
    context: str | None = None,
    tags: Mapping[str, str] | None = None,
    model: LoggedModelInput | None = None,
) -> None:
    """Record a data set that the active run used.

    Args:
        dataset: A data set from `data.from_pandas`.
        context: Its use, such as ``training`` or ``validation``. Stored as the tag ``mlflow.data.context``.
        tags: More tags of this use, as a mapping from key to text.
        model: A logged model that the run used, as a `LoggedModelInput` entity.

    Raises:
        InvalidTypeError: The value is not a data set.

    Example:
        >>> with mlflow.start_run() as run:
        ...     mlflow.log_input(mlflow.data.from_pandas(X, name="games 2026"), context="training")
        >>> used = mlflow.get_run(run.info.run_id).inputs.dataset_inputs[0]
        >>> used.dataset.name, used.tags[0].value
        ('games 2026', 'training')
    """
    log_inputs([dataset] if dataset is not None else [], [context], [tags], [model] if model else None)


def log_inputs(
    datasets: Sequence[Any] | None = None,
    contexts: Sequence[str | None] | None = None,
    tags_list: Sequence[Mapping[str, str] | None] | None = None,
    models: Sequence[LoggedModelInput] | None = None,
) -> None:
    """Record the data sets and logged models that the active run used.

    Args:
        datasets: Data sets from `data.from_pandas`.
        contexts: The use of each data set, such as ``training``. One entry per data set. Default: none.
        tags_list: More tags of each use. One mapping or None per data set. Default: none.
        models: Logged models, as `LoggedModelInput` entities.

    Raises:
        InvalidTypeError: A value is not a data set.
        InvalidParameterError: `contexts` or `tags_list` has another length than `datasets`.

    Example:
        >>> train = mlflow.data.from_pandas(X[:30], name="train")
        >>> test = mlflow.data.from_pandas(X[30:], name="test")
        >>> with mlflow.start_run() as run:
        ...     mlflow.log_inputs([train, test], contexts=["training", "validation"])
        >>> sorted(used.dataset.name for used in mlflow.get_run(run.info.run_id).inputs.dataset_inputs)
        ['test', 'train']
    """
    checked = check_list(datasets, "datasets", object)
    inputs = [
        DatasetInput(_check_dataset(dataset).to_entity(), _input_tags(context, tags))
        for dataset, context, tags in zip(
            checked,
            _one_per_dataset(checked, contexts, "contexts"),
            _one_per_dataset(checked, tags_list, "tags_list"),
            strict=True,
        )
    ]
    client, run = choose_run()
    client.log_inputs(run, inputs, models)


def flush_async_logging() -> None:
    """Wait until all values that were queued with ``synchronous=False`` are written or have failed.

    A failure is raised by the ticket's ``wait()``, not here.

    Example:
        >>> with mlflow.start_run() as run:
        ...     ticket = mlflow.log_metric("f1", 0.81, synchronous=False)
        ...     mlflow.flush_async_logging()
        >>> mlflow.get_run(run.info.run_id).data.metrics
        {'f1': 0.81}
    """
    state.client().flush_async_logging()


def log_outputs(models: Sequence[LoggedModelOutput]) -> None:
    """Record logged models that the active run produced. `log_model` does this by itself.

    Args:
        models: The logged models, as `LoggedModelOutput` entities.

    Raises:
        LoggedModelNotFoundError: A logged model does not exist.

    Example:
        >>> from registry.entities import LoggedModelOutput
        >>> made = mlflow.initialize_logged_model("calibrated")
        >>> with mlflow.start_run() as run:
        ...     mlflow.log_outputs([LoggedModelOutput(made.model_id, step=2)])
        >>> mlflow.get_run(run.info.run_id).outputs.model_outputs[0].step
        2
    """
    client, run = choose_run()
    client.log_outputs(run, models)


def _to_metrics(
    metrics: Iterable[tuple[str, Any]], step: int | None, timestamp: int | None, model_id: str | None, dataset: Any
) -> list[Metric]:
    timestamp, step = now_ms() if timestamp is None else timestamp, 0 if step is None else step
    model_id = model_id or get_active_model_id()
    name, digest = (None, None) if dataset is None else (_check_dataset(dataset).name, dataset.digest)
    return [Metric(key, metric_value(key, value), timestamp, step, model_id, name, digest) for key, value in metrics]


def _input_tags(context: str | None, tags: Mapping[str, str] | None) -> list[InputTag]:
    context_tags = [] if context is None else [InputTag("mlflow.data.context", context)]
    return context_tags + [InputTag(key, str(value)) for key, value in check_mapping(tags, "tags").items()]


def _check_dataset(dataset: Any) -> Any:
    """Return the value if it has the attributes of a data set; raise InvalidTypeError otherwise."""
    if not all(hasattr(dataset, name) for name in ("name", "digest", "to_entity")):
        raise InvalidTypeError(
            f"A data set is made by data.from_pandas(frame, name=…), got a value of type {type(dataset).__name__}."
        )
    return dataset


def _one_per_dataset(datasets: Sequence[Any], entries: Sequence[Any] | None, what: str) -> list[Any]:
    values = check_list(entries, what, object) or [None] * len(datasets)
    if len(values) != len(datasets):
        raise InvalidParameterError(f"{what} has {len(values)} entries for {len(datasets)} data sets.")
    return values
