"""Parse and format times and durations. A time always has a time zone and is kept in UTC; nothing is guessed.

Guarantees: `parse_time(format_time(moment)) == moment` for every aware datetime of the years 1 to 9999.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from registry.exceptions import InvalidParameterError

_ISO: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def parse_time(text: str) -> datetime:
    """Parse an ISO 8601 text with a time zone, such as ``2026-03-01T12:00:00Z``, to a UTC datetime.

    Raises:
        InvalidParameterError: the text has another form or no time zone, or is no valid date.
    """
    match = _ISO.fullmatch(text)
    if match is None:
        raise InvalidParameterError(
            f"{text[:60]!r} is not an ISO time; write it like '2026-03-01T12:00:00Z' or '2026-03-01T12:00:00.25+01:00'."
        )
    if match["zone"] is None:
        raise InvalidParameterError(f"The time {text!r} has no time zone; add 'Z' for UTC or an offset like '+01:00'.")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidParameterError(f"{text!r} is not a valid date and time: {error}.") from error


def parse_time_or_date(text: str) -> datetime:
    """Parse an ISO time as `parse_time` does, or a date such as ``2026-03-01``, which is its beginning in UTC.

    Raises:
        InvalidParameterError: the text has another form or no time zone, or is no valid date.
    """
    return parse_time(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)


def format_time(moment: datetime) -> str:
    """Format an aware datetime: UTC, ``Z``, microseconds only if they are not zero.

    Raises:
        InvalidParameterError: the datetime has no time zone.
    """
    if moment.utcoffset() is None:
        raise InvalidParameterError(f"The time {moment.isoformat()!r} has no time zone; use an aware datetime.")
    return moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def format_milliseconds(milliseconds: int) -> str:
    """Format milliseconds since the epoch as `format_time` does."""
    return format_time(datetime.fromtimestamp(milliseconds / 1000, UTC))


_UNITS: Final = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_DURATION: Final = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,9}}){unit})?" for unit in _UNITS))


def parse_duration(text: str) -> timedelta:
    """Parse a duration: numbers with the units w, d, h, m, s, the largest first, such as ``1d12h``.

    Raises:
        InvalidParameterError: the text has another form, or the duration is too long.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise InvalidParameterError(f"{text[:40]!r} is not a duration; write it like 30d, 12h or 1d2h30m.")
    try:
        return timedelta(**{_UNITS[unit]: int(number) for unit, number in match.groupdict().items() if number})
    except OverflowError:
        raise InvalidParameterError(f"{text!r} is too long a duration; use fewer days.") from None


def check_duration(given: Any, name: str, *, positive: bool = False) -> timedelta:
    """Return a duration that an argument gives as a text or as a timedelta.

    Raises:
        InvalidParameterError: it is neither, or negative, or zero where it must be positive.
    """
    length = parse_duration(given) if isinstance(given, str) else given
    if not isinstance(length, timedelta) or length < timedelta(0) or (positive and not length):
        what = "a positive duration" if positive else "a duration"
        raise InvalidParameterError(f"{name} must be {what} such as '7d', got {given!r:.60}.")
    return length
