"""HTML fragments that notebooks show for entities. Pure.

Guarantees: every text is escaped, so that no name or value is markup; a fragment has a bounded size.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import Final

_ROWS: Final = 30
_LENGTH: Final = 300
_BOX: Final = "border:1px solid #8886;border-radius:8px;padding:.6em 1em;max-width:60em;overflow-wrap:anywhere"
_CELL: Final = "text-align:left;vertical-align:top;padding:.1em .8em .1em 0"


def card(title: str, facts: Mapping[str, object], tables: Mapping[str, Mapping[str, object]]) -> str:
    """Return a box with a title, facts, and a folded table for each group of values; empty groups are left out."""
    groups = "".join(
        f"<details><summary>{_text(name)} ({len(values)})</summary>{_table(values)}</details>"
        for name, values in tables.items()
        if values
    )
    return f'<div style="{_BOX}"><strong>{_text(title)}</strong>{_table(facts)}{groups}</div>'


def moment(milliseconds: int | None) -> str:
    """Return a time (milliseconds since the epoch) as text in UTC, or a dash."""
    if milliseconds is None:
        return "–"
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, OSError, ValueError):
        return f"{milliseconds} ms"


def _table(values: Mapping[str, object]) -> str:
    rows = "".join(
        f'<tr><th style="{_CELL}">{_text(name)}</th><td style="{_CELL}">{_text(value)}</td></tr>'
        for name, value in list(values.items())[:_ROWS]
    )
    more = f"<p>and {len(values) - _ROWS} more</p>" if len(values) > _ROWS else ""
    return f"<table>{rows}</table>{more}"


def _text(value: object) -> str:
    text = "–" if value is None else repr(value) if isinstance(value, float) else str(value)
    return escape(text if len(text) <= _LENGTH else f"{text[: _LENGTH - 1]}…")
