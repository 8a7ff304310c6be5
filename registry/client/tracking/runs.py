"""Runs: MLflow's client methods for creating, changing and logging to them."""

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

_NOTHING: Final = ()  # what is left out; anything else is checked, an empty list too
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
    """What one call logs: checked, so that it can be stored in any run."""

    metrics: Sequence[Metric]
    params: Mapping[str, str]
    tags: Mapping[str, str]


class RunMethods(ClientBase):
    """What a client does with runs."""

    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: Mapping[str, Any] | None = None,
        run_name: str | None = None,
    ) -> Run:
        """A new run with status RUNNING; it is not made the active one.

        `start_time` is in milliseconds since the epoch, now by default. Without a name it gets a random one.

        Raises:
            ExperimentNotFoundError: no such experiment.
            InvalidParameterError: the experiment is deleted, or `run_name` and the tag ``mlflow.runName`` differ.
        """
        given = _checked_tags({**current_settings().default_tags, **check_mapping(tags, "tags")}.items())
        return self.backend.runs.create(
            run_id=uuid.uuid4().hex,
            experiment_id=str(experiment_id),
            name=_run_name(run_name, given),
            user_id=given.get(USER, "unknown"),
            start_time=metric_timestamp(start_time),
            tags=given,
        )

    def get_run(self, run_id: str) -> Run:
        """A run by id, deleted ones included.

        Raises:
            RunNotFoundError: no such run.
        """
        return self.backend.runs.get(check_run_id(run_id))

    def get_parent_run(self, run_id: str) -> Run | None:
        """The run that a nested run belongs to, or None."""
        parent = self.get_run(run_id).data.tags.get(PARENT_RUN_ID)
        return None if parent is None else self.get_run(parent)

    def update_run(self, run_id: str, status: str | None = None, name: str | None = None) -> None:
        """Change the status or the name of a run."""
        checked = None if status is None else RunStatus.to_string(status)
        name = None if name is None else _tag_value(RUN_NAME, name)
        self.backend.runs.update(check_run_id(run_id), status=checked, name=name)

    def set_terminated(self, run_id: str, status: str | None = None, end_time: int | None = None) -> None:
        """End a run, as FINISHED unless told otherwise; `end_time` is in milliseconds since the epoch, or now."""
        checked = RunStatus.to_string(status or "FINISHED")
        self.flush_async_logging()
        self.backend.runs.update(check_run_id(run_id), status=checked, end_time=metric_timestamp(end_time))

    def delete_run(self, run_id: str) -> None:
        """Mark a run as deleted; models that came from it go on loading."""
        self.backend.runs.delete(check_run_id(run_id))

    def restore_run(self, run_id: str) -> None:
        """Undo `delete_run`."""
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
        """Append a point to a metric; `timestamp` is in milliseconds since the epoch, now by default.

        Durable when it returns; with `synchronous=False` it is queued, and the returned ticket can be waited on.

        Raises:
            InvalidParameterError: the value is not one number, or the key is outside its charset.
        """
        moment = now_ms() if timestamp is None else timestamp
        number = metric_value(key, value)
        metric = Metric(key, number, moment, 0 if step is None else step, model_id, dataset_name, dataset_digest)
        return log_checked(self, run_id, check_batch([metric]), synchronous)

    def log_param(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> Any:
        """Write a param once; the value that was given, or a ticket with `synchronous=False`.

        Raises:
            ParamConflictError: it has another value already.
        """
        queued = self.log_batch(run_id, params=[Param(key, value)], synchronous=synchronous)
        return value if queued is None else queued

    def set_tag(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> RunOperations | None:
        """Set a tag."""
        return self.log_batch(run_id, tags=[RunTag(key, value)], synchronous=synchronous)

    def delete_tag(self, run_id: str, key: str) -> None:
        """Remove a tag.

        Raises:
            NotFoundError: the run has no such tag.
        """
        self.backend.runs.delete_tag(check_run_id(run_id), check_key(key))

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric] = _NOTHING,
        params: Sequence[Param] = _NOTHING,
        tags: Sequence[RunTag] = _NOTHING,
        synchronous: bool | None = None,
    ) -> RunOperations | None:
        """Log metrics, params and tags of any number in one transaction: all or nothing.

        With `synchronous=False` they are queued, and the ticket that is returned can be waited on.

        Raises:
            ParamConflictError: a param has another value already.
            InvalidParameterError: a key, value or step cannot be stored, or a param is given twice.
        """
        return log_checked(self, run_id, check_batch(metrics, params, tags), synchronous)

    def log_inputs(
        self,
        run_id: str,
        datasets: Sequence[DatasetInput] | None = None,
        models: Sequence[LoggedModelInput] | None = None,
    ) -> None:
        """Record data sets and logged models that a run used."""
        self.backend.runs.log_inputs(
            check_run_id(run_id),
            datasets=check_list(datasets, "datasets", DatasetInput),
            models=check_list(models, "models", LoggedModelInput),
        )

    def log_outputs(self, run_id: str, models: Sequence[LoggedModelOutput]) -> None:
        """Record logged models that a run made."""
        self.backend.runs.log_inputs(check_run_id(run_id), outputs=check_list(models, "models", LoggedModelOutput))

    def get_metric_history(self, run_id: str, key: str) -> PagedList[Metric]:
        """All points of a metric, by (timestamp, step, value); empty if it was never logged."""
        return PagedList(self.backend.runs.metric_history(check_run_id(run_id), key))

    def flush_async_logging(self) -> None:
        """Return when everything that was queued with `synchronous=False` is written, or has failed."""
        self.backend.log_queue.flush()


def check_batch(
    metrics: Sequence[Metric] = _NOTHING, params: Sequence[Param] = _NOTHING, tags: Sequence[RunTag] = _NOTHING
) -> Batch:
    """Check what a call logs, once: keys, values and steps can be stored, and no param is given twice.

    Raises:
        InvalidParameterError: something cannot be stored; the message names it.
    """
    return Batch(
        () if metrics is _NOTHING else checked_metrics(check_list(metrics, "metrics", Metric)),
        {} if params is _NOTHING else _checked_params(check_list(params, "params", Param)),
        {} if tags is _NOTHING else _checked_tags((tag.key, tag.value) for tag in check_list(tags, "tags", RunTag)),
    )


def log_checked(client: RunMethods, run_id: str, batch: Batch, synchronous: bool | None) -> RunOperations | None:
    """Write a checked batch to a run, or queue it and return a ticket that can be waited on.

    Raises:
        InvalidParameterError: this is no id of a run.
        ParamConflictError: a param has another value already.
    """
    check_run_id(run_id)
    queue = client._queues_logs if synchronous is None else not synchronous
    if queue:
        return client.backend.log_queue.put(Entry(run_id, *batch))
    client.backend.runs.log_batch(run_id, metrics=batch.metrics, params=batch.params, tags=batch.tags)
    return None


def _checked_params(params: Iterable[Param]) -> dict[str, str]:
    checked: dict[str, str] = {}
    for param in params:
        value = _param_value(param.key, param.value)
        if checked.setdefault(check_key(param.key), value) != value:
            raise InvalidParameterError(
                f"Duplicate parameter keys have been submitted: {param.key!r} with {checked[param.key]!r} and "
                f"{value!r}; a param is written once, log the second under another key."
            )
    return checked


def _checked_tags(tags: Iterable[tuple[str, Any]]) -> dict[str, str]:
    return {check_key(key): _tag_value(key, value) for key, value in tags}


def _run_name(run_name: str | None, tags: Mapping[str, str]) -> str:
    tagged = tags.get(RUN_NAME)
    if run_name and tagged and run_name != tagged:
        raise InvalidParameterError(
            f"Both 'run_name' argument and '{RUN_NAME}' tag are specified, but with different values "
            f"(run_name={run_name!r}, {RUN_NAME}={tagged!r}); give one of them."
        )
    return _tag_value(RUN_NAME, run_name) if run_name else tagged or _random_name()


def _random_name() -> str:
    # A generator of its own: naming a run must not move a training script's random state.
    generator = random.SystemRandom()
    return f"{generator.choice(_ADJECTIVES)}-{generator.choice(_NOUNS)}-{generator.randrange(1000)}"


def checked_metrics(metrics: Iterable[Metric]) -> list[Metric]:
    """Points that can be stored: the same ones where they are as they should be, else with values read as numbers.

    Raises:
        InvalidParameterError: a value is not one number, or a key, step or timestamp cannot be stored.
    """
    known: set[str] = set()
    checked = []
    for metric in metrics:
        key, step, timestamp = metric.key, metric.step, metric.timestamp
        if type(key) is not str or key not in known:
            known.add(check_key(key, "name"))
        exact = type(metric.value) is float and type(step) is int and type(timestamp) is int
        if not exact or not (-MAX_INTEGER <= step < MAX_INTEGER and 0 <= timestamp < MAX_INTEGER):
            metric = dataclasses.replace(
                metric,
                value=metric_value(key, metric.value),
                step=metric_step(step),
                timestamp=metric_timestamp(timestamp),
            )
        checked.append(metric)
    return checked


def _param_value(key: str, value: Any) -> str:
    """What is stored for a param; an over-long value is cut with a warning, or refused if so configured."""
    return _truncated(f"param {key!r}", value, MAX_PARAM_VALUE)


def _tag_value(key: str, value: Any) -> str:
    """What is stored for a run's tag; an over-long value is cut with a warning, or refused if so configured."""
    return _truncated(f"tag {key!r}", value, MAX_RUN_TAG_VALUE)


def _truncated(what: str, value: Any, limit: int) -> str:
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
