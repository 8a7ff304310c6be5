"""Checks and conversions of the values of metrics, params and tags.

Guarantees: both databases can store every value that passes.
"""

import math
import numbers
import time
from collections.abc import Mapping
from typing import Any, Final

from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.validation.arguments import shortened

MAX_INTEGER: Final = 2**63


def now_ms() -> int:
    """Return the current time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def checked_text(value: Any, what: str, limit: int | None = None) -> str:
    """Return `str(value)` if both databases can store it.

    Raises:
        InvalidParameterError: it has a NUL or half a surrogate pair, or is longer than `limit` characters, or is an
            int of more digits than Python writes.
    """
    try:
        text = str(value)
    except ValueError as error:
        raise InvalidParameterError(f"The value of {what} cannot be written as text: {error}.") from error
    if "\0" in text:
        raise InvalidParameterError(f"The value of {what} has a NUL character, which databases cannot hold; remove it.")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidParameterError(f"The value of {what} has half of a surrogate pair, which is not text; remove it.")
    if limit is not None and len(text) > limit:
        raise InvalidParameterError(
            f"The value of {what} has {len(text)} characters; at most {limit} are allowed: {text[:40]!r}…"
        )
    return text


def flattened(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings; keys are joined by dots, empty mappings stay as values."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def metric_value(key: str, value: Any) -> float:
    """Convert a metric value to a float: a number, numeric text, NumPy scalar, or array or tensor of one element.

    Raises:
        InvalidParameterError: it is not one number.
    """
    if type(value) is float:
        return value
    if value is None:
        raise InvalidParameterError("Missing value for required parameter 'value'.")
    item = getattr(value, "item", None)
    try:
        return float(item() if callable(item) else value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise InvalidParameterError(
            f"Got invalid value {shortened(value)} for metric {key!r} (type {type(value).__name__}). "
            "A metric is one number; log the elements of an array one by one."
        ) from None


def metric_step(step: Any) -> int:
    """Convert a step to an int; None is 0, a float is truncated.

    Raises:
        InvalidParameterError: it is not a number, or does not fit into 64 bits.
    """
    return 0 if step is None else _integer(step, "step")


def metric_timestamp(timestamp: Any) -> int:
    """Convert a timestamp (milliseconds since the epoch) to an int; None is now.

    Raises:
        InvalidParameterError: it is not a number, is negative, or does not fit into 64 bits.
    """
    if timestamp is None:
        return now_ms()
    number = _integer(timestamp, "timestamp")
    if number < 0:
        raise InvalidParameterError(f"The timestamp {timestamp!r} is negative; it is in milliseconds since the epoch.")
    return number


def _integer(value: Any, what: str) -> int:
    if type(value) is not int and (not isinstance(value, numbers.Real) or not math.isfinite(value)):
        raise InvalidTypeError(f"Got invalid value {shortened(value)} for {what}; it must be an integer.")
    number = int(value) if type(value) is int or isinstance(value, numbers.Integral) else int(float(value))
    if not -MAX_INTEGER <= number < MAX_INTEGER:
        raise InvalidParameterError(f"The {what} {shortened(value)} does not fit into 64 bits.")
    return number
