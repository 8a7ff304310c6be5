"""Registries for gc tests: a database and a byte store, and ways to age items or leave them half done."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from governed_models import RawSql, raw_sql

from registry import MlflowClient
from registry.blobs import open_blob_store
from registry.blobs.s3.bucket import Bucket
from registry.entities.logged_model import new_model_id

DAY_MS = 86_400_000
# When a thing was deleted or begun, wherever that is kept.
_MOMENTS = {
    "runs": ("deleted_time",),
    "experiments": ("deleted_time",),
    "logged_models": ("deleted_time", "creation_time"),
    "model_versions": ("deleted_time",),
    "uploads": ("started",),
}


@dataclass(frozen=True)
class Place:
    """A registry: its client, the location of its files, and its tables past the library."""

    url: str
    root: str
    client: MlflowClient
    sql: RawSql

    def age(self, days: float) -> None:
        """Move all times back by so many days."""
        for table, columns in _MOMENTS.items():
            for column in columns:
                self.sql(f"UPDATE {table} SET {column} = {column} - {round(days * DAY_MS)}")

    def stored(self) -> set[str]:
        """Return all files below the root except the database's, with hidden ones and multipart uploads, by path."""
        return set(stored_below(self.root))

    def rows(self, table: str) -> int:
        """Count the rows of a table."""
        return int(self.sql(f"SELECT count(*) FROM {table}")[0][0])

    def run(self, *, experiment: str | None = None) -> str:
        """Create a finished run with params, tags, two points and a file; return its id."""
        client = self.client
        run_id = client.create_run(experiment or client.create_experiment(f"e-{new_model_id()}")).info.run_id
        client.log_param(run_id, "depth", 3)
        client.set_tag(run_id, "team", "east")
        client.log_metric(run_id, "loss", 0.5, step=0)
        client.log_metric(run_id, "loss", 0.25, step=1)
        client.log_text(run_id, "scratch", "notes.txt")
        client.set_terminated(run_id)
        return run_id

    def model(self, run_id: str | None = None, *, experiment: str | None = None, content: str = "weights") -> str:
        """Create a READY logged model with two files; return its id."""
        if run_id is not None:
            experiment = self.client.get_run(run_id).info.experiment_id
        made = self.client.create_logged_model(experiment or "0", source_run_id=run_id)
        source = Path(f"source-{made.model_id}")
        source.mkdir()
        (source / "MLmodel").write_text("flavors: {}\n")
        (source / "data.bin").write_text(content)
        self.client.log_model_artifacts(made.model_id, source)
        self.client.finalize_logged_model(made.model_id, "READY")
        return made.model_id

    def version(self, name: str, model_id: str) -> int:
        """Register the next version, with a new logged model; return its number."""
        return self.client.register_model(f"models:/{model_id}", name).version

    def upload(self, files: dict[str, bytes]) -> str:
        """Leave the files of an upload that was interrupted before its model appeared; return the model's id."""
        model_id = new_model_id()
        location = self.client.backend.logged_models.begin_upload(model_id, "0")
        for path, data in files.items():
            open_blob_store(location).write(path, data)
        return model_id


def stored_below(root: str) -> Iterator[str]:
    """Return all files below a local directory or S3 prefix, without ownership markers."""
    if not root.startswith("s3://"):
        for path in Path(root).rglob("*"):
            is_ours = path.name.startswith("registry.db") or ".registry" in path.relative_to(root).parts
            if not path.is_dir() and not is_ours:
                yield path.relative_to(root).as_posix()
        return
    name, _, prefix = root.removeprefix("s3://").partition("/")
    client = Bucket(name, None).client
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=name, Prefix=f"{prefix}/"):
        keys = (found["Key"].removeprefix(f"{prefix}/") for found in page.get("Contents", ()))
        yield from (key for key in keys if not key.startswith(".registry/"))
    for upload in client.list_multipart_uploads(Bucket=name, Prefix=f"{prefix}/").get("Uploads", ()):
        yield f"{upload['Key'].removeprefix(f'{prefix}/')} (in parts)"


@pytest.fixture(params=["sqlite-local", "postgresql-seaweedfs"])
def place(request: pytest.FixtureRequest, own_place: Path) -> Place:
    """Return a new registry."""
    return made(request, own_place)


def made(request: pytest.FixtureRequest, own_place: Path) -> Place:
    """Create a registry on the database and byte store of a fixture's parameter."""
    database, store = request.param.split("-")
    url = str(request.getfixturevalue("sqlite_url" if database == "sqlite" else "postgres_url"))
    root = str(own_place / "bytes")
    if store != "local":
        server = request.getfixturevalue("s3_environment")(request.getfixturevalue(store))
        root = server.fresh_root()
    # The template of the database has no experiment yet: the default one is made at this root.
    request.getfixturevalue("monkeypatch").setenv("REGISTRY_ARTIFACT_LOCATION", root)
    return Place(url, root, MlflowClient(url), raw_sql(url))
