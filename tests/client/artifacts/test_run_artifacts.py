"""Files of runs: what is logged is listed and comes back as a copy of the caller's own, on a local disk and on S3."""

import io
import json
from collections.abc import Callable
from datetime import date
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from file_trees import read_files, write_files

import registry
from registry import artifacts
from registry.entities import FileInfo
from registry.exceptions import (
    ArtifactNotFoundError,
    IntegrityError,
    InvalidParameterError,
    InvalidPathError,
    InvalidTypeError,
    InvalidUriError,
    LoggedModelNotFoundError,
    ReadOnlyError,
    RunNotFoundError,
    VersionNotFoundError,
)
from registry.tracking import MlflowClient

BAD_PATHS = [
    "/absolute",
    "../up",
    "a/../../up",
    "a/./b",
    "a//b",
    "back\\slash",
    "C:/drive",
    "nul\0byte",
    "%2e%2e/up",
    "a/%2E%2E%2Fup",
    "..%5Cup",
    "%252e%252e/up",
    "x%00",
]


def paths(infos: list[FileInfo]) -> list[str]:
    return [info.path for info in infos]


# --- logging


def test_a_text_is_stored_in_utf8(client: MlflowClient, run_id: str) -> None:
    client.log_text(run_id, "Ünï\r\n", "notes/n.txt")
    assert Path(client.download_artifacts(run_id, "notes/n.txt")).read_bytes() == "Ünï\r\n".encode()


def test_a_file_is_stored_under_its_own_name(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    write_files(tmp_path / "here", {"data.csv": b"a,b"})
    client.log_artifact(run_id, tmp_path / "here" / "data.csv")
    client.log_artifact(run_id, str(tmp_path / "here" / "data.csv"), "deep/er")
    assert client.list_artifacts(run_id) == [FileInfo("data.csv", False, 3), FileInfo("deep", True, None)]
    assert client.list_artifacts(run_id, "deep/er") == [FileInfo("deep/er/data.csv", False, 3)]


def test_a_directory_is_stored_under_its_own_name_or_by_its_contents(
    client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    directory = write_files(tmp_path / "plots", {"a.txt": b"a", "deep/b.txt": b"b"})
    client.log_artifact(run_id, f"{directory}/")
    client.log_artifacts(run_id, directory, "contents")
    client.log_artifacts(run_id, str(directory))
    assert read_files(client.download_artifacts(run_id, "")) == {
        f"{prefix}{name}": data
        for prefix in ("plots/", "contents/", "")
        for name, data in {"a.txt": b"a", "deep/b.txt": b"b"}.items()
    }


@pytest.mark.parametrize("method", ["log_artifact", "log_artifacts"])
def test_logging_what_is_missing_is_an_error(client: MlflowClient, run_id: str, tmp_path: Path, method: str) -> None:
    with pytest.raises(ArtifactNotFoundError, match="nowhere"):
        getattr(client, method)(run_id, str(tmp_path / "nowhere"))
    assert client.list_artifacts(run_id) == []


def test_the_contents_of_a_file_are_no_directory(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    file = write_files(tmp_path, {"x": b""}) / "x"
    with pytest.raises(InvalidParameterError, match="store it with log_artifact"):
        client.log_artifacts(run_id, file)


def test_a_symlink_in_a_logged_directory_is_refused_and_nothing_is_stored(
    client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    directory = write_files(tmp_path / "d", {"a": b"a"})
    (directory / "shadow").symlink_to("/etc/shadow")
    with pytest.raises(InvalidPathError, match="symbolic link"):
        client.log_artifacts(run_id, directory)
    assert client.list_artifacts(run_id) == []


def test_a_stream_is_stored_from_where_it_stands(client: MlflowClient, run_id: str) -> None:
    stream = io.BytesIO(b"0123456789")
    stream.seek(4)
    client.log_stream(run_id, stream, "s.bin")
    assert read_files(client.download_artifacts(run_id, "")) == {"s.bin": b"456789"}
    with pytest.raises(InvalidTypeError, match="binary mode"):
        client.log_stream(run_id, io.StringIO("text"), "t.bin")  # type: ignore[arg-type]  # what is refused


def test_logging_again_replaces(client: MlflowClient, run_id: str) -> None:
    client.log_text(run_id, "one", "a")
    client.log_text(run_id, "two", "a")
    assert artifacts.load_text(f"runs:/{run_id}/a") == "two"


def test_a_path_that_could_leave_the_run_is_refused_by_every_call(
    client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    file = write_files(tmp_path / "from", {"x": b"x"}) / "x"
    calls: list[Callable[[str], Any]] = [
        lambda path: client.log_text(run_id, "x", path),
        lambda path: client.log_dict(run_id, {}, path),
        lambda path: client.log_stream(run_id, io.BytesIO(), path),
        lambda path: client.log_artifact(run_id, file, path),
        lambda path: client.log_artifacts(run_id, file.parent, path),
        lambda path: client.list_artifacts(run_id, path),
        lambda path: client.download_artifacts(run_id, path),
        lambda path: artifacts.download_artifacts(run_id=run_id, artifact_path=path),
    ]
    for path in BAD_PATHS:
        for call in calls:
            with pytest.raises(InvalidPathError):
                call(path)
    for call in calls[:3]:  # a file needs a name; the run's root may be written to and read
        with pytest.raises(InvalidPathError):
            call("")
    assert client.list_artifacts(run_id) == []


def test_a_deleted_run_takes_no_files_but_shows_those_it_has(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    client.log_text(run_id, "x", "x.txt")
    client.delete_run(run_id)
    file = tmp_path / "y"
    file.write_text("y")
    for call in (
        lambda: client.log_text(run_id, "y", "y.txt"),
        lambda: client.log_artifact(run_id, file),
        lambda: client.log_artifacts(run_id, tmp_path),
        lambda: client.log_stream(run_id, io.BytesIO(), "y"),
        lambda: client.log_table(run_id, {"a": 1}, "y.json"),
        lambda: client.log_image(run_id, np.zeros((2, 2)), "y.png"),
    ):
        with pytest.raises(InvalidParameterError, match="must be in the 'active' state"):
            call()
    assert paths(client.list_artifacts(run_id)) == ["x.txt"]


def test_a_read_only_client_stores_nothing(client: MlflowClient, run_id: str) -> None:
    client.log_text(run_id, "x", "x.txt")
    reader = MlflowClient(read_only=True)
    with pytest.raises(ReadOnlyError):
        reader.log_text(run_id, "y", "y.txt")
    assert paths(reader.list_artifacts(run_id)) == ["x.txt"]


def test_a_run_that_is_missing_is_named(client: MlflowClient) -> None:
    for call in (
        lambda: client.log_text("0" * 32, "x", "x"),
        lambda: client.list_artifacts("0" * 32),
        lambda: client.download_artifacts("0" * 32, ""),
    ):
        with pytest.raises(RunNotFoundError, match="0" * 32):
            call()


def test_only_text_is_text(client: MlflowClient, run_id: str) -> None:
    for value in (b"bytes", 1, None):
        with pytest.raises(InvalidTypeError, match="log_text"):
            client.log_text(run_id, value, "x.txt")  # type: ignore[arg-type]  # what is refused
    with pytest.raises(InvalidParameterError, match="not Unicode"):
        client.log_text(run_id, "\ud800", "x.txt")
    assert client.list_artifacts(run_id) == []


# --- dictionaries


class Size(IntEnum):
    SMALL = 1


class Colour(StrEnum):
    RED = "red"


NESTED = {
    "int": np.int64(1),
    "float": np.float32(0.5),
    "double": np.float64(0.1),
    "true": np.bool_(True),
    "array": np.arange(3),
    "scalar": np.array(7),
    "size": Size.SMALL,
    "colour": Colour.RED,
    "tuple": (1, "a"),
    "path": Path("a/b"),
    "none": None,
    np.int64(3): {"deep": [np.int8(-1)]},
}
WRITTEN = {
    "int": 1,
    "float": 0.5,
    "double": 0.1,
    "true": True,
    "array": [0, 1, 2],
    "scalar": 7,
    "size": 1,
    "colour": "red",
    "tuple": [1, "a"],
    "path": "a/b",
    "none": None,
}


def test_a_dictionary_is_json_with_numbers_as_numbers(client: MlflowClient, run_id: str) -> None:
    for name in ("c.json", "c.txt", "c"):
        client.log_dict(run_id, NESTED, name)
        text = artifacts.load_text(f"runs:/{run_id}/{name}")
        assert json.loads(text) == {**WRITTEN, "3": {"deep": [-1]}}
        assert text.startswith('{\n  "int": 1,\n')
        assert artifacts.load_dict(f"runs:/{run_id}/{name}") == json.loads(text)


def test_a_dictionary_is_yaml_by_its_ending(client: MlflowClient, run_id: str) -> None:
    for name in ("c.yml", "c.yaml", "C.YAML"):
        client.log_dict(run_id, {**NESTED, "day": date(2026, 3, 1)}, name)
        text = artifacts.load_text(f"runs:/{run_id}/{name}")
        assert yaml.safe_load(text) == {**WRITTEN, 3: {"deep": [-1]}, "day": date(2026, 3, 1)}
        assert artifacts.load_dict(f"runs:/{run_id}/{name}") == yaml.safe_load(text)


def test_a_dictionary_that_contains_itself_is_refused(client: MlflowClient, run_id: str) -> None:
    ring: dict[str, Any] = {}
    ring["self"] = ring
    for name in ("c.json", "c.yaml"):
        with pytest.raises(InvalidParameterError, match="contains itself"):
            client.log_dict(run_id, ring, name)


def test_a_file_that_is_no_dictionary_says_so(client: MlflowClient, run_id: str) -> None:
    for name, text in (
        ("a.json", "{"),
        ("a.json", "[" * 100_000),
        ("a.yaml", "a: [1"),
        ("a.yaml", "!!python/object/apply:os.getcwd []"),
    ):
        client.log_text(run_id, text, name)
        with pytest.raises(InvalidParameterError, match=f"'{name}' is not (JSON|YAML)") as caught:
            artifacts.load_dict(f"runs:/{run_id}/{name}")
        assert caught.value.error_code == "BAD_REQUEST"


def test_bytes_that_are_no_text_say_so(client: MlflowClient, run_id: str) -> None:
    client.log_stream(run_id, io.BytesIO(b"\xff\xfe"), "a.json")
    for load in (artifacts.load_text, artifacts.load_dict):
        with pytest.raises(InvalidParameterError, match="not valid UTF-8"):
            load(f"runs:/{run_id}/a.json")


def test_a_directory_is_not_loaded_as_a_file(client: MlflowClient, run_id: str) -> None:
    client.log_text(run_id, "x", "d/x.txt")
    with pytest.raises(InvalidParameterError, match="is a directory; name a file"):
        artifacts.load_text(f"runs:/{run_id}/d")


# --- listing


def test_a_missing_path_or_a_file_lists_nothing(client: MlflowClient, run_id: str) -> None:
    client.log_text(run_id, "x", "d/x.txt")
    assert client.list_artifacts(run_id, "missing") == []
    assert client.list_artifacts(run_id, "d/x.txt") == []
    assert client.list_artifacts(run_id, "d/") == [FileInfo("d/x.txt", False, 1)]


def test_every_form_of_uri_lists(client: MlflowClient, run_id: str) -> None:
    client.log_text(run_id, "x", "a/b/x.txt")
    root = client.get_run(run_id).info.artifact_uri
    assert paths(artifacts.list_artifacts(f"runs:/{run_id}")) == ["a"]
    assert paths(artifacts.list_artifacts(f"runs:/{run_id}/a/b")) == ["x.txt"]
    assert paths(artifacts.list_artifacts(run_id=run_id, artifact_path="a/b")) == ["a/b/x.txt"]
    assert paths(artifacts.list_artifacts(f"{root}/a/b")) == ["x.txt"]
    assert artifacts.list_artifacts(f"{root}/zz") == []


# --- downloading


def test_a_download_lands_under_the_last_name(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    client.log_text(run_id, "x", "a/b/x.txt")
    root = client.get_run(run_id).info.artifact_uri
    for number, uri in enumerate([f"runs:/{run_id}/a/b", f"runs:/{run_id}/a/b/", f"{root}/a/b"]):
        to = tmp_path / "new" / str(number)
        assert artifacts.download_artifacts(uri, dst_path=str(to)) == str(to / "b")
        assert read_files(to) == {"b/x.txt": b"x"}
    for number, uri in enumerate([f"runs:/{run_id}/a/b/x.txt", f"{root}/a/b/x.txt"]):
        to = tmp_path / "file" / str(number)
        assert artifacts.download_artifacts(uri, dst_path=to) == str(to / "x.txt")
        assert read_files(to) == {"x.txt": b"x"}


@pytest.mark.parametrize("ask", ["client", "uri", "run"])
def test_a_whole_run_becomes_the_destination(client: MlflowClient, run_id: str, tmp_path: Path, ask: str) -> None:
    client.log_text(run_id, "x", "a/x.txt")
    to = tmp_path / "new"
    copy = {
        "client": lambda: client.download_artifacts(run_id, "", to),
        "uri": lambda: artifacts.download_artifacts(f"runs:/{run_id}/", dst_path=to),
        "run": lambda: artifacts.download_artifacts(run_id=run_id, dst_path=to),
    }[ask]()
    assert copy == str(to)
    assert read_files(to) == {"a/x.txt": b"x"}


def test_a_run_without_artifacts_is_an_empty_directory(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    assert client.download_artifacts(run_id, "", tmp_path / "new") == str(tmp_path / "new")
    assert read_files(tmp_path / "new") == {}


def test_a_download_is_a_copy_that_the_caller_may_change(client: MlflowClient, run_id: str) -> None:
    client.log_text(run_id, "kept", "x.txt")
    root = client.get_run(run_id).info.artifact_uri
    for uri in (f"runs:/{run_id}/x.txt", f"{root}/x.txt"):
        Path(artifacts.download_artifacts(uri)).write_text("changed")
        assert artifacts.load_text(uri) == "kept"


def test_a_download_replaces_what_it_brings_and_leaves_the_rest(
    client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    client.log_text(run_id, "new", "d/x.txt")
    to = write_files(tmp_path / "to", {"d/x.txt": b"old", "d/mine": b"mine", "other": b"o"})
    client.download_artifacts(run_id, "d", to)
    assert read_files(to) == {"d/x.txt": b"new", "d/mine": b"mine", "other": b"o"}


def test_a_missing_artifact_says_what_there_is_and_leaves_nothing(
    client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    client.log_text(run_id, "x", "a/b.txt")
    client.log_text(run_id, "x", "top.txt")
    with pytest.raises(ArtifactNotFoundError, match=r"zz'\. There is: a, top\.txt\."):
        client.download_artifacts(run_id, "zz", tmp_path / "new")
    with pytest.raises(ArtifactNotFoundError, match=r"a/zz'\. There is: a/b\.txt\."):
        artifacts.load_text(f"runs:/{run_id}/a/zz")
    root = client.get_run(run_id).info.artifact_uri
    with pytest.raises(ArtifactNotFoundError, match="Nothing exists there"):
        artifacts.download_artifacts(f"{root}/zz")
    assert not (tmp_path / "new").exists()


def test_a_place_that_is_taken_is_left_as_it_is(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    client.log_text(run_id, "a", "d/a")
    client.log_text(run_id, "b", "d/b/c")
    to = write_files(tmp_path / "to", {"d/b": b"a file where a directory must be"})
    with pytest.raises(InvalidPathError, match="d/b is a file"):
        client.download_artifacts(run_id, "d", to)
    assert read_files(to) == {"d/b": b"a file where a directory must be"}
    to = write_files(tmp_path / "third", {"d/a/x": b"a directory where a file must be"})
    with pytest.raises(InvalidPathError, match="d/a is a directory"):
        client.download_artifacts(run_id, "d", to)
    assert read_files(to) == {"d/a/x": b"a directory where a file must be"}


def test_a_download_follows_no_symlink_below_its_destination(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    client.log_text(run_id, "x", "d/x")
    (tmp_path / "outside").mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "d").symlink_to(tmp_path / "outside", target_is_directory=True)
    with pytest.raises(InvalidPathError, match="symbolic link"):
        client.download_artifacts(run_id, "d", tmp_path / "to")
    assert read_files(tmp_path / "outside") == {}


def test_a_destination_that_is_a_file_is_refused(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    client.log_text(run_id, "x", "x")
    file = write_files(tmp_path, {"file": b"mine"}) / "file"
    for to in (file, file / "below"):
        with pytest.raises(InvalidParameterError, match="is a file"):
            client.download_artifacts(run_id, "x", to)
    assert file.read_bytes() == b"mine"


@pytest.mark.parametrize(
    "arguments",
    [{}, {"artifact_uri": "x", "run_id": "y"}, {"artifact_uri": "x", "artifact_path": "y"}, {"artifact_path": "y"}],
)
def test_exactly_one_of_uri_and_run_is_given(arguments: dict[str, str]) -> None:
    for call in (artifacts.download_artifacts, artifacts.list_artifacts):
        with pytest.raises(InvalidParameterError, match="artifact_uri"):
            call(**arguments)


@pytest.mark.parametrize("uri", ["http://host/x", "runs:/", "models:/name", "", "s3://b/../x", "a\0b"])
def test_what_is_no_uri_is_refused(uri: str) -> None:
    with pytest.raises(InvalidUriError):
        artifacts.download_artifacts(uri)


def test_a_local_place_needs_no_database(own_place: Path) -> None:
    write_files(own_place / "data", {"a/x.txt": b"x"})
    (own_place / "link").symlink_to("data")
    assert artifacts.load_text("data/a/x.txt") == "x"
    assert artifacts.load_text(f"file://{own_place}/data/a/x.txt") == "x"
    assert read_files(artifacts.download_artifacts("link")) == {"a/x.txt": b"x"}
    assert sorted(path.name for path in own_place.iterdir()) == ["data", "link"]


# --- logged models


@pytest.fixture
def model_id(client: MlflowClient, run_id: str, tmp_path: Path) -> str:
    """A sealed model named model of the run, registered as version 1 of nba."""
    model = client.create_logged_model("0", name="model", source_run_id=run_id)
    client.log_model_artifacts(
        model.model_id, write_files(tmp_path / "sealed", {"MLmodel": b"flavors: {}\n", "data/model.ubj": b"sealed"})
    )
    client.finalize_logged_model(model.model_id, "READY")
    client.create_registered_model("nba")
    client.create_model_version("nba", f"models:/{model.model_id}")
    return model.model_id


SEALED = {"MLmodel": b"flavors: {}\n", "data/model.ubj": b"sealed"}


def test_a_model_is_downloaded_by_each_of_its_names(
    client: MlflowClient, run_id: str, model_id: str, tmp_path: Path
) -> None:
    client.transition_model_version_stage("nba", 1, "Production")
    client.set_registered_model_alias("nba", "best", 1)
    uris = ["models:/nba/1", "models:/nba/Production", "models:/nba/latest", "models:/nba@best", f"models:/{model_id}"]
    for number, uri in enumerate(uris):
        to = tmp_path / "new" / str(number)
        assert artifacts.download_artifacts(uri, dst_path=to) == str(to)
        assert read_files(to) == SEALED
        assert artifacts.load_text(f"{uri}/data/model.ubj") == "sealed"
        assert paths(artifacts.list_artifacts(uri)) == ["MLmodel", "data"]
        assert artifacts.list_artifacts(f"{uri}/data") == [FileInfo("model.ubj", False, 6)]
        assert artifacts.list_artifacts(f"{uri}/MLmodel") == []
    assert paths(client.list_logged_model_artifacts(model_id)) == ["MLmodel", "data"]


def test_a_run_shows_its_model_and_the_files_beside_it(
    client: MlflowClient, run_id: str, model_id: str, tmp_path: Path
) -> None:
    client.log_text(run_id, "extra", "model/extra.txt")
    client.log_text(run_id, "scratch", "model/MLmodel")
    uri = f"runs:/{run_id}/model"
    assert paths(client.list_artifacts(run_id, "model")) == ["model/MLmodel", "model/data", "model/extra.txt"]
    assert client.list_artifacts(run_id, "model/data") == [FileInfo("model/data/model.ubj", False, 6)]
    assert artifacts.load_text(f"{uri}/MLmodel") == "flavors: {}\n"
    assert artifacts.load_text(f"{uri}/extra.txt") == "extra"
    assert artifacts.download_artifacts(uri, dst_path=tmp_path / "new") == str(tmp_path / "new" / "model")
    assert read_files(tmp_path / "new" / "model") == {**SEALED, "extra.txt": b"extra"}


def test_a_file_of_a_run_never_takes_the_place_of_a_models_directory(
    client: MlflowClient, run_id: str, model_id: str
) -> None:
    client.log_text(run_id, "scratch", "model/data")
    assert read_files(client.download_artifacts(run_id, "model")) == SEALED


def test_what_a_model_lacks_is_named(client: MlflowClient, model_id: str) -> None:
    with pytest.raises(ArtifactNotFoundError, match="There is: MLmodel, data"):
        artifacts.download_artifacts("models:/nba/1/zz")
    with pytest.raises(VersionNotFoundError):
        artifacts.download_artifacts("models:/nba/2")
    with pytest.raises(LoggedModelNotFoundError):
        artifacts.list_artifacts("models:/m-" + "0" * 32)


@pytest.mark.parametrize("path", ["", "/data", "/data/model.ubj"])
def test_a_changed_file_of_a_model_is_never_handed_out(
    client: MlflowClient, model_id: str, tmp_path: Path, path: str
) -> None:
    from registry.blobs import open_blob_store

    open_blob_store(client.get_model_version_download_uri("nba", 1)).write("data/model.ubj", b"forged")
    with pytest.raises(IntegrityError, match=r"data/model\.ubj"):
        artifacts.download_artifacts(f"models:/nba/1{path}", dst_path=tmp_path / "new")
    assert not (tmp_path / "new").exists()


# --- the active run


def test_the_active_run_takes_files(artifact_root: str, own_place: Path) -> None:
    write_files(own_place / "d", {"x": b"x"})
    with registry.start_run() as run:
        registry.log_artifact("d/x", "one")
        registry.log_artifacts("d", artifact_path="two")
        registry.log_text("x", "t.txt")
        registry.log_dict({"a": 1}, "d.json")
        registry.log_stream(io.BytesIO(b"x"), "s.bin")
        uri = registry.get_artifact_uri()
        assert uri == run.info.artifact_uri
        assert uri.startswith(artifact_root)
        assert registry.get_artifact_uri("one/x") == f"{uri}/one/x"
        assert artifacts.load_text(registry.get_artifact_uri("one/x")) == "x"
        with pytest.raises(InvalidPathError):
            registry.get_artifact_uri("../x")
    assert paths(artifacts.list_artifacts(run_id=run.info.run_id)) == ["d.json", "one", "s.bin", "t.txt", "two"]


def test_files_go_to_the_run_that_is_named(client: MlflowClient, run_id: str) -> None:
    registry.log_text("x", "t.txt", run_id=run_id)
    assert registry.active_run() is None
    assert paths(client.list_artifacts(run_id)) == ["t.txt"]


def test_another_store_is_read_by_its_tracking_uri(client: MlflowClient, run_id: str) -> None:
    client.log_text(run_id, "x", "t.txt")
    registry.set_tracking_uri("sqlite:///other.db")
    assert paths(artifacts.list_artifacts(run_id=run_id, tracking_uri="sqlite:///registry.db")) == ["t.txt"]
    copy = artifacts.download_artifacts(run_id=run_id, artifact_path="t.txt", tracking_uri="sqlite:///registry.db")
    assert Path(copy).read_text() == "x"


@pytest.mark.parametrize("path", ["d.json", "d.yaml"])
def test_a_dictionary_with_an_int_that_python_does_not_write_is_refused(
    client: MlflowClient, run_id: str, path: str
) -> None:
    with pytest.raises(InvalidParameterError, match=f"cannot be written to '{path}'"):
        client.log_dict(run_id, {"a": 10**5_000}, path)
    with pytest.raises(InvalidParameterError, match="table cannot be written as JSON"):
        client.log_table(run_id, {"a": [10**5_000]}, "t.json")
    assert client.list_artifacts(run_id) == []
