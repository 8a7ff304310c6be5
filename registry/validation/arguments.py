"""Checks that arguments are mappings or lists.

Guarantees: the result is a new dict or list, so later changes by the caller do not affect it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from registry.exceptions import InvalidTypeError


def check_mapping(value: object, what: str) -> dict[Any, Any]:
    """Return a mapping as a new dict; None as an empty one. Raise InvalidTypeError if it is not a mapping."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidTypeError(f"{what} must be a dict, such as {{'name': 'value'}}, got {describe_value(value)}.")
    return dict(value)


def check_list(value: object, what: str, kind: type[Any]) -> list[Any]:
    """Return an iterable of instances of `kind` as a new list; None as an empty one.

    Raises:
        InvalidTypeError: it is not iterable, is a text or mapping, or has an item of another type.
    """
    if value is None:
        return []
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        raise InvalidTypeError(f"{what} must be a list of {kind.__name__}, got {describe_value(value)}.")
    items = list(value)
    for item in items:
        if not isinstance(item, kind):
            raise InvalidTypeError(f"{what} must be a list of {kind.__name__}, but has {describe_value(item)}.")
    return items


def describe_value(value: object) -> str:
    """Describe a value for an error message: its repr, cut after 60 characters, and its type."""
    return f"{shortened(value)} of type {type(value).__name__}"


def shortened(value: object) -> str:
    """Return the repr of a value, cut after 60 characters."""
    try:
        text = repr(value)
    except ValueError:  # an int has more digits than Python writes
        return f"<{type(value).__name__} with too many digits>"
    return text if len(text) <= 60 else f"{text[:60]}…"
