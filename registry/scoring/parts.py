"""The parts of a scoring job: which file becomes which, which are done, and the scoring of one.

A scored file says in its Parquet metadata what it was made of. Guarantees: a part is done if and only if its file is
there, and a file that another model, other columns or other data made is never taken for it.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from registry.exceptions import (
    ArtifactNotFoundError,
    InvalidModelError,
    InvalidParameterError,
    PathExistsError,
    RegistryError,
    StorageError,
)
from registry.flavors.optional_imports import optional_import
from registry.scoring.predictor import Predictor
from registry.scoring.storage import DataFiles, open_files

if TYPE_CHECKING:
    import pyarrow.parquet

_KEY: Final = b"registry.scoring"
_FOOTER: Final = 64 * 1024
_BATCH_ROWS: Final = 128 * 1024
_BATCH_BYTES: Final = 64 * 1024 * 1024
_READ_BYTES: Final = 1024 * 1024
_GLOB: Final = "*?["


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the data and the file of its predictions."""

    source: DataFiles
    source_path: str
    target: DataFiles
    target_path: str
    size: int

    @property
    def shown(self) -> str:
        """Return the file's location, for messages."""
        return f"{self.source.root}/{self.source_path}"


@dataclass(frozen=True, slots=True)
class ScoredPart:
    """A part that is done: its rows, and its size before."""

    rows: int
    size: int


def list_parts(source: str, target: str) -> list[Part]:
    """Return the parts of a file, a directory or a glob.

    A file becomes the file `target`, or a file in the directory `target`; the files of a directory or a glob become
    files of the same relative paths below `target`.

    Raises:
        ArtifactNotFoundError: There are no data.
        InvalidParameterError: The target is inside the data.
    """
    into = open_files(target.rstrip("/") or "/")
    parent, _, name = source.rstrip("/").rpartition("/")
    found = open_files(source.rstrip("/") or "/")
    single = open_files(parent or ("/" if source.startswith("/") else "."))
    if name and single.kind(name) == "file":
        if target.endswith("/") or into.kind("") == "directory":
            return [_part(single, name, into, name, single.size(name))]
        target_parent, _, target_name = target.rpartition("/")
        beside = open_files(target_parent or ("/" if target.startswith("/") else "."))
        return [_part(single, name, beside, target_name, single.size(name))]
    if any(sign in source for sign in _GLOB) and found.kind("") == "nothing":
        segments = source.split("/")
        first = next(at for at, segment in enumerate(segments) if any(sign in segment for sign in _GLOB))
        found = open_files("/".join(segments[:first]) or ("/" if source.startswith("/") else "."))
        pattern = segments[first:]
    else:
        pattern = ["**"]
    if f"{into.root}/".startswith(f"{found.root}/"):
        raise InvalidParameterError(
            f"The target {into.root} is inside the data {found.root}: the next run would score its own results. Give a "
            "directory elsewhere."
        )
    parts = [
        _part(found, path, into, path, size)
        for path, size in found.walk()
        if _is_data(path) and _matches(path.split("/"), pattern)
    ]
    if not parts:
        raise ArtifactNotFoundError(f"There is no Parquet file at {source}. Give a file, a directory or a glob.")
    return parts


def _part(source: DataFiles, path: str, target: DataFiles, target_path: str, size: int) -> Part:
    if (source.root, path) == (target.root, target_path):
        raise InvalidParameterError(f"{source.root}/{path} is the data and the target. Give another target.")
    return Part(source, path, target, target_path, size)


def _is_data(path: str) -> bool:
    """Tell whether a file holds data: engines keep other things in names with ``_`` and ``.``."""
    hidden = any(segment.startswith((".", "_")) for segment in path.split("/"))
    return not hidden and path.lower().endswith((".parquet", ".pq"))


def _matches(path: list[str], pattern: list[str]) -> bool:
    """Tell whether a path fits a glob, segment by segment; ``**`` stands for any number of them."""
    if not pattern or not path:
        return pattern in ([], ["**"]) and not path
    if pattern[0] == "**":
        return _matches(path, pattern[1:]) or _matches(path[1:], pattern)
    return fnmatchcase(path[0], pattern[0]) and _matches(path[1:], pattern[1:])


def find_scored(part: Part, predictor: Predictor) -> ScoredPart | None:
    """Return a part that was scored before, or None.

    Raises:
        PathExistsError: Its file is there, but something else made it, or a directory is in its place.
    """
    kind = part.target.kind(part.target_path)
    if kind == "nothing":
        return None
    if kind == "directory":
        raise PathExistsError(
            f"{part.target.root}/{part.target_path} is a directory; a file of predictions cannot take its place. Score "
            "into another place."
        )
    metadata = _read_footer(part)
    found = json.loads((metadata.metadata or {}).get(_KEY, b"null")) if metadata else None
    expected = _identity(part, predictor)
    if metadata is not None and found == expected:
        return ScoredPart(metadata.num_rows, part.size)
    raise PathExistsError(
        f"{part.target.root}/{part.target_path} exists and {_difference(found, expected)}. Score into another place, "
        "or overwrite it: overwrite=True, --overwrite."
    )


def _read_footer(part: Part) -> "pyarrow.parquet.FileMetaData | None":
    """Return the metadata of a part's file, or None if it is not Parquet. Only the end of the file is read."""
    parquet = optional_import("pyarrow.parquet", "arrow")
    end = part.target.read_end(part.target_path, _FOOTER)
    if len(end) < 8 or end[-4:] != b"PAR1":
        return None
    length = int.from_bytes(end[-8:-4], "little") + 8
    if length > len(end):
        end = part.target.read_end(part.target_path, length)
    try:
        return parquet.read_metadata(BytesIO(end))
    except (OSError, ValueError):
        return None


def _identity(part: Part, predictor: Predictor) -> dict[str, Any]:
    return {**predictor.identity, "source": part.source_path, "stamp": part.source.stamp(part.source_path)}


def _difference(found: Any, expected: dict[str, Any]) -> str:
    if not isinstance(found, dict):
        return "is not the result of scoring"
    if found.get("digest") != expected["digest"]:
        return (
            f"was scored with the model {str(found.get('digest'))[:12]}, not {expected['digest'][:12]}: the stage or "
            "alias may have moved; name the version to go on with the earlier one"
        )
    if (found.get("source"), found.get("stamp")) != (expected["source"], expected["stamp"]):
        return "was scored from other data"
    return "was scored with other options"


def score_part(part: Part, predictor: Predictor, advance: Callable[[int], None]) -> ScoredPart:
    """Score one file, batch by batch, and move the result into place.

    `advance` is told the bytes of the file, as they are worked off.

    Raises:
        InvalidParameterError: The file is not Parquet, or does not fit the model.
        InvalidModelError: The model failed.
        StorageError: A file cannot be read or written.
    """
    parquet = optional_import("pyarrow.parquet", "arrow")
    identity = json.dumps(_identity(part, predictor)).encode()
    with part.source.reading(part.source_path) as source, _read_errors(part):
        # Neither mapped, nor read ahead by row groups: engines end a worker whose resident memory grows.
        with parquet.ParquetFile(source, buffer_size=_READ_BYTES, pre_buffer=False) as file:
            total, done, told = file.metadata.num_rows, 0, 0
            with part.target.writing(part.target_path) as target, contextlib.ExitStack() as stack:
                writer = None
                for batch in _batches(file, predictor, part):
                    result = _score(predictor, batch, part, done)
                    if writer is None:
                        schema = result.schema.with_metadata({**(result.schema.metadata or {}), _KEY: identity})
                        writer = stack.enter_context(parquet.ParquetWriter(target, schema))
                    writer.write_table(_cast(result, writer.schema, part))
                    done += result.num_rows
                    share = part.size * done // total if total else part.size
                    advance(share - told)
                    told = share
    return ScoredPart(done, part.size)


def _batches(file: Any, predictor: Predictor, part: Part) -> Iterator[Any]:
    """Yield the file's tables of some megabytes; an empty one if it has no rows.

    Raises:
        InvalidParameterError: A column to keep is missing.
    """
    pa = optional_import("pyarrow", "arrow")
    schema = file.schema_arrow
    if missing := [name for name in predictor.kept_columns if name not in schema.names]:
        raise InvalidParameterError(
            f"{part.shown} has no column {missing[0]!r} to keep; it has {sorted(schema.names)}."
        )
    columns = predictor.columns_to_read
    if columns is not None:
        columns = [name for name in columns if name in schema.names]
    width = len(columns if columns is not None else schema.names)
    rows = max(1024, min(_BATCH_ROWS, _BATCH_BYTES // (8 * max(1, width))))
    if not file.metadata.num_rows:
        yield schema.empty_table().select(columns if columns is not None else schema.names)
    for batch in file.iter_batches(rows, columns=columns, use_threads=predictor.nthread != 1):
        yield pa.Table.from_batches([batch])


def _score(predictor: Predictor, table: Any, part: Part, first: int) -> Any:
    rows = f"rows {first} to {first + table.num_rows} of {part.shown}"
    try:
        return predictor(table)
    except RegistryError as error:
        raise type(error)(f"{rows}: {error.message}") from error
    except Exception as error:
        text = (str(error).splitlines() or [""])[0]
        raise InvalidModelError(f"The model failed on {rows}: {type(error).__name__}: {text}") from error


def _cast(table: Any, schema: Any, part: Part) -> Any:
    pa = optional_import("pyarrow", "arrow")
    try:
        return table.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise InvalidModelError(
            f"The model's predictions for {part.shown} change their type from {schema.names} {schema.types} to "
            f"{table.schema.types}: {error}. Parquet needs one type per column."
        ) from error


@contextlib.contextmanager
def _read_errors(part: Part) -> Iterator[None]:
    pa = optional_import("pyarrow", "arrow")
    try:
        yield
    except RegistryError:
        raise
    except (pa.ArrowException, OSError) as error:
        text = (str(error).splitlines() or [""])[0]
        if isinstance(error, OSError) and not isinstance(error, pa.ArrowException) and error.errno:
            raise StorageError(
                f"{part.shown} cannot be scored: {text}. Check the disk, the rights and the space."
            ) from error
        raise InvalidParameterError(f"{part.shown} cannot be read as Parquet: {text.rstrip('.')}.") from error
