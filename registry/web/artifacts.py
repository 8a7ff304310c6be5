"""The files of runs and versions: found, previewed and sent.

Guarantees: a file's bytes are sent as a type that a browser runs nothing of: images, plain text, or an attachment. HTML
is shown in a frame without scripts, origin and network. The answer's own policy says so too, for whoever opens the
address by itself. A preview reads a bounded part of a file.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from registry.client import MlflowClient
from registry.client.artifacts.downloads import StoredFiles, find_run_files
from registry.client.artifacts.run_artifacts import run_artifact
from registry.entities.manifest import ManifestEntry
from registry.entities.model_registry import ResolvedModel
from registry.exceptions import ArtifactNotFoundError
from registry.web.files import StoredFile, send_file
from registry.web.formatting import MAX_MARKDOWN
from registry.web.pages import client_of, site_of

MAX_TEXT: Final = 500_000
MAX_WHOLE: Final = 32 * 1024 * 1024
MAX_ROWS: Final = 200
MAX_COLUMNS: Final = 60
MAX_CELL: Final = 200
_IMAGES: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".avif": "image/avif",
}
# An image element runs no script of an SVG, but its address opened by itself would; so it is an attachment.
_SVG: Final = ".svg"
_PAGES: Final = (".html", ".htm")
_TEXTS: Final = frozenset(
    ".txt .log .py .yaml .yml .toml .cfg .ini .sh .sql .r .xml .json .jsonl .csv .tsv .md .markdown .rst .env .html "
    ".htm .ipynb .c .h .js .css .diff .patch".split()
)
_TEXT_NAMES: Final = frozenset({"MLmodel", "Dockerfile", "Makefile", "LICENSE", "README"})
_POLICY: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self' {hosts}"


@dataclass(frozen=True, slots=True)
class Table:
    """The first rows and columns of a table, as text; `more` says what is left out."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    more: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What is shown of a file: `kind` is text, markdown, table, image, page or none."""

    kind: str
    text: str = ""
    table: Table | None = None
    note: str = ""


def find_file(client: MlflowClient, run_id: str, path: str) -> StoredFile | None:
    """Return the file at a path of a run; None if there is none, or a directory.

    Raises:
        RunNotFoundError: The run does not exist.
        InvalidPathError: The path leads out of the run's files.
    """
    uri = run_artifact(run_id, path)
    inner = uri.path
    if not inner:
        return None
    for files in reversed(find_run_files(client, uri)):
        if isinstance(files, StoredFiles):
            info = files.store.find(inner)
            if info is not None and not info.is_dir:
                return StoredFile(inner, files.store, inner, info.file_size or 0)
        elif file := find_sealed_file(client, files.resolved, inner.removeprefix(files.prefix)):
            return replace(file, name=inner)
    return None


def find_sealed_file(client: MlflowClient, model: ResolvedModel, path: str) -> StoredFile | None:
    """Return the file at a path of a sealed model; None if its manifest has none."""
    entries = client.backend.logged_models.manifest(model.model_id).entries
    entry = next((entry for entry in entries if entry.path == path), None)
    return None if entry is None else sealed_file(client, model, entry)


def sealed_file(client: MlflowClient, model: ResolvedModel, entry: ManifestEntry) -> StoredFile:
    """Return a file of a sealed model that its manifest names."""
    store = client.backend.blobs(model.location)
    return StoredFile(entry.path, store, entry.path, entry.size, entry.sha256, model.is_adopted)


def preview(file: StoredFile) -> Preview:
    """Return what is shown of a file, by the ending of its name. Nothing of it is executed."""
    ending = PurePosixPath(file.name).suffix.lower()
    if ending in _IMAGES or ending == _SVG:
        return Preview("image")
    if ending in _PAGES:
        return Preview("page", note="Its scripts do not run here. Download it to see figures that a script draws.")
    if ending == ".parquet":
        return _parquet(file)
    if ending not in _TEXTS and PurePosixPath(file.name).name not in _TEXT_NAMES:
        return Preview("none", note="There is no preview of this kind of file.")
    data = file.read(MAX_TEXT + 1)
    text = data[:MAX_TEXT].decode("utf-8", "replace")
    is_cut = len(data) > MAX_TEXT
    note = f"These are the first {MAX_TEXT:,} bytes." if is_cut else ""
    if ending in (".csv", ".tsv"):
        return Preview("table", table=_csv_table(text, "\t" if ending == ".tsv" else ",", is_cut=is_cut), note=note)
    if ending == ".json" and not is_cut:
        return _json(text)
    if ending in (".md", ".markdown") and len(text) <= MAX_MARKDOWN:
        return Preview("markdown", text, note=note)
    return Preview("text", text, note=note)


def _csv_table(text: str, delimiter: str, *, is_cut: bool) -> Table:
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            rows.append(row)
            if len(rows) > MAX_ROWS + 1:
                break
    except csv.Error:  # a field without an end; its row is left out already
        is_cut = False
    if is_cut and len(rows) <= MAX_ROWS:
        del rows[-1:]  # it may have been cut
    head, body = (rows[0], rows[1:]) if rows else ([], [])
    return _cut_table(head, body)


def _json(text: str) -> Preview:
    try:
        value = json.loads(text)
        indented = json.dumps(value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return Preview("text", text, note="This is no valid JSON.")
    if isinstance(value, dict) and value.keys() == {"columns", "data"}:
        columns, data = value["columns"], value["data"]
        if isinstance(columns, list) and isinstance(data, list) and all(isinstance(row, list) for row in data):
            return Preview("table", table=_cut_table(columns, data))
    return Preview("text", indented if len(indented) <= 4 * MAX_TEXT else text)


def _parquet(file: StoredFile) -> Preview:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        return Preview("none", note="Parquet is shown if the package pyarrow is installed.")
    if file.size > MAX_WHOLE:
        return Preview("none", note="This file is too large for a preview.")
    try:
        parquet = pyarrow.parquet.ParquetFile(io.BytesIO(file.read(MAX_WHOLE)))
        names, total = parquet.schema_arrow.names[:MAX_COLUMNS], parquet.metadata.num_rows
        groups = parquet.metadata.num_row_groups
        if groups and parquet.metadata.row_group(0).total_byte_size > 4 * MAX_WHOLE:
            return Preview("none", note="The first rows of this file are too large for a preview.")
        batch = next(parquet.iter_batches(MAX_ROWS, columns=names), None)
        columns = [column.to_pylist() for column in batch.columns] if batch is not None else []
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        return Preview("none", note=f"This is no Parquet file that can be read: {str(error)[:200]}")
    rows = [list(row) for row in zip(*columns, strict=True)]
    table = _cut_table(parquet.schema_arrow.names, rows, total)
    return Preview("table", table=table)


def _cut_table(columns: Sequence[Any], rows: Sequence[Sequence[Any]], total: int | None = None) -> Table:
    left_out = []
    count = len(rows) if total is None else total
    if count > MAX_ROWS:
        left_out.append(f"the first {MAX_ROWS} rows" + ("" if total is None else f" of {total:,}"))
    if len(columns) > MAX_COLUMNS:
        left_out.append(f"the first {MAX_COLUMNS} of {len(columns)} columns")
    width = min(max(len(columns), *(len(row) for row in rows[:MAX_ROWS]), 0), MAX_COLUMNS) if rows else MAX_COLUMNS
    shown = [[_cell(value) for value in row[:width]] + [""] * (width - len(row)) for row in rows[:MAX_ROWS]]
    return Table([_cell(name) for name in columns[:width]], shown, " and ".join(left_out))


def _cell(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else _number_or_json(value)
    return text if len(text) <= MAX_CELL else f"{text[: MAX_CELL - 1]}…"


def _number_or_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list) else str(value)


def download_file(request: Request) -> Response:
    """Send a file, or the range of it that is asked for. ``view=page`` sends HTML for a sandboxed frame."""
    path = request.path_params["path"]
    file = find_file(client_of(request), request.path_params["run_id"], path)
    if file is None:
        raise ArtifactNotFoundError(f"No such artifact: {path[:200]!r}.")
    media_type, is_inline = _media_type(file.name, as_page=request.query_params.get("view") == "page")
    policy = _POLICY.format(hosts=" ".join(site_of(request).frame_hosts)).strip()
    return send_file(request, file, policy=policy, media_type=media_type, inline=is_inline)


def download_version_file(request: Request) -> Response:
    """Send a file of a version, or the range of it that is asked for, as an attachment."""
    client, name, number = client_of(request), request.path_params["name"], request.path_params["version"]
    path = request.query_params.get("path", "")
    file = find_sealed_file(client, client.resolve(f"models:/{name}/{number}"), path)
    if file is None:
        raise ArtifactNotFoundError(f"Version {number} of {name!r} has no file {path[:200]!r}; its page lists them.")
    return send_file(request, file, policy="default-src 'none'; sandbox", inline=False)


def _media_type(path: str, *, as_page: bool) -> tuple[str, bool]:
    """Return the type of a file's answer, and whether a browser may show it by itself."""
    ending = PurePosixPath(path).suffix.lower()
    if ending in _IMAGES:
        return _IMAGES[ending], True
    if ending == _SVG:
        return "image/svg+xml", False
    if ending in _PAGES and as_page:
        return "text/html; charset=utf-8", True
    if ending in _PAGES:
        return "application/octet-stream", False
    if ending in _TEXTS or PurePosixPath(path).name in _TEXT_NAMES:
        return "text/plain; charset=utf-8", True
    return "application/octet-stream", False


routes: Final = [
    Route("/runs/{run_id}/files/{path:path}", download_file),
    Route("/models/{name}/{version:int}/file", download_version_file),
]
