"""Servers in processes of their own: our command, and programs of other servers; and calls over HTTP."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from served_models import eventually

SUPPORT = Path(__file__).parent
# The models of tests are classes of modules that are found from the checkout, installed editable or not.
WITH_CHECKOUT = os.pathsep.join([str(SUPPORT), str(SUPPORT.parents[1])])


@contextmanager
def server(*words: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """Run `registry models serve` with a free port; yield the process, its address and what it writes to stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "registry", "models", "serve", *words, "--port", "0"],
        env={**os.environ, "PYTHONPATH": WITH_CHECKOUT, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    assert process.stderr is not None
    stderr = process.stderr
    reader = threading.Thread(target=lambda: lines.extend(iter(stderr.readline, "")))
    reader.start()
    try:
        eventually(lambda: any(" at http" in line for line in lines) or process.poll() is not None, 120)
        assert process.poll() is None, "".join(lines)
        address = next(line for line in lines if " at http" in line).split(" at ")[1].strip()
        yield process, address, lines
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(60)
        reader.join()
        stderr.close()


@contextmanager
def program(words: Sequence[str], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a session of its own, and end all of that; what it writes is in the file ``log``."""
    with Path("log").open("wb") as log:
        process = subprocess.Popen(
            words,
            env={**os.environ, "PYTHONPATH": f"{SUPPORT}{os.pathsep}.", **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            for number in (signal.SIGINT, signal.SIGKILL):
                try:
                    os.killpg(process.pid, number)
                    process.wait(20)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    pass


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def call(address: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
    """Return the status and the JSON of an answer, or else its text; 0 and None if there is no answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **options.pop("headers", {})}
    request = urllib.request.Request(address + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60, **options) as answer:
            return answer.status, _parsed(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, _parsed(error.read())
    except OSError:
        return 0, None


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content) if content.strip() else None
    except ValueError:
        return content.decode()
