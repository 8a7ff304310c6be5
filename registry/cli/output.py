"""Print results: a table on a terminal, tab-separated lines in a pipe, CSV or JSON when asked for.

The only module of the package that writes to stdout. Results go to stdout; notes, counts, warnings and errors go to
stderr. Guarantees: text on a terminal or in tab-separated lines went through `formatting.visible`, JSON is one document
with nothing beside it, and no character of a value is cut.
"""

import csv
import dataclasses
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from io import TextIOWrapper
from typing import Any, Generic, TextIO, TypeVar

from registry.cli import invocation
from registry.cli.formatting import Duration, Size, Time, bare, cell, one_line, visible

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """A column of a listing: its header, and the function from an item to its value.

    ``whole`` keeps the values on one line, for names and ids that people copy; ``right`` aligns them, for numbers.
    Columns with ``leaves`` leave a narrow terminal, that with the highest number first.
    """

    header: str
    value: Callable[[T], object]
    whole: bool = False
    right: bool = False
    leaves: int = 0


def prepare_streams() -> None:
    """Make every character printable: characters that the stream cannot encode become escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_terminal() -> bool:
    """Tell whether a person reads stdout."""
    return sys.stdout is not None and sys.stdout.isatty()


def is_for_people() -> bool:
    """Tell whether results are tables for a person, rather than lines, CSV, JSON or ids for a program."""
    asked = invocation.current()
    return is_terminal() and not (asked.json or asked.csv or asked.quiet)


def line(text: str = "") -> None:
    """Print text as it is meant, with escapes for characters that a terminal might act on."""
    _write("\n".join(map(visible, text.split("\n"))) + "\n")


def heading(text: str) -> None:
    """Print a bold line, with an empty line before it."""
    _write(f"\n{_bold(visible(text))}\n")


def note(text: str) -> None:
    """Print a remark as one line on stderr; -q leaves it out."""
    if not invocation.current().quiet:
        complain(one_line(text))


def complain(text: str) -> None:
    """Print lines on stderr, whatever -q says; a stderr that is closed or full is passed over."""
    try:
        sys.stderr.write("\n".join(map(visible, text.split("\n"))) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        return


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
    complain(one_line(f"registry: warning: {message}"))


def listing(
    items: Sequence[T],
    columns: Sequence[Column[T]],
    *,
    nothing: str = "Nothing.",
    ids: Callable[[T], object] | None = None,
    document: object = None,
) -> None:
    """Print items: a row each, or an id each with -q, or a JSON array.

    Args:
        items: What to print.
        columns: What a row shows.
        nothing: The note on stderr if there are no items.
        ids: What -q prints of an item; by default the first column.
        document: The JSON document; by default the items themselves.
    """
    asked = invocation.current()
    if asked.json:
        as_json(items if document is None else document)
        return
    if not items:
        note(nothing)
    if asked.quiet:
        _write_lines(items, [Column("", ids)] if ids else columns[:1])
    elif asked.csv:
        rows = [[bare(column.value(item)) for column in columns] for item in items]
        writer = csv.writer(_Lines(), lineterminator="\n")
        writer.writerows([[column.header for column in columns], *rows])
    elif is_terminal():
        if items:
            table(columns, items)
    else:
        if asked.header:
            _write("\t".join(column.header for column in columns) + "\n")
        _write_lines(items, columns)


def table(columns: Sequence[Column[T]], items: Iterable[T]) -> None:
    """Print items as a table, one row each, wherever stdout leads."""
    from registry.cli.tables import Layout, draw

    layouts = [Layout(visible(c.header), c.whole, c.right, c.leaves) for c in columns]
    rows = [[cell(column.value(item)) for column in columns] for item in items]
    drawing = draw(layouts, rows, shutil.get_terminal_size().columns)
    head = [_bold(text) if number == 0 else text for number, text in enumerate(drawing.lines[: drawing.head])]
    _write("".join(f"{text}\n" for text in [*head, *drawing.lines[drawing.head :]]))
    if drawing.left_out:
        note(f"Too narrow for {', '.join(drawing.left_out)}; --csv has every column.")


def record(
    fields: Mapping[str, object],
    title: str | None = None,
    *,
    document: object = None,
    identity: object = None,
) -> None:
    """Print names and values of one thing, a pair a line, or its JSON document, or its id with -q.

    Values are not folded: a path or digest that the terminal wraps is still copied whole.

    Args:
        fields: Names and values.
        title: A heading, on a terminal.
        document: The JSON document; by default the fields.
        identity: What -q prints.
    """
    asked = invocation.current()
    if asked.json:
        as_json(fields if document is None else document)
    elif asked.quiet:
        if identity is not None:
            _write(f"{visible(bare(identity))}\n")
    elif asked.csv:
        writer = csv.writer(_Lines(), lineterminator="\n")
        writer.writerows([list(fields), [bare(value) for value in fields.values()]])
    elif is_terminal():
        if title is not None:
            heading(title)
        shown = {visible(name): cell(value) for name, value in fields.items()}
        width = max(map(len, shown), default=0)
        _write("".join(f"{name:<{width}}  {value}\n" for name, value in shown.items()))
    else:
        _write("".join(f"{visible(name)}\t{visible(bare(value))}\n" for name, value in fields.items()))


def value(text: str, *, document: object = None) -> None:
    """Print one value alone, such as a path or a command line, wherever stdout leads; with --json the document."""
    if invocation.current().json:
        as_json(text if document is None else document)
    else:
        line(text)


def done(sentence: str, *, identity: object = None, document: object = None) -> None:
    """Print what a change did.

    On a terminal the sentence; in a pipe and with -q the id of what it made, if it made something, and the sentence as
    a note; with --json the document.

    Args:
        sentence: What was done; several lines are several sentences.
        identity: The id or number of what was made.
        document: The JSON document; by default the id.
    """
    asked = invocation.current()
    if asked.json:
        as_json({"id": identity} if document is None else document)
    elif is_terminal() and not asked.quiet:
        line(sentence)
    else:
        if identity is not None:
            _write(f"{visible(bare(identity))}\n")
        for text in sentence.split("\n"):
            note(text)


def as_json(value: object) -> None:
    """Print a value as one JSON document: entities as objects, NaN and infinity as text (as in protobuf's JSON)."""
    _write(json.dumps(plain(value), indent=2, allow_nan=False) + "\n")


def plain(value: object) -> Any:
    """Return a value as JSON has it: entities as objects of their fields, times as ISO 8601 with Z."""
    if isinstance(value, Time):
        return value.bare
    if isinstance(value, Size):
        return value.count
    if isinstance(value, Duration):
        return value.milliseconds / 1000
    if isinstance(value, datetime):
        from registry.entities.times import format_time

        return format_time(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def flush() -> None:
    """Write what is buffered, so that a full disk is an error now and not a traceback at exit."""
    if sys.stdout is not None:
        sys.stdout.flush()


class _Lines:
    """A file for `csv.writer`: text for a terminal is escaped, other text is not."""

    def write(self, text: str) -> None:
        _write(visible(text.rstrip("\n")) + "\n" if is_terminal() else text)


def _write(text: str) -> None:
    if sys.stdout is None:
        raise OSError("stdout is closed")
    sys.stdout.write(text)
    if is_terminal():
        sys.stdout.flush()


def _write_lines(items: Iterable[T], columns: Sequence[Column[T]]) -> None:
    for item in items:
        _write("\t".join(visible(bare(column.value(item))) for column in columns) + "\n")


def _bold(text: str) -> str:
    is_styled = is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\x1b[1m{text}\x1b[0m" if is_styled else text
