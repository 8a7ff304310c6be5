"""Any edit of files, rows, signatures or the cache past the library is found, and never loaded as a model."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from file_trees import read_files, write_files
from gc_places import Place, make_place
from governed_models import raw_sql
from soundness import FILES
from volumes import volume

from registry import MlflowClient
from registry.client.models.loading import open_model
from registry.exceptions import IntegrityError, StorageError
from registry.uris import parse

Mend = Callable[[], None]


@pytest.fixture(params=["sqlite-local", pytest.param("postgresql-local", marks=pytest.mark.storm)])
def place(request: pytest.FixtureRequest, own_place: Path) -> Place:
    place = make_place(request, own_place)
    place.client.register_model(str(write_files(own_place / "source", FILES)), "churn")
    return place


def _damage_file(root: Path, chance: random.Random) -> Mend:
    """Change a file of a directory in some way; return the undo."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    victim = chance.choice(files)
    before = victim.read_bytes()
    match chance.randrange(6):
        case 0:
            at = chance.randrange(len(before))
            victim.write_bytes(before[:at] + bytes([before[at] ^ 1 << chance.randrange(8)]) + before[at + 1 :])
        case 1:
            victim.write_bytes(before[: chance.randrange(len(before))])
        case 2:
            victim.write_bytes(before + chance.randbytes(chance.randint(1, 100)))
        case 3:
            victim.unlink()
        case 4:
            other = next(path for path in files if path != victim)
            victim.write_bytes(other.read_bytes())
        case _:
            added = victim.with_name(f"added-{chance.randrange(1000)}")
            added.write_bytes(before)
            return added.unlink
    return lambda: victim.write_bytes(before) and None


ROWS = [
    "UPDATE model_files SET size = size + 1 WHERE path = 'data.bin'",
    "UPDATE model_files SET path = 'other.bin' WHERE path = 'data.bin'",
    "DELETE FROM model_files WHERE path = 'data.bin'",
    "UPDATE model_files SET sha256 = (SELECT sha256 FROM model_files WHERE path = 'MLmodel') WHERE path = 'data.bin'",
]


@pytest.mark.parametrize("damages", [40, pytest.param(volume(500, 100), marks=pytest.mark.storm)])
def test_no_damage_of_sealed_files_is_a_model(damages: int, place: Place, own_place: Path) -> None:
    chance = random.Random(3)
    (sealed,) = Path(place.root).glob("0/models/*/artifacts")
    target = write_files(own_place / "target", {"mine.txt": b"mine"})
    for _ in range(damages):
        mend = _damage_file(sealed, chance)
        with pytest.raises(IntegrityError):
            with open_model(place.client.backend, parse("models:/churn/1")):
                pass
        with pytest.raises(IntegrityError):
            place.client.verify("churn", read_bytes=True)
        if read_files(sealed).keys() <= FILES.keys():  # a file too many does not come along
            with pytest.raises(IntegrityError):
                place.client.export_model("churn", own_place / "churn.zip")
        with pytest.raises(IntegrityError):
            with open_model(place.client.backend, parse("models:/churn/1"), target):
                pass
        assert read_files(target) == {"mine.txt": b"mine"}
        mend()
    place.client.verify("churn", read_bytes=True)


@pytest.mark.parametrize("statement", ROWS)
def test_an_edited_row_of_a_manifest_is_found(place: Place, statement: str) -> None:
    place.sql(statement)
    with pytest.raises(IntegrityError):
        place.client.verify("churn", read_bytes=True)
    with pytest.raises(IntegrityError):
        with open_model(place.client.backend, parse("models:/churn/1")):
            pass


def test_a_text_that_is_none_is_told_without_it(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    client.log_param(client.create_run("0").info.run_id, "a", "secret")
    raw_sql(sqlite_url)("UPDATE params SET value = CAST(x'ff736563726574' AS TEXT)")

    for read in (client.search_runs, client.search_runs_frame):
        with pytest.raises(StorageError) as caught:
            read(["0"])
        assert "secret" not in str(caught.value)
