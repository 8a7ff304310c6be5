"""Format times, numbers, sizes and Markdown for pages. Pure.

Guarantees: whatever a text holds, the result has no markup but ours.
"""

import functools
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from registry.entities.history import moment_of

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
MAX_MARKDOWN: Final = 100_000


def us(microseconds: int | None) -> str:
    """Return a moment (microseconds since the epoch) as a ``time`` element; the browser shows the reader's zone."""
    if microseconds is None:
        return "–"
    try:
        moment = moment_of(microseconds)
    except OverflowError:
        return f"{microseconds} µs"
    iso = moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{moment.microsecond // 1000:03d}Z"
    shown = moment.strftime("%Y-%m-%d %H:%M UTC")
    title = moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(iso, title, shown)


def ms(milliseconds: int | None) -> str:
    """Return a moment (milliseconds since the epoch) as `us` does."""
    return us(None if milliseconds is None else milliseconds * 1000)


def ago(microseconds: int, now: datetime | None = None) -> str:
    """Return how long ago a moment (microseconds since the epoch) was: ``3 h``."""
    try:
        return span((now or datetime.now(UTC)) - moment_of(microseconds))
    except OverflowError:
        return "–"


def span(duration: timedelta) -> str:
    """Return a duration in its largest unit: ``45 s``, ``12 min``, ``3 h``, ``8 d``."""
    seconds = max(0.0, duration.total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"


def duration(milliseconds: int) -> str:
    """Return a duration with two units: ``4.2 s``, ``3 min 05 s``, ``2 h 07 min``, ``3 d 4 h``."""
    seconds = max(0, milliseconds) / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def number(value: float | None) -> str:
    """Return a number with at most six significant digits."""
    if value is None:
        return "–"
    if isinstance(value, int) and abs(value) < 10**15:
        return str(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.6g}"


def figure(text: str) -> str:
    """Return a text as it is, or if it is a decimal fraction with at most six significant digits."""
    try:
        return number(float(text)) if "." in text else text
    except ValueError:
        return text


def size(count: int | None) -> str:
    """Return a number of bytes: ``1.5 MiB``."""
    if count is None:
        return "–"
    amount, unit = float(count), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{count} B" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"


def short(text: str, length: int = 12) -> str:
    """Return the beginning of an id or digest."""
    return text if len(text) <= length else f"{text[:length]}…"


def cut(text: str, length: int = 200) -> str:
    """Return at most so many characters of a text."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def count(number_of: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: ``1 run``, ``2 runs``."""
    return f"{number_of:,} {noun if number_of == 1 else plural or noun + 's'}"


def markdown(text: str | None) -> str:
    """Return Markdown as markup: no HTML of the text's own, no images, links only to http, https and mailto."""
    if not text:
        return ""
    if len(text) > MAX_MARKDOWN:
        return Markup("<pre>{}</pre>").format(escape(text))
    # The renderer escapes every text and attribute; `html` is off, so that tags in the text are text.
    return Markup(_renderer().render(text))  # noqa: S704


@functools.cache
def _renderer() -> MarkdownIt:
    renderer = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable("table").disable("image")
    renderer.validateLink = _is_outer_link  # type: ignore[method-assign]
    return renderer


def _is_outer_link(url: str) -> bool:
    return url.lower().startswith(("http://", "https://", "mailto:"))


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "us": us,
    "ms": ms,
    "ago": ago,
    "duration": duration,
    "number": number,
    "figure": figure,
    "size": size,
    "short": short,
    "cut": cut,
    "count": count,
    "markdown": markdown,
}
