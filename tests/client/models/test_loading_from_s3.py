"""Loading sealed models from S3: through the cache, whole or not at all."""

import gc
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gc_places import Place
from governed_models import raw_sql
from s3_faults import flip_answer, tap_requests, tear_answer
from s3_servers import S3Server

import registry
from registry import MlflowClient
from registry.blobs import ModelCache
from registry.client.models.loading import model_directory, open_model
from registry.exceptions import IntegrityError, StorageError
from registry.uris import parse

FILES = {"MLmodel": b"flavors: {}\n", "data.bin": b"weights"}


@pytest.fixture(params=["moto_s3", "seaweedfs"])
def on_s3(
    request: pytest.FixtureRequest,
    sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
    s3_environment: Callable[[S3Server], S3Server],
) -> Place:
    """A registry whose bytes are on S3, with one version."""
    server = s3_environment(request.getfixturevalue(request.param))
    root = server.fresh_root()
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", root)
    place = Place(sqlite_url, root, MlflowClient(sqlite_url), raw_sql(sqlite_url))
    place.version("churn", place.model())
    return place


def loaded(client: MlflowClient) -> dict[str, bytes]:
    with open_model(client.backend, parse("models:/churn/1")) as directory:
        return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_second_load_makes_no_request(on_s3: Place) -> None:
    with tap_requests("artifacts") as wire:
        assert loaded(on_s3.client) == FILES
    assert wire.count("^GET .*list-type=2") == 1
    assert len(wire.requests) == 1 + len(FILES)

    with tap_requests("artifacts") as wire:
        assert loaded(on_s3.client) == FILES
        assert loaded(MlflowClient(on_s3.url)) == FILES
    assert wire.requests == []


def test_a_damaged_cache_entry_is_fetched_again(on_s3: Place) -> None:
    loaded(on_s3.client)
    (cached,) = Path(os.environ["REGISTRY_CACHE_DIR"]).rglob("data.bin")
    cached.chmod(0o600)
    cached.write_bytes(b"WEIGHTS")

    with tap_requests("artifacts") as wire:
        assert loaded(on_s3.client) == FILES
    assert wire.count("data.bin") == 1


def test_nobody_can_dirty_the_cache(on_s3: Place) -> None:
    with open_model(on_s3.client.backend, parse("models:/churn/1")) as directory:
        assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o400}
        assert directory.stat().st_mode & 0o777 == 0o500
    own = Path("own")
    with open_model(on_s3.client.backend, parse("models:/churn/1"), own):
        pass
    (own / "data.bin").write_bytes(b"mine now")

    assert loaded(on_s3.client) == FILES


def _load_in_a_process(url: str, barrier: object, results: object) -> None:
    client = MlflowClient(url)
    resolved = client.resolve("models:/churn/1")
    with tap_requests("artifacts") as wire:
        barrier.wait()  # type: ignore[attr-defined]  # a multiprocessing.Barrier
        with model_directory(client.backend, resolved) as directory:
            data = (directory / "data.bin").read_bytes()
    results.put((data, len(wire.requests)))  # type: ignore[attr-defined]  # a multiprocessing.Queue


@pytest.mark.slow
def test_eight_processes_download_a_model_once(on_s3: Place) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(8), context.Queue()
    workers = [context.Process(target=_load_in_a_process, args=(on_s3.url, barrier, results)) for _ in range(8)]
    for worker in workers:
        worker.start()
    told = [results.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()

    assert [data for data, _ in told] == [b"weights"] * 8
    assert sorted(requests for _, requests in told) == [0] * 7 + [1 + len(FILES)]


def _tamper(place: Place, how: str) -> None:
    client = S3Bucket(place)
    key = next(key for key in place.stored() if key.endswith("data.bin"))
    match how:
        case "changed":
            client.put(key, b"WEIGHTS")
        case "truncated":
            client.put(key, b"weigh")
        case "missing":
            client.delete(key)
        case "extra":
            client.put(key.replace("data.bin", "more.bin"), b"more")
        case "oddly named":
            client.put(key.replace("data.bin", ".registry-0123456789abcdef.part"), b"more")


class S3Bucket:
    """The bucket past the library."""

    def __init__(self, place: Place) -> None:
        from registry.blobs.s3.bucket import Bucket

        self._name, _, self._prefix = place.root.removeprefix("s3://").partition("/")
        self._client = Bucket(self._name, None).client

    def put(self, key: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._name, Key=f"{self._prefix}/{key}", Body=data)

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self._name, Key=f"{self._prefix}/{key}")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("changed", r"data\.bin is not what was recorded: expected 7 bytes with SHA-256 \w{64}, found 7 .* \w{64}"),
        ("truncated", r"data\.bin is not what was recorded: expected 7 bytes with SHA-256 \w{64}, found 5 .* \w{64}"),
        ("missing", r"data\.bin is missing: expected 7 bytes with SHA-256 \w{64}"),
        ("extra", r"more\.bin was not sealed with the model: expected no such file, found 4 bytes .* \w{64}"),
        ("oddly named", "has a file that was not sealed"),
    ],
)
def test_an_object_that_was_not_sealed_so_is_an_error_and_never_a_model(on_s3: Place, how: str, said: str) -> None:
    _tamper(on_s3, how)

    with pytest.raises(IntegrityError, match=said):
        loaded(on_s3.client)
    with pytest.raises(IntegrityError):
        on_s3.client.verify("churn", read_bytes=True)
    assert list(Path(os.environ["REGISTRY_CACHE_DIR"]).rglob("*.bin")) == []


def test_a_body_damaged_on_its_way_is_an_error_and_a_torn_one_is_read_again(on_s3: Place) -> None:
    with tap_requests("artifacts") as wire:
        wire.once("GET .*data.bin", flip_answer)
        with pytest.raises(IntegrityError, match="data.bin"):
            loaded(on_s3.client)
        wire.once("GET .*data.bin", tear_answer(3))
        assert loaded(on_s3.client) == FILES


def test_a_cache_that_cannot_be_written_is_one_clear_error(on_s3: Place, own_place: Path) -> None:
    blocked = own_place / "blocked"
    blocked.write_text("a file")
    os.environ["REGISTRY_CACHE_DIR"] = str(blocked / "cache")

    with pytest.raises(StorageError, match="REGISTRY_CACHE_DIR"):
        loaded(on_s3.client)


def test_a_download_into_what_cannot_be_written_leaves_nothing(on_s3: Place, own_place: Path) -> None:
    target = own_place / "file"
    target.write_text("a file")

    with pytest.raises(Exception, match="is a file"):
        on_s3.client.download_artifacts(on_s3.run(), "", str(target))
    assert target.read_text() == "a file"


class _Reader(registry.pyfunc.PythonModel):
    """A model that opens its artifact in every predict."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return [Path(context.artifacts["note"]).read_text()] * len(model_input)


@pytest.fixture
def reader(on_s3: Place, tmp_path: Path) -> str:
    """The URI of a model that opens an artifact in predict."""
    (tmp_path / "note.txt").write_text("hello")
    registry.set_tracking_uri(on_s3.url)
    info = registry.pyfunc.log_model(
        name="reader", python_model=_Reader(), artifacts={"note": str(tmp_path / "note.txt")}
    )
    return info.model_uri


def _cache() -> ModelCache:
    return ModelCache(Path(os.environ["REGISTRY_CACHE_DIR"]), 0)


def test_a_loaded_model_keeps_its_files_for_as_long_as_it_lives(reader: str) -> None:
    model = registry.pyfunc.load_model(reader, allow_code=True)
    assert _cache().clear() == 0
    assert model.predict([1]) == ["hello"]
    del model
    gc.collect()
    assert _cache().clear() == 1


def test_a_model_loaded_from_plain_files_keeps_them_too(reader: str) -> None:
    location = MlflowClient().get_logged_model(reader.removeprefix("models:/")).artifact_location
    model = registry.pyfunc.load_model(location, allow_code=True)
    assert model.predict([1]) == ["hello"]
    del model
    gc.collect()


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_holds_the_files_for_itself(reader: str) -> None:
    model = registry.pyfunc.load_model(reader, allow_code=True)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(reading, 1)  # until the parent has let go and cleared the cache
        try:
            good = model.predict([1]) == ["hello"]
        finally:
            os._exit(0 if good else 1)
    holder = [model]
    del model
    holder.clear()
    gc.collect()
    cleared = _cache().clear()
    os.write(writing, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert cleared == 0
    assert _cache().clear() == 1
