"""A copy of a database removes nothing and replaces nothing until somebody says whose the bytes are."""

import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from gc_places import Place, make_place, stored_below
from governed_models import raw_sql
from postgres_server import PostgresServer

from registry import MlflowClient
from registry.blobs import open_blob_store
from registry.exceptions import (
    ArtifactNotFoundError,
    InvalidParameterError,
    NotOwnerError,
    RegistryError,
)

Copying = Callable[[], MlflowClient]
PLACES = ["sqlite-local", "sqlite-moto_s3", "postgresql-local", "postgresql-moto_s3"]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, own_place: Path) -> Place:
    """A registry with a version in Production, and a run with a file."""
    place = make_place(request, own_place)
    place.version("churn", place.model(place.run(experiment="0")))
    place.client.transition_model_version_stage("churn", 1, "Production")
    return place


@pytest.fixture
def copied(request: pytest.FixtureRequest, place: Place) -> Copying:
    """A function that copies the database as people do, and gives a client of the copy."""

    def copy() -> MlflowClient:
        if place.url.startswith("sqlite"):
            return MlflowClient(f"sqlite:///{_sqlite_copy(place.url, Path('copy.db'))}")
        server: PostgresServer = request.getfixturevalue("postgres_server")
        return MlflowClient(_postgres_copy(server, place.url))

    return copy


def _sqlite_copy(url: str, target: Path) -> Path:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as source, sqlite3.connect(target) as destination:
        source.backup(destination)
    source.close()
    destination.close()
    return target.absolute()


def _postgres_copy(server: PostgresServer, url: str) -> str:
    """``pg_dump | psql`` into a new database."""
    name = server.create("template0")
    source, target = (found.replace("postgresql+psycopg", "postgresql") for found in (url, server.url(name)))
    programs = Path("/usr/bin") if Path("/usr/bin/pg_dump").exists() else server.programs
    dump = subprocess.run([programs / "pg_dump", source], check=True, capture_output=True).stdout
    subprocess.run(
        [programs / "psql", "-q", "-v", "ON_ERROR_STOP=1", target], input=dump, check=True, capture_output=True
    )
    return server.url(name)


def _collect(client: MlflowClient) -> list[str]:
    report = client.collect_garbage(apply=True, older_than="0s", grace="0s")
    assert report.failures == ()
    return sorted(item.kind for item in report.items)


def _delete_everything(client: MlflowClient) -> None:
    client.delete_registered_model("churn", force=True)
    for model in client.search_logged_models(["0"]):
        client.delete_logged_model(model.model_id)
    for run in client.search_runs(["0"]):
        client.delete_run(run.info.run_id)


def test_gc_in_a_copy_refuses_and_leaves_the_only_files_of_production(place: Place, copied: Copying) -> None:
    before = place.stored()
    copy = copied()
    _delete_everything(copy)

    assert len(copy.collect_garbage(older_than="0s", grace="0s").items) == 2
    with pytest.raises(NotOwnerError, match="belong to another database, of which this one seems to be a copy"):
        _collect(copy)

    assert place.stored() == before
    place.client.verify("churn", read_bytes=True)
    assert len(copy.collect_garbage(older_than="0s", grace="0s").items) == 2


def test_a_copy_reads_and_logs_but_replaces_no_file(place: Place, copied: Copying) -> None:
    copy = copied()
    (run,) = copy.search_runs(["0"])
    run_id = run.info.run_id
    notes = Path("notes.txt")
    notes.write_text("of the copy")

    copy.log_metric(run_id, "loss", 0.1)
    copy.log_text(run_id, "new", "other.txt")
    with pytest.raises(NotOwnerError, match="'notes.txt' is at .* already and is not replaced"):
        copy.log_text(run_id, "of the copy", "notes.txt")
    with pytest.raises(NotOwnerError, match="'notes.txt' is at"):
        copy.log_artifact(run_id, notes)
    place.client.log_text(run_id, "of the original", "notes.txt")

    assert Path(copy.download_artifacts(run_id, "notes.txt")).read_text() == "of the original"
    assert Path(copy.download_artifacts(run_id, "other.txt")).read_text() == "new"
    copy.verify("churn", read_bytes=True)


def test_a_copy_that_was_given_files_of_its_own_collects_those(
    request: pytest.FixtureRequest, place: Place, copied: Copying
) -> None:
    copy = copied()
    own = f"{place.root}-copy"
    with pytest.raises(ArtifactNotFoundError, match="Copy them first"):
        copy.adopt(new_root=own)
    source, target = open_blob_store(place.root), open_blob_store(own)
    for file in list(source.walk()):
        target.write(file.path, source.read(file.path))
    before = place.stored()

    assert copy.adopt(new_root=own) == [own]
    copy.verify("churn", read_bytes=True)
    _delete_everything(copy)
    assert _collect(copy) == ["logged model", "run"]

    assert set(stored_below(own)) == set()
    assert place.stored() == before
    _delete_everything(place.client)
    assert _collect(place.client) == ["logged model", "run"]


def test_when_a_copy_takes_over_the_original_may_not_collect_any_more(place: Place, copied: Copying) -> None:
    copy = copied()
    assert copy.adopt(take_over=True) == [place.root]
    _delete_everything(place.client)

    with pytest.raises(NotOwnerError, match="This database is older than the bytes"):
        _collect(place.client)
    copy.verify("churn", read_bytes=True)
    _delete_everything(copy)
    assert _collect(copy) == ["logged model", "run"]
    assert place.stored() == set()


def test_adopting_says_exactly_one_thing(place: Place) -> None:
    for options in ({}, {"take_over": True, "new_root": "/x"}, {"take_over": True, "old_root": "/x"}):
        with pytest.raises(InvalidParameterError):
            place.client.adopt(**options)
    place.client.create_experiment("elsewhere", artifact_location=f"{place.root}-elsewhere")
    with pytest.raises(InvalidParameterError, match="below 2 roots; say with old_root"):
        place.client.adopt(new_root="/x")


def test_a_backup_that_was_restored_goes_on_unless_gc_ran_since(place: Place, request: pytest.FixtureRequest) -> None:
    backup = place.sql('SELECT root, "database", server, generation, token, previous_token FROM artifact_roots')
    assert _collect(place.client) == []
    place.client.delete_run(place.client.search_runs(["0"])[0].info.run_id)
    assert _collect(place.client) == ["run"]
    place.sql("DELETE FROM artifact_roots")
    place.sql("INSERT INTO artifact_roots VALUES (?, ?, ?, ?, ?, ?)", backup[0])
    _delete_everything(place.client)

    with pytest.raises(NotOwnerError, match="knows generation 1 of them, and .* has begun generation 2"):
        _collect(place.client)
    place.client.adopt(take_over=True)
    assert _collect(place.client) == ["logged model"]


def test_of_two_databases_that_cannot_be_told_apart_one_collects(place: Place, copied: Copying) -> None:
    copy = copied()
    twin = raw_sql(copy.tracking_uri)
    identity = copy.backend.ownership._store.identity(place.root)
    twin('UPDATE artifact_roots SET "database" = ?, server = ?', (identity.database, identity.server))
    barrier = Barrier(2)

    def collect(client: MlflowClient) -> str:
        barrier.wait()
        try:
            client.backend.ownership.begin_collection(place.root)
        except NotOwnerError:
            return "refused"
        return "collected"

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(collect, [place.client, copy]))

    assert sorted(outcomes) == ["collected", "refused"]
    winner, loser = (place.client, copy) if outcomes[0] == "collected" else (copy, place.client)
    winner.backend.ownership.begin_collection(place.root)
    with pytest.raises(NotOwnerError):
        loser.backend.ownership.begin_collection(place.root)


def test_gcs_of_one_database_run_side_by_side(place: Place) -> None:
    for _ in range(4):
        place.client.delete_run(place.run(experiment="0"))
    others = [MlflowClient(place.url) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        removed = [kind for kinds in pool.map(_collect, others) for kind in kinds]

    assert removed == ["run"] * 4
    place.client.verify("churn", read_bytes=True)
    assert place.sql("SELECT count(*) FROM artifact_roots") == [(1,)]


def test_a_gc_that_stopped_between_row_and_marker_is_completed_by_the_next(place: Place) -> None:
    store = place.client.backend.ownership._store
    ownership = store.find(place.root)
    assert ownership is not None
    assert store.advance(ownership, "token of a gc that stopped")
    place.client.delete_run(place.run(experiment="0"))

    assert _collect(place.client) == ["run"]
    assert place.sql("SELECT generation FROM artifact_roots") == [(3,)]


def test_a_cluster_at_another_address_asks(place: Place) -> None:
    if place.url.startswith("sqlite"):
        pytest.skip("SQLite has no server")
    place.sql("UPDATE artifact_roots SET server = '10.0.0.7:5432'")
    place.client.delete_run(place.run(experiment="0"))
    with pytest.raises(NotOwnerError, match="at 10.0.0.7:5432, this is"):
        _collect(place.client)
    place.client.adopt(take_over=True)
    assert _collect(place.client) == ["run"]


def test_a_root_without_its_marker_is_left_alone(place: Place) -> None:
    store = open_blob_store(place.root)
    store.delete([file.path for file in store.walk(".registry")])
    place.client.delete_run(place.run(experiment="0"))
    with pytest.raises(NotOwnerError, match="The marker that says whose bytes these are is gone"):
        _collect(place.client)
    assert _collect_after_take_over(place) == ["run"]


def test_a_marker_that_cannot_be_read_is_an_error_of_ours(place: Place) -> None:
    store = open_blob_store(place.root)
    for file in list(store.walk(".registry")):
        store.write(file.path, b"[1]")
    place.client.delete_run(place.run(experiment="0"))
    with pytest.raises(RegistryError, match="cannot be read, so nobody can tell whose bytes these are"):
        _collect(place.client)


def _collect_after_take_over(place: Place) -> list[str]:
    place.client.adopt(take_over=True)
    return _collect(place.client)


def _directory_registry(directory: Path) -> MlflowClient:
    """A registry whose database lies in the directory of its files, as ``./mlruns`` does."""
    client = MlflowClient(f"file:{directory}")
    run_id = client.create_run("0").info.run_id
    client.log_text(run_id, "scratch", "notes.txt")
    return client


def test_a_directory_that_was_copied_with_its_database_is_a_copy(own_place: Path) -> None:
    original = _directory_registry(own_place / "mlruns")
    shutil.copytree(own_place / "mlruns", own_place / "staging")
    copy = MlflowClient(f"file:{own_place / 'staging'}")
    (run,) = copy.search_runs(["0"])
    copy.delete_run(run.info.run_id)

    with pytest.raises(NotOwnerError, match="seems to be a copy"):
        _collect(copy)
    assert Path(original.download_artifacts(run.info.run_id, "notes.txt")).read_text() == "scratch"

    assert copy.adopt(new_root=str(own_place / "staging")) == [str(own_place / "staging")]
    assert _collect(copy) == ["run"]
    assert Path(original.download_artifacts(run.info.run_id, "notes.txt")).read_text() == "scratch"
    assert set(stored_below(str(own_place / "staging"))) == set()


def test_a_directory_that_was_moved_is_the_same_registry(own_place: Path) -> None:
    _directory_registry(own_place / "mlruns")
    (own_place / "mlruns").rename(own_place / "moved")
    client = MlflowClient(f"file:{own_place / 'moved'}")
    (run,) = client.search_runs(["0"])
    client.delete_run(run.info.run_id)
    with pytest.raises(NotOwnerError):
        _collect(client)

    client.relocate(str(own_place / "mlruns"), str(own_place / "moved"))

    assert _collect(client) == ["run"]
    assert set(stored_below(str(own_place / "moved"))) == set()


def test_files_that_moved_to_another_kind_of_place_stay_their_databases_own(own_place: Path) -> None:
    client = _directory_registry(own_place / "mlruns")
    shutil.copytree(own_place / "mlruns" / "0", own_place / "big" / "0")
    shutil.copytree(own_place / "mlruns" / ".registry", own_place / "big" / ".registry")
    client.relocate(str(own_place / "mlruns"), str(own_place / "big"))
    client.delete_run(client.search_runs(["0"])[0].info.run_id)

    assert _collect(client) == ["run"]
