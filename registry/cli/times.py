"""Times as the command line takes them: ISO 8601, a date, or how long ago."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from registry.entities.times import format_time, parse_duration, parse_time_or_date
from registry.exceptions import InvalidParameterError

_WORDS: Final = {"now": 0, "today": 0, "yesterday": 1}


def parse_moment(text: str | None) -> datetime | None:
    """Return the moment of ``2026-03-01T12:00:00Z``, ``2026-03-01`` (its beginning in UTC) or ``7d`` (ago).

    Raises:
        InvalidParameterError: The text has none of these forms.
    """
    if text is None:
        return None
    now = datetime.now(UTC)
    if text.lower() in _WORDS:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=_WORDS[text.lower()])
        return now if text.lower() == "now" else midnight
    try:
        return now - parse_duration(text.removeprefix("-"))
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
    except InvalidParameterError:
        if not re.match(r"[0-9]{4}-", text):
            raise InvalidParameterError(
                f"{text[:40]!r} is no time. Write a date (2026-03-01), a time (2026-03-01T12:00:00Z), "
                "or how long ago (30d, 12h)."
            ) from None
    return parse_time_or_date(text)


def parse_age(text: str) -> str:
    """Return how long ago a time was, in the form of a duration: ``30d`` as it is, a date as seconds until now.

    Raises:
        InvalidParameterError: The text is neither a duration nor a time, or the time is in the future.
    """
    try:
        parse_duration(text)
    except InvalidParameterError:
        moment = parse_moment(text)
        assert moment is not None  # noqa: S101 - only None has none
        seconds = (datetime.now(UTC) - moment).total_seconds()
        if seconds < 0:
            raise InvalidParameterError(f"The time {text!r} is in the future.") from None
        return f"{int(seconds)}s"
    return text


_AGO: Final = re.compile(
    r"(?P<field>\b(?:start_time|end_time|created|creation_time|creation_timestamp|last_update_time|"
    r"last_updated_timestamp)\b`?\s*(?:[<>]=?|!?=)\s*)(?P<quote>['\"])-?(?P<ago>(?:[0-9]+[wdhms])+)(?P=quote)"
)


def expand_filter(filter_string: str | None) -> str | None:
    """Return a filter in which times such as ``start_time > '7d'`` are moments: its pages must mean the same one."""
    if filter_string is None:
        return None

    def moment(match: re.Match[str]) -> str:
        return f"{match['field']}'{format_time(parse_moment(match['ago']) or datetime.now(UTC))}'"

    return _AGO.sub(moment, filter_string)
