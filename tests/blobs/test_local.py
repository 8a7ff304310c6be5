"""What only the local store promises: symlinks, half-written files, durability in the face of other programs."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from registry.blobs import open_blob_store
from registry.blobs.directory import Directory
from registry.entities.paging import FileInfo
from registry.exceptions import ArtifactNotFoundError, InvalidPathError, PathExistsError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with nothing in it."""
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def temporary_files(directory: Path) -> list[str]:
    return [path.name for path in directory.rglob("*") if path.name.endswith(".part")]


def test_a_symlink_below_the_root_is_never_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_bytes(b"secret")
    store = open_blob_store(str(tmp_path / "root"))
    store.write("a/file", b"x")
    (tmp_path / "root" / "dir").symlink_to(tmp_path / "secret", target_is_directory=True)
    (tmp_path / "root" / "a" / "link").symlink_to(tmp_path / "secret" / "key")
    calls = [
        lambda: store.read("dir/key"),
        lambda: store.read("a/link"),
        lambda: store.write("dir/key", b"overwritten"),
        lambda: store.find("dir/key"),
        lambda: store.find("a/link"),
        lambda: store.list(),
        lambda: store.list("a"),
        lambda: store.list("dir"),
        lambda: list(store.walk()),
        lambda: store.download("a", tmp_path / "to"),
        lambda: store.download("dir", tmp_path / "to"),
        lambda: store.upload(tmp_path / "secret", "dir"),
        lambda: store.delete(["dir/key"]),
        lambda: store.manifest(),
    ]
    for call in calls:
        with pytest.raises(InvalidPathError, match=r"(root/dir|a/link) is a symbolic link"):
            call()
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "secret").iterdir()] == [("key", b"secret")]
    assert not (tmp_path / "to").exists()


def test_the_root_itself_may_be_reached_through_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "disk", target_is_directory=True)
    open_blob_store(str(tmp_path / "root")).write("a", b"x")
    assert (tmp_path / "disk" / "a").read_bytes() == b"x"


def test_writing_over_a_symlink_replaces_the_link_only(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"stays")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").symlink_to(tmp_path / "outside")
    open_blob_store(str(tmp_path / "root")).write("a", b"new")
    assert (tmp_path / "outside").read_bytes() == b"stays"
    assert (tmp_path / "root" / "a").read_bytes() == b"new"


@pytest.mark.parametrize("name", ["back\\slash", "line\nbreak"])
def test_a_listed_name_that_is_no_path_is_an_error(root: Path, name: str) -> None:
    (root / name).write_bytes(b"x")
    store = open_blob_store(str(root))
    for call in (store.list, lambda: list(store.walk()), store.manifest):
        with pytest.raises(InvalidPathError, match=f"file name in {root}"):
            call()


def test_half_written_files_are_never_listed_or_read(root: Path) -> None:
    (root / ".registry-0123456789abcdef.part").write_bytes(b"half")
    (root / "whole").write_bytes(b"x")
    store = open_blob_store(str(root))
    assert store.list() == [FileInfo("whole", is_dir=False, file_size=1)]
    assert [info.path for info in store.walk()] == ["whole"]


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_write_that_fails_leaves_no_file(root: Path, error: type[BaseException], exclusive: bool) -> None:
    def interrupted() -> None:
        with Directory(root).create("dir/file", exclusive=exclusive) as file:
            file.write(b"half")
            assert len(temporary_files(root)) == 1
            raise error

    with pytest.raises(error):
        interrupted()
    assert [path for path in root.rglob("*") if not path.is_dir()] == []


def test_a_file_appears_only_when_it_is_whole(root: Path) -> None:
    directory = Directory(root)
    with directory.create("file") as file:
        file.write(b"x" * 100_000)
        assert directory.find("file") is None
        assert directory.entries() == []
    assert directory.find("file") == FileInfo("file", is_dir=False, file_size=100_000)


@pytest.mark.parametrize("hard_links", [True, False])
def test_an_exclusive_write_never_replaces(root: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool) -> None:
    if not hard_links:

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    directory = Directory(root)
    with directory.create("file", exclusive=True) as file:
        file.write(b"first")

    def again() -> None:
        with directory.create("file", exclusive=True) as file:
            file.write(b"second")

    with pytest.raises(PathExistsError, match="file exists already"):
        again()
    assert (root / "file").read_bytes() == b"first"
    assert temporary_files(root) == []


def test_of_many_exclusive_writes_one_wins(root: Path) -> None:
    directory, won = Directory(root), []

    def write(number: int) -> None:
        try:
            with directory.create("file", exclusive=True) as file:
                file.write(b"%d" % number)
        except PathExistsError:
            return
        won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [b"%d" % number for number in won] == [(root / "file").read_bytes()]


def test_writing_and_pruning_the_same_directory_do_not_disturb_each_other(root: Path) -> None:
    store, failures = open_blob_store(str(root)), []

    def churn(name: str) -> None:
        try:
            for _ in range(200):
                store.write(f"a/b/{name}", b"x")
                store.delete([f"a/b/{name}"])
        except Exception as error:  # any error at all is the finding
            failures.append(error)

    threads = [threading.Thread(target=churn, args=(f"file-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.list() == []


def test_a_file_cannot_take_the_place_of_a_directory_nor_hold_files(root: Path) -> None:
    store = open_blob_store(str(root))
    store.write("dir/file", b"x")
    with pytest.raises(InvalidPathError, match="dir is a directory"):
        store.write("dir", b"y")
    with pytest.raises(InvalidPathError, match="a file is where a directory must be"):
        store.write("dir/file/below", b"y")
    assert [info.path for info in store.walk()] == ["dir/file"]


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root").write_bytes(b"x")
    with pytest.raises(InvalidPathError, match="root is a file"):
        open_blob_store(str(tmp_path / "root")).write("a", b"x")


def test_reading_below_a_missing_root_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ArtifactNotFoundError, match="missing/a does not exist"):
        open_blob_store(str(tmp_path / "missing")).read("a")


FULL_DISK = """
import resource, sys
from registry.blobs import open_blob_store
from registry.exceptions import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    open_blob_store(sys.argv[1]).write("dir/file", b"x" * 100_000)
except StorageError as error:
    print(error)
"""


def test_a_disk_that_takes_no_more_is_a_storage_error_and_leaves_no_file(root: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(root)], capture_output=True, text=True, check=True)
    assert (
        done.stdout
        == f"{root}/dir/file: File too large. Check the rights and the free space of the directory {root}.\n"
    )
    assert [path for path in root.rglob("*") if not path.is_dir()] == []


def test_deleting_prunes_the_directories_that_become_empty(root: Path) -> None:
    store = open_blob_store(str(root))
    store.write("a/b/c", b"x")
    store.write("a/d", b"x")
    store.delete(["a/b/c"])
    assert [path.relative_to(root).as_posix() for path in sorted(root.rglob("*"))] == ["a", "a/d"]
    store.delete(["a/d"])
    assert list(root.iterdir()) == []


def test_a_purge_removes_a_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("not ours")
    root = tmp_path / "root"
    (root / "run").mkdir(parents=True)
    (root / "run" / "link").symlink_to(outside)
    (root / "way").symlink_to(outside)
    store = open_blob_store(str(root))

    store.purge("run")
    with pytest.raises(InvalidPathError, match="symbolic link"):
        store.purge("way/file")

    assert (outside / "file").read_text() == "not ours"
    assert sorted(path.name for path in root.iterdir()) == ["way"]


def test_a_file_that_is_removed_during_a_listing_is_left_out_and_the_others_are_there(root: Path) -> None:
    store = open_blob_store(str(root))
    store.write("a/kept", b"12345")
    is_over = threading.Event()

    def come_and_go() -> None:
        while not is_over.is_set():
            for number in range(20):
                (root / "a" / f"fleeting-{number}").touch()
                (root / "a" / f"fleeting-{number}").unlink()

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        for _ in range(1_000):
            assert FileInfo("a/kept", is_dir=False, file_size=5) in store.list("a")
            assert FileInfo("a/kept", is_dir=False, file_size=5) in list(store.walk())
            assert store.total_size("a") == 5
    finally:
        is_over.set()
        other.join()
