"""What callers hand in as mappings, lists and paths of this machine, checked for being that.

Leaves the keys, texts and numbers in them to whoever uses them, and touches no disk. Invariant: what passes is a dict
or list of the caller's entries that nobody else holds, or a path that the operating system can look up.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from registry.exceptions import InvalidTypeError


def check_mapping(value: object, what: str) -> dict[Any, Any]:
    """A mapping as a dict; None is an empty one.

    Raises:
        InvalidTypeError: it is no mapping.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidTypeError(f"{what} must be a dict, such as {{'name': 'value'}}, got {shown_value(value)}.")
    return dict(value)


def check_list(value: object, what: str, kind: type[Any]) -> list[Any]:
    """Values of one class as a list; None is an empty one. A text is not taken for a list of characters.

    Raises:
        InvalidTypeError: it cannot be iterated, or has another value.
    """
    if value is None:
        return []
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        raise InvalidTypeError(f"{what} must be a list of {kind.__name__}, got {shown_value(value)}.")
    found = list(value)
    for item in found:
        if not isinstance(item, kind):
            raise InvalidTypeError(f"{what} must be a list of {kind.__name__}, but has {shown_value(item)}.")
    return found


def shown_value(value: object) -> str:
    """Return a value as an error message shows it: its repr, cut short, and its type."""
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:60] + '…'} of type {type(value).__name__}"
