"""Record what a running MLflow server answers to an import: requests and answers as one JSON file.

    python scripts/record_mlflow_server.py http://127.0.0.1:5000 answers.json --root /place/of/its/files

Stands between the importer and the server while it imports into a registry that is thrown away. Paths below `--root`
are replaced by ``/mlflow-root``. The tests replay the file, so that they need no MLflow.
"""

import argparse
import base64
import json
import tempfile
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from registry.mlflow_bridge import import_mlflow

RENAMES = {"models": {"games@nba": "games-nba"}}


def main() -> None:
    """Import through a proxy that records."""
    parser = argparse.ArgumentParser()
    parser.add_argument("server")
    parser.add_argument("target", type=Path)
    parser.add_argument("--root", required=True)
    options = parser.parse_args()
    answers: dict[str, list[object]] = {}

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._forward(None)

        def do_POST(self) -> None:
            self._forward(self.rfile.read(int(self.headers["Content-Length"])))

        def log_message(self, *_: object) -> None:
            pass

        def _forward(self, body: bytes | None) -> None:
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(options.server + self.path, body, headers)  # noqa: S310
            try:
                with urllib.request.urlopen(request) as answer:  # noqa: S310
                    status, content = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                status, content = error.code, error.read()
            key = f"{self.command} {self.path} {(body or b'').decode()}"
            shown = content.replace(options.root.encode(), b"/mlflow-root")
            answers[key.replace(options.root, "/mlflow-root")] = [status, base64.b64encode(shown).decode()]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content)

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as directory:
        url = f"http://127.0.0.1:{proxy.server_port}"
        report = import_mlflow(url, tracking_uri=f"sqlite:///{directory}/r.db", deleted=True, rename=RENAMES)
    proxy.shutdown()
    if not report.is_complete:
        raise SystemExit(f"The import is not complete: {report}")
    options.target.write_text(json.dumps(answers, indent=0, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
