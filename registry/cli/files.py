"""FILE arguments: a path, or ``-`` for stdin or stdout."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

from registry.cli import output
from registry.exceptions import ArtifactNotFoundError, StorageError, disk_error

STREAM: Final = "-"


def read_text(file: str, what: str) -> str:
    """Return the text of a file or of stdin.

    Raises:
        ArtifactNotFoundError: There is no such file.
        StorageError: It cannot be read, or is not UTF-8.
    """
    stdin = _stdin(what) if file == STREAM else None
    try:
        return Path(file).read_text(encoding="utf-8") if stdin is None else stdin.read()
    except FileNotFoundError as error:
        raise ArtifactNotFoundError(f"{what} cannot be read: there is no file {file!r}.") from error
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StorageError(f"{what} cannot be read from {file!r}: {reason}.") from error


@contextlib.contextmanager
def open_input(file: str, what: str, suffix: str = "") -> Iterator[Path]:
    """Give the path of a file; stdin is copied to a temporary file first."""
    if file != STREAM:
        yield Path(file)
        return
    stdin = _stdin(what).buffer
    with tempfile.TemporaryDirectory(prefix="registry-") as directory:
        copy = Path(directory) / f"stdin{suffix}"
        try:
            with copy.open("wb") as target:
                shutil.copyfileobj(stdin, target)
        except OSError as error:
            raise disk_error(f"{what} cannot be read from stdin: {error}.", error) from error
        yield copy


@contextlib.contextmanager
def create_output(file: str, suffix: str = "") -> Iterator[Path]:
    """Give the path of a file to write; for ``-`` its bytes go to stdout when it is complete."""
    if file != STREAM:
        yield Path(file)
        return
    if sys.stdout is None:
        raise OSError("stdout is closed")
    with tempfile.TemporaryDirectory(prefix="registry-") as directory:
        written = Path(directory) / f"stdout{suffix}"
        yield written
        output.flush()
        with written.open("rb") as source:
            shutil.copyfileobj(source, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _stdin(what: str) -> TextIO:
    """Return stdin, after telling a person that it is read."""
    if sys.stdin is None:
        raise StorageError(f"{what} cannot be read: stdin is closed.")
    if sys.stdin.isatty():
        output.note(f"Reading {what[0].lower()}{what[1:]} from stdin; end with Ctrl-D.")
    return sys.stdin
