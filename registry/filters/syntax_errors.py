"""Syntax errors of filters and order_by clauses, with a caret under the offending character.

Guarantees: the excerpt is at most 80 characters wide and shows the offending character, however long the text is.
"""

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from registry.exceptions import InvalidFilterError
from registry.filters.grammar import describe_expected, parser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lark import Token, Tree
    from lark.exceptions import UnexpectedInput

# How many characters the excerpt shows before and after the offending one.
_BEFORE: Final = 48
_AFTER: Final = 28
_QUOTES: Final = ("'", '"', "`")


class FilterSyntaxError(Exception):
    """An error at one character; `locate_errors` turns it into an InvalidFilterError before it leaves the package."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position


@contextmanager
def locate_errors(text: str, what: str) -> "Iterator[None]":
    """Turn a `FilterSyntaxError` into an InvalidFilterError that shows an excerpt of the text."""
    try:
        yield
    except FilterSyntaxError as fault:
        raise InvalidFilterError(
            f"Invalid {what} at character {fault.position + 1}: {fault.reason}.\n{_excerpt(text, fault.position)}"
        ) from fault.__cause__


def parse_syntax(text: str, start: str) -> "Tree[Token]":
    """Return the syntax tree of a text; raise FilterSyntaxError if it does not parse."""
    from lark.exceptions import UnexpectedInput

    for position, character in enumerate(text):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            raise FilterSyntaxError(f"{character!r} cannot be part of a text", position)
    try:
        return parser().parse(text, start=start)
    except UnexpectedInput as error:
        raise _to_syntax_error(text, error) from error


def _to_syntax_error(text: str, error: "UnexpectedInput") -> FilterSyntaxError:
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

    if isinstance(error, UnexpectedCharacters):
        position = error.pos_in_stream or 0
        return FilterSyntaxError(_describe_unexpected(text, position, describe_expected(error.allowed or ())), position)
    if isinstance(error, UnexpectedToken) and error.token.type != "$END":
        expected = describe_expected(error.accepts or error.expected)
        return FilterSyntaxError(f"{expected}, found {_truncated(error.token)}", error.token.start_pos or 0)
    expected = (
        describe_expected(error.accepts or error.expected) if isinstance(error, UnexpectedToken) else "expected more"
    )
    return FilterSyntaxError(f"{expected}, but the text ends", len(text.rstrip()))


def _describe_unexpected(text: str, position: int, expected: str) -> str:
    opening = text[position : position + 2].removeprefix(".")[:1]
    if opening in _QUOTES:
        return f"the quote {opening} is not closed"
    return f"{expected}, found {text[position]!r}"


def _truncated(token: str) -> str:
    return repr(str(token) if len(token) <= 40 else token[:40] + "…")


def _excerpt(text: str, position: int) -> str:
    first = max(0, position - _BEFORE)
    last = position + _AFTER
    line = "".join(character if character.isprintable() else " " for character in text[first:last])
    head, tail = ("…" if first else "", "…" if last < len(text) else "")
    return f"  {head}{line}{tail}\n  {' ' * (len(head) + position - first)}^"
