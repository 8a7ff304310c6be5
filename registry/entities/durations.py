"""Lengths of time as people write them: ``30d``, ``12h``, ``1d2h30m``."""

import re
from datetime import timedelta
from typing import Final

from registry.exceptions import InvalidParameterError

_UNITS: Final = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_DURATION: Final = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,9}}){unit})?" for unit in _UNITS))


def parse_duration(text: str) -> timedelta:
    """The length of time that a text names: numbers with the units w, d, h, m, s, the largest first.

    Raises:
        InvalidParameterError: the text has another form, or is too long a time.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise InvalidParameterError(f"{text[:40]!r} is not a length of time; write it like 30d, 12h or 1d2h30m.")
    try:
        return timedelta(**{_UNITS[unit]: int(number) for unit, number in match.groupdict().items() if number})
    except OverflowError:
        raise InvalidParameterError(f"{text!r} is longer than any window can be; use fewer days.") from None
