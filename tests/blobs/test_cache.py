"""The cache of models: filled once, checked on every use, bounded, and shared by processes."""

import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.blobs import cache_entry
from registry.blobs.cache import CacheCheck, ModelCache
from registry.entities.manifest import Manifest, ManifestEntry
from registry.exceptions import IntegrityError, InvalidParameterError, StorageError

MEGABYTE = 1_000_000


class Origin:
    """A model that can be fetched, and how often it was."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.fetched = 0
        self.manifest = Manifest.of(
            ManifestEntry(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in files.items()
        )

    def fetch(self, directory: Path) -> None:
        self.fetched += 1
        for path, data in self.files.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_bytes(data)


def origin(name: str = "a", size: int = 1000) -> Origin:
    return Origin({"MLmodel": name.encode(), "data/model.ubj": name.encode() * size})


def cached(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if not path.is_dir()
    }


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache", limit_bytes=MEGABYTE)


@pytest.fixture
def another(tmp_path: Path) -> ModelCache:
    """The same directory as `cache`, as another process sees it."""
    return ModelCache(tmp_path / "cache", limit_bytes=MEGABYTE)


def damaged(path: Path, data: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(data)


def test_a_model_is_fetched_once(cache: ModelCache, another: ModelCache) -> None:
    model = origin()
    assert cached(cache.directory(model.manifest, model.fetch)) == model.files
    assert cached(cache.directory(model.manifest, model.fetch)) == model.files
    assert cached(another.directory(model.manifest, model.fetch)) == model.files
    assert model.fetched == 1


def test_a_cached_model_is_found_by_its_digest_alone(cache: ModelCache, another: ModelCache) -> None:
    model = origin()
    assert cache.find(model.manifest.digest) is None
    path = cache.directory(model.manifest, model.fetch)
    assert another.find(model.manifest.digest) == path


@pytest.mark.parametrize("digest", ["", "..", "../../etc", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_what_is_no_digest_is_refused(cache: ModelCache, digest: str) -> None:
    with pytest.raises(InvalidParameterError, match="Invalid digest"):
        cache.find(digest)


def test_cached_files_are_private_and_read_only(cache: ModelCache, tmp_path: Path) -> None:
    model = origin()
    path = cache.directory(model.manifest, model.fetch)
    modes = {
        found.relative_to(tmp_path).as_posix(): stat.S_IMODE(found.stat().st_mode)
        for found in [tmp_path / "cache", path, *path.rglob("*")]
    }
    base = path.relative_to(tmp_path).as_posix()
    assert modes == {
        "cache": 0o700,
        base: 0o500,
        f"{base}/MLmodel": 0o400,
        f"{base}/data": 0o500,
        f"{base}/data/model.ubj": 0o400,
    }


def test_a_directory_that_others_could_write_to_is_closed(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o777)
    ModelCache(tmp_path / "open", MEGABYTE).entries()
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 12345, 12345)
    with pytest.raises(StorageError, match="belongs to another user"):
        ModelCache(tmp_path / "theirs", MEGABYTE).entries()


def change(model: Path) -> None:
    damaged(model / "data" / "model.ubj", b"b" * 1000)


def truncate(model: Path) -> None:
    damaged(model / "data" / "model.ubj", b"a" * 999)


def add(model: Path) -> None:
    model.chmod(0o700)
    (model / "extra").write_bytes(b"")


def take(model: Path) -> None:
    model.chmod(0o700)
    (model / "MLmodel").unlink()


def link(model: Path) -> None:
    take(model)
    (model / "MLmodel").symlink_to("/etc/hostname")


def forget_manifest(model: Path) -> None:
    (model.parent / "manifest.json").unlink()


def garble_manifest(model: Path) -> None:
    (model.parent / "manifest.json").write_text("{")


def forge_manifest(model: Path) -> None:
    change(model)
    path = model.parent / "manifest.json"
    true, false = (hashlib.sha256(letter * 1000).hexdigest() for letter in (b"a", b"b"))
    path.write_text(path.read_text().replace(true, false))


def misspell_manifest(model: Path) -> None:
    path = model.parent / "manifest.json"
    path.write_text(path.read_text().replace('"sha256": "', '"sha256": "\\ud800'))


def swell_manifest(model: Path) -> None:
    path = model.parent / "manifest.json"
    path.write_text(path.read_text().replace('"size": 1,', '"size": Infinity,'))


def space_manifest(model: Path) -> None:
    path = model.parent / "manifest.json"
    path.write_text(path.read_text() + " ")


DAMAGES = [
    *[change, truncate, add, take, link],
    *[forget_manifest, garble_manifest, forge_manifest, misspell_manifest, swell_manifest, space_manifest],
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("always_hashed", [0, 10**9])
def test_a_damaged_entry_is_dropped_and_fetched_again(
    cache: ModelCache,
    damage: Callable[[Path], None],
    always_hashed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("registry.blobs.cache.ALWAYS_HASHED", always_hashed)
    model = origin()
    damage(cache.directory(model.manifest, model.fetch))
    assert cache.find(model.manifest.digest) is None
    assert cached(cache.directory(model.manifest, model.fetch)) == model.files
    assert model.fetched == 2
    assert [entry.digest for entry in cache.entries()] == [model.manifest.digest]


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_drops_what_is_damaged_and_nothing_else(cache: ModelCache, damage: Callable[[Path], None]) -> None:
    good, bad = origin("g"), origin("a")
    cache.directory(good.manifest, good.fetch)
    damage(cache.directory(bad.manifest, bad.fetch))
    assert cache.verify() == CacheCheck(checked=2, dropped=(bad.manifest.digest,))
    assert [entry.digest for entry in cache.entries()] == [good.manifest.digest]
    assert cache.verify() == CacheCheck(checked=1, dropped=())


def test_a_large_entry_is_hashed_once_and_then_known_by_its_stamps(
    cache: ModelCache, another: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.blobs.cache.ALWAYS_HASHED", 0)
    hashed: list[str] = []
    whole = cache_entry.CacheEntry.check_digests

    def counted(entry: cache_entry.CacheEntry) -> None:
        hashed.append(entry.digest)
        whole(entry)

    model = origin()
    cache.directory(model.manifest, model.fetch)
    monkeypatch.setattr(cache_entry.CacheEntry, "check_digests", counted)
    cache.directory(model.manifest, model.fetch)
    assert hashed == []
    another.directory(model.manifest, model.fetch)
    another.directory(model.manifest, model.fetch)
    assert hashed == [model.manifest.digest]


def test_what_was_fetched_is_checked(cache: ModelCache) -> None:
    model = origin()
    model.files["MLmodel"] = b"x"
    with pytest.raises(IntegrityError, match="MLmodel"):
        cache.directory(model.manifest, model.fetch)
    assert cache.entries() == []
    model.files = {}
    with pytest.raises(IntegrityError, match="no such file"):
        cache.directory(model.manifest, model.fetch)
    assert cache.entries() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), IntegrityError("not what was recorded")])
def test_a_fetch_that_fails_leaves_nothing(cache: ModelCache, tmp_path: Path, error: BaseException) -> None:
    model = origin()

    def fetch(directory: Path) -> None:
        (directory / "half").write_bytes(b"x")
        raise error

    with pytest.raises(type(error)):
        cache.directory(model.manifest, fetch)
    assert cached(tmp_path / "cache" / "incoming") == {}
    assert cached(cache.directory(model.manifest, model.fetch)) == model.files


def test_the_least_recently_used_is_evicted_for_room(cache: ModelCache) -> None:
    models = [origin(letter, size=400_000) for letter in "abc"]
    for model in models[:2]:
        cache.lease(model.manifest, model.fetch).release()
    cache.lease(models[0].manifest, models[0].fetch).release()  # used again: now "b" is the oldest
    cache.lease(models[2].manifest, models[2].fetch).release()
    assert [entry.digest for entry in cache.entries()] == [models[0].manifest.digest, models[2].manifest.digest]


def test_what_is_in_use_is_never_evicted(cache: ModelCache, another: ModelCache) -> None:
    models = [origin(letter, size=900_000) for letter in "abc"]
    with another.lease(models[0].manifest, models[0].fetch) as path:
        for model in models[1:]:
            cache.lease(model.manifest, model.fetch).release()
        assert cache.clear() == 1
        assert cached(path) == models[0].files
    assert cache.clear() == 1
    assert cache.entries() == []


def test_a_model_larger_than_the_limit_can_be_used(cache: ModelCache) -> None:
    model = origin(size=2 * MEGABYTE)
    with cache.lease(model.manifest, model.fetch) as path:
        assert cached(path) == model.files


def test_entries_tell_digest_size_and_last_use(cache: ModelCache) -> None:
    model = origin()
    before = time.time_ns() // 1_000_000
    cache.directory(model.manifest, model.fetch)
    (entry,) = cache.entries()
    assert entry.digest == model.manifest.digest
    assert entry.manifest == model.manifest
    assert entry.size() > model.manifest.size
    assert before - 1000 <= entry.last_used <= time.time_ns() // 1_000_000 + 1000


def test_an_unusable_directory_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    model = origin()
    with pytest.raises(StorageError, match="REGISTRY_CACHE_DIR"):
        ModelCache(tmp_path / "file", MEGABYTE).directory(model.manifest, model.fetch)


WORKER = """
import hashlib, pathlib, sys, time
from registry.blobs.cache import ModelCache
from registry.entities.manifest import Manifest, ManifestEntry

directory, mode = pathlib.Path(sys.argv[1]), sys.argv[2]
data = b"x" * 100_000
manifest = Manifest((ManifestEntry("model.ubj", len(data), hashlib.sha256(data).hexdigest()),))

def fetch(into):
    with (directory / "fetches").open("a") as log:
        log.write("fetched\\n")
    (into / "model.ubj").write_bytes(data[:50_000])
    if mode == "hang":
        print("half", flush=True)
        time.sleep(600)
    time.sleep(0.2)
    (into / "model.ubj").write_bytes(data)

cache = ModelCache(directory / "cache", 10**9)
sys.stdin.readline()
path = cache.directory(manifest, fetch)
assert (path / "model.ubj").read_bytes() == data
print(manifest.digest, flush=True)
if mode == "hold":
    time.sleep(600)
"""


def worker(directory: Path, mode: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WORKER, str(directory), mode]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_eight_processes_that_want_a_model_at_once_fetch_it_once(tmp_path: Path) -> None:
    workers = [worker(tmp_path, "load") for _ in range(8)]
    for process in workers:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = {process.communicate(timeout=60)[0] for process in workers}
    assert [process.returncode for process in workers] == [0] * 8
    assert len(outputs) == 1
    assert (tmp_path / "fetches").read_text() == "fetched\n"


def test_a_process_killed_while_it_fetches_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    killed = worker(tmp_path, "hang")
    assert killed.stdin is not None
    assert killed.stdout is not None
    killed.stdin.write("go\n")
    killed.stdin.flush()
    assert killed.stdout.readline() == "half\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    second = worker(tmp_path, "load")
    second.communicate("go\n", timeout=60)
    assert second.returncode == 0
    assert cached(tmp_path / "cache" / "incoming") == {}


def test_what_another_process_uses_is_not_evicted_until_it_ends(tmp_path: Path) -> None:
    holder = worker(tmp_path, "hold")
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.write("go\n")
    holder.stdin.flush()
    digest = holder.stdout.readline().strip()
    cache = ModelCache(tmp_path / "cache", 0)
    assert cache.clear() == 0
    assert [entry.digest for entry in cache.entries()] == [digest]
    holder.kill()
    holder.communicate(timeout=60)
    assert cache.clear() == 1


CROWD = """
import hashlib, pathlib, random, sys
from registry.blobs.cache import ModelCache
from registry.entities.manifest import Manifest, ManifestEntry

directory, chance = pathlib.Path(sys.argv[1]), random.Random(int(sys.argv[2]))
cache = ModelCache(directory, 250_000)
for _ in range(60):
    data = chance.choice(b"abcdef").to_bytes(1, "big") * 100_000
    manifest = Manifest((ManifestEntry("model.ubj", len(data), hashlib.sha256(data).hexdigest()),))
    with cache.lease(manifest, lambda into: (into / "model.ubj").write_bytes(data)) as path:
        assert (path / "model.ubj").read_bytes() == data
    if chance.random() < 0.1:
        cache.verify()
        cache.clear()
"""


def test_processes_that_evict_what_others_want_do_not_disturb_each_other(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", CROWD, str(tmp_path / "cache"), str(seed)], stderr=subprocess.PIPE)
        for seed in range(4)
    ]
    assert [worker.communicate()[1].decode() for worker in workers] == [""] * 4
