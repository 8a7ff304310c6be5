"""After any change of the cache, the next load has the right bytes, and ``registry cache verify`` finds it."""

import contextlib
import os
import random
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from damages import mangle
from file_trees import read_files, write_files
from gc_places import Place, make_place
from soundness import FILES
from volumes import volume

from registry.blobs import ModelCache
from registry.blobs.cache_entry import remove
from registry.client.models.loading import open_model
from registry.exceptions import StorageError
from registry.uris import parse

Damage = Callable[[Path, random.Random], None]


@pytest.fixture(params=["sqlite-moto_s3"])
def place(request: pytest.FixtureRequest, own_place: Path) -> Place:
    place = make_place(request, own_place)
    place.client.register_model(str(write_files(own_place / "source", FILES)), "churn")
    return place


def _load(place: Place) -> dict[str, bytes]:
    with open_model(place.client.backend, parse("models:/churn/1")) as directory:
        assert not directory.is_symlink()
        return read_files(directory)


def _entry(cache: Path) -> Path:
    (entry,) = (cache / "entries").iterdir()
    return entry


def _file(entry: Path, chance: random.Random) -> Path:
    """Pick a file of an entry, possibly its manifest."""
    for directory in [entry, *(path for path in entry.rglob("*") if path.is_dir())]:
        directory.chmod(0o700)
    victim = chance.choice(sorted(path for path in entry.rglob("*") if path.is_file()))
    victim.chmod(0o600)
    return victim


def _mangle(entry: Path, chance: random.Random) -> None:
    victim = _file(entry, chance)
    victim.write_bytes(mangle(victim.read_bytes(), chance))


def _mangle_in_secret(entry: Path, chance: random.Random) -> None:
    """Change a file but keep its size and times."""
    victim = _file(entry, chance)
    status, data = victim.stat(), victim.read_bytes()
    at = chance.randrange(len(data))
    victim.write_bytes(data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :])
    os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))


def _unlink(entry: Path, chance: random.Random) -> None:
    _file(entry, chance).unlink()


def _replace(entry: Path, chance: random.Random) -> None:
    victim = _file(entry, chance)
    victim.write_bytes(next(data for data in read_files(entry).values() if data != victim.read_bytes()))


def _swap_for_link(entry: Path, chance: random.Random) -> None:
    """A link to the same bytes elsewhere, to nothing, or to the file of another name."""
    victim = _file(entry, chance)
    Path("kept").write_bytes(victim.read_bytes())
    victim.unlink()
    victim.symlink_to(chance.choice([Path("kept").absolute(), Path("/nowhere"), Path("data.bin"), Path(victim.name)]))


def _swap_for_directory(entry: Path, chance: random.Random) -> None:
    victim = _file(entry, chance)
    data = victim.read_bytes()
    victim.unlink()
    write_files(victim, {victim.name: data})


def _swap_for_pipe(entry: Path, chance: random.Random) -> None:
    victim = _file(entry, chance)
    victim.unlink()
    os.mkfifo(victim)


def _add(entry: Path, chance: random.Random) -> None:
    beside = _file(entry, chance)
    name = chance.choice(["added", ".hidden", "MLmodel~", "\udcff", "a b\n"])
    added = beside.with_name(name)
    match chance.randrange(3):
        case 0:
            added.write_bytes(beside.read_bytes())
        case 1:
            added.symlink_to(beside)
        case _:
            added.mkdir()
            (added / "in").write_bytes(b"x")


def _lead_away(entry: Path, chance: random.Random) -> None:
    """Move the files to a place that anyone may change, and link to it."""
    moved = chance.choice([entry, entry / "model"])
    elsewhere = Path(f"elsewhere-{chance.randrange(10**9)}").absolute()
    entry.chmod(0o700)
    moved.rename(elsewhere)
    moved.symlink_to(elsewhere)


def _empty(entry: Path, chance: random.Random) -> None:
    remove(entry)
    entry.mkdir()


DAMAGES: list[Damage] = [
    *[_mangle, _mangle_in_secret, _unlink, _replace, _swap_for_link, _swap_for_directory] * 2,
    *[_swap_for_pipe, _add, _lead_away, _empty],
]


@pytest.fixture
def cache(place: Place) -> Path:
    _load(place)
    return Path(os.environ["REGISTRY_CACHE_DIR"])


def _each(damages: int, cache: Path) -> Iterator[tuple[Damage, random.Random]]:
    chance = random.Random(7)
    for number in range(damages):
        yield DAMAGES[number] if number < len(DAMAGES) else chance.choice(DAMAGES), chance


@pytest.mark.slow
@pytest.mark.parametrize("always_hashed", [10**9, 0])
@pytest.mark.parametrize("damages", [40, pytest.param(volume(500, 100), marks=pytest.mark.storm)])
def test_a_damaged_cache_never_changes_the_loaded_model(
    damages: int, always_hashed: int, place: Place, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.blobs.cache.ALWAYS_HASHED", always_hashed)
    for damage, chance in _each(damages, cache):
        damage(_entry(cache), chance)
        assert (damage.__name__, _load(place)) == (damage.__name__, FILES)


@pytest.mark.slow
@pytest.mark.parametrize("damages", [40, pytest.param(volume(500, 100), marks=pytest.mark.storm)])
def test_verify_finds_every_damage_of_the_cache(damages: int, place: Place, cache: Path) -> None:
    digest = _entry(cache).name
    for damage, chance in _each(damages, cache):
        damage(_entry(cache), chance)
        check = ModelCache(cache, 10**9).verify()
        assert (damage.__name__, check.dropped) == (damage.__name__, (digest,))
        assert list((cache / "entries").iterdir()) == []
        assert _load(place) == FILES


def _alien_link(place: Path) -> None:
    outside = write_files(Path("outside"), {"mine": b"mine"})
    outside.chmod(0o500)
    place.symlink_to(outside.absolute())


ALIENS: dict[str, Callable[[Path], object]] = {
    "a file": lambda place: place.write_bytes(b"x"),
    "a directory": lambda place: write_files(place, {"model/MLmodel": b"x"}),
    "a link": _alien_link,
    "a broken link": lambda place: place.symlink_to("/nowhere"),
    "a pipe": os.mkfifo,
}


@pytest.mark.parametrize("alien", ALIENS)
def test_foreign_files_in_the_cache_are_removed(alien: str, place: Place, cache: Path) -> None:
    ALIENS[alien](cache / "entries" / "alien")
    ALIENS[alien](cache / "incoming" / "alien") if alien != "a link" else None

    assert _load(place) == FILES
    assert ModelCache(cache, 10**9).verify().dropped == ("alien",)
    ALIENS[alien](cache / "entries" / "alien") if alien != "a link" else None
    ModelCache(cache, 10**9).clear()

    assert [*(cache / "entries").iterdir(), *(cache / "incoming").iterdir()] == []
    if alien == "a link":
        assert (read_files("outside"), stat.S_IMODE(Path("outside").stat().st_mode)) == ({"mine": b"mine"}, 0o500)


@pytest.mark.parametrize("alien", ALIENS)
@pytest.mark.parametrize("room", ["locks/digest", "locks", "entries", "incoming"])
def test_a_cache_that_is_no_cache_is_an_error_of_ours_or_no_matter(
    alien: str, room: str, place: Place, cache: Path
) -> None:
    ModelCache(cache, 10**9).clear()
    victim = cache / room.replace("digest", next((cache / "locks").iterdir()).name)
    remove(victim)
    ALIENS[alien](victim)

    told = []
    try:
        assert _load(place) == FILES
    except StorageError as error:
        told.append(str(error))
    with contextlib.suppress(StorageError):
        ModelCache(cache, 10**9).verify()

    assert [text for text in told if str(cache) not in text or "REGISTRY_CACHE_DIR" not in text] == []
