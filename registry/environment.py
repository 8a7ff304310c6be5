"""Settings as fields of a dataclass: which environment variables each is read from, and how their text is parsed.

Guarantees: a text that does not parse is refused with the name of its variable; what may be secret is not repeated.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

T = TypeVar("T")

_VARIABLE: Final = "variable"
_TRUE: Final = frozenset({"1", "on", "t", "true", "y", "yes"})
_FALSE: Final = frozenset({"0", "off", "f", "false", "n", "no"})


@dataclass(frozen=True, slots=True)
class Variable:
    """The environment variables of one setting, the most important first, and what their text may be."""

    names: tuple[str, ...]
    parse: Callable[[str], Any]
    expected: str

    def find(self) -> str | None:
        """Return the first of the variables that is set and not empty."""
        return next((name for name in self.names if os.environ.get(name)), None)

    def read(self, name: str) -> Any:
        """Return the value of one of the variables.

        Raises:
            ValueError: The text is not what is expected; the message names the variable.
        """
        try:
            return self.parse(os.environ[name])
        except (ValueError, RecursionError):  # a deeply nested JSON text
            raise ValueError(f"{name} is not {self.expected}") from None


def setting(default: T, *names: str, parse: Callable[[str], T | None], expected: str, repr: bool = True) -> T:
    """Return a field of a dataclass that is read from environment variables."""
    options: dict[str, Any] = {"default_factory": dict} if default == {} else {"default": default}
    metadata = {_VARIABLE: Variable(names, parse, expected)}
    field: T = dataclasses.field(**options, metadata=metadata, repr=repr)
    return field


def variables_of(settings: type) -> dict[str, Variable]:
    """Return the variables of each field of a class of settings."""
    return {field.name: field.metadata[_VARIABLE] for field in dataclasses.fields(settings) if field.metadata}


def text(default: str | None, *names: str, repr: bool = True) -> Any:
    """Return a field that is a text."""
    return setting(default, *names, parse=_unicode, expected="text in UTF-8", repr=repr)


def choice(*names: str, options: tuple[str, ...]) -> Any:
    """Return a field that is one of a few words, or None."""

    def parse(given: str) -> str:
        if given not in options:
            raise ValueError(given)
        return given

    return setting(None, *names, parse=parse, expected=f"one of {', '.join(options)}")


def flag(default: bool, *names: str) -> bool:
    """Return a field that is true or false."""

    def parse(given: str) -> bool:
        word = given.lower()
        if word not in _TRUE | _FALSE:
            raise ValueError(given)
        return word in _TRUE

    return setting(default, *names, parse=parse, expected="true or false")


def whole(default: int, *names: str, least: int = 0, most: float = float("inf")) -> int:
    """Return a field that is a whole number within bounds."""

    def parse(given: str) -> int:
        return _within(int(given), least, most)

    return setting(default, *names, parse=parse, expected=_number("a whole number", f"of at least {least}", most))


def number(default: float, *names: str, above: float | None = None, most: float = float("inf")) -> float:
    """Return a field that is a number: at least 0, or above a bound."""

    def parse(given: str) -> float:
        value = _within(float(given), 0, most)
        if above is not None and value <= above:
            raise ValueError(given)
        return value

    least = "of at least 0" if above is None else f"above {above:g}"
    return setting(default, *names, parse=parse, expected=_number("a number", least, most))


def path(*names: str) -> Any:
    """Return a field that is a local path, or None."""
    return setting(None, *names, parse=Path, expected="a path")


def json_object(*names: str, example: str, of_texts: bool = False, repr: bool = True) -> Any:
    """Return a field that is a JSON object; `of_texts`: each value is a string."""

    def parse(given: str) -> dict[str, Any]:
        value = json.loads(given)
        if not isinstance(value, dict) or (of_texts and not all(isinstance(item, str) for item in value.values())):
            raise ValueError(given)
        return value

    kind = "a JSON object of strings" if of_texts else "a JSON object"
    empty: Mapping[str, Any] = {}
    return setting(empty, *names, parse=parse, expected=f"{kind}, such as {example}", repr=repr)


def _unicode(given: str) -> str:
    given.encode()  # a byte that is not UTF-8 came as half of a surrogate pair
    return given


C = TypeVar("C", int, float)


def _within(value: C, least: float, most: float) -> C:
    if not least <= value <= most:  # NaN is not either
        raise ValueError(value)
    return value


def _number(kind: str, least: str, most: float) -> str:
    return f"{kind} {least}" if most == float("inf") else f"{kind} {least} and at most {most:,}"
