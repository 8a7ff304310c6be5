"""Old file stores, values that no database holds, and what changes between two imports."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow_stores import RENAMES, MlflowStore, execute

from registry.blobs import AdoptedBlobStore, open_blob_store
from registry.client import MlflowClient
from registry.exceptions import ArtifactNotFoundError, IntegrityError, InvalidNameError, InvalidStateError
from registry.mlflow_bridge import import_mlflow
from registry.mlflow_bridge.renames import RefusedNames, find_fault, propose, read_renames

Unpack = Callable[[str], MlflowStore]


def old_store(root: Path) -> Path:
    """Write a file store as MLflow 0.5 did, by its format: two fields per point, and sources in meta.yaml."""
    run = root / "0" / ("a" * 32)
    (run / "metrics").mkdir(parents=True)
    (root / "0" / "meta.yaml").write_text(f"artifact_location: {root}/0\nexperiment_id: 0\nname: Default\n")
    (run / "meta.yaml").write_text(
        f"artifact_uri: {run}/artifacts\nend_time: 1530000001000\nentry_point_name: main\nexperiment_id: 0\n"
        f"name: ''\nrun_uuid: {'a' * 32}\nsource_name: train.py\nsource_type: 4\nsource_version: abc\n"
        "start_time: 1530000000000\nstatus: 3\ntags: []\nuser_id: ann\n"
    )
    (run / "metrics" / "loss").write_text("1530000000 0.5\n1530000001 0.25\n")
    empty = root / "0" / ("b" * 32)
    empty.mkdir()
    (empty / "meta.yaml").write_text(f"run_uuid: {'b' * 32}\nstatus: RUNNING\nstart_time: 1\n")
    return root


def test_a_file_store_of_mlflow_0_arrives(own_place: Path, registry_url: str) -> None:
    report = import_mlflow(old_store(own_place / "old"), tracking_uri=registry_url)
    assert (report.problems, report.is_complete) == ([], True)
    client = MlflowClient(registry_url)
    run = client.get_run("a" * 32)
    assert (run.info.run_name, run.info.status, run.info.user_id) == ("aaaaaaaa", "FINISHED", "ann")
    assert {key: value for key, value in run.data.tags.items() if key.startswith("mlflow.")} == {
        "mlflow.source.name": "train.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": "abc",
        "mlflow.project.entryPoint": "main",
    }
    points = client.get_metric_history("a" * 32, "loss")
    assert [(point.timestamp, point.step, point.value) for point in points] == [
        (1_530_000_000, 0, 0.5),
        (1_530_000_001, 0, 0.25),
    ]
    assert client.get_run("b" * 32).info.status == "RUNNING"


@pytest.mark.parametrize("content", [b"1 x 0\n", b"1\n", b"\xff\n"])
def test_a_damaged_metric_file_is_one_error_that_names_it(content: bytes, own_place: Path, registry_url: str) -> None:
    root = old_store(own_place / "old")
    (root / "0" / ("a" * 32) / "metrics" / "loss").write_bytes(content)
    with pytest.raises(InvalidStateError, match="metrics/loss"):
        import_mlflow(root, tracking_uri=registry_url)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("0/{run}/meta.yaml", "run_uuid: {run}\nstart_time: soon\n"),
        ("0/{run}/meta.yaml", "run_uuid: {run}\nend_time: [1]\n"),
        ("0/datasets/d/meta.yaml", "digest: x\n"),
        ("0/{run}/outputs/m/meta.yaml", "destination_type: MODEL_OUTPUT\n"),
        ("models/m/aliases/best", "one"),
        ("models/m/version-1/meta.yaml", "version: [1]\n"),
    ],
)
def test_a_damaged_description_is_one_error_that_names_its_directory(
    file: str, content: str, own_place: Path, registry_url: str
) -> None:
    root = old_store(own_place / "old")
    run = "a" * 32
    for path, text in {
        f"0/{run}/inputs/d/meta.yaml": "source_type: DATASET\nsource_id: d\n",
        "0/datasets/d/meta.yaml": "name: d\ndigest: x\n",
        "models/m/meta.yaml": "name: m\n",
        "models/m/version-1/meta.yaml": "version: 1\n",
        file.format(run=run): content.format(run=run),
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    with pytest.raises(InvalidStateError, match=r"The files in '.*/(aaa+|m|version-1)' are not as MLflow wrote them"):
        import_mlflow(root, tracking_uri=registry_url)


def test_a_version_without_a_place_does_not_take_the_files_beside_the_store(own_place: Path, registry_url: str) -> None:
    root = old_store(own_place / "old")
    (own_place / "beside.txt").write_text("not the model's")
    for path, text in {"m/meta.yaml": "name: m\n", "m/version-1/meta.yaml": "version: 1\n"}.items():
        (root / "models" / path).parent.mkdir(parents=True)
        (root / "models" / path).write_text(text)
    report = import_mlflow(root, tracking_uri=registry_url)
    assert report.problems == ["Version 1 of 'm' was not imported: MLflow recorded no place for its files."]
    assert MlflowClient(registry_url).search_model_versions("name = 'm'") == []


def test_a_value_that_no_database_holds_is_told(own_place: Path, registry_url: str) -> None:
    root = old_store(own_place / "old")
    (root / "0" / ("a" * 32) / "params").mkdir()
    (root / "0" / ("a" * 32) / "params" / "p").write_text("nul \0 here")
    report = import_mlflow(root, tracking_uri=registry_url)
    assert report.problems == [
        f"The run {'a' * 32} was not imported: The value of 'p' has a NUL character, which databases cannot hold; "
        "remove it."
    ]


def test_a_run_that_was_made_here_is_left_as_it_is(own_place: Path, registry_url: str) -> None:
    root = old_store(own_place / "old")
    import_mlflow(root, tracking_uri=registry_url)
    client = MlflowClient(registry_url)
    client.delete_tag("a" * 32, "registry.import_state")
    (root / "0" / ("a" * 32) / "metrics" / "loss").write_text("1 1 1\n")
    report = import_mlflow(root, tracking_uri=registry_url)
    assert f"A run {'a' * 32} exists here that no import wrote; it was left as it is." in report.problems
    assert len(client.get_metric_history("a" * 32, "loss")) == 2


def test_texts_stages_and_aliases_follow_the_source(unpack: Unpack, registry_url: str) -> None:
    source = unpack("2.9").database()
    execute(source, "UPDATE model_versions SET current_stage = 'Retired' WHERE name = 'churn' AND version = 1")
    report = import_mlflow(source, tracking_uri=registry_url, rename=RENAMES)
    assert "Version 1 of 'churn' has the unknown stage 'Retired'; here it has none." in report.notes
    execute(source, "DELETE FROM registered_model_aliases")
    execute(source, "UPDATE registered_models SET description = 'New text' WHERE name = 'churn'")
    execute(source, "UPDATE model_versions SET description = 'third' WHERE name = 'churn' AND version = 3")
    execute(source, "INSERT INTO model_version_tags (name, version, key, value) VALUES ('churn', 3, 'k', 'v')")
    report = import_mlflow(source, tracking_uri=registry_url, rename=RENAMES)
    assert (report.problems, report.differences, report.is_complete) == ([], [], True)
    client = MlflowClient(registry_url)
    model = client.get_registered_model("churn")
    assert (model.description, model.aliases) == ("New text", {})
    third = client.get_model_version("churn", 3)
    assert (third.description, third.tags) == ("third", {"k": "v"})
    client.verify("churn")


def test_a_damaged_logged_model_is_told(unpack: Unpack, registry_url: str) -> None:
    source = unpack("3.17").database()
    execute(source, "UPDATE logged_model_params SET param_key = 'a(b)'")
    report = import_mlflow(source, tracking_uri=registry_url, rename=RENAMES)
    assert any("'forest') was not imported" in problem for problem in report.problems)
    assert not report.is_complete


def test_proposals_are_names_that_are_allowed() -> None:
    assert propose("models", "a/b:c@d?") == "a-b-c-d-"
    assert propose("models", "..") == "imported-model"
    assert propose("aliases", "v1") == "alias-v1"
    assert propose("aliases", "größer Kopf") == "größer-Kopf"
    assert propose("keys", "../loss(x)") == "loss_x_"
    assert propose("experiments", "a\tb\n") == "a-b-"
    with pytest.raises(InvalidNameError):
        read_renames({"models": {"a": "b/c"}})


def test_adopted_files_are_those_of_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "roc.csv").write_text("a,b")
    (tmp_path / "notes.txt").write_text("notes")
    store = open_blob_store(str(tmp_path))
    files = AdoptedBlobStore(store, store.manifest())
    (tmp_path / "later.txt").write_text("not adopted")
    assert [(info.path, info.is_dir, info.file_size) for info in files.list()] == [
        ("notes.txt", False, 5),
        ("plots", True, None),
    ]
    assert [info.path for info in files.walk("plots")] == ["plots/roc.csv"]
    assert (files.read("plots/roc.csv"), files.find("later.txt"), files.total_size("")) == (b"a,b", None, 8)
    assert files.manifest().size == 8
    files.fetch(files.manifest(), tmp_path / "copy")
    assert (tmp_path / "copy" / "notes.txt").read_text() == "notes"
    for missing in (lambda: files.read("later.txt"), lambda: files.download("later.txt", tmp_path / "x")):
        with pytest.raises(ArtifactNotFoundError):
            missing()
    (tmp_path / "notes.txt").unlink()
    with pytest.raises(IntegrityError, match="were adopted, not copied"):
        files.read("notes.txt")
    with pytest.raises(InvalidStateError, match="adds none and removes none"):
        files.purge("plots")  # type: ignore[no-untyped-call]


def test_prompts_and_other_workspaces_are_left_out_and_told(unpack: Unpack, registry_url: str) -> None:
    source = unpack("3.17").database()
    execute(
        source, "INSERT INTO registered_models (name, workspace) VALUES ('greeting', 'default'), ('churn', 'other')"
    )
    execute(
        source,
        "INSERT INTO registered_model_tags (name, workspace, key, value) "
        "VALUES ('greeting', 'default', 'mlflow.prompt.is_prompt', 'true')",
    )
    report = import_mlflow(source, tracking_uri=registry_url, rename=RENAMES)
    assert report.problems == ["The workspace 'other' was not imported; import it from the running server."]
    assert "1 prompts were left out; this registry keeps none." in report.notes
    assert (report.differences, report.by_kind["registered models"].here) == ([], 3)


def set_stages(root: Path, stages: dict[int, str]) -> None:
    """Write a registered model whose versions have these stages, as MLflow's file store does."""
    (root / "models" / "m").mkdir(parents=True, exist_ok=True)
    (root / "models" / "m" / "meta.yaml").write_text("name: m\n")
    for version, stage in stages.items():
        files, described = root.parent / f"files{version}", root / "models" / "m" / f"version-{version}"
        for directory in (files, described):
            directory.mkdir(exist_ok=True)
        (files / "MLmodel").write_text(f"flavors: {{}}\nmodel_uuid: '{version}'\n")
        (described / "meta.yaml").write_text(f"version: {version}\ncurrent_stage: {stage}\nsource: {files}\n")


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ({1: "Deleted_Internal", 2: "Production"}, {1: "Archived", 2: "Production"}),
        ({1: "Staging", 2: "Production"}, {1: "Staging", 2: "Production"}),
        ({1: "Archived", 2: "Production"}, {1: "Archived", 2: "Production"}),
    ],
)
def test_stages_that_moved_in_the_source_move_here(
    later: dict[int, str], expected: dict[int, str], own_place: Path, registry_url: str
) -> None:
    root = old_store(own_place / "old")
    set_stages(root, {1: "Production", 2: "Staging"})
    import_mlflow(root, tracking_uri=registry_url)
    set_stages(root, later)

    report = import_mlflow(root, tracking_uri=registry_url)

    assert (report.problems, report.differences) == ([], [])
    client = MlflowClient(registry_url)
    found = {int(version.version): version.current_stage for version in client.search_model_versions("name = 'm'")}
    assert found == expected
    assert client.verify("m").versions == 2
    again = import_mlflow(root, tracking_uri=registry_url)
    assert (again.problems, again.notes, again.differences) == ([], report.notes, [])


@pytest.mark.parametrize("kind", ["experiments", "models", "aliases", "keys"])
def test_proposals_for_long_names_that_begin_alike_differ_and_are_allowed(kind: str, own_place: Path) -> None:
    refused, file = RefusedNames(), own_place / "names.yaml"
    names = [f"{'long name/' * 60}{number}" for number in range(12)]
    refused.check(kind, names, {}, folds=kind == "models")

    with pytest.raises(InvalidNameError):
        refused.raise_if_any(file, read_renames(None))

    proposals = getattr(read_renames(file), kind)
    assert sorted(proposals) == sorted(names)
    assert len(set(proposals.values())) == 12
    assert [find_fault(kind, name) for name in proposals.values()] == [None] * 12
