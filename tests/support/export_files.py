"""Take exports apart, change them and put them together again, as an attacker or a disk might."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from governed_models import raw_sql

import registry
from registry.entities.history import HistoryEvent, canonical_json, event_from
from registry.exceptions import IntegrityError

MANIFEST = "registry-export.json"
Document = dict[str, Any]


def read_archive(path: Path) -> dict[str, bytes]:
    """Return the contents by name, in their order."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_archive(path: Path, contents: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """Write an archive with these contents."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in contents.items():
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return path


def read_manifest(path: Path) -> Document:
    """Return the manifest."""
    return json.loads(read_archive(path)[MANIFEST])


def change_manifest(path: Path, change: Callable[[Document], object]) -> Path:
    """Write the same archive with a changed manifest, in the form that exports have."""
    contents = read_archive(path)
    changed = json.loads(contents[MANIFEST])
    change(changed)
    contents[MANIFEST] = canonical_json(changed).encode()
    return write_archive(path, contents)


def change_events(change: Callable[[list[Document]], object]) -> Callable[[Document], None]:
    """Return a change of a manifest that changes the last history's events and makes its hash chain whole again."""

    def apply(manifest: Document) -> None:
        segment = manifest["segments"][-1]
        change(segment["events"])
        segment["events"] = [json.loads(event.canonical()) for event in _chained(segment["events"])]

    return apply


def _chained(events: list[Document]) -> list[HistoryEvent]:
    chained: list[HistoryEvent] = []
    for seq, values in enumerate(events, 1):
        previous = chained[-1] if chained else None
        event = replace(event_from(values), seq=seq, prev_hash=previous.hash if previous else None)
        chained.append(event)
    return chained


def sha256(data: bytes) -> str:
    """Return the digest in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def assert_refused(target: registry.MlflowClient, path: Path, own_place: Path, match: str | None = None) -> None:
    """Check that the import is refused and leaves nothing behind: no row, no file beside or below, no upload."""
    before = {place for place in own_place.parent.rglob("*") if "cache" not in place.name}
    with pytest.raises(IntegrityError, match=match):
        target.import_model(path)
    run = raw_sql(target.tracking_uri)
    for table in ("registered_models", "logged_models", "runs", "uploads", "history", "foreign_history"):
        assert run(f"SELECT count(*) FROM {table}") == [(0,)]
    assert {place for place in own_place.parent.rglob("*") if "cache" not in place.name} == before
