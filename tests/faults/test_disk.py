"""Full or failing disks: one clear error, nothing half-written, and the next try works."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from file_trees import write_files
from gc_places import Place
from governed_models import raw_sql
from small_disk import files_up_to
from soundness import check_bytes, check_versions

from registry import MlflowClient
from registry.client.models.loading import open_model
from registry.entities import RunTag
from registry.exceptions import StorageError
from registry.uris import parse

LARGE = 3_000_000


@pytest.fixture
def large_on_s3(
    sqlite_url: str,
    own_place: Path,
    artifacts_on_s3: str,
) -> Place:
    """A registry on S3 with a version of one large file."""
    client = MlflowClient(sqlite_url)
    client.register_model(str(write_files(own_place / "large", {"data.bin": b"x" * LARGE})), "large")
    return Place(sqlite_url, artifacts_on_s3, client, raw_sql(sqlite_url))


def _files(directory: Path) -> list[str]:
    return [path.name for path in directory.rglob("*") if path.is_file() and path.stat().st_size > 0]


def test_a_full_disk_while_loading_is_one_error_and_the_next_load_works(large_on_s3: Place) -> None:
    cache = Path(os.environ["REGISTRY_CACHE_DIR"])
    with files_up_to(LARGE // 2), pytest.raises(StorageError, match="free space|Free space"):
        with open_model(large_on_s3.client.backend, parse("models:/large/1")):
            pass
    assert _files(cache) == []

    with open_model(large_on_s3.client.backend, parse("models:/large/1")) as directory:
        assert (directory / "data.bin").stat().st_size == LARGE


def test_a_full_disk_while_downloading_leaves_the_target_alone(large_on_s3: Place, own_place: Path) -> None:
    run_id = large_on_s3.client.create_run("0").info.run_id
    large_on_s3.client.log_artifact(run_id, own_place / "large" / "data.bin")
    target = write_files(own_place / "target", {"mine.txt": b"mine"})

    with files_up_to(LARGE // 2), pytest.raises(StorageError, match="File too large|free space"):
        large_on_s3.client.download_artifacts(run_id, "", str(target))
    assert [path.name for path in target.iterdir()] == ["mine.txt"]

    large_on_s3.client.download_artifacts(run_id, "", str(target))
    assert (target / "data.bin").stat().st_size == LARGE


def test_a_full_disk_while_storing_leaves_no_version(place: Place, own_place: Path) -> None:
    if place.root.startswith("s3://"):
        pytest.skip("the server's disk is not ours to fill")
    source = write_files(own_place / "source", {"data.bin": b"x" * LARGE})

    with files_up_to(LARGE // 2), pytest.raises(StorageError):
        place.client.register_model(str(source), "churn")

    assert place.client.search_registered_models() == []
    check_bytes(place)
    assert place.stored() == set()
    assert place.client.register_model(str(source), "churn").version == 1


def test_a_database_file_that_cannot_grow_is_one_error(sqlite_url: str, own_place: Path) -> None:
    client = MlflowClient(sqlite_url)
    run_id = client.create_run("0").info.run_id
    size = Path(sqlite_url.removeprefix("sqlite:///")).stat().st_size
    with files_up_to(size), pytest.raises(StorageError):
        client.log_batch(run_id, tags=[RunTag(f"key-{number}", "x" * 1000) for number in range(100)])

    client.set_tag(run_id, "after", "it works again")
    assert client.get_run(run_id).data.tags["after"] == "it works again"


def test_a_missing_cache_directory_is_made_again(large_on_s3: Place, own_place: Path) -> None:
    from registry.blobs.cache_entry import remove

    with open_model(large_on_s3.client.backend, parse("models:/large/1")):
        pass
    remove(Path(os.environ["REGISTRY_CACHE_DIR"]))

    with open_model(large_on_s3.client.backend, parse("models:/large/1")) as directory:
        assert (directory / "data.bin").stat().st_size == LARGE
    large_on_s3.client.delete_registered_model("large")
    assert check_versions(large_on_s3) == 0


READ_ONLY = """
import registry.client, registry.client.artifacts.downloads, sqlalchemy.dialects.sqlite, tempfile, os, pathlib, sys
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
from registry.client.atomic_files import move_into_place
from registry.blobs import open_blob_store
from registry.exceptions import StorageError

target = pathlib.Path(sys.argv[1])
for attempt in (
    lambda: move_into_place(target, "", lambda staging: []),
    lambda: open_blob_store(str(target)).write("a", b"x"),
    lambda: open_blob_store(str(target)).purge("mine.txt"),
):
    try:
        attempt()
    except StorageError as error:
        print(isinstance(error, PermissionError), error.error_code, str(target) in str(error))
"""


def test_a_target_that_may_not_be_written_is_a_permission_error_and_stays_as_it_is(own_place: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        target = write_files(Path(place, "target"), {"mine.txt": b"mine"})
        Path(place).chmod(0o755)
        target.chmod(0o555)
        done = subprocess.run([sys.executable, "-c", READ_ONLY, str(target)], capture_output=True, text=True, cwd="/")
        left = [path.name for path in target.iterdir()]
        target.chmod(0o755)

    assert (done.stdout.splitlines(), done.stderr) == (["True PERMISSION_DENIED True"] * 3, "")
    assert left == ["mine.txt"]
