"""Print tables for people and JSON for programs. The only module of the package that writes to stdout.

Owns widths, streams and escaping. Guarantees: all printed text went through `formatting.visible` or JSON's own escapes;
JSON output is one document on stdout with nothing beside it.
"""

import dataclasses
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Final, Generic, TextIO, TypeVar

from registry.cli.formatting import cell, one_line, visible

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from registry.entities import PagedList

T = TypeVar("T")

# Without a terminal, lines are as long as needed, so that grep and cut find whole values.
_UNWATCHED_WIDTH: Final = 10_000
# The least width of a column with longer values; a narrower terminal gets a wider table.
_READABLE_WIDTH: Final = 14


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """A column of a listing: its header, and the function from an item to its value.

    ``whole`` keeps the values on one line, for ids that people copy; ``right`` aligns them, for numbers.
    """

    header: str
    value: Callable[[T], object]
    whole: bool = False
    right: bool = False


def prepare_streams() -> None:
    """Make every character printable: characters that the stream cannot encode become escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def line(text: str = "") -> None:
    """Print text, with escapes for characters that a terminal might act on."""
    sys.stdout.write("\n".join(map(visible, text.split("\n"))) + "\n")
    sys.stdout.flush()


def heading(text: str) -> None:
    """Print a bold line, with an empty line before it."""
    line()
    _draw(_text(visible(text), "bold"))


def note(text: str) -> None:
    """Print a remark as one line on stderr."""
    sys.stderr.write(f"{one_line(text)}\n")


def error(text: str) -> None:
    """Print an error as one line on stderr."""
    note(f"registry: {text}")


def warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning as one line on stderr, without its place in the code (signature of `warnings.showwarning`)."""
    del category, filename, lineno, file, line
    note(f"registry: warning: {message}")


def as_json(value: object) -> None:
    """Print a value as one JSON document: entities as objects, NaN and infinity as text (as in protobuf's JSON)."""
    sys.stdout.write(json.dumps(_plain(value), indent=2, allow_nan=False) + "\n")


def listing(items: Sequence[T], columns: Sequence[Column[T]], *, json: bool = False, nothing: str = "Nothing.") -> None:
    """Print items as a table, or as a JSON array with all their fields."""
    if json:
        as_json(items)
    elif not items:
        line(nothing)
    else:
        table(columns, items)


def note_more(page: "PagedList[Any]") -> None:
    """Print a remark if a listing stopped before the end."""
    if page.token:
        note(f"The first {len(page)} are shown; --max-results shows more, --filter picks.")


def table(columns: Sequence[Column[T]], items: Iterable[T]) -> None:
    """Print items as a table, one row each."""
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table

    rows = [[cell(column.value(item)) for column in columns] for item in items]
    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        longest = max(map(cell_len, [column.header, *(row[index] for row in rows)]))
        kept = column.whole or longest <= _READABLE_WIDTH
        drawn.add_column(
            _text(visible(column.header)),
            no_wrap=kept,
            overflow="fold",
            justify="right" if column.right else "left",
            min_width=longest if kept else _READABLE_WIDTH,
        )
    for row in rows:
        drawn.add_row(*map(_text, row))
    _draw(drawn)


def record(fields: Mapping[str, object], title: str | None = None) -> None:
    """Print names and values, one pair a line, under a title if there is one.

    Values are not folded: a path or digest that the terminal wraps is still copied whole.
    """
    if title is not None:
        heading(title)
    shown = {visible(name): cell(value) for name, value in fields.items()}
    width = max(map(len, shown), default=0)
    line("\n".join(f"{name:<{width}}  {value}" for name, value in shown.items()))


def _draw(drawn: "Table | Text") -> None:
    """Print without trailing spaces, and wider than the terminal rather than unreadable."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(file=sys.stdout, width=_UNWATCHED_WIDTH, highlight=False)
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        needed = Measurement.get(console, console.options, drawn).minimum
        console.width = max(needed, shutil.get_terminal_size().columns)
    with console.capture() as captured:
        console.print(drawn)
    sys.stdout.write("".join(f"{printed.rstrip()}\n" for printed in captured.get().splitlines()))


def _text(text: str, style: str = "") -> "Text":
    from rich.text import Text

    return Text(text, style)


def _plain(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
