"""Files on S3 and behind MLflow's server."""

import contextlib
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow_stores import RENAMES, MlflowStore, execute
from s3_servers import S3Server

from registry.blobs import Range, open_blob_store
from registry.client import MlflowClient
from registry.exceptions import (
    ArtifactNotFoundError,
    IntegrityError,
    PermissionDeniedError,
    StorageError,
    UnavailableError,
    UnsupportedStoreError,
)
from registry.mlflow_bridge import import_mlflow
from registry.mlflow_bridge.server_files import ArtifactServer, Server

Unpack = Callable[[str], MlflowStore]

PLACES = (
    ("runs", "artifact_uri"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)


def name_places(store: MlflowStore, prefix: str) -> str:
    """Make a database whose files are said to be below a prefix, and return its URL."""
    source = store.database()
    for table, column in PLACES:
        execute(
            source, f"UPDATE {table} SET {column} = replace({column}, ?, ?)", f"file://{store.root}/artifacts", prefix
        )
    return source


@pytest.mark.parametrize("mode", ["copy", "adopt"])
def test_files_on_s3_are_copied_or_adopted(
    mode: str,
    unpack: Unpack,
    registry_url: str,
    own_place: Path,
    moto_s3: S3Server,
    s3_environment: Callable[[S3Server], S3Server],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = unpack("3.17")
    root = s3_environment(moto_s3).fresh_root()
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", f"{root}/ours")
    theirs = open_blob_store(f"{root}/mlflow")
    theirs.upload(store.root / "artifacts")
    source = name_places(store, f"{root}/mlflow")
    report = import_mlflow(source, tracking_uri=registry_url, rename=RENAMES, files=mode)  # type: ignore[arg-type]
    assert (report.problems, report.differences, report.is_complete) == ([], [], True)
    client = MlflowClient(registry_url)
    resolved = client.resolve("models:/forest/1")
    assert resolved.is_adopted == (mode == "adopt")
    assert resolved.location.startswith(f"{root}/{'mlflow' if mode == 'adopt' else 'ours'}/")
    ours = [info.path for info in open_blob_store(f"{root}/ours").walk() if info.path.endswith("notes.txt")]
    assert len(ours) == (0 if mode == "adopt" else 4)
    if mode == "adopt":
        open_blob_store(resolved.location).write("weights.txt", b"changed")
        with pytest.raises(IntegrityError, match="were adopted, not copied"):
            client.verify("forest", read_bytes=True)


@contextlib.contextmanager
def artifact_server(root: Path, status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """Serve a directory as MLflow's server does for ``mlflow-artifacts:``; yield its URL and the requests' headers."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization", ""))
            parts = urllib.parse.urlsplit(self.path)
            below = urllib.parse.unquote(parts.path.removeprefix(ArtifactServer.PREFIX)).strip("/")
            listed = urllib.parse.parse_qs(parts.query).get("path", [""])[0]
            if status != 200:
                self._answer(status, b"no")
            elif below:
                file = root / below
                self._answer(200, file.read_bytes()) if file.is_file() else self._answer(404, b"none")
            else:
                entries = sorted((root / listed).iterdir()) if (root / listed).is_dir() else []
                files = [
                    {"path": entry.name, "is_dir": entry.is_dir()}
                    | ({} if entry.is_dir() else {"file_size": entry.stat().st_size})
                    for entry in entries
                ]
                self._answer(200, json.dumps({"files": files}).encode())

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, code: int, data: bytes) -> None:
            self.send_response(code)
            if code == 302:
                self.send_header("Location", "http://127.0.0.2:1/elsewhere")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("mode", ["copy", "adopt"])
def test_files_that_only_a_server_reads_are_fetched_through_it(mode: str, unpack: Unpack, registry_url: str) -> None:
    store = unpack("3.17")
    source = name_places(store, "mlflow-artifacts:")
    with artifact_server(store.root / "artifacts") as (url, _):
        report = import_mlflow(
            source,
            tracking_uri=registry_url,
            rename=RENAMES,
            server=url,
            files=mode,  # type: ignore[arg-type]
        )
        assert (report.problems, report.differences, report.is_complete) == ([], [], True)
    assert not MlflowClient(registry_url).resolve("models:/forest/1").is_adopted


def test_a_servers_files_are_listed_and_read_and_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run" / "plots").mkdir(parents=True)
    (tmp_path / "run" / "plots" / "roc curve.csv").write_text("a,b")
    (tmp_path / "run" / "notes.txt").write_text("notes")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "token")
    with artifact_server(tmp_path) as (url, seen):
        files = ArtifactServer(url, "run")
        assert [(info.path, info.file_size) for info in files.walk()] == [("notes.txt", 5), ("plots/roc curve.csv", 3)]
        assert [info.path for info in files.walk("plots")] == ["plots/roc curve.csv"]
        assert [info.path for info in files.walk("notes.txt")] == ["notes.txt"]
        assert list(files.walk("missing")) == []
        assert (files.read("plots/roc curve.csv"), files.find("missing")) == (b"a,b", None)
        with pytest.raises(ArtifactNotFoundError, match="was not found"):
            files.read("missing")
        with pytest.raises(StorageError, match="they are only read"):
            files.write("notes.txt", b"")  # type: ignore[no-untyped-call]
        with pytest.raises(StorageError, match="sends them whole"):
            files.open("notes.txt", Range(0, 2))
        with_password = ArtifactServer(url.replace("http://", "http://ann:pass%3Aword@"), "run")
        with_password.read("notes.txt")
        assert "ann" not in with_password.root
    assert (seen[0], seen[-1]) == ("Bearer token", "Basic YW5uOnBhc3M6d29yZA==")


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (403, PermissionDeniedError, "Set MLFLOW_TRACKING_USERNAME"),
        (500, UnavailableError, "answered 500: no"),
        (302, UnavailableError, "answered 302"),
        (503, UnavailableError, "answered 503: no"),
    ],
)
def test_what_a_server_refuses_is_one_error(
    status: int, error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.mlflow_bridge.server_files._WAITS", (0.0, 0.0))
    with artifact_server(tmp_path, status) as (url, seen), pytest.raises(error, match=message):
        Server(url).get("/api/2.0/mlflow/experiments/search", {})
    assert len(seen) == (3 if status == 503 else 1)


def test_a_server_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, registry_url: str) -> None:
    monkeypatch.setattr("registry.mlflow_bridge.server_files._WAITS", ())
    with pytest.raises(UnavailableError, match="cannot be reached"):
        import_mlflow("http://127.0.0.1:1", tracking_uri=registry_url)
    with pytest.raises(UnsupportedStoreError, match="is not the URL of a server"):
        Server("ftp://host")
