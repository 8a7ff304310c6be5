"""What every byte store promises, on a local directory, on moto's S3 and on SeaweedFS."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.blobs import BlobStore, Range, open_blob_store
from registry.entities.manifest import Manifest, ManifestEntry
from registry.entities.paging import FileInfo
from registry.exceptions import (
    ArtifactNotFoundError,
    IntegrityError,
    InvalidPathError,
    PathExistsError,
    StorageError,
)

Opener = Callable[[], BlobStore]

HOSTILE_PATHS = [
    "../up",
    "a/../../up",
    "/absolute",
    "a/./b",
    ".",
    "..",
    "a//b",
    "a/",
    "back\\slash",
    "C:/drive",
    "nul\0byte",
    "line\nbreak",
    "",
    "a/" + "x" * 256,
    "x/" * 600 + "x",
    ".registry-0123456789abcdef.part",
]


@pytest.fixture(params=["local", "moto_s3", "seaweedfs"])
def open_fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens a store with a root of its own each time it is called."""
    if request.param == "local":
        numbers = iter(range(1000))
        return lambda: open_blob_store(str(tmp_path / "stores" / str(next(numbers))))
    server = request.getfixturevalue("s3_environment")(request.getfixturevalue(request.param))
    return lambda: open_blob_store(server.fresh_root())


@pytest.fixture
def store(open_fresh: Opener) -> BlobStore:
    return open_fresh()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with files at several depths, of which one is empty and one has an odd name."""
    return plant(
        tmp_path / "tree", {"MLmodel": b"flavors: {}\n", "data/model.ubj": b"\0\1\2" * 1000, "data/émpty 1+1.txt": b""}
    )


def plant(directory: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(data)
    return directory


def planted(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if not path.is_dir()
    }


def entry(path: str, data: bytes) -> ManifestEntry:
    return ManifestEntry(path, len(data), hashlib.sha256(data).hexdigest())


def test_a_store_is_empty_before_the_first_write(store: BlobStore) -> None:
    assert store.list() == []
    assert list(store.walk()) == []
    assert store.find("a") is None
    assert store.manifest() == Manifest(())


def test_what_was_written_is_read(store: BlobStore) -> None:
    store.write("plots/roc.png", b"png\0")
    assert store.read("plots/roc.png") == b"png\0"
    with store.open("plots/roc.png") as stream:
        assert stream.read() == b"png\0"


def test_a_part_of_a_file_is_read_without_the_rest(store: BlobStore) -> None:
    store.write("digits", b"0123456789")
    with store.open("digits", Range(3, 7)) as stream:
        assert (stream.read(2), stream.read(), stream.read()) == (b"34", b"56", b"")
    with store.open("digits", Range(0, 10)) as stream:
        assert stream.read() == b"0123456789"
    with store.open("digits", Range(9, 10)) as stream:
        assert list(stream) == [b"9"]


@pytest.mark.parametrize("part", [Range(8, 12), Range(20, 22)])
def test_a_part_that_a_file_does_not_have_is_an_error(store: BlobStore, part: Range) -> None:
    store.write("digits", b"0123456789")
    with pytest.raises(StorageError), store.open("digits", part) as stream:
        stream.read()


def test_an_empty_file_is_a_file(store: BlobStore) -> None:
    store.write("empty", b"")
    assert store.read("empty") == b""
    assert store.find("empty") == FileInfo("empty", is_dir=False, file_size=0)


def test_writing_replaces(store: BlobStore) -> None:
    store.write("a", b"first")
    store.write("a", b"second")
    assert store.read("a") == b"second"


@pytest.mark.parametrize("path", ["a b", "50%", "a?b#c", "ünï/日本", "a+b&c=d", "-rf", "~", "%2e%2e/x"])
def test_odd_names_come_back_as_they_are(store: BlobStore, path: str) -> None:
    store.write(path, b"x")
    assert store.read(path) == b"x"
    assert [info.path for info in store.walk()] == [path]


def test_a_listing_shows_one_level_sorted_by_path(store: BlobStore) -> None:
    for path in ("b.txt", "a/2", "a/1", "a/deep/er/3", "a.txt"):
        store.write(path, b"xy")
    assert store.list() == [
        FileInfo("a", is_dir=True, file_size=None),
        FileInfo("a.txt", is_dir=False, file_size=2),
        FileInfo("b.txt", is_dir=False, file_size=2),
    ]
    assert store.list("a") == [
        FileInfo("a/1", is_dir=False, file_size=2),
        FileInfo("a/2", is_dir=False, file_size=2),
        FileInfo("a/deep", is_dir=True, file_size=None),
    ]


@pytest.mark.parametrize("path", ["missing", "a/1", "a/1/below", "a/"[:1] + "b"])
def test_a_missing_path_or_a_file_lists_nothing(store: BlobStore, path: str) -> None:
    store.write("a/1", b"x")
    assert store.list(path) == []


def test_a_walk_finds_every_file_at_or_below_a_path(store: BlobStore) -> None:
    for path in ("a", "ab/1", "ab.txt", "ab/c/2", "ab-3"):
        store.write(path, b"x")
    assert [info.path for info in store.walk()] == ["a", "ab-3", "ab.txt", "ab/1", "ab/c/2"]
    assert [info.path for info in store.walk("ab")] == ["ab/1", "ab/c/2"]
    assert [info.path for info in store.walk("a")] == ["a"]
    assert list(store.walk("b")) == []


def test_find_tells_files_directories_and_nothing_apart(store: BlobStore) -> None:
    store.write("dir/file", b"abc")
    assert store.find("dir/file") == FileInfo("dir/file", is_dir=False, file_size=3)
    assert store.find("dir") == FileInfo("dir", is_dir=True, file_size=None)
    assert store.find("di") is None
    assert store.find("dir/file/below") is None


@pytest.mark.parametrize("path", ["missing", "dir", "dir/missing", "dir/file/below"])
def test_reading_what_is_no_file_is_an_error(store: BlobStore, path: str) -> None:
    store.write("dir/file", b"x")
    with pytest.raises(ArtifactNotFoundError, match=path):
        store.read(path)


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_a_path_that_leaves_the_root_is_refused_by_every_call(store: BlobStore, tree: Path, path: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.write(path, b"x"),
        lambda: store.read(path),
        lambda: store.find(path),
        lambda: store.upload(tree / "MLmodel", path),
        lambda: store.delete([path]),
    ]
    if path:  # the root itself may be listed, downloaded and uploaded to
        calls += [
            lambda: store.list(path),
            lambda: list(store.walk(path)),
            lambda: store.upload(tree, path),
            lambda: store.download(path, tree),
        ]
    for call in calls:
        with pytest.raises(InvalidPathError):
            call()
    assert list(store.walk()) == []


def test_a_file_is_uploaded_under_its_path(store: BlobStore, tree: Path) -> None:
    store.upload(tree / "MLmodel", "models/MLmodel")
    assert store.read("models/MLmodel") == b"flavors: {}\n"


def test_a_directory_is_uploaded_with_all_that_is_in_it(store: BlobStore, tree: Path) -> None:
    store.upload(tree, "below")
    store.upload(tree)
    names = ["MLmodel", "data/model.ubj", "data/émpty 1+1.txt"]
    assert [info.path for info in store.walk()] == names[:1] + [f"below/{name}" for name in names] + names[1:]


def test_uploading_what_is_missing_is_an_error(store: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(ArtifactNotFoundError, match="nowhere"):
        store.upload(tmp_path / "nowhere", "a")


def test_a_symlink_in_an_uploaded_directory_is_refused_by_name(store: BlobStore, tree: Path) -> None:
    (tree / "data" / "shadow").symlink_to("/etc/shadow")
    for call in (lambda: store.upload(tree), lambda: store.seal(tree)):
        with pytest.raises(InvalidPathError, match=r"data/shadow is a symbolic link"):
            call()
    assert list(store.walk()) == []


def test_a_linked_directory_in_an_uploaded_directory_is_refused_by_name(store: BlobStore, tree: Path) -> None:
    (tree / "etc").symlink_to("/etc", target_is_directory=True)
    with pytest.raises(InvalidPathError, match=r"tree/etc is a symbolic link"):
        store.upload(tree)
    assert list(store.walk()) == []


def test_a_pipe_in_an_uploaded_directory_is_refused_by_name(store: BlobStore, tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    with pytest.raises(InvalidPathError, match=r"pipe is neither a file nor a directory"):
        store.upload(tree)


@pytest.mark.parametrize("name", [b"back\\slash", b"line\nbreak", b"not-utf8-\xff"])
def test_a_file_name_that_cannot_be_stored_is_refused_before_the_first_byte(
    store: BlobStore, tree: Path, name: bytes
) -> None:
    with open(os.fsencode(tree) + b"/" + name, "wb"):  # noqa: PTH123  # a name that no Path can spell
        pass
    with pytest.raises(InvalidPathError):
        store.upload(tree)
    assert list(store.walk()) == []


def test_a_download_copies_a_file_or_a_directory_below_the_destination(
    store: BlobStore, tree: Path, tmp_path: Path
) -> None:
    store.upload(tree)
    assert store.download("MLmodel", tmp_path / "one") == tmp_path / "one" / "MLmodel"
    assert planted(tmp_path / "one") == {"MLmodel": b"flavors: {}\n"}
    assert store.download("data", tmp_path / "two") == tmp_path / "two" / "data"
    assert planted(tmp_path / "two") == {"data/model.ubj": b"\0\1\2" * 1000, "data/émpty 1+1.txt": b""}
    assert store.download("", tmp_path / "all") == tmp_path / "all"
    assert planted(tmp_path / "all") == planted(tree)


def test_a_download_replaces_what_is_there(store: BlobStore, tmp_path: Path) -> None:
    store.write("a", b"new")
    plant(tmp_path / "to", {"a": b"old", "b": b"stays"})
    store.download("a", tmp_path / "to")
    assert planted(tmp_path / "to") == {"a": b"new", "b": b"stays"}


def test_a_download_follows_no_symlink_out_of_the_destination(store: BlobStore, tmp_path: Path) -> None:
    store.write("dir/file", b"x")
    (tmp_path / "outside").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "dir").symlink_to(tmp_path / "outside", target_is_directory=True)
    with pytest.raises(InvalidPathError, match="symbolic link"):
        store.download("dir", tmp_path / "to")
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("path", ["missing", "a/missing", ""])
def test_downloading_nothing_is_an_error_and_leaves_nothing(open_fresh: Opener, tmp_path: Path, path: str) -> None:
    with pytest.raises(ArtifactNotFoundError, match="There is no file at"):
        open_fresh().download(path, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_seal_has_the_files_and_their_digests(store: BlobStore, tree: Path) -> None:
    manifest = store.seal(tree)
    assert manifest.entries == (
        entry("MLmodel", b"flavors: {}\n"),
        entry("data/model.ubj", b"\0\1\2" * 1000),
        entry("data/émpty 1+1.txt", b""),
    )
    assert store.manifest() == manifest
    assert store.read("data/model.ubj") == b"\0\1\2" * 1000


def test_what_is_sealed_is_never_sealed_again(store: BlobStore, tree: Path, tmp_path: Path) -> None:
    manifest = store.seal(tree)
    other = plant(tmp_path / "other", {"zzz": b"other"})
    with pytest.raises(PathExistsError, match="MLmodel"):
        store.seal(other)
    assert store.manifest() == manifest


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_sealing_nothing_is_an_error(store: BlobStore, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactNotFoundError, match=name):
        store.seal(tmp_path / name)


def test_a_seal_can_be_made_from_a_part_of_another_store(open_fresh: Opener, tree: Path) -> None:
    scratch, sealed = open_fresh(), open_fresh()
    scratch.upload(tree, "runs/model")
    scratch.write("runs/model-2/x", b"x")
    manifest = sealed.seal_from(scratch, "runs/model")
    assert [found.path for found in manifest.entries] == ["MLmodel", "data/model.ubj", "data/émpty 1+1.txt"]
    assert sealed.manifest() == manifest
    with pytest.raises(PathExistsError):
        sealed.seal_from(scratch, "runs/model")


def test_a_seal_of_a_lone_file_keeps_its_name(open_fresh: Opener) -> None:
    scratch, sealed = open_fresh(), open_fresh()
    scratch.write("runs/model.ubj", b"bytes")
    assert sealed.seal_from(scratch, "runs/model.ubj").entries == (entry("model.ubj", b"bytes"),)
    assert sealed.read("model.ubj") == b"bytes"


def test_a_seal_passes_between_stores_of_different_kinds(open_fresh: Opener, tree: Path, tmp_path: Path) -> None:
    local, there, back = open_blob_store(str(tmp_path / "from")), open_fresh(), open_blob_store(str(tmp_path / "back"))
    local.upload(tree)
    assert there.seal_from(local) == back.seal_from(there)
    assert planted(tmp_path / "back") == planted(tree)


def test_sealing_from_where_nothing_is_is_an_error(open_fresh: Opener) -> None:
    with pytest.raises(ArtifactNotFoundError, match="There is no file at"):
        open_fresh().seal_from(open_fresh(), "runs/model")


def test_a_fetch_brings_exactly_the_files_of_the_manifest(store: BlobStore, tree: Path, tmp_path: Path) -> None:
    manifest = store.seal(tree)
    store.write("stray", b"not in the manifest")
    store.fetch(manifest, tmp_path / "to")
    assert planted(tmp_path / "to") == planted(tree)


@pytest.mark.parametrize("data", [b"", b"\0\1\3" * 1000, b"\0\1\2" * 999, b"\0\1\2" * 1001])
def test_a_file_that_is_not_what_was_recorded_is_an_integrity_error(
    store: BlobStore, tree: Path, tmp_path: Path, data: bytes
) -> None:
    manifest = store.seal(tree)
    store.write("data/model.ubj", data)
    expected, actual = manifest.entries[1].sha256, hashlib.sha256(data).hexdigest()
    with pytest.raises(IntegrityError, match=rf"data/model\.ubj .*{expected}.*{actual}"):
        store.fetch(manifest, tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []


def test_a_missing_file_is_an_integrity_error(store: BlobStore, tree: Path, tmp_path: Path) -> None:
    manifest = store.seal(tree)
    store.delete(["data/model.ubj"])
    with pytest.raises(IntegrityError, match=r"data/model\.ubj is missing"):
        store.fetch(manifest, tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []


@pytest.mark.parametrize("path", ["../escape", "/tmp/escape", "a/../../escape"])
def test_a_manifest_leads_nowhere_else(store: BlobStore, tmp_path: Path, path: str) -> None:
    with pytest.raises(InvalidPathError):
        store.fetch(Manifest((entry(path, b"x"),)), tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []


def test_a_fetch_wants_an_empty_directory(store: BlobStore, tree: Path, tmp_path: Path) -> None:
    manifest = store.seal(tree)
    plant(tmp_path / "to", {"mine": b"x"})
    with pytest.raises(PathExistsError, match="mine"):
        store.fetch(manifest, tmp_path / "to")
    assert planted(tmp_path / "to") == {"mine": b"x"}


def test_deleting_removes_files_and_passes_over_missing_ones(store: BlobStore, tree: Path) -> None:
    store.upload(tree, "a/b")
    store.write("keep", b"x")
    store.delete(["a/b/MLmodel", "a/b/data/model.ubj", "a/b/data/émpty 1+1.txt", "a/missing", "missing/x"])
    assert list(store.walk()) == [FileInfo("keep", is_dir=False, file_size=1)]
    store.delete([])


def test_a_large_file_survives_every_way(open_fresh: Opener, tmp_path: Path) -> None:
    store, copy = open_fresh(), open_fresh()
    data = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(700_000))  # 22 MB: three parts on S3
    plant(tmp_path / "from", {"big.bin": data, "small": b"x"})
    manifest = store.seal(tmp_path / "from")
    assert manifest.entries == (entry("big.bin", data), entry("small", b"x"))
    assert copy.seal_from(store) == manifest
    copy.fetch(manifest, tmp_path / "fetched")
    copy.download("", tmp_path / "downloaded")
    assert (tmp_path / "fetched" / "big.bin").read_bytes() == data
    assert (tmp_path / "downloaded" / "big.bin").read_bytes() == data
    assert copy.read("big.bin") == data


def test_a_file_that_is_written_once_is_not_replaced(store: BlobStore) -> None:
    store.write_once("a/b", b"first")
    with pytest.raises(PathExistsError):
        store.write_once("a/b", b"second")
    assert store.read("a/b") == b"first"


def test_purging_removes_all_below_a_path_and_nothing_beside_it(store: BlobStore, tree: Path) -> None:
    store.upload(tree, "a/b")
    store.write("a/bc", b"beside")
    assert store.total_size("a/b") == sum(len(data) for data in planted(tree).values())
    assert store.total_size("a/b/missing") == store.total_size("nowhere") == 0

    store.purge("a/b")
    store.purge("a/b")
    store.purge("nowhere/at/all")

    assert list(store.walk()) == [FileInfo("a/bc", is_dir=False, file_size=6)]
    store.purge("a/bc")
    assert list(store.walk()) == []


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_nothing_is_purged_or_weighed_by_a_path_that_leads_elsewhere(store: BlobStore, path: str) -> None:
    store.write("kept", b"x")
    for use in (store.purge, store.total_size):
        with pytest.raises(InvalidPathError):
            use(path)
    assert store.read("kept") == b"x"


def test_a_stamp_changes_when_the_bytes_may_have_changed(store: BlobStore, tree: Path) -> None:
    store.upload(tree)
    before = store.stamps()
    store.write("MLmodel", b"flavors: []\n")  # as long as before

    after = store.stamps()

    assert {path: stamp.size for path, stamp in after.items()} == {
        path: len(data) for path, data in planted(tree).items()
    }
    assert {path for path in after if after[path] != before[path]} == {"MLmodel"}


@pytest.mark.parametrize("other", ["same kind", "local"])
def test_files_are_copied_over_what_is_there_and_nothing_else_changes(
    open_fresh: Opener, tree: Path, tmp_path: Path, other: str
) -> None:
    source, target = open_fresh() if other == "same kind" else open_blob_store(str(tmp_path / "other")), open_fresh()
    source.upload(tree)
    target.write("MLmodel", b"old")
    target.write("kept.txt", b"kept")
    stamps = source.stamps()
    gone = {"gone.txt": stamps["MLmodel"]}

    assert target.copy_from(source, {"MLmodel": stamps["MLmodel"], **gone}) == len(b"flavors: {}\n")

    assert {info.path: target.read(info.path) for info in target.walk()} == {
        "MLmodel": b"flavors: {}\n",
        "kept.txt": b"kept",
    }


@pytest.mark.parametrize("other", ["same kind", "local"])
@pytest.mark.parametrize("size", [0, 12, 9_000_000])
def test_equal_and_different_bytes_are_told_apart(open_fresh: Opener, tmp_path: Path, other: str, size: int) -> None:
    source, target = open_fresh() if other == "same kind" else open_blob_store(str(tmp_path / "other")), open_fresh()
    plant(tmp_path / "source", {"file": b"x" * size})
    source.upload(tmp_path / "source")
    assert target.copy_from(source, source.stamps()) == size

    is_known = other == "local" or size < 9_000_000 or source.local_directory is not None
    assert target.has_same("file", target.stamps()["file"], source) or not is_known
    if size:
        source.write("file", b"y" * size)
        assert not target.has_same("file", target.stamps()["file"], source)
