"""Stores that each version of MLflow really wrote (see scripts/make_mlflow_fixture.py), unpacked, and served again."""

import base64
import contextlib
import json
import sqlite3
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ARCHIVES = Path(__file__).parents[1] / "mlflow_bridge" / "fixtures"
PLACEHOLDER = b"/mlflow-root"
VERSIONS = ["1.0", "1.30", "2.0", "2.9", "2.22", "3.1", "3.7", "3.17"]
FILE_STORES = VERSIONS[:-1]
RENAMES = {"models": {"games@nba": "games-nba"}}


class MlflowStore:
    """An unpacked archive."""

    def __init__(self, version: str, root: Path) -> None:
        self.root = root
        with zipfile.ZipFile(ARCHIVES / f"{version}.zip") as archive:
            for name in archive.namelist():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name).replace(PLACEHOLDER, str(root).encode()))

    @property
    def sql(self) -> str:
        """The dump of the database."""
        return (self.root / "database.sql").read_text(encoding="utf-8")

    def database(self) -> str:
        """Make the SQLite database, and return its URL."""
        path = self.root / "mlflow.db"
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript(self.sql)
        return f"sqlite:///{path}"

    @property
    def file_store(self) -> Path:
        """The directory ``mlruns``."""
        return self.root / "mlruns"


def execute(url: str, statement: str, *parameters: object) -> None:
    """Run a statement on an SQLite database, as MLflow would."""
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute(statement, parameters)


@contextlib.contextmanager
def replayed_server(version: str) -> Iterator[str]:
    """Serve what a server of a version answered to an import; yield its URL."""
    answers = json.loads((ARCHIVES / f"server-{version}.json").read_text(encoding="utf-8"))

    class Replay(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, body: str) -> None:
            status, content = answers.get(f"{self.command} {self.path} {body}", (404, ""))
            data = base64.b64decode(content)
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Replay)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
