"""Lay out a table for a terminal. Pure.

A column is whole or folded at blanks, and may leave when the terminal is narrow. What fits in no way is printed as
blocks of one line per value. Guarantees: no character of a cell is lost; no word and no whole column is broken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len

_GAP: Final = "  "
_LEAST_FOLDED: Final = 12


@dataclass(frozen=True, slots=True)
class Layout:
    """How one column is drawn: whole or folded, to the right or left, and how early it leaves a narrow terminal."""

    header: str
    whole: bool = False
    right: bool = False
    leaves: int = 0


@dataclass(frozen=True, slots=True)
class Drawing:
    """The lines of a table, how many of them are the head, and the headers of columns that left."""

    lines: list[str]
    head: int
    left_out: list[str]


def draw(layouts: Sequence[Layout], rows: Sequence[Sequence[str]], width: int) -> Drawing:
    """Draw rows as a table within the width, or as blocks if the whole columns alone are wider."""
    shown = list(range(len(layouts)))
    left_out: list[str] = []
    while True:
        widths = _fit([layouts[i] for i in shown], [[row[i] for i in shown] for row in rows], width)
        if widths is not None:
            break
        leaving = max(shown, key=lambda i: layouts[i].leaves)
        if not layouts[leaving].leaves or len(shown) == 1:
            return Drawing(_blocks(layouts, rows), 0, [])
        shown.remove(leaving)
        left_out.append(layouts[leaving].header)
    columns = [layouts[i] for i in shown]
    lines = [_line([column.header for column in columns], columns, widths)]
    lines.append("─" * (sum(widths) + len(_GAP) * (len(widths) - 1)))
    for row in rows:
        folded = [
            [row[i]] if column.whole else fold(row[i], space)
            for i, column, space in zip(shown, columns, widths, strict=True)
        ]
        for number in range(max(map(len, folded))):
            pieces = [piece[number] if number < len(piece) else "" for piece in folded]
            lines.append(_line(pieces, columns, widths))
    return Drawing(lines, 2, left_out)


def fold(text: str, width: int) -> list[str]:
    """Break a text at blanks into lines of at most `width` cells; a word that is longer stays whole."""
    lines: list[str] = []
    line: str | None = None
    for word in text.split(" "):
        joined = word if line is None else f"{line} {word}"
        if line is not None and cell_len(joined) > width:
            lines.append(line)
            joined = word
        line = joined
    return [*lines, line or ""]


def _fit(columns: Sequence[Layout], rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Return the width of each column, or None if they do not fit."""
    natural = [max(map(cell_len, [column.header, *(row[i] for row in rows)])) for i, column in enumerate(columns)]
    least = [
        wide if column.whole else min(wide, max(_longest_word(column.header, [row[i] for row in rows]), _LEAST_FOLDED))
        for i, (column, wide) in enumerate(zip(columns, natural, strict=True))
    ]
    room = width - len(_GAP) * (len(columns) - 1)
    if sum(least) > room:
        return None
    # Give room to the narrowest first, so that only the longest columns are folded.
    widths = list(least)
    spare = room - sum(least)
    waiting = sorted((i for i in range(len(columns)) if natural[i] > least[i]), key=lambda i: natural[i] - least[i])
    for position, i in enumerate(waiting):
        more = min(natural[i] - least[i], spare // (len(waiting) - position))
        widths[i] += more
        spare -= more
    return widths


def _longest_word(header: str, texts: Sequence[str]) -> int:
    return max(cell_len(header), *(cell_len(word) for text in texts for word in text.split(" ")))


def _line(pieces: Sequence[str], columns: Sequence[Layout], widths: Sequence[int]) -> str:
    padded = []
    for piece, column, width in zip(pieces, columns, widths, strict=True):
        blanks = " " * (width - cell_len(piece))
        padded.append(blanks + piece if column.right else piece + blanks)
    return _GAP.join(padded).rstrip(" ")


def _blocks(layouts: Sequence[Layout], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return each row as lines of a header and its value, with an empty line between rows."""
    wide = max(cell_len(layout.header) for layout in layouts)
    lines: list[str] = []
    for row in rows:
        if lines:
            lines.append("")
        for layout, value in zip(layouts, row, strict=True):
            lines.append(f"{layout.header}{' ' * (wide - cell_len(layout.header))}{_GAP}{value}".rstrip(" "))
    return lines


__all__ = ["Drawing", "Layout", "draw", "fold"]
