"""Client methods that append to tables of runs and read them.

Guarantees: processes of one machine that append to a table at the same time lose no rows; a table file is replaced
atomically.
"""

import hashlib
import json
import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from registry.blobs.locks import FileLock
from registry.client.artifacts.images import as_pillow, encode_image, is_image, thumbnail
from registry.client.artifacts.run_artifacts import ArtifactMethods
from registry.client.tracking.search import SearchMethods
from registry.exceptions import (
    ArtifactNotFoundError,
    InvalidParameterError,
    InvalidPathError,
    InvalidTypeError,
    StorageError,
)
from registry.settings import cache_directory, current_settings
from registry.validation.names import MAX_RUN_TAG_VALUE, check_run_id
from registry.validation.paths import check_artifact_path

if TYPE_CHECKING:
    import pandas as pd

    from registry.blobs import WritableFiles
    from registry.client.artifacts.table_files import ParquetTable, SplitTable
    from registry.entities import Run

LOGGED_ARTIFACTS: Final = "mlflow.loggedArtifacts"
_FORBIDDEN: Final = frozenset("\"',:[]{}")
_COLUMNS: Final = ("run_id", "experiment_id", "status", "artifact_uri")
_TIMES: Final = ("start_time", "end_time")
_logger = logging.getLogger("registry")


class TableMethods(ArtifactMethods, SearchMethods):
    """Client methods for tables."""

    def log_table(self, run_id: str, data: "Mapping[str, Any] | pd.DataFrame", artifact_file: str) -> None:
        """Append rows to a table of a run; create the table if there is none.

        The file is read and replaced. Processes of one machine take turns; if two machines append to one table at the
        same moment, one may overwrite the other's rows.

        Args:
            run_id: The run's id. It may be finished, but not deleted.
            data: A DataFrame, or a mapping from column to values. A mapping without lists is one row. Columns of images
                (Pillow's, `registry.Image`) are stored as files below ``table_images/``.
            artifact_file: The table's path in the run, ending in ``.json`` or ``.parquet``.

        Raises:
            InvalidParameterError: The file is not a table, or the rows do not fit it.
            InvalidPathError: The path has one of ``" ' , : [ ] { }``.
            MissingDependencyError: ``.parquet`` needs the package pyarrow.
            RunNotFoundError: No run has this id.

        Example:
            >>> client.log_table(run_id, {"game": ["BOS-NYK"], "home_wins": [0.64]}, "predictions.json")
            >>> client.log_table(run_id, {"game": ["LAL-DEN"], "home_wins": [0.41]}, "predictions.json")
            >>> client.load_table("1", "predictions.json", [run_id])
                  game  home_wins
            0  BOS-NYK       0.64
            1  LAL-DEN       0.41
        """
        from registry.client.artifacts.table_files import table_format

        path = _table_path(artifact_file)
        table_type = table_format(path)
        frame = _to_frame(data)
        store = self._writable(run_id)
        rows = table_type.of(_store_images(store, frame, path))
        with _one_at_a_time(f"{store.root}/{path}"):
            if store.find(path) is not None:
                rows = table_type.parse(store.read(path), path).append([rows])  # type: ignore[list-item]  # one format
            store.write(path, rows.dump())
            self._add_to_tag(run_id, path)

    def load_table(
        self,
        experiment_id: str,
        artifact_file: str,
        run_ids: Sequence[str] | None = None,
        extra_columns: Sequence[str] | None = None,
    ) -> "pd.DataFrame":
        """Return a table of an experiment's runs as one DataFrame.

        Args:
            experiment_id: The experiment's id.
            artifact_file: The table's path in each run.
            run_ids: The runs to read. Default: all runs of the experiment that have the table.
            extra_columns: Columns to add from each row's run: ``run_id``, ``experiment_id``, ``status``,
                ``artifact_uri``, ``start_time``, ``end_time``, ``params.<key>``, ``metrics.<key>`` or ``tags.<key>``. A
                column that the table has already gets an underscore at its end.

        Returns:
            The rows of all these tables, newest run first.

        Raises:
            ArtifactNotFoundError: No such run has the table.
            InvalidParameterError: A file is not a table, or runs have no such extra column.

        Example:
            >>> for run in run_ids[:2]:
            ...     client.log_table(run, {"game": ["BOS-NYK"], "home_wins": [0.64]}, "predictions.json")
            >>> client.load_table("1", "predictions.json", extra_columns=["params.max_depth"])
                  game  home_wins params.max_depth
            0  BOS-NYK       0.64                3
            1  BOS-NYK       0.64                2
        """
        from registry.client.artifacts.table_files import table_format

        path = _table_path(artifact_file)
        table_type = table_format(path)
        tables: list[Any] = []
        for run in self._find_runs_with_tables(str(experiment_id), run_ids):
            if (data := self._read_table(run, path)) is not None:
                tables.append(_add_run_columns(table_type.parse(data, path), run, extra_columns or ()))
        if run_ids and len(tables) != len(set(run_ids)):
            _logger.warning("Not all runs have the table %r; those without it are skipped.", path)
        if not tables:
            raise ArtifactNotFoundError(
                f"No run of the experiment {experiment_id}{' among these' if run_ids else ''} has the table {path!r}; "
                "log it with log_table."
            )
        joined = tables[0].append(tables[1:]) if tables[1:] else tables[0]
        frame: pd.DataFrame = joined.frame()
        return frame

    def _find_runs_with_tables(self, experiment_id: str, run_ids: Sequence[str] | None) -> Iterator["Run"]:
        condition = f"tags.`{LOGGED_ARTIFACTS}` IS NOT NULL"
        if run_ids:
            condition += f" AND attributes.run_id IN ({', '.join(repr(check_run_id(run_id)) for run_id in run_ids)})"
        page = self.search_runs([experiment_id], condition)
        yield from page
        while page.token is not None:
            page = self.search_runs([experiment_id], condition, page_token=page.token)
            yield from page

    def _read_table(self, run: "Run", path: str) -> bytes | None:
        listed = _tables_in_tag(run)
        entry = _tag_entry(path)
        if entry not in listed and len(json.dumps([*listed, entry])) <= MAX_RUN_TAG_VALUE:
            return None
        store = self.backend.run_files(run.info.run_id)  # a full tag may omit an existing table
        return store.read(path) if store.find(path) is not None else None

    def _add_to_tag(self, run_id: str, path: str) -> None:
        """Add a table to the run's tag, unless the tag is full: then `load_table` looks for the file itself."""
        listed = _tables_in_tag(self.backend.runs.get(run_id))
        if (entry := _tag_entry(path)) in listed:
            return
        text = json.dumps([*listed, entry])
        if len(text) <= MAX_RUN_TAG_VALUE:
            self.backend.runs.log_batch(run_id, tags={LOGGED_ARTIFACTS: text})


def _tag_entry(path: str) -> dict[str, str]:
    return {"path": path, "type": "table"}


def _tables_in_tag(run: "Run") -> list[Any]:
    """Return the entries of the tag; none, if the tag holds other text."""
    try:
        entries = json.loads(run.data.tags.get(LOGGED_ARTIFACTS, "[]"))
    except (ValueError, RecursionError):
        return []
    return entries if isinstance(entries, list) else []


def _table_path(artifact_file: str) -> str:
    path = check_artifact_path(artifact_file)
    if forbidden := sorted(_FORBIDDEN & set(path)):
        raise InvalidPathError(f"Invalid table file: {path!r} contains forbidden characters: {' '.join(forbidden)}")
    return path


def _to_frame(data: Any) -> "pd.DataFrame":
    import pandas

    if isinstance(data, pandas.DataFrame):
        frame = data
    elif isinstance(data, Mapping):
        frame = _mapping_to_frame(data)
    else:
        raise InvalidTypeError(f"data must be a pandas.DataFrame or a dictionary, not {type(data).__name__}.")
    names = list(frame.columns)
    if not all(isinstance(name, str | int) for name in names) or len(set(names)) < len(names):
        raise InvalidParameterError(
            f"The columns of a table have one text or number each, all different; got {names!r}."
        )
    return frame


def _mapping_to_frame(data: Mapping[str, Any]) -> "pd.DataFrame":
    import pandas
    from pandas.api.types import is_list_like

    if not any(is_list_like(value) for value in data.values()):
        return pandas.DataFrame([dict(data)])
    try:
        return pandas.DataFrame(dict(data))
    except (ValueError, TypeError) as error:
        raise InvalidParameterError(f"The dictionary does not make a table: {error}") from error


def _store_images(store: "WritableFiles", frame: "pd.DataFrame", path: str) -> "pd.DataFrame":
    """Return a copy of the frame with stored paths in place of images."""
    replaced = frame.copy(deep=False)
    for name in frame.columns:
        cells = frame[name].tolist() if frame[name].dtype == object else []
        are_images = [is_image(cell) for cell in cells]
        if any(are_images) and not all(are_images):
            raise InvalidParameterError(f"Column {name!r} contains a mix of images and non-images.")
        if any(are_images):
            stored: list[Any] = [_store_image(store, cell, path) for cell in cells]
            replaced[name] = stored
    return replaced


def _store_image(store: "WritableFiles", image: Any, path: str) -> dict[str, str]:
    name = f"table_images/{path.rpartition('.')[0]}/{uuid.uuid4()}"
    full, small = f"{name}.png", f"{name}.webp"
    pillow_image = as_pillow(image)
    store.write(full, encode_image(pillow_image, full))
    store.write(small, encode_image(thumbnail(pillow_image), small))
    return {"type": "image", "filepath": full, "compressed_filepath": small}


def _add_run_columns(
    table: "SplitTable | ParquetTable", run: "Run", extra: Sequence[str]
) -> "SplitTable | ParquetTable":
    for column in extra:
        value = _run_value(run, column)
        taken = column in table.columns
        if taken:
            _logger.warning("The table has a column %r already; the run's is named %r.", column, f"{column}_")
        table = table.with_column(f"{column}_" if taken else column, value)
    return table


def _run_value(run: "Run", column: str) -> Any:
    if column in _TIMES:
        import pandas

        return pandas.to_datetime(getattr(run.info, column), unit="ms", utc=True)
    if column in _COLUMNS:
        return getattr(run.info, column)
    kind, _, key = column.partition(".")
    if kind not in ("params", "metrics", "tags") or not key:
        raise InvalidParameterError(
            f"Runs have no column {column!r}; they have {', '.join((*_COLUMNS, *_TIMES))}, params.…, metrics.…, tags.…"
        )
    return getattr(run.data, kind).get(key)


@contextmanager
def _one_at_a_time(place: str) -> Iterator[None]:
    """Hold a lock that keeps other threads and processes of this machine from appending to the same table."""
    directory = cache_directory(current_settings()) / "table-locks"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Some tables share a lock, so that the files stay few.
        lock = FileLock.acquire(directory / hashlib.sha256(place.encode()).hexdigest()[:2], create=True)
    except OSError as error:
        raise StorageError(
            f"{directory} cannot be used to keep appends to a table apart: {error.strerror}. "
            "Set REGISTRY_CACHE_DIR to a directory that can be written to."
        ) from error
    with lock:
        yield
