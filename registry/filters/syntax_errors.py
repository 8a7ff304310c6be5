"""What is wrong at which character of a filter or order_by clause, as one error with a caret.

Invariant: the message shows the place, however long the text is, and is plain text on two lines of at most 80.
"""

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from registry.exceptions import InvalidFilterError
from registry.filters.grammar import expectation, parser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lark import Token, Tree
    from lark.exceptions import UnexpectedInput

_BEFORE: Final = 48
_AFTER: Final = 28
_QUOTES: Final = ("'", '"', "`")


class FaultError(Exception):
    """Something is wrong at one character; `showing` makes an InvalidFilterError of it before it leaves the package."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position


@contextmanager
def showing(text: str, what: str) -> "Iterator[None]":
    """Turns a `FaultError` into an error that shows the place in the text."""
    try:
        yield
    except FaultError as fault:
        raise InvalidFilterError(
            f"Invalid {what} at character {fault.position + 1}: {fault.reason}.\n{_excerpt(text, fault.position)}"
        ) from fault.__cause__


def syntax_tree(text: str, start: str) -> "Tree[Token]":
    """The syntax tree of a text.

    Raises:
        FaultError: the text is not of the language.
    """
    from lark.exceptions import UnexpectedInput

    for position, character in enumerate(text):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            raise FaultError(f"{character!r} cannot be part of a text", position)
    try:
        return parser().parse(text, start=start)
    except UnexpectedInput as error:
        raise _syntax_fault(text, error) from error


def _syntax_fault(text: str, error: "UnexpectedInput") -> FaultError:
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

    if isinstance(error, UnexpectedCharacters):
        position = error.pos_in_stream or 0
        return FaultError(_stray(text, position, expectation(error.allowed or ())), position)
    if isinstance(error, UnexpectedToken) and error.token.type != "$END":
        expected = expectation(error.accepts or error.expected)
        return FaultError(f"{expected}, found {_shown(error.token)}", error.token.start_pos or 0)
    expected = expectation(error.accepts or error.expected) if isinstance(error, UnexpectedToken) else "expected more"
    return FaultError(f"{expected}, but the text ends", len(text.rstrip()))


def _stray(text: str, position: int, expected: str) -> str:
    opening = text[position : position + 2].removeprefix(".")[:1]
    if opening in _QUOTES:
        return f"the quote {opening} is not closed"
    return f"{expected}, found {text[position]!r}"


def _shown(token: str) -> str:
    return repr(str(token) if len(token) <= 40 else token[:40] + "…")


def _excerpt(text: str, position: int) -> str:
    first = max(0, position - _BEFORE)
    last = position + _AFTER
    line = "".join(character if character.isprintable() else " " for character in text[first:last])
    head, tail = ("…" if first else "", "…" if last < len(text) else "")
    return f"  {head}{line}{tail}\n  {' ' * (len(head) + position - first)}^"
