"""A full S3 server in every operation that stores files: one error, no row without bytes, and the next try works."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from file_trees import write_files
from gc_places import stored_below
from governed_models import raw_sql
from s3_faults import refuse, tap_requests
from s3_servers import S3Server
from sklearn.linear_model import LogisticRegression

import registry
from registry import MlflowClient
from registry.blobs.s3 import clients, errors
from registry.exceptions import StorageError

FULL = {507: "InsufficientStorage", 500: "XMinioStorageFull"}
_MODEL = LogisticRegression().fit([[0.0], [1.0]], [0, 1])


class Place:
    """A registry whose files lie on S3, with one of everything, made before the server is full."""

    def __init__(self, url: str, root: str, directory: Path) -> None:
        self.root = root
        self.sql = raw_sql(url)
        registry.set_tracking_uri(url)
        self.client = MlflowClient()
        self.run = self.client.create_run("0").info.run_id
        self.client.log_text(self.run, "text", "notes/a.txt")
        self.files = write_files(directory / "source", {"MLmodel": b"flavors: {}\n", "data.bin": b"x" * 5_000})
        self.client.register_model(str(self.files), "churn")
        self.pending = self.client.create_logged_model("0").model_id
        self.export = self.client.export_model("churn", directory / "churn.zip")

    def facts(self) -> tuple[list[Any], list[Any], list[Any], set[str]]:
        """What is registered and logged, and which objects are there."""
        versions = self.sql("SELECT model_id, version, logged_model_id FROM model_versions ORDER BY id")
        names = self.sql("SELECT name FROM registered_models ORDER BY id")
        models = self.sql("SELECT logged_model_id, path, sha256 FROM model_files ORDER BY logged_model_id, path")
        return versions, names, models, set(stored_below(self.root))


OPERATIONS: dict[str, Callable[[Place], Any]] = {
    "log_text": lambda p: p.client.log_text(p.run, "text", "a.txt"),
    "log_text over a file": lambda p: p.client.log_text(p.run, "other text", "notes/a.txt"),
    "log_dict": lambda p: p.client.log_dict(p.run, {"a": 1}, "a.json"),
    "log_table": lambda p: p.client.log_table(p.run, {"a": [1]}, "table.json"),
    "log_artifact": lambda p: p.client.log_artifact(p.run, p.files / "data.bin"),
    "log_artifacts": lambda p: p.client.log_artifacts(p.run, p.files),
    "log_model_artifacts": lambda p: p.client.log_model_artifacts(p.pending, p.files),
    "register_model": lambda p: p.client.register_model(str(p.files), "other"),
    "import_model": lambda p: p.client.import_model(p.export, name="other"),
    "log_model": lambda p: registry.sklearn.log_model(_MODEL, name="model"),
}


@pytest.mark.parametrize("status", FULL)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_full_server_is_one_error_and_changes_nothing(
    name: str,
    status: int,
    sqlite_url: str,
    moto_s3: S3Server,
    artifacts_on_s3: str,
    own_place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clients, "ATTEMPTS", 1)
    monkeypatch.setattr(errors.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(clients, "_clients", {})
    place = Place(sqlite_url, artifacts_on_s3, own_place)
    before = place.facts()
    with tap_requests(moto_s3.bucket) as wire:
        wire.always("^(PUT|POST)", refuse(status, FULL[status]))
        with pytest.raises(StorageError, match="is full and did not store.*Free space there and try again"):
            OPERATIONS[name](place)
    assert place.facts() == before
    OPERATIONS[name](place)
