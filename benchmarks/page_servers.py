"""Start `registry ui` and `mlflow ui` for the benchmark of the page, and tell what they use."""

import contextlib
import os
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Server:
    """A server that runs, and the URL that signs in."""

    process: "subprocess.Popen[str]"
    address: str
    sign_in: str

    def processes(self) -> list[int]:
        """Return the ids of its processes."""
        parents: dict[int, int] = {}
        for place in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parents[int(place.parent.name)] = int(place.read_text().rpartition(")")[2].split()[1])
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def memory(self) -> int:
        """Return the most memory (bytes) that its process has had; several share some, so theirs is the present sum."""
        pids = self.processes()
        if len(pids) == 1:
            return _kilobytes(Path(f"/proc/{pids[0]}/status"), "VmHWM")
        return sum(_kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss") for pid in pids)

    def processor(self) -> float:
        """Return the processor's seconds that its processes have used."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def serve(python: Path, url: str, directory: Path) -> Iterator[Server]:
    """Start ``registry ui``; the URL that it prints signs in."""
    environment = {**os.environ, "REGISTRY_TRACKING_URI": url, "REGISTRY_CACHE_DIR": str(directory / "cache")}
    command = [python, "-m", "registry", "ui", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=directory) as process:
        try:
            assert process.stdout is not None
            printed = next(filter(None, (re.search(r"http://\S+", line) for line in process.stdout)))
            sign_in = printed[0]
            yield Server(process, sign_in.partition("/?")[0], sign_in)
        finally:
            process.terminate()


@contextlib.contextmanager
def serve_mlflow(python: Path, url: str, directory: Path) -> Iterator[Server]:
    """Start ``mlflow ui``, and wait until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [python, "-m", "mlflow", "ui", "--backend-store-uri", url, "--port", str(port), "--workers", "1"]
    log = (directory / "mlflow.log").open("w")
    with log, subprocess.Popen(command, stdout=log, stderr=log, text=True, cwd=directory) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(300):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(address, timeout=5).read()
                    break
                time.sleep(0.5)
            yield Server(process, address, address)
        finally:
            process.terminate()


def _kilobytes(file: Path, name: str) -> int:
    """Return a number of bytes that a file of ``/proc`` gives in kB; 0 if its process is gone."""
    with contextlib.suppress(OSError):
        found = re.search(rf"{name}:\s+(\d+) kB", file.read_text())
        return 1024 * int(found[1]) if found else 0
    return 0
