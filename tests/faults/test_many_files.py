"""A directory of very many files: everything works, in memory and descriptors that do not grow with them."""

import cProfile
import os
import pstats
import resource
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from file_trees import write_files
from gc_places import Place, make_place
from peak_memory import peak_memory
from racing import CONTEXT
from volumes import volume

from registry import MlflowClient
from registry.client.models.loading import open_model
from registry.uris import parse

BYTES_PER_FILE = 3_000
ROOM = 32_000_000
DESCRIPTORS = 128
FILES = volume(50_000, 2_000)


@dataclass(frozen=True)
class Found:
    """Result of one round: the number of files at each step, and the growth of memory in bytes."""

    counts: list[int]
    grown: int


@pytest.fixture(params=["sqlite-local", "postgresql-local"])
def place(request: pytest.FixtureRequest, own_place: Path) -> Place:
    return make_place(request, own_place)


def _plant(directory: Path, count: int) -> Path:
    return write_files(
        directory, {f"part-{number % 100:02}/{number:06}.txt": b"%d" % number for number in range(count)}
    )


def _whole(directory: Path, count: int) -> int:
    """Count the files of `_plant` that have their own bytes, if there are no others."""
    names = {path for path in directory.rglob("*") if path.is_file()}
    assert len(names) == count
    return sum((directory / f"part-{n % 100:02}" / f"{n:06}.txt").read_bytes() == b"%d" % n for n in range(count))


def _live(client: MlflowClient, source: Path, count: int) -> list[int]:
    """Log a directory, register it, read both back, and remove all of it."""
    counts = []
    run_id = client.create_run("0").info.run_id
    client.log_artifacts(run_id, source, "many")
    counts.append(len(client.list_artifacts(run_id, "many/part-07")) * 100)
    version = client.register_model(f"runs:/{run_id}/many", "many")
    manifest = client.backend.logged_models.manifest(str(version.model_id))
    counts.append(len(manifest.entries))
    client.delete_run(run_id)
    client.verify("many", read_bytes=True)
    counts.append(len(client.list_logged_model_artifacts(str(version.model_id), "part-07")) * 100)
    with open_model(client.backend, parse("models:/many/1")) as directory:
        counts.append(_whole(directory, count))
    with open_model(client.backend, parse("models:/many/1"), "copy") as directory:
        counts.append(_whole(directory, count))
    client.delete_registered_model("many")
    assert client.collect_garbage(apply=True, older_than="0s", grace="0s").failures == ()
    return counts


def _live_apart(url: str, root: str, count: int, writer: Connection) -> None:
    os.environ["REGISTRY_ARTIFACT_LOCATION"] = root
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    client = MlflowClient(url)
    _live(client, _plant(Path("few"), 100), 100)  # what any life needs is loaded now
    before = peak_memory()
    counts = _live(client, Path("many"), count)
    writer.send(Found(counts, peak_memory() - before))


@pytest.mark.storm
def test_very_many_files_come_and_go_in_little_memory(place: Place, own_place: Path) -> None:
    _plant(own_place / "many", FILES)
    reader, writer = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_live_apart, args=(place.url, place.root, FILES, writer))
    process.start()
    writer.close()
    found = reader.recv()
    process.join()

    assert found.counts == [FILES] * 5
    assert found.grown < ROOM + BYTES_PER_FILE * FILES
    assert place.stored() == set()


@pytest.mark.slow
def test_the_work_for_each_file_does_not_grow_with_their_number(place: Place, own_place: Path) -> None:
    def calls(count: int) -> int:
        source = _plant(own_place / f"source-{count}", count)
        with cProfile.Profile() as profile:
            assert _live(place.client, source, count) == [count] * 5
        return int(pstats.Stats(profile).total_calls)

    calls(100)
    few, more, most = calls(100), calls(200), calls(400)

    assert (most - more) < 1.05 * 2 * (more - few)
