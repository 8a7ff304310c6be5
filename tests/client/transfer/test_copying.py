"""Copies of versions to another registry: all databases and stores, repeated, concurrent, and of damaged models."""

import hashlib
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from file_trees import read_files
from governed_models import raw_sql
from s3_faults import tap_requests
from travelling_models import FILES, open_registry, train_version

import registry
from registry.exceptions import ConflictError, IntegrityError, InvalidUriError, SchemaOutdatedError
from registry.store.engine import connect
from registry.store.schema import downgrade, upgrade

Client = registry.MlflowClient


@pytest.fixture
def dev(own_place: Path) -> Client:
    return open_registry("sqlite:///dev.db", f"{own_place}/dev")


@pytest.fixture
def prod(dev: Client, own_place: Path) -> Client:
    return open_registry("sqlite:///prod.db", f"{own_place}/prod")


def copy(source: Client, target: Client, uri: str = "models:/churn/1", name: str = "churn") -> "registry.ModelVersion":
    return source.copy_model_version(uri, name, to=target.tracking_uri)


@pytest.mark.parametrize(("source", "target"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
@pytest.mark.parametrize("roots", ["local to local", "local to s3", "s3 to local", "s3 to s3"])
def test_a_copy_has_the_bytes_the_digest_and_the_run(
    request: pytest.FixtureRequest, s3_environment: Callable, own_place: Path, source: str, target: str, roots: str
) -> None:
    if "s3" in roots:
        server = s3_environment(request.getfixturevalue("moto_s3"))
    places = [
        f"{own_place}/{n}" if kind == "local" else server.fresh_root() for n, kind in enumerate(roots.split(" to "))
    ]
    urls = {"sqlite": "sqlite:///registry.db", "postgresql": request.getfixturevalue("postgres_url")}
    first = open_registry(urls[source], places[0])
    run_id = train_version(first)
    second = open_registry(urls[target], places[1])

    made = copy(first, second)

    original = first.get_model_version("churn", 1)
    assert (made.name, made.version, made.digest, made.run_id) == ("churn", 1, original.digest, run_id)
    assert (made.tags, made.description, made.current_stage) == ({"stage": "tried"}, "the first", "None")
    assert made.source == "models:/churn/1"
    assert made.model_id != original.model_id
    location = second.get_model_version_download_uri("churn", 1)
    assert location.startswith(places[1])
    registry.set_tracking_uri(second.tracking_uri)
    assert read_files(registry.artifacts.download_artifacts("models:/churn/1")) == FILES
    assert second.verify("churn", read_bytes=True).versions == 1


def test_a_large_file_between_buckets_is_copied_by_the_server(
    moto_s3: object, s3_environment: Callable, own_place: Path
) -> None:
    server = s3_environment(moto_s3)
    first = open_registry("sqlite:///dev.db", server.fresh_root())
    train_version(first, {"MLmodel": b"flavors: {}\n", "big": os.urandom(9_000_000)})
    second = open_registry("sqlite:///prod.db", server.fresh_root())

    copied_from: list[str | None] = []
    with tap_requests(server.bucket) as wire:
        wire.always(r"^PUT .*/big\?.*partNumber", lambda part: copied_from.append(part.headers["x-amz-copy-source"]))
        made = copy(first, second)

    assert made.digest == first.get_model_version("churn", 1).digest
    assert copied_from == [f"{server.bucket}/{_key(first, 'big')}".encode()]
    copied = server.client().head_object(Bucket=server.bucket, Key=_key(second, "big"))
    assert copied["ContentLength"] == 9_000_000


def _key(client: Client, path: str) -> str:
    return client.get_model_version_download_uri("churn", 1).split("/", 3)[3] + f"/{path}"


def test_the_copy_says_where_it_came_from(dev: Client, prod: Client) -> None:
    train_version(dev)

    copy(dev, prod)

    (event,) = prod.get_history("churn", kind="version_created")
    uid = dev.get_registered_model("churn").model_uid
    assert event.details["origin"] == f"{dev.backend.experiments.registry_id()}/{uid}/1"


def test_the_run_comes_along_with_what_promotion_rules_judge(dev: Client, prod: Client) -> None:
    run_id = train_version(dev)

    copy(dev, prod)

    run, original = prod.get_run(run_id), dev.get_run(run_id)
    assert run.data.params == {"depth": "3"}
    assert run.data.metrics == {"auc": 0.875, "val": 0.25}
    assert run.data.tags == {**original.data.tags, "registry.origin": dev.backend.experiments.registry_id()}
    assert run.inputs.dataset_inputs == original.inputs.dataset_inputs
    assert (run.info.run_name, run.info.start_time, run.info.user_id) == (
        "first",
        1_767_225_600_000,
        original.info.user_id,
    )
    assert prod.get_experiment(run.info.experiment_id).name == "nba"
    assert [point.step for point in prod.get_metric_history(run_id, "auc")] == [1]
    assert [made.model_id for made in run.outputs.model_outputs] == [prod.get_model_version("churn", 1).model_id]
    prod.set_promotion_rules("churn", "Production", [registry.MetricAtLeast("auc", 0.8)])
    assert prod.transition_model_version_stage("churn", 1, "Production").current_stage == "Production"


def test_copying_again_gives_the_copy_that_is_there(dev: Client, prod: Client) -> None:
    train_version(dev)
    train_version(dev)
    first, second = copy(dev, prod, "models:/churn/2"), copy(dev, prod, "models:/churn/1")

    assert (first.version, second.version) == (1, 2)
    assert copy(dev, prod, "models:/churn/2") == first
    assert copy(dev, prod, "models:/churn/1") == second
    assert len(prod.search_model_versions("name = 'churn'")) == 2


def test_a_copy_that_was_deleted_is_made_again_under_a_new_number(dev: Client, prod: Client) -> None:
    train_version(dev)
    copy(dev, prod)
    prod.delete_model_version("churn", 1)

    assert copy(dev, prod).version == 2


def test_the_same_version_may_be_copied_to_two_models(dev: Client, prod: Client) -> None:
    train_version(dev)

    assert copy(dev, prod, name="one").name == "one"
    assert copy(dev, prod, name="two").name == "two"


def _copy_in_process(directory: Path, barrier: "multiprocessing.synchronize.Barrier", queue: object) -> None:
    os.chdir(directory)
    client = registry.MlflowClient("sqlite:///dev.db")
    barrier.wait()
    queue.put(client.copy_model_version("models:/churn/1", "churn", to="sqlite:///prod.db").version)


@pytest.mark.slow
def test_processes_that_copy_at_once_make_one_copy(dev: Client, prod: Client, own_place: Path) -> None:
    train_version(dev)
    spawn = multiprocessing.get_context("spawn")
    barrier, queue = spawn.Barrier(3), spawn.Queue()
    processes = [spawn.Process(target=_copy_in_process, args=(own_place, barrier, queue)) for _ in range(3)]
    for process in processes:
        process.start()
    versions = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()

    assert versions == [1, 1, 1]
    assert prod.verify("churn", read_bytes=True).versions == 1
    assert raw_sql("sqlite:///prod.db")("SELECT count(*) FROM logged_models") == [(1,)]
    assert raw_sql("sqlite:///prod.db")("SELECT count(*) FROM runs") == [(1,)]


@pytest.mark.parametrize("damage", ["changed", "missing", "extra"])
def test_a_damaged_source_is_refused_and_named(dev: Client, prod: Client, damage: str) -> None:
    train_version(dev)
    directory = Path(dev.get_model_version_download_uri("churn", 1))
    file = directory / "data/weights.bin"
    if damage == "changed":
        file.write_bytes(b"Weights" + file.read_bytes()[7:])
    elif damage == "missing":
        file.unlink()
    else:
        (directory / "more.bin").write_bytes(b"more")

    with pytest.raises(IntegrityError, match="more.bin" if damage == "extra" else "data/weights.bin"):
        copy(dev, prod)

    assert prod.search_registered_models() == []
    assert raw_sql("sqlite:///prod.db")("SELECT count(*) FROM logged_models") == [(0,)]
    assert raw_sql("sqlite:///prod.db")("SELECT count(*) FROM uploads") == [(1,)]


def test_a_registry_whose_schema_is_behind_says_what_to_run(dev: Client, request: pytest.FixtureRequest) -> None:
    train_version(dev)
    url = request.getfixturevalue("empty_postgres_url")
    database = connect(url)
    upgrade(database)
    downgrade(database, "0003")

    with pytest.raises(SchemaOutdatedError, match="registry db upgrade"):
        dev.copy_model_version("models:/churn/1", "churn", to=url)


def test_another_run_of_the_same_id_is_an_error(dev: Client, prod: Client) -> None:
    run_id = train_version(dev)
    raw_sql("sqlite:///dev.db")("UPDATE params SET value = '4'")
    copy(dev, prod)
    raw_sql("sqlite:///dev.db")("UPDATE params SET value = '3'")

    with pytest.raises(ConflictError, match=run_id):
        copy(dev, prod, name="other")


def test_a_version_whose_run_was_deleted_is_copied(dev: Client, prod: Client) -> None:
    run_id = train_version(dev)
    dev.delete_run(run_id)
    assert copy(dev, prod).run_id == run_id

    prod.delete_run(run_id)
    again = copy(dev, prod, name="again")

    assert again.run_id == run_id
    assert prod.get_run(run_id).info.lifecycle_stage == "deleted"


def test_a_version_of_a_run_that_is_nowhere_keeps_its_id(dev: Client, prod: Client) -> None:
    train_version(dev)
    source = dev.get_model_version("churn", 1).model_id
    raw_sql("sqlite:///dev.db")("UPDATE model_versions SET run_id = 'long-gone'")

    assert (copy(dev, prod).run_id, prod.get_model_version("churn", 1).model_id != source) == ("long-gone", True)


def test_to_the_same_registry_by_another_name_is_a_copy_without_bytes(dev: Client, own_place: Path) -> None:
    train_version(dev)
    original = dev.get_model_version("churn", 1)

    made = dev.copy_model_version("models:/churn/1", "churn", to=f"sqlite:///{own_place}/dev.db")

    assert (made.version, made.model_id) == (2, original.model_id)


def test_a_logged_model_without_a_version_is_not_copied(dev: Client, prod: Client) -> None:
    train_version(dev)

    with pytest.raises(InvalidUriError, match="register_model"):
        copy(dev, prod, f"models:/{dev.get_model_version('churn', 1).model_id}")


def test_an_edited_manifest_is_refused(dev: Client, prod: Client) -> None:
    train_version(dev)
    file = Path(dev.get_model_version_download_uri("churn", 1), "data/weights.bin")
    file.write_bytes(b"forged!")
    forged = hashlib.sha256(b"forged!").hexdigest()
    raw_sql("sqlite:///dev.db")("UPDATE model_files SET sha256 = ?, size = 7 WHERE path = 'data/weights.bin'", [forged])

    with pytest.raises(IntegrityError, match="a line of its list of files was edited"):
        copy(dev, prod)
