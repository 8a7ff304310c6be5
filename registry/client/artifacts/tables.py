"""Tables of a run: MLflow's `log_table` and `load_table`.

Owns appending and the tag that says which tables a run has; leaves the form of the files to `table_files`. Invariant:
of the processes of one machine, none loses the rows that another appends at the same time; a table is replaced whole.
"""

import hashlib
import json
import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from registry.blobs import WritableFiles
from registry.blobs.locks import FileLock
from registry.client.artifacts.images import as_pillow, encoded, is_image, thumbnail
from registry.client.artifacts.run_artifacts import ArtifactMethods
from registry.client.artifacts.table_files import ParquetTable, SplitTable, table_form
from registry.client.tracking.search import SearchMethods
from registry.entities import Run
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

LOGGED_ARTIFACTS: Final = "mlflow.loggedArtifacts"
_FORBIDDEN: Final = frozenset("\"',:[]{}")
_COLUMNS: Final = ("run_id", "experiment_id", "status", "artifact_uri")
_TIMES: Final = ("start_time", "end_time")
_logger = logging.getLogger("registry")


class TableMethods(ArtifactMethods, SearchMethods):
    """What a client does with tables."""

    def log_table(self, run_id: str, data: "Mapping[str, Any] | pd.DataFrame", artifact_file: str) -> None:
        """Append rows to a table of a run, which is made if there is none; ``.json`` or ``.parquet``.

        A mapping is columns, or one row if no value is a list. Columns of pictures (Pillow's, `registry.Image`) are
        stored as files below ``table_images/``.

        The file is read, and replaced whole. Processes of one machine wait for each other; of two machines that append
        to the same table at the same moment, one may overwrite the other's rows.

        Raises:
            InvalidParameterError: the file is no such table, or the rows do not fit it.
            InvalidPathError: the name has one of ``" ' , : [ ] { }``.
            MissingDependencyError: ``.parquet`` needs pyarrow.
        """
        path = _table_path(artifact_file)
        form = table_form(path)
        frame = _frame(data)
        store = self._writable(run_id)
        rows = form.of(_with_stored_images(store, frame, path))
        with _one_at_a_time(f"{store.root}/{path}"):
            if store.find(path) is not None:
                rows = form.parse(store.read(path), path).append([rows])  # type: ignore[list-item]  # both of one form
            store.write(path, rows.dump())
            self._note_table(run_id, path)

    def load_table(
        self,
        experiment_id: str,
        artifact_file: str,
        run_ids: Sequence[str] | None = None,
        extra_columns: Sequence[str] | None = None,
    ) -> "pd.DataFrame":
        """A table of all runs of an experiment that have it, or of some of them, newest run first, as one data frame.

        `extra_columns` are added to each row from its run: ``run_id``, ``status``, ``start_time``, ``params.…``,
        ``metrics.…``, ``tags.…``; one that the table has already gets an underscore at its end.

        Raises:
            ArtifactNotFoundError: no such run has the table.
            InvalidParameterError: a file is no table, or an extra column is none that runs have.
        """
        path = _table_path(artifact_file)
        form = table_form(path)
        tables: list[Any] = []
        for run in self._runs_with_tables(str(experiment_id), run_ids):
            if (data := self._table_of(run, path)) is not None:
                tables.append(_extended(form.parse(data, path), run, extra_columns or ()))
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

    def _runs_with_tables(self, experiment_id: str, run_ids: Sequence[str] | None) -> Iterator[Run]:
        condition = f"tags.`{LOGGED_ARTIFACTS}` IS NOT NULL"
        if run_ids:
            condition += f" AND attributes.run_id IN ({', '.join(repr(check_run_id(run_id)) for run_id in run_ids)})"
        page = self.search_runs([experiment_id], condition)
        yield from page
        while page.token is not None:
            page = self.search_runs([experiment_id], condition, page_token=page.token)
            yield from page

    def _table_of(self, run: Run, path: str) -> bytes | None:
        listed = _listed(run)
        entry = _entry(path)
        if entry not in listed and len(json.dumps([*listed, entry])) <= MAX_RUN_TAG_VALUE:
            return None
        store = self.backend.blobs(run.info.artifact_uri)  # a full tag may leave out a table that is there
        return store.read(path) if store.find(path) is not None else None

    def _note_table(self, run_id: str, path: str) -> None:
        """Add a table to the run's tag, unless the tag is full: then `load_table` looks for the file itself."""
        listed = _listed(self.backend.runs.get(run_id))
        if (entry := _entry(path)) in listed:
            return
        text = json.dumps([*listed, entry])
        if len(text) <= MAX_RUN_TAG_VALUE:
            self.backend.runs.log_batch(run_id, tags={LOGGED_ARTIFACTS: text})


def _entry(path: str) -> dict[str, str]:
    return {"path": path, "type": "table"}


def _listed(run: Run) -> list[Any]:
    """What the tag lists; nothing, if someone wrote another text there."""
    try:
        found = json.loads(run.data.tags.get(LOGGED_ARTIFACTS, "[]"))
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []


def _table_path(artifact_file: str) -> str:
    path = check_artifact_path(artifact_file)
    if found := sorted(_FORBIDDEN & set(path)):
        raise InvalidPathError(f"Invalid table file: {path!r} contains forbidden characters: {' '.join(found)}")
    return path


def _frame(data: Any) -> "pd.DataFrame":
    import pandas

    if isinstance(data, pandas.DataFrame):
        frame = data
    elif isinstance(data, Mapping):
        frame = _columns(data)
    else:
        raise InvalidTypeError(f"data must be a pandas.DataFrame or a dictionary, not {type(data).__name__}.")
    names = list(frame.columns)
    if not all(isinstance(name, str | int) for name in names) or len(set(names)) < len(names):
        raise InvalidParameterError(
            f"The columns of a table have one text or number each, all different; got {names!r}."
        )
    return frame


def _columns(data: Mapping[str, Any]) -> "pd.DataFrame":
    import pandas
    from pandas.api.types import is_list_like

    if not any(is_list_like(value) for value in data.values()):
        return pandas.DataFrame([dict(data)])
    try:
        return pandas.DataFrame(dict(data))
    except (ValueError, TypeError) as error:
        raise InvalidParameterError(f"The dictionary does not make a table: {error}") from error


def _with_stored_images(store: WritableFiles, frame: "pd.DataFrame", path: str) -> "pd.DataFrame":
    """The frame with what names its pictures in their place; the caller's own is left as it is."""
    own = frame.copy(deep=False)
    for name in frame.columns:
        cells = frame[name].tolist() if frame[name].dtype == object else []
        pictures = [is_image(cell) for cell in cells]
        if any(pictures) and not all(pictures):
            raise InvalidParameterError(f"Column {name!r} contains a mix of images and non-images.")
        if any(pictures):
            stored: list[Any] = [_store_image(store, cell, path) for cell in cells]
            own[name] = stored
    return own


def _store_image(store: WritableFiles, image: Any, path: str) -> dict[str, str]:
    name = f"table_images/{path.rpartition('.')[0]}/{uuid.uuid4()}"
    whole, small = f"{name}.png", f"{name}.webp"
    picture = as_pillow(image)
    store.write(whole, encoded(picture, whole))
    store.write(small, encoded(thumbnail(picture), small))
    return {"type": "image", "filepath": whole, "compressed_filepath": small}


def _extended(table: SplitTable | ParquetTable, run: Run, extra: Sequence[str]) -> SplitTable | ParquetTable:
    for column in extra:
        value = _value_of(run, column)
        taken = column in table.columns
        if taken:
            _logger.warning("The table has a column %r already; the run's is named %r.", column, f"{column}_")
        table = table.with_column(f"{column}_" if taken else column, value)
    return table


def _value_of(run: Run, column: str) -> Any:
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
    """Keep other threads and processes of this machine from appending to the same table."""
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
