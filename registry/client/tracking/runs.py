"""Client methods that create, read, change and delete runs, and log to them."""

import dataclasses
import logging
import random
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from registry.client.async_logging import Entry, RunOperations
from registry.client.base import ClientBase
from registry.entities import (
    DatasetInput,
    LoggedModelInput,
    LoggedModelOutput,
    Metric,
    PagedList,
    Param,
    Run,
    RunStatus,
    RunTag,
)
from registry.exceptions import InvalidParameterError
from registry.settings import current_settings
from registry.validation.arguments import check_list, check_mapping
from registry.validation.names import MAX_PARAM_VALUE, MAX_RUN_TAG_VALUE, check_key, check_run_id
from registry.validation.values import (
    MAX_INTEGER,
    checked_text,
    metric_step,
    metric_timestamp,
    metric_value,
    now_ms,
)

_OMITTED: Final = ()  # the default of arguments that need no check
RUN_NAME: Final = "mlflow.runName"
USER: Final = "mlflow.user"
PARENT_RUN_ID: Final = "mlflow.parentRunId"

_logger = logging.getLogger("registry")

_ADJECTIVES: Final = (
    "able amber bold brave bright calm clean clever crisp deft eager fair fast fine fond free glad grand keen "
    "kind light lively lucky merry mild neat noble plain proud quick quiet rapid rare ready sharp shy silent "
    "sleek smart smooth solid sound spry steady still stout sunny swift tidy true vivid warm wise witty young "
    "zesty"
).split()
_NOUNS: Final = (
    "ant badger bass bat bear bee bird boar bug calf carp cat chimp cod colt crab crane crow cub deer doe dog "
    "dove duck eel elk fawn finch fish flea fly foal fowl fox frog gnat goat goose grouse gull hare hawk hen "
    "hog horse hound jay kit koi lamb lark loon lynx mare mole moose moth mouse mule newt owl ox panda perch "
    "pig quail ram rat ray seal shad shark sheep shrew shrike skink skunk slug smelt snail snake snipe sow "
    "squid stag stoat swan toad trout wasp whale wolf worm wren yak zebra"
).split()


class Batch(NamedTuple):
    """The validated content of one log call; any run can store it."""

    metrics: Sequence[Metric]
    params: Mapping[str, str]
    tags: Mapping[str, str]


class RunMethods(ClientBase):
    """Client methods for runs."""

    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: Mapping[str, Any] | None = None,
        run_name: str | None = None,
    ) -> Run:
        """Create a run with status RUNNING, without making it the active run.

        Args:
            experiment_id: The experiment that the run belongs to.
            start_time: Milliseconds since the epoch. Default: now.
            tags: Labels as a mapping from key to value. They overwrite the tags of ``REGISTRY_DEFAULT_TAGS``.
            run_name: The run's name. Default: the tag ``mlflow.runName``, else a random name such as
                ``swift-heron-417``.

        Returns:
            The new run.

        Raises:
            ExperimentNotFoundError: No experiment has this id.
            InvalidParameterError: The experiment is deleted, or `run_name` and the tag ``mlflow.runName`` differ.

        Example:
            >>> run = client.create_run("1", run_name="depth-5", tags={"team": "analytics"})
            >>> run.info.status, run.info.run_name
            ('RUNNING', 'depth-5')
        """
        checked = _check_tags({**current_settings().default_tags, **check_mapping(tags, "tags")}.items())
        return self.backend.runs.create(
            run_id=uuid.uuid4().hex,
            experiment_id=str(experiment_id),
            name=_choose_name(run_name, checked),
            user_id=checked.get(USER, "unknown"),
            start_time=metric_timestamp(start_time),
            tags=checked,
        )

    def get_run(self, run_id: str) -> Run:
        """Return a run by id, including a deleted one.

        Args:
            run_id: The run's id.

        Returns:
            The run with its params, tags, latest metrics, inputs and outputs.

        Raises:
            RunNotFoundError: No run has this id.

        Example:
            >>> client.get_run(run_id).data.params
            {'algorithm': 'XGBoost', 'max_depth': '4'}
        """
        return self.backend.runs.get(check_run_id(run_id))

    def get_parent_run(self, run_id: str) -> Run | None:
        """Return the parent of a nested run, or None.

        Args:
            run_id: The id of the nested run.

        Returns:
            The parent run, or None if the run has none.

        Raises:
            RunNotFoundError: No run has this id, or its parent is gone.

        Example:
            >>> child = client.create_run("1", tags={"mlflow.parentRunId": run_id})
            >>> client.get_parent_run(child.info.run_id).info.run_name
            'depth-4'
        """
        parent = self.get_run(run_id).data.tags.get(PARENT_RUN_ID)
        return None if parent is None else self.get_run(parent)

    def update_run(self, run_id: str, status: str | None = None, name: str | None = None) -> None:
        """Change the status or the name of a run.

        Args:
            run_id: The run's id.
            status: ``RUNNING``, ``SCHEDULED``, ``FINISHED``, ``FAILED`` or ``KILLED``. Default: unchanged.
            name: The new name. Default: unchanged.

        Raises:
            RunNotFoundError: No run has this id.
            InvalidParameterError: The status is unknown, or the run is deleted.

        Example:
            >>> client.update_run(run_id, name="final model")
            >>> client.get_run(run_id).info.run_name
            'final model'
        """
        checked = None if status is None else RunStatus.to_string(status)
        name = None if name is None else _tag_value(RUN_NAME, name)
        self.backend.runs.update(check_run_id(run_id), status=checked, name=name)

    def set_terminated(self, run_id: str, status: str | None = None, end_time: int | None = None) -> None:
        """End a run.

        Values that were queued with ``synchronous=False`` are written first.

        Args:
            run_id: The run's id.
            status: The final status. Default: ``FINISHED``.
            end_time: Milliseconds since the epoch. Default: now.

        Raises:
            RunNotFoundError: No run has this id.
            InvalidParameterError: The status is unknown, or the run is deleted.

        Example:
            >>> run = client.create_run("1")
            >>> client.set_terminated(run.info.run_id, "FAILED")
            >>> client.get_run(run.info.run_id).info.status
            'FAILED'
        """
        checked = RunStatus.to_string(status or "FINISHED")
        self.flush_async_logging()
        self.backend.runs.update(check_run_id(run_id), status=checked, end_time=metric_timestamp(end_time))

    def delete_run(self, run_id: str) -> None:
        """Mark a run as deleted.

        Nothing is removed from disk, and models that came from the run still load. `restore_run` undoes it until
        `registry gc` removes the run.

        Args:
            run_id: The run's id.

        Raises:
            RunNotFoundError: No run has this id.

        Example:
            >>> client.delete_run(run_id)
            >>> client.get_run(run_id).info.lifecycle_stage
            'deleted'
        """
        self.backend.runs.delete(check_run_id(run_id))

    def restore_run(self, run_id: str) -> None:
        """Restore a deleted run.

        Args:
            run_id: The run's id.

        Raises:
            RunNotFoundError: No run has this id.
            InvalidStateError: `registry gc` has removed the run's data.

        Example:
            >>> client.delete_run(run_id)
            >>> client.restore_run(run_id)
            >>> client.get_run(run_id).info.lifecycle_stage
            'active'
        """
        self.backend.runs.restore(check_run_id(run_id))

    def log_metric(
        self,
        run_id: str,
        key: str,
        value: Any,
        timestamp: int | None = None,
        step: int | None = None,
        synchronous: bool | None = None,
        dataset_name: str | None = None,
        dataset_digest: str | None = None,
        model_id: str | None = None,
    ) -> RunOperations | None:
        """Append a point to a metric.

        The latest value of a metric is the point with the greatest step, then timestamp, then value.

        Args:
            run_id: The run's id.
            key: The metric's key.
            value: One number, or an array or tensor that holds one. NaN and infinities are kept.
            timestamp: Milliseconds since the epoch. Default: now.
            step: An integer. Default: 0.
            synchronous: True waits until the point is durable; False queues it. Default:
                ``REGISTRY_ENABLE_ASYNC_LOGGING``, else True.
            dataset_name: The name of the data set on which the metric was measured.
            dataset_digest: The digest of that data set.
            model_id: The logged model that the metric describes.

        Returns:
            None, or with ``synchronous=False`` a ticket whose ``wait()`` returns when the point is durable.

        Raises:
            InvalidParameterError: The value is not one number, or the key has characters that are not allowed.
            RunNotFoundError: No run has this id.

        Example:
            >>> client.log_metric(run_id, "f1", 0.81, step=1)
            >>> client.get_run(run_id).data.metrics["f1"]
            0.81
        """
        moment = now_ms() if timestamp is None else timestamp
        number = metric_value(key, value)
        metric = Metric(key, number, moment, 0 if step is None else step, model_id, dataset_name, dataset_digest)
        return write_or_queue(self, run_id, check_batch([metric]), synchronous)

    def log_param(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> Any:
        """Write a param of a run. A param is written once.

        Args:
            run_id: The run's id.
            key: The param's key.
            value: The param's value. Stored as text. Text over 6,000 characters is cut, with a warning.
            synchronous: True waits until the param is durable; False queues it. Default:
                ``REGISTRY_ENABLE_ASYNC_LOGGING``, else True.

        Returns:
            The given value, or with ``synchronous=False`` a ticket whose ``wait()`` returns when the param is durable.

        Raises:
            ParamConflictError: The param has another value already.
            RunNotFoundError: No run has this id.

        Example:
            >>> client.log_param(run_id, "eta", 0.1)
            0.1
            >>> client.get_run(run_id).data.params["eta"]
            '0.1'
        """
        ticket = self.log_batch(run_id, params=[Param(key, value)], synchronous=synchronous)
        return value if ticket is None else ticket

    def set_tag(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> RunOperations | None:
        """Set a tag of a run, overwriting an older value.

        Args:
            run_id: The run's id.
            key: The tag's key.
            value: The tag's value. Stored as text. Text over 8,000 characters is cut, with a warning.
            synchronous: True waits until the tag is durable; False queues it. Default:
                ``REGISTRY_ENABLE_ASYNC_LOGGING``, else True.

        Returns:
            None, or with ``synchronous=False`` a ticket whose ``wait()`` returns when the tag is durable.

        Raises:
            RunNotFoundError: No run has this id.
            InvalidParameterError: The key cannot be stored.

        Example:
            >>> client.set_tag(run_id, "reviewed", True)
            >>> client.get_run(run_id).data.tags["reviewed"]
            'True'
        """
        return self.log_batch(run_id, tags=[RunTag(key, value)], synchronous=synchronous)

    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag of a run.

        Args:
            run_id: The run's id.
            key: The tag's key.

        Raises:
            RunNotFoundError: No run has this id.
            NotFoundError: The run has no such tag.

        Example:
            >>> client.delete_tag(run_id, "team")
            >>> "team" in client.get_run(run_id).data.tags
            False
        """
        self.backend.runs.delete_tag(check_run_id(run_id), check_key(key))

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric] = _OMITTED,
        params: Sequence[Param] = _OMITTED,
        tags: Sequence[RunTag] = _OMITTED,
        synchronous: bool | None = None,
    ) -> RunOperations | None:
        """Log any number of metrics, params and tags in one transaction: all or none.

        Args:
            run_id: The run's id.
            metrics: Points to append, as `Metric` entities.
            params: Params to write, as `Param` entities.
            tags: Tags to set, as `RunTag` entities.
            synchronous: True waits until all are durable; False queues them. Default:
                ``REGISTRY_ENABLE_ASYNC_LOGGING``, else True.

        Returns:
            None, or with ``synchronous=False`` a ticket whose ``wait()`` returns when all are durable.

        Raises:
            ParamConflictError: A param has another value already.
            InvalidParameterError: A key, value or step cannot be stored, or one param is given with two values.
            RunNotFoundError: No run has this id.

        Example:
            >>> from registry.entities import Metric, Param
            >>> point = Metric("recall", 0.7, timestamp=1_767_225_600_000, step=1)
            >>> client.log_batch(run_id, metrics=[point], params=[Param("eta", "0.1")])
            >>> client.get_run(run_id).data.metrics["recall"]
            0.7
        """
        return write_or_queue(self, run_id, check_batch(metrics, params, tags), synchronous)

    def log_inputs(
        self,
        run_id: str,
        datasets: Sequence[DatasetInput] | None = None,
        models: Sequence[LoggedModelInput] | None = None,
    ) -> None:
        """Record the data sets and logged models that a run used.

        Args:
            run_id: The run's id.
            datasets: The data sets, as `DatasetInput` entities.
            models: The logged models, as `LoggedModelInput` entities.

        Raises:
            RunNotFoundError: No run has this id.
            LoggedModelNotFoundError: A logged model does not exist.

        Example:
            >>> from registry.entities import DatasetInput
            >>> dataset = mlflow.data.from_pandas(X, name="games 2026")
            >>> client.log_inputs(run_id, [DatasetInput(dataset.to_entity())])
            >>> [used.dataset.name for used in client.get_run(run_id).inputs.dataset_inputs]
            ['games 2026']
        """
        self.backend.runs.log_inputs(
            check_run_id(run_id),
            datasets=check_list(datasets, "datasets", DatasetInput),
            models=check_list(models, "models", LoggedModelInput),
        )

    def log_outputs(self, run_id: str, models: Sequence[LoggedModelOutput]) -> None:
        """Record the logged models that a run produced.

        `log_model` does this by itself.

        Args:
            run_id: The run's id.
            models: The logged models, as `LoggedModelOutput` entities.

        Raises:
            RunNotFoundError: No run has this id.
            LoggedModelNotFoundError: A logged model does not exist.

        Example:
            >>> from registry.entities import LoggedModelOutput
            >>> made = client.create_logged_model("1", name="calibrated")
            >>> client.log_outputs(run_id, [LoggedModelOutput(made.model_id, step=2)])
            >>> client.get_run(run_id).outputs.model_outputs[-1].step
            2
        """
        self.backend.runs.log_inputs(check_run_id(run_id), outputs=check_list(models, "models", LoggedModelOutput))

    def get_metric_history(self, run_id: str, key: str) -> PagedList[Metric]:
        """Return all points of a metric of a run.

        Args:
            run_id: The run's id.
            key: The metric's key.

        Returns:
            The points by timestamp, then step, then value. Empty if the metric was never logged. There is one page
            only.

        Raises:
            RunNotFoundError: No run has this id.

        Example:
            >>> [(point.step, round(point.value, 2)) for point in client.get_metric_history(run_id, "auc")]
            [(0, 0.78), (1, 0.79), (2, 0.8)]
        """
        return PagedList(self.backend.runs.metric_history(check_run_id(run_id), key))

    def flush_async_logging(self) -> None:
        """Wait until all values that were queued with ``synchronous=False`` are written or have failed.

        A failure is raised by the ticket's ``wait()``, not here.

        Example:
            >>> ticket = client.log_metric(run_id, "f1", 0.81, synchronous=False)
            >>> client.flush_async_logging()
            >>> client.get_run(run_id).data.metrics["f1"]
            0.81
        """
        self.backend.log_queue.flush()


def check_batch(
    metrics: Sequence[Metric] = _OMITTED, params: Sequence[Param] = _OMITTED, tags: Sequence[RunTag] = _OMITTED
) -> Batch:
    """Validate the content of one log call: each key, value and step can be stored, and no param is given twice.

    Raises:
        InvalidParameterError: A value cannot be stored; the message names it.
    """
    return Batch(
        () if metrics is _OMITTED else _check_metrics(check_list(metrics, "metrics", Metric)),
        {} if params is _OMITTED else _check_params(check_list(params, "params", Param)),
        {} if tags is _OMITTED else _check_tags((tag.key, tag.value) for tag in check_list(tags, "tags", RunTag)),
    )


def write_or_queue(client: RunMethods, run_id: str, batch: Batch, synchronous: bool | None) -> RunOperations | None:
    """Write a validated batch to a run, or queue it and return a ticket.

    Raises:
        InvalidParameterError: `run_id` is not the id of a run.
        ParamConflictError: A param has another value already.
    """
    check_run_id(run_id)
    in_background = client._queues_logs if synchronous is None else not synchronous
    # A point of a logged model needs the model's row, which may wait for its upload.
    names_model = any(metric.model_id is not None for metric in batch.metrics)
    backend = client.backend if names_model else client.backend_for_logging
    if in_background:
        return backend.log_queue.put(Entry(run_id, *batch))
    backend.runs.log_batch(run_id, metrics=batch.metrics, params=batch.params, tags=batch.tags)
    return None


def _check_params(params: Iterable[Param]) -> dict[str, str]:
    checked: dict[str, str] = {}
    for param in params:
        value = _param_value(param.key, param.value)
        if checked.setdefault(check_key(param.key), value) != value:
            raise InvalidParameterError(
                f"Duplicate parameter keys have been submitted: {param.key!r} with {checked[param.key]!r} and "
                f"{value!r}; a param is written once, log the second under another key."
            )
    return checked


def _check_tags(tags: Iterable[tuple[str, Any]]) -> dict[str, str]:
    return {check_key(key): _tag_value(key, value) for key, value in tags}


def _choose_name(run_name: str | None, tags: Mapping[str, str]) -> str:
    tagged = tags.get(RUN_NAME)
    if run_name and tagged and run_name != tagged:
        raise InvalidParameterError(
            f"Both 'run_name' argument and '{RUN_NAME}' tag are specified, but with different values "
            f"(run_name={run_name!r}, {RUN_NAME}={tagged!r}); give one of them."
        )
    return _tag_value(RUN_NAME, run_name) if run_name else tagged or _random_name()


def _random_name() -> str:
    # A separate generator: naming a run must not change the random state of a training script.
    generator = random.SystemRandom()
    return f"{generator.choice(_ADJECTIVES)}-{generator.choice(_NOUNS)}-{generator.randrange(1000)}"


def _check_metrics(metrics: Iterable[Metric]) -> list[Metric]:
    """Return points that can be stored, with their values as numbers; points that need no conversion are passed on.

    Raises:
        InvalidParameterError: A value is not one number, or a key, step or timestamp cannot be stored.
    """
    checked_keys: set[str] = set()
    checked = []
    for metric in metrics:
        key, step, timestamp = metric.key, metric.step, metric.timestamp
        if type(key) is not str or key not in checked_keys:
            checked_keys.add(check_key(key, "name"))
        has_plain_types = type(metric.value) is float and type(step) is int and type(timestamp) is int
        if not has_plain_types or not (-MAX_INTEGER <= step < MAX_INTEGER and 0 <= timestamp < MAX_INTEGER):
            metric = dataclasses.replace(
                metric,
                value=metric_value(key, metric.value),
                step=metric_step(step),
                timestamp=metric_timestamp(timestamp),
            )
        checked.append(metric)
    return checked


def _param_value(key: str, value: Any) -> str:
    """Convert a param value to text; cut a value that is too long with a warning, or refuse it if so configured."""
    return _truncate(f"param {key!r}", value, MAX_PARAM_VALUE)


def _tag_value(key: str, value: Any) -> str:
    """Convert a tag value to text; cut a value that is too long with a warning, or refuse it if so configured."""
    return _truncate(f"tag {key!r}", value, MAX_RUN_TAG_VALUE)


def _truncate(what: str, value: Any, limit: int) -> str:
    text = checked_text(value, what)
    if len(text) <= limit:
        return text
    if not current_settings().truncate_long_values:
        raise InvalidParameterError(
            f"The value of {what} has {len(text)} characters; at most {limit} are allowed. "
            "Set REGISTRY_TRUNCATE_LONG_VALUES=true to have it cut."
        )
    _logger.warning("The value of %s was cut from %d to %d characters.", what, len(text), limit)
    return text[:limit]
