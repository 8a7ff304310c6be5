"""``kill -9`` at every step of every operation that stores, names, copies, imports or removes, and at any moment."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crashing import Crasher
from file_trees import write_files
from gc_places import Place
from governed_models import raw_sql
from soundness import FILES, check_bytes, check_versions
from volumes import volume

from registry import MlflowClient

pytestmark = pytest.mark.slow

Given = dict[str, Any]


@pytest.fixture
def source(own_place: Path) -> str:
    return str(write_files(own_place / "source", FILES))


@pytest.fixture
def other(place: Place, tmp_path: Path) -> Place:
    """A second registry with its files below the same root."""
    url = f"sqlite:///{tmp_path / 'other.db'}"
    return Place(url, place.root, MlflowClient(url), raw_sql(url))


def _registering(place: Place, other: Place, source: str) -> Given:
    return {"source": source}


def _naming(place: Place, other: Place, source: str) -> Given:
    resolved = place.client.resolve("models:/churn/1")
    return {"source": f"models:/{resolved.model_id}"}


def _logging(place: Place, other: Place, source: str) -> Given:
    return {"source": source, "run_id": place.run(experiment="0")}


def _copying(place: Place, other: Place, source: str) -> Given:
    other.client.get_experiment("0")
    return {"to": other.url}


def _importing(place: Place, other: Place, source: str) -> Given:
    exported = Path("churn.zip").absolute()
    place.client.export_model("churn", exported)
    return {"file": str(exported), "name": "imported"}


def _collecting(place: Place, other: Place, source: str) -> Given:
    run_id = place.run(experiment="0")
    place.model(run_id)
    place.client.delete_run(run_id)
    place.upload({"data.bin": b"never became a model"})
    experiment = place.client.create_experiment("gone")
    place.run(experiment=experiment)
    place.client.delete_experiment(experiment)
    named = place.run(experiment="0")
    place.client.create_model_version("churn", source, run_id=named)
    place.client.delete_run(named)
    return {}


OPERATIONS: dict[str, Callable[[Place, Place, str], Given]] = {
    "register": _registering,
    "log_model": _logging,
    "copy": _copying,
    "import": _importing,
    "gc": _collecting,
}


@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_a_crash_at_any_step_loses_nothing_and_leaves_nothing_half_done(
    operation: str, place: Place, other: Place, source: str, crasher: Crasher
) -> None:
    place.client.register_model(source, "churn")
    given = OPERATIONS[operation](place, other, source)
    before = check_versions(place)

    # Every step; a smaller run takes every one on a local disk, and some on S3.
    stride = volume(1, 11) if place.root.startswith("s3://") else 1
    fatal, done = 1 - stride, False
    while not done:
        fatal += stride
        done = crasher.run(operation, place.url, fatal=fatal, **given)
        if operation == "import" and not done and check_versions(place) > before:
            break  # it was committed when the crash came: the name is taken
        if fatal % 4 == 0:
            check_versions(place, newest=3)
            check_versions(other, newest=3)

    assert crasher.kills >= 3
    assert check_versions(place) >= before
    check_versions(other)
    check_bytes(place, other)
    check_versions(place)
    place.client.verify("churn", read_bytes=True)


def test_a_name_is_resolved_after_a_crash_at_any_step(place: Place, source: str, crasher: Crasher) -> None:
    place.client.register_model(source, "churn")
    given = _naming(place, place, source)
    for fatal in range(1, 100):
        if crasher.run("register", place.url, fatal=fatal, **given):
            break
    versions = sorted(version.version for version in place.client.search_model_versions("name = 'churn'"))
    assert versions == list(range(1, len(versions) + 1))
    assert check_versions(place) == len(versions)


def test_a_load_that_crashes_at_any_step_leaves_a_cache_that_serves(
    place: Place, source: str, crasher: Crasher
) -> None:
    place.client.register_model(source, "churn")
    for fatal in range(1, 200):
        if crasher.run("load", place.url, fatal=fatal):
            break
        if fatal % 4 == 0:
            assert check_versions(place) == 1
    assert check_versions(place) == 1


def test_a_download_that_crashes_leaves_the_target_alone(
    place: Place, source: str, own_place: Path, crasher: Crasher
) -> None:
    run_id = place.run(experiment="0")
    target = write_files(own_place / "target", {"mine.txt": b"mine"})
    for fatal in range(1, 200):
        done = crasher.run("download", place.url, fatal=fatal, run_id=run_id, to=str(target))
        seen = {path.name: path.read_bytes() for path in target.iterdir() if not path.name.startswith(".registry-")}
        assert seen in ({"mine.txt": b"mine"}, {"mine.txt": b"mine", "notes.txt": b"scratch"})
        if done:
            break
    assert (target / "notes.txt").read_bytes() == b"scratch"


# Seeds and kills per place; the full storm has more than 1,000 kills on each database.
STORM = [(seed, volume(130, 15)) for seed in volume((1, 2, 3, 4), (1,))]


@pytest.mark.parametrize(
    ("seed", "kills"), [(0, 8), *(pytest.param(*seeded, marks=pytest.mark.storm) for seeded in STORM)]
)
def test_kills_at_random_moments_lose_nothing(
    seed: int, kills: int, place: Place, source: str, crasher: Crasher
) -> None:
    place.client.register_model(source, "churn")
    moments = random.Random(seed)
    for _ in range(kills):
        crasher.run("loop", place.url, after=moments.uniform(0.01, 0.5), source=source)
        check_versions(place, newest=3)
    assert crasher.kills == kills

    numbers = sorted(version.version for version in place.client.search_model_versions("name = 'churn'"))
    assert numbers == list(range(1, len(numbers) + 1))
    check_bytes(place)
    assert check_versions(place) >= len(numbers)
