"""gc beside those who need what it is about to take: every order of their steps, on transactions and bytes."""

import os
import random
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from gc_places import stored_below
from interleaving import Actor, interleave, orders, pause, paused_before, within_a_step
from sqlalchemy import bindparam, event, update
from statements_heard import hear_statements
from volumes import volume

from registry import MlflowClient
from registry.blobs import open_blob_store
from registry.blobs.local import LocalBlobStore
from registry.client.ownership import ArtifactOwnership
from registry.exceptions import ArtifactNotFoundError, InvalidStateError, NotFoundError, UploadExpiredError
from registry.store.compiled_statements import Compiled
from registry.store.engine import Database
from registry.store.gc import GcStore
from registry.store.logged_models import logged_models
from registry.store.registry import versions
from registry.store.tables import RegistryIdRow

pytestmark = pytest.mark.slow


class Stage:
    """A registry where what two actors do to rows and bytes is taken step by step."""

    def __init__(self, root: Path, url: str = "sqlite://", patience: float | None = None) -> None:
        self.root = root / "0"
        self.patience = patience
        self.client = MlflowClient(url)
        self.experiment = "0"
        self.source = root.parent / "source"
        self.source.mkdir()
        (self.source / "a.bin").write_text("a")
        (self.source / "b.bin").write_text("b")
        self.run_id = self.client.create_run(self.experiment).info.run_id

    def collect(self) -> Any:
        return self.client.collect_garbage(apply=True, older_than="0s", grace="0s")

    def model(self, run_id: str | None = None) -> str:
        made = self.client.create_logged_model(self.experiment, source_run_id=run_id)
        self.client.log_model_artifacts(made.model_id, self.source)
        return self.client.finalize_logged_model(made.model_id, "READY").model_id

    def load(self, uri: str) -> dict[str, bytes]:
        resolved = self.client.resolve(uri)
        store = open_blob_store(resolved.location)
        manifest = self.client.backend.logged_models.manifest(resolved.model_id)
        return {entry.path: store.read(entry.path) for entry in manifest.entries}

    def check(self) -> None:
        """Every version that resolves loads; after one more gc exactly the bytes that rows name are left."""
        for version in self.client.search_model_versions():
            assert self.load(f"models:/{version.name}/{version.version}") == {"a.bin": b"a", "b.bin": b"b"}
        self.collect()
        models = self.client.backend.database.read(
            lambda c: c.exec_driver_sql(
                "SELECT model_id FROM logged_models WHERE purged_time IS NULL AND status = 'READY'"
            ).all()
        )
        assert set(stored_below(str(self.root))) == {
            f"models/{model_id}/artifacts/{name}" for (model_id,) in models for name in ("a.bin", "b.bin")
        }

    def clear(self) -> None:
        """Leave nothing to the next order."""
        for model in self.client.search_registered_models():
            self.client.delete_registered_model(model.name)
        self.collect()
        assert set(stored_below(str(self.root))) == set()


@pytest.fixture
def stage(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", str(own_place / "bytes"))
    return Stage(own_place / "bytes")


@pytest.fixture
def stepwise(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Transactions that write, what moves or removes bytes, and gc's look at clock and tables: each begins a step."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # no crash of the machine is tried here
    for owner, names in (
        (Database, ("write",)),
        (GcStore, ("now_ms",)),
        (LocalBlobStore, ("_seal_file", "purge", "read")),
    ):
        for name in names:
            monkeypatch.setattr(owner, name, paused_before(getattr(owner, name)))
    for name in ("begin_collection", "is_copy"):  # whose the bytes are has tests of its own
        monkeypatch.setattr(ArtifactOwnership, name, within_a_step(getattr(ArtifactOwnership, name)))
    return iter(())


@pytest.fixture(params=[5, pytest.param(volume(1, 3), marks=pytest.mark.storm)], ids=["some", "all"])
def every(request: pytest.FixtureRequest) -> int:
    """How many orders are passed over: all are tried in a storm, some otherwise."""
    return int(request.param)


def together(stage: Stage, work: Callable[[], Any], order: tuple[bool, ...]) -> tuple[Actor, Actor]:
    actors = interleave(work, stage.collect, order, patience=stage.patience)
    assert actors[1].error is None
    return actors


@pytest.mark.usefixtures("stepwise")
def test_registering_files_beside_gc_gives_a_whole_version_or_an_error(stage: Stage, every: int) -> None:
    # begin the upload, two files, the version, reading two files; gc: find, condemn, remove, forget, settle
    outcomes = []
    for order in islice(orders(6, 5), 0, None, every):
        registering, _ = together(stage, lambda: _register_and_load(stage), order)
        if registering.error is None:
            assert registering.result == {"a.bin": b"a", "b.bin": b"b"}
        else:
            assert type(registering.error) is UploadExpiredError
            assert stage.client.search_registered_models() == []
        outcomes.append(registering.error is None)
        stage.check()
        stage.clear()
    assert len(outcomes) == -(-462 // every)
    assert {True, False} == set(outcomes)


def _register_and_load(stage: Stage) -> dict[str, bytes]:
    version = stage.client.register_model(str(stage.source), "churn")
    return stage.load(f"models:/churn/{version.version}")


Setting = tuple[Callable[[], Any], tuple[type[Exception], ...]]


def _another_version(stage: Stage) -> Setting:
    """A second version of a model whose only version was deleted."""
    model_id = stage.model()
    stage.client.register_model(f"models:/{model_id}", "churn")
    stage.client.delete_model_version("churn", 1)

    def work() -> dict[str, bytes]:
        return stage.load(f"models:/churn/{stage.client.register_model(f'models:/{model_id}', 'churn').version}")

    return work, (InvalidStateError, NotFoundError)


def _restored_version(stage: Stage) -> Setting:
    stage.client.register_model(f"models:/{stage.model()}", "churn")
    stage.client.delete_model_version("churn", 1)

    def work() -> dict[str, bytes]:
        stage.client.restore_model_version("churn", 1)
        return stage.load("models:/churn/1")

    return work, (InvalidStateError,)


def _restored_run(stage: Stage) -> Setting:
    """A run that comes back must bring its model along."""
    run_id = stage.client.create_run(stage.experiment).info.run_id
    stage.model(run_id)
    model_id = stage.model(run_id)
    stage.client.delete_run(run_id)

    def work() -> dict[str, bytes]:
        stage.client.restore_run(run_id)
        return stage.load(f"models:/{model_id}")

    return work, (InvalidStateError, NotFoundError)


def _registered_of_deleted_run(stage: Stage) -> Setting:
    run_id = stage.client.create_run(stage.experiment).info.run_id
    model_id = stage.model(run_id)
    stage.client.delete_run(run_id)

    def work() -> dict[str, bytes]:
        return stage.load(f"models:/churn/{stage.client.register_model(f'models:/{model_id}', 'churn').version}")

    return work, (InvalidStateError, NotFoundError)


def _finalized(stage: Stage) -> Setting:
    """A model that is sealed after its grace period."""
    made = stage.client.create_logged_model(stage.experiment)
    stage.client.log_model_artifacts(made.model_id, stage.source)

    def work() -> dict[str, bytes]:
        stage.client.finalize_logged_model(made.model_id, "READY")
        return stage.load(f"models:/{made.model_id}")

    return work, (NotFoundError, InvalidStateError)


@pytest.mark.usefixtures("stepwise")
@pytest.mark.parametrize(
    "setting", [_another_version, _restored_version, _restored_run, _registered_of_deleted_run, _finalized]
)
def test_what_is_wanted_back_beside_gc_comes_back_whole_or_not_at_all(
    stage: Stage, setting: Callable[[Stage], Setting], every: int
) -> None:
    outcomes = {_want_back(stage, setting, order) for order in islice(orders(4, 5), 0, None, every)}
    assert outcomes == {True, False}


def _want_back(stage: Stage, setting: Callable[[Stage], Setting], order: tuple[bool, ...]) -> bool:
    """Whether what is wanted came back; it did whole, or not at all."""
    work, refusals = setting(stage)
    wanting, _ = together(stage, work, order)
    if wanting.error is None:
        assert wanting.result == {"a.bin": b"a", "b.bin": b"b"}
    else:
        assert isinstance(wanting.error, refusals), wanting.error
    stage.check()
    for run in stage.client.search_runs([stage.experiment]):
        if run.info.run_id != stage.run_id:
            stage.client.delete_run(run.info.run_id)
    for model in stage.client.search_logged_models([stage.experiment]):
        stage.client.delete_logged_model(model.model_id)
    stage.clear()
    return wanting.error is None


_LOCKS_OR_WRITES = re.compile(
    r"FOR (KEY SHARE|UPDATE)|^(INSERT INTO|UPDATE|DELETE FROM) (model_versions|logged_models|runs|uploads|removals)\b"
)


@pytest.fixture
def postgres_stage(postgres_url: str, own_place: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """On PostgreSQL every statement that locks or writes the rows in question begins a step, and every commit."""
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", str(own_place / "bytes"))
    stage = Stage(own_place / "bytes", postgres_url, patience=0.1)
    engine = stage.client.backend.database.engine

    def before(statement: str, _parameters: object) -> None:
        if _LOCKS_OR_WRITES.search(statement):
            pause()

    hear_statements(engine, before)
    event.listen(engine, "commit", lambda connection: pause())
    return stage


@pytest.mark.storm
@pytest.mark.parametrize(
    "setting", [_another_version, _restored_version, _restored_run, _registered_of_deleted_run, _finalized]
)
def test_row_locks_keep_what_is_wanted_back_from_gc(postgres_stage: Stage, setting: Callable[[Stage], Setting]) -> None:
    _want_back_in_random_orders(postgres_stage, setting, volume(150, 7))


@pytest.mark.parametrize(
    "setting", [_another_version, _restored_version, _restored_run, _registered_of_deleted_run, _finalized]
)
def test_a_whole_gc_between_two_steps_takes_nothing_that_is_wanted_back(
    postgres_stage: Stage, setting: Callable[[Stage], Setting]
) -> None:
    _want_back_around_a_whole_gc(postgres_stage, setting)


def test_without_the_lock_on_the_logged_model_a_version_would_name_nothing(
    postgres_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That these orders find it shows that the ones above would."""
    monkeypatch.setattr(versions, "_LOCK_READY", Compiled(versions._READY))
    with pytest.raises((AssertionError, NotFoundError)):
        _want_back_around_a_whole_gc(postgres_stage, _another_version)


def _want_back_around_a_whole_gc(stage: Stage, setting: Callable[[Stage], Setting]) -> None:
    for steps_before in range(5):
        _want_back(stage, setting, (True,) * steps_before + (False,) * 40)


def _want_back_in_random_orders(stage: Stage, setting: Callable[[Stage], Setting], count: int) -> None:
    chance = random.Random(7)
    for _ in range(count):
        steps = [True] * 9 + [False] * 11
        chance.shuffle(steps)
        _want_back(stage, setting, tuple(steps))


@pytest.mark.usefixtures("stepwise")
def test_two_gcs_at_once_remove_everything_once(stage: Stage, every: int) -> None:
    for order in islice(orders(5, 5), 0, None, every):
        run_id = stage.client.create_run(stage.experiment).info.run_id
        stage.model(run_id)
        stage.client.log_metric(run_id, "loss", 0.5)
        stage.client.delete_run(run_id)
        kept = stage.model(stage.run_id)

        first, second = together(stage, stage.collect, order)

        assert first.error is None
        models = [item for actor in (first, second) for item in actor.result.items if item.kind == "logged model"]
        assert 1 <= len(models) <= 2
        assert {path.split("/")[1] for path in stored_below(str(stage.root))} == {kept}
        stage.client.delete_logged_model(kept)
        stage.clear()


@pytest.mark.usefixtures("stepwise")
def test_without_the_last_look_at_the_upload_a_version_would_name_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That these orders find it shows that the tests above would."""
    always_one = update(RegistryIdRow).values(id=RegistryIdRow.id).where(bindparam("public_id") != "")
    monkeypatch.setattr(logged_models, "_END_UPLOAD", Compiled(always_one))
    for order in orders(6, 5):
        registering, _ = together(stage, lambda: _register_and_load(stage), order)
        if isinstance(registering.error, ArtifactNotFoundError):
            return
        stage.client.delete_registered_model("churn")
        stage.collect()
    pytest.fail("no order of steps lost bytes")
