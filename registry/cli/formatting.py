"""Format values: as text for people in `cell`, as bare values for programs in `bare`. Pure.

Guarantees: no text from `visible` and `cell` can control a terminal. Stored names and values are untrusted; control,
format and other unprintable characters become escapes.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

NOTHING: Final = "-"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def visible(text: str) -> str:
    r"""Return the text with every character that a terminal might act on as an escape, such as ``\x1b``."""
    return "".join(character if _is_plain(character) else _escape(character) for character in text)


def one_line(text: str) -> str:
    """Return the text, visible and without line breaks."""
    return visible(" ".join(part.strip() for part in text.splitlines()).strip())


@dataclass(frozen=True, slots=True)
class Time:
    """A moment: short in tables, ISO 8601 with Z for programs."""

    microseconds: int
    with_seconds: bool = True

    def __str__(self) -> str:
        text = self._iso("seconds")
        return text if text.endswith(" us") else text.replace("T", " ")[: 19 if self.with_seconds else 16]

    @property
    def bare(self) -> str:
        """Return the moment as ISO 8601 with Z: milliseconds if there are any, microseconds if needed."""
        rest = self.microseconds % 1_000_000
        digits = "seconds" if not rest else "microseconds" if rest % 1000 else "milliseconds"
        text = self._iso(digits)
        return text if text.endswith(" us") else f"{text}Z"

    def _iso(self, digits: str) -> str:
        try:
            moment = _EPOCH + timedelta(microseconds=self.microseconds)
        except OverflowError:
            return f"{self.microseconds} us"
        return moment.replace(tzinfo=None).isoformat(timespec=digits)


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration: ``3 m 05 s`` in tables, seconds for programs."""

    milliseconds: int

    def __str__(self) -> str:
        seconds = self.milliseconds / 1000
        if seconds < 60:
            return f"{seconds:.1f} s"
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} m {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} m"

    @property
    def bare(self) -> str:
        """Return the seconds as a number."""
        return repr(self.milliseconds / 1000)


@dataclass(frozen=True, slots=True)
class Size:
    """A number of bytes: ``1.5 MiB`` in tables, the number for programs."""

    count: int

    def __str__(self) -> str:
        amount = float(self.count)
        for unit in ("B", "KiB", "MiB", "GiB"):
            if amount < 1024:
                return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
            amount /= 1024
        return f"{amount:.1f} TiB"

    @property
    def bare(self) -> str:
        """Return the number of bytes."""
        return str(self.count)


def moment(milliseconds: int | None) -> Time | None:
    """Return milliseconds since the epoch as a time that a table shows to the second, in UTC."""
    return None if milliseconds is None else Time(milliseconds * 1000)


def minute(milliseconds: int | None) -> Time | None:
    """Return milliseconds since the epoch as a time that a table shows to the minute, in UTC."""
    return None if milliseconds is None else Time(milliseconds * 1000, with_seconds=False)


def duration(milliseconds: int | None) -> Duration | None:
    """Return a duration that a table shows as ``0.4 s``, ``3 m 05 s`` or ``2 h 10 m``."""
    return None if milliseconds is None else Duration(milliseconds)


def size(count: int | None) -> Size | None:
    """Return a number of bytes that a table shows as ``512 B`` or ``1.5 MiB``."""
    return None if count is None else Size(count)


def cell(value: object) -> str:
    """Return any value as the text of a table's cell."""
    if _is_nothing(value):
        return NOTHING
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{visible(str(key))}={cell(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(cell, value))
    return visible(str(value))


def bare(value: object) -> str:
    """Return any value for a program: times as ISO 8601, sizes in bytes, all digits, nothing as an empty text."""
    if _is_nothing(value):
        return ""
    if isinstance(value, Time | Duration | Size):
        return value.bare
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Mapping):
        return ",".join(f"{key}={bare(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(bare, value))
    return str(value)


def _is_nothing(value: object) -> bool:
    return value is None or value == "" or value == () or value == [] or value == {}


def _number(value: float) -> str:
    """Return a number with six digits, and all those before the point."""
    magnitude = abs(value)
    if value.is_integer() and magnitude < 1e15:
        return f"{value:.0f}"
    if 1e5 <= magnitude < 1e15:
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return f"{value:.6g}"


def _is_plain(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
