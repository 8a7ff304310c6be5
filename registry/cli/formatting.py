"""Format values as text for table cells. Pure.

Guarantees: no text from here can control a terminal. Stored names and values are untrusted; control, format and other
unprintable characters become escapes.
"""

import unicodedata
from collections.abc import Mapping, Sequence
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


def cell(value: object) -> str:
    """Return any value as the text of a cell."""
    if value is None or value == "" or value == () or value == [] or value == {}:
        return NOTHING
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{visible(str(key))}={cell(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(cell, value))
    return visible(str(value))


def moment(milliseconds: int | None) -> str | None:
    """Format milliseconds since the epoch as ``2026-03-01 12:00:05``, in UTC."""
    if milliseconds is None:
        return None
    try:
        return f"{_EPOCH + timedelta(milliseconds=milliseconds):%Y-%m-%d %H:%M:%S}"
    except OverflowError:
        return f"{milliseconds} ms"


def minute(milliseconds: int | None) -> str | None:
    """Format milliseconds since the epoch as ``2026-03-01 12:00``, in UTC, for narrow columns."""
    text = moment(milliseconds)
    return text[: len("2026-03-01 12:00")] if text else None


def duration(milliseconds: int | None) -> str | None:
    """Format a duration for people: ``0.4 s``, ``3 m 05 s``, ``2 h 10 m``."""
    if milliseconds is None:
        return None
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} m {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} m"


def size(count: int | None) -> str | None:
    """Format a number of bytes for people: ``512 B``, ``1.5 MiB``."""
    if count is None:
        return None
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def _is_plain(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
