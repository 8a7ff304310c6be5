"""Files that stay where MLflow keeps them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow_stores import RENAMES, MlflowStore

import registry
from registry.cli import main
from registry.client import MlflowClient
from registry.entities import Run
from registry.exceptions import ArtifactNotFoundError, ExperimentNotFoundError, IntegrityError, InvalidStateError
from registry.mlflow_bridge import import_mlflow

Unpack = Callable[[str], MlflowStore]


@pytest.fixture
def store(unpack: Unpack, database_url: str) -> MlflowStore:
    """Adopt the files of a store into an empty registry."""
    unpacked = unpack("3.17")
    report = import_mlflow(unpacked.database(), tracking_uri=database_url, rename=RENAMES, files="adopt")
    assert report.is_complete
    registry.set_tracking_uri(database_url)
    return unpacked


def first_run(client: MlflowClient) -> Run:
    experiment = client.get_experiment_by_name("churn")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "attributes.run_name = 'first'")
    return run


def test_adopted_files_are_read_where_they_are(store: MlflowStore, client: MlflowClient, own_place: Path) -> None:
    run = first_run(client)
    assert run.info.artifact_uri == f"{store.root}/artifacts/churn/{run.info.run_id}/artifacts"
    notes = client.download_artifacts(run.info.run_id, "docs/notes.txt", str(own_place))
    assert Path(notes).read_text() == "notes of first\n"
    assert client.search_runs(["1"], f"attributes.artifact_uri = '{run.info.artifact_uri}'") == [run]
    assert [file.path for file in client.list_artifacts(run.info.run_id, "docs")] == ["docs/notes.txt"]
    whole = Path(client.download_artifacts(run.info.run_id, "", str(own_place / "all")))
    assert sorted(path.name for path in whole.rglob("*") if path.is_file()) == ["MLmodel", "notes.txt", "weights.txt"]
    resolved = client.resolve("models:/forest/1")
    assert (resolved.is_adopted, resolved.location.startswith(f"{store.root}/artifacts")) == (True, True)
    assert not (own_place / "mlruns").exists() or list((own_place / "mlruns").rglob("weights.txt")) == []


def test_a_changed_or_missing_file_is_an_error_that_says_whose_it_is(
    store: MlflowStore, client: MlflowClient, own_place: Path
) -> None:
    run = first_run(client)
    notes = store.root / "artifacts" / "churn" / run.info.run_id / "artifacts" / "docs" / "notes.txt"
    notes.write_text("changed\n")
    with pytest.raises(IntegrityError, match="were adopted, not copied: they are not this registry's"):
        client.download_artifacts(run.info.run_id, "docs/notes.txt", str(own_place))
    with pytest.raises(IntegrityError, match="not what was recorded"):
        registry.artifacts.load_text(f"runs:/{run.info.run_id}/docs/notes.txt")
    notes.unlink()
    with pytest.raises(IntegrityError, match="is missing"):
        client.download_artifacts(run.info.run_id, "docs", str(own_place))
    with pytest.raises(ArtifactNotFoundError, match="No such artifact"):
        client.download_artifacts(run.info.run_id, "other.txt", str(own_place))
    forest = Path(client.resolve("models:/forest/1").location)
    client.verify("forest", read_bytes=True)
    (forest / "weights.txt").write_text("changed\n")
    for read in (
        lambda: client.verify("forest", read_bytes=True),
        lambda: registry.artifacts.download_artifacts("models:/forest/1"),
        lambda: registry.artifacts.download_artifacts("models:/forest/1/weights.txt"),
        lambda: registry.pyfunc.load_model("models:/forest/1"),
    ):
        with pytest.raises(IntegrityError, match="were adopted, not copied"):
            read()


def test_nothing_is_added_to_adopted_files(store: MlflowStore, client: MlflowClient) -> None:
    run = first_run(client)
    with pytest.raises(InvalidStateError, match="so it adds none and removes none there"):
        client.log_text(run.info.run_id, "mine", "mine.txt")
    assert not list(store.root.rglob("mine.txt"))
    assert not list(store.root.rglob(".registry"))


def test_gc_forgets_adopted_files_and_removes_none(store: MlflowStore, client: MlflowClient) -> None:
    before = sorted(path for path in (store.root / "artifacts").rglob("*"))
    for model in client.search_registered_models():
        client.delete_registered_model(model.name, force=True)
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id]):
            client.delete_run(run.info.run_id)
        for found in client.search_logged_models([experiment.experiment_id]):
            client.delete_logged_model(found.model_id)
    report = client.collect_garbage(apply=True, older_than="0s", grace="0s")
    assert {item.kind for item in report.items} >= {"run"}
    assert sorted(path for path in (store.root / "artifacts").rglob("*")) == before


def test_a_version_can_be_made_of_adopted_files_and_is_a_copy(
    store: MlflowStore, client: MlflowClient, own_place: Path
) -> None:
    run = first_run(client)
    version = registry.register_model(f"runs:/{run.info.run_id}/docs", "copies")
    shutil.rmtree(store.root / "artifacts")
    copied = Path(registry.artifacts.download_artifacts(f"models:/copies/{version.version}"))
    assert (copied / "notes.txt").read_text() == "notes of first\n"


def test_adopted_files_that_were_moved_are_found_again(store: MlflowStore, client: MlflowClient) -> None:
    run, old = first_run(client), str(store.root / "artifacts")
    new = str(store.root / "moved")
    plan = client.plan_relocation(old, new)
    assert (plan.experiments, plan.adopted > 2) == (0, True)
    assert str(plan.missing).startswith(f"{new}/")
    Path(old).rename(new)
    assert client.plan_relocation(old, new).missing is None
    with pytest.raises(ExperimentNotFoundError, match="No experiment keeps its files at"):
        client.relocate(old.upper(), new)
    with pytest.raises(ExperimentNotFoundError, match="No experiment keeps its files at"):
        client.relocate(old[:-1], new)
    assert client.relocate(old, new) == 0
    assert client.get_run(run.info.run_id).info.artifact_uri == run.info.artifact_uri.replace(old, new)
    assert registry.artifacts.load_text(f"runs:/{run.info.run_id}/docs/notes.txt") == "notes of first\n"
    client.verify("forest", read_bytes=True)
    assert client.resolve("models:/forest/1").location.startswith(new)


def test_the_command_says_what_will_look_elsewhere(
    store: MlflowStore, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    del client
    old, new = str(store.root / "artifacts"), str(store.root / "moved")
    Path(old).rename(new)
    assert main(["db", "relocate", old, new, "--yes", "--tracking-uri", registry.get_tracking_uri()]) == 0
    assert f"8 runs and models with adopted files look for files at {new} from now on." in capsys.readouterr().err


def test_a_copy_of_a_run_checks_the_adopted_files_first(
    store: MlflowStore, client: MlflowClient, own_place: Path
) -> None:
    run = first_run(client)
    notes = store.root / "artifacts" / "churn" / run.info.run_id / "artifacts" / "docs" / "notes.txt"
    content = notes.read_text()
    (notes.parent / "later.txt").write_text("put beside them later")
    for damage in (lambda: notes.write_text(content.upper()), notes.unlink):
        damage()
        with pytest.raises(IntegrityError, match="were adopted, not copied"):
            client.copy_runs([run.info.run_id], to=f"sqlite:///{own_place}/other.db")
    notes.write_text(content)

    report = client.copy_runs([run.info.run_id], to=f"sqlite:///{own_place}/other.db")
    assert report.errors == ()
    other = MlflowClient(tracking_uri=f"sqlite:///{own_place}/other.db")
    copied = Path(other.download_artifacts(run.info.run_id, "docs", str(own_place / "copied")))
    assert {path.name: path.read_text() for path in copied.iterdir()} == {"notes.txt": content}
