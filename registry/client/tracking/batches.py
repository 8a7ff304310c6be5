"""Validation of what a log call carries: metrics, params and tags that any run can store."""

import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from registry.entities import Metric, Param, RunTag
from registry.exceptions import InvalidParameterError
from registry.settings import current_settings
from registry.validation.arguments import check_list
from registry.validation.names import MAX_PARAM_VALUE, MAX_RUN_TAG_VALUE, check_key
from registry.validation.values import MAX_INTEGER, checked_text, metric_step, metric_timestamp, metric_value

OMITTED: Final = ()  # the default of arguments that need no check

_logger = logging.getLogger("registry")


class Batch(NamedTuple):
    """The validated content of one log call; any run can store it."""

    metrics: Sequence[Metric]
    params: Mapping[str, str]
    tags: Mapping[str, str]


def check_batch(
    metrics: Sequence[Metric] = OMITTED, params: Sequence[Param] = OMITTED, tags: Sequence[RunTag] = OMITTED
) -> Batch:
    """Validate the content of one log call: each key, value and step can be stored, and no param is given twice.

    Raises:
        InvalidParameterError: A value cannot be stored; the message names it.
    """
    return Batch(
        () if metrics is OMITTED else _check_metrics(check_list(metrics, "metrics", Metric)),
        {} if params is OMITTED else _check_params(check_list(params, "params", Param)),
        {} if tags is OMITTED else check_tags((tag.key, tag.value) for tag in check_list(tags, "tags", RunTag)),
    )


def check_tags(tags: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Return tags that can be stored, by key.

    Raises:
        InvalidParameterError: A key or value cannot be stored; the message names it.
    """
    return {check_key(key): tag_value(key, value) for key, value in tags}


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


def tag_value(key: str, value: Any) -> str:
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
