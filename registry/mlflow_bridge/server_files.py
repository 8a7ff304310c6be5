"""Files that an MLflow server reads for its clients: as byte stores that are only read, over its REST API."""

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, BinaryIO, ClassVar, Final, cast

from registry.blobs.paths import check_blob_path, join
from registry.blobs.protocol import Range
from registry.blobs.read_only import ReadOnlyBlobStore
from registry.entities.paging import FileInfo
from registry.exceptions import (
    ArtifactNotFoundError,
    PermissionDeniedError,
    RegistryError,
    StorageError,
    UnavailableError,
    UnsupportedStoreError,
)
from registry.settings import redacted_uri

_TIMEOUT_SECONDS: Final = 120
_DENIED: Final = (401, 403)
_MISSING: Final = 404
_BUSY: Final = (429, 502, 503, 504)
_WAITS: Final = (0.2, 1.0, 3.0)
"""Seconds between the attempts of a request."""


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirects to the same host only: another one would get the credentials."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        before, after = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if (before.scheme, before.netloc) != (after.scheme, after.netloc):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER: Final = urllib.request.build_opener(_SameHost)


class Server:
    """The REST API of an MLflow server; credentials come from the URL or MLflow's variables."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise UnsupportedStoreError(f"{redacted_uri(url)!r} is not the URL of a server; write http://HOST:PORT.")
        host = parts.hostname or ""
        address = f"[{host}]" if ":" in host else host
        self.url = urllib.parse.urlunsplit(
            (parts.scheme, address + (f":{parts.port}" if parts.port else ""), parts.path.rstrip("/"), "", "")
        )
        self._headers = _authorization(parts)

    def get(self, path: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON answer of a GET request."""
        return self._json(self._request(f"{path}?{_query(values)}"))

    def post(self, path: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON answer of a POST request."""
        request = self._request(path, json.dumps(values).encode())
        request.add_header("Content-Type", "application/json")
        return self._json(request)

    @contextmanager
    def open(self, path: str, values: Mapping[str, Any]) -> Iterator[BinaryIO]:
        """Open the body of the answer to a GET request."""
        request = self._request(f"{path}?{_query(values)}" if values else path)
        with _errors(request.full_url), _send(request) as answer:
            yield cast(BinaryIO, answer)

    def _request(self, path: str, data: bytes | None = None) -> urllib.request.Request:
        return urllib.request.Request(f"{self.url}{path}", data, self._headers)  # noqa: S310 - the scheme is checked

    def _json(self, request: urllib.request.Request) -> dict[str, Any]:
        with _errors(request.full_url), _send(request) as answer:
            body = answer.read()
        try:
            found = json.loads(body or b"{}")
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise UnavailableError(f"{self.url} did not answer with JSON. Is it an MLflow server?")
        return found


def _send(request: urllib.request.Request) -> Any:
    """Send a request, which only reads, and again if the server is busy or restarts."""
    for wait in _WAITS:
        try:
            return _OPENER.open(request, timeout=_TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            if error.code not in _BUSY:
                raise
            error.close()
        except OSError:
            pass
        time.sleep(wait)
    return _OPENER.open(request, timeout=_TIMEOUT_SECONDS)


def _authorization(parts: urllib.parse.SplitResult) -> dict[str, str]:
    user = urllib.parse.unquote(parts.username or "") or os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = urllib.parse.unquote(parts.password or "") or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if user:
        return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _query(values: Mapping[str, Any]) -> str:
    return urllib.parse.urlencode({key: value for key, value in values.items() if value is not None}, doseq=True)


@contextmanager
def _errors(url: str) -> Iterator[None]:
    """Convert the errors of a request to ours."""
    shown = redacted_uri(url.partition("?")[0])
    try:
        yield
    except RegistryError:
        raise
    except urllib.error.HTTPError as error:
        detail = error.read(2_000).decode(errors="replace")
        if error.code in _DENIED:
            raise PermissionDeniedError(
                f"{shown} refused the request ({error.code}). Set MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
            ) from None
        if error.code == _MISSING:
            raise ArtifactNotFoundError(f"{shown} was not found: {detail:.300}") from None
        raise UnavailableError(f"{shown} answered {error.code}: {detail:.300}") from None
    except (OSError, ValueError) as error:
        raise UnavailableError(f"{shown} cannot be reached: {error}.") from None


class ServerFiles(ReadOnlyBlobStore):
    """A byte store that is only read, over HTTP. Subclasses say how a directory is listed and a file is read."""

    def __init__(self, server: Server, root: str) -> None:
        self._server = server
        self._root = root

    @property
    def root(self) -> str:
        """Return the URL that all paths are relative to."""
        return self._root

    def _entries(self, path: str) -> list[dict[str, Any]]:
        """Return MLflow's ``files`` of a directory; paths are relative to the root."""
        raise NotImplementedError

    def _open(self, path: str) -> AbstractContextManager[BinaryIO]:
        raise NotImplementedError

    def list(self, path: str = "") -> list[FileInfo]:
        """List one level below `path`, sorted by path."""
        try:
            entries = self._entries(path)
        except ArtifactNotFoundError:
            return []
        infos = [
            FileInfo(
                check_blob_path(str(entry["path"])),
                bool(entry.get("is_dir")),
                None if entry.get("is_dir") else int(entry.get("file_size") or 0),
            )
            for entry in entries
        ]
        # A file lists itself.
        return sorted((info for info in infos if info.path != path), key=lambda info: info.path)

    def walk(self, path: str = "") -> Iterator[FileInfo]:
        """Yield every file at or below `path`, sorted by path."""
        if path and not self.list(path):
            info = self.find(path)
            if info is not None and not info.is_dir:
                yield info
            return
        yield from sorted(self._below(path), key=lambda info: info.path)

    def _below(self, path: str) -> Iterator[FileInfo]:
        for info in self.list(path):
            if info.is_dir:
                yield from self._below(info.path)
            else:
                yield info

    def find(self, path: str) -> FileInfo | None:
        """Return the file or directory at `path`, or None."""
        above = path.rpartition("/")[0]
        return next((info for info in self.list(above) if info.path == path), None)

    def read(self, path: str) -> bytes:
        """Return the bytes of one file."""
        with self.open(path) as stream:
            return stream.read()

    def open(self, path: str, part: Range | None = None) -> AbstractContextManager[BinaryIO]:
        """Open one file to read it once, from beginning to end; a server sends no parts."""
        if part is not None:
            raise StorageError(f"The files at {self.root} are an MLflow server's, which sends them whole.")
        return self._open(check_blob_path(path))

    def refusal(self) -> StorageError:
        """Return the error for a change of a server's files."""
        return StorageError(f"The files at {self.root} are an MLflow server's; they are only read.")

    manifest = download = fetch = total_size = ReadOnlyBlobStore._refuse


class ArtifactServer(ServerFiles):
    """The files below a path of a server's ``mlflow-artifacts:`` store."""

    PREFIX: ClassVar[str] = "/api/2.0/mlflow-artifacts/artifacts"

    def __init__(self, server: str, path: str) -> None:
        connection = Server(server)
        super().__init__(connection, f"{connection.url}{self.PREFIX}/{path}")
        self._path = path

    def _entries(self, path: str) -> list[dict[str, Any]]:
        # The server lists names relative to the directory that was asked for.
        found = self._server.get(self.PREFIX, {"path": join(self._path, path)}).get("files", [])
        return [{**entry, "path": join(path, str(entry["path"]))} for entry in found]

    def _open(self, path: str) -> AbstractContextManager[BinaryIO]:
        return self._server.open(f"{self.PREFIX}/{urllib.parse.quote(join(self._path, path))}", {})


class RunFiles(ServerFiles):
    """The files of a run, wherever its server keeps them."""

    def __init__(self, server: Server, run_id: str) -> None:
        super().__init__(server, f"{server.url}/runs/{run_id}/artifacts")
        self._run_id = run_id

    def _entries(self, path: str) -> list[dict[str, Any]]:
        values = {"run_id": self._run_id, "run_uuid": self._run_id, "path": path or None}
        found: list[dict[str, Any]] = []
        while True:
            answer = self._server.get("/api/2.0/mlflow/artifacts/list", values)
            found += answer.get("files", [])
            if not answer.get("next_page_token"):
                return found
            values["page_token"] = answer["next_page_token"]

    def _open(self, path: str) -> AbstractContextManager[BinaryIO]:
        return self._server.open("/get-artifact", {"path": path, "run_uuid": self._run_id, "run_id": self._run_id})


class LoggedModelFiles(ServerFiles):
    """The files of a logged model of MLflow 3, wherever its server keeps them."""

    _API: ClassVar[str] = "/ajax-api/2.0/mlflow/logged-models"

    def __init__(self, server: Server, model_id: str) -> None:
        super().__init__(server, f"{server.url}/logged-models/{model_id}/artifacts")
        self._model_id = model_id

    def _entries(self, path: str) -> list[dict[str, Any]]:
        where = f"{self._API}/{self._model_id}/artifacts/directories"
        found = self._server.get(where, {"artifact_directory_path": path or None}).get("files", [])
        return list(found)

    def _open(self, path: str) -> AbstractContextManager[BinaryIO]:
        return self._server.open(f"{self._API}/{self._model_id}/artifacts/files", {"artifact_file_path": path})
