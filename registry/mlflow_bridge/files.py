"""Find the files that an MLflow store names: local directories, S3, and what only its server can read."""

import os
import re
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from registry.blobs.digests import hash_stream
from registry.blobs.upload_plan import sealed_path
from registry.client.byte_stores import open_store
from registry.entities import Manifest
from registry.exceptions import InvalidParameterError, NotFoundError, UnsupportedStoreError
from registry.mlflow_bridge.server_files import ArtifactServer
from registry.mlflow_bridge.source import Files
from registry.settings import redacted_uri

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):")


class FilePlaces:
    """Opens the places of files. `base` is the directory that relative paths of the source begin at.

    `moved` are pairs of old and new prefixes, for files that were moved since MLflow wrote their places. `server` is
    the URL of an MLflow server, which reads ``mlflow-artifacts:`` places.
    """

    def __init__(self, base: Path, moved: Sequence[tuple[str, str]] = (), server: str | None = None) -> None:
        self._base = base
        self._moved = tuple((old.rstrip("/"), new.rstrip("/")) for old, new in moved)
        self._server = server

    def open(self, location: str) -> Files:
        """Return the files at a location.

        Raises:
            NotFoundError: The location is empty.
            UnsupportedStoreError: Files there cannot be read; the message says what to do.
        """
        if not location:
            raise NotFoundError("MLflow recorded no place for its files.")
        place = self._present(location)
        match = _SCHEME.match(place)
        scheme = match[1].lower() if match else "file"
        if scheme == "file":
            return Files(open_store(os.path.normpath(self._base / _local_path(place))))
        if scheme in ("s3", "s3a"):
            return Files(open_store("s3" + place[len(scheme) :]))
        if scheme == "mlflow-artifacts":
            return self._on_server(place)
        if scheme in ("http", "https") and ArtifactServer.PREFIX in place:
            server, _, path = place.partition(ArtifactServer.PREFIX)
            return Files(ArtifactServer(server, path.strip("/")))
        raise UnsupportedStoreError(
            f"Files at {scheme}: places cannot be read ({redacted_uri(location)}). Copy them to a local directory or "
            "to S3 and say where they are with --moved OLD=NEW (moved=…), or import from the running MLflow server."
        )

    def _present(self, location: str) -> str:
        """Return where the files of a location are now."""
        for old, new in self._moved:
            for written in (old, f"file://{old}" if old.startswith("/") else old):
                if location == written or location.startswith(f"{written}/"):
                    return new + location[len(written) :]
        return location

    def _on_server(self, place: str) -> Files:
        parts = urllib.parse.urlsplit(place)
        server = f"http://{parts.netloc}" if parts.netloc else self._server
        if server is None:
            raise UnsupportedStoreError(
                f"The files at {place} are read through the MLflow server only. Start it, and name it with "
                "--server http://HOST:PORT (server=…)."
            )
        return Files(ArtifactServer(server, parts.path.strip("/")))


def parse_moved(text: str) -> tuple[str, str]:
    """Parse ``OLD=NEW``, two prefixes of locations.

    Raises:
        InvalidParameterError: It is not of this form.
    """
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise InvalidParameterError(f"{text!r} does not say what was moved where; write OLD=NEW, such as /old=/new.")
    return old, new


def _local_path(place: str) -> str:
    if not place.lower().startswith("file:"):
        return place
    return urllib.parse.unquote(urllib.parse.urlsplit(place).path)


def can_adopt(found: Files) -> bool:
    """Tell whether files can stay where they are: on a local disk or on S3, not behind a server."""
    return found.store.local_directory is not None or found.store.root.startswith("s3://")


def hash_files(found: Files) -> Manifest:
    """Read and hash every file; paths are relative to their directory."""
    entries = []
    for info in found.store.walk(found.path):
        with found.store.open(info.path) as stream:
            entries.append(hash_stream(sealed_path(found.path, info.path), stream))
    return Manifest.of(entries)
