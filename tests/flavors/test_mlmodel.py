"""The MLmodel file: what is written and read, and what is refused before it can do harm."""

from pathlib import Path
from typing import Any

import pytest

from registry.entities.logged_model import LoggedModel
from registry.exceptions import ArtifactNotFoundError, InvalidModelError, InvalidParameterError, NotFoundError
from registry.flavors import Model, load_model, load_pyfunc
from registry.flavors.mlmodel import inside
from registry.flavors.untrusted.yaml import MAX_BYTES


def _write(directory: Path, text: str) -> Path:
    (directory / "MLmodel").write_text(text)
    return directory


def test_a_model_is_the_same_after_writing_and_reading(tmp_path: Path) -> None:
    model = Model(
        artifact_path="model",
        run_id="r" * 32,
        flavors={"xgboost": {"data": "model.ubj"}},
        metadata={"owner": "nobody", "list": [1, 2.5, None]},
        model_size_bytes=7,
        model_id="m-" + "0" * 32,
        extra={"resources": {"api_version": "1"}},
    )
    model.save(tmp_path / "MLmodel")
    assert Model.load(tmp_path) == model
    assert Model.load(tmp_path / "MLmodel") == model


def test_the_file_of_an_early_mlflow_is_read(tmp_path: Path) -> None:
    _write(tmp_path, "flavors:\n  sklearn: {pickled_model: model.pkl}\nutc_time_created: 2020-01-02 03:04:05.5\n")
    model = Model.load(tmp_path)
    assert model.flavors == {"sklearn": {"pickled_model": "model.pkl"}}
    assert model.utc_time_created == "2020-01-02 03:04:05.500000"
    assert (model.model_uuid, model.mlflow_version, model.signature) == (None, None, None)


def test_a_file_written_with_anchors_is_read(tmp_path: Path) -> None:
    _write(tmp_path, "flavors:\n  a: &x {types: &y [s, t]}\n  b: *x\n  c: {types: *y}\n")
    assert Model.load(tmp_path).flavors == {
        "a": {"types": ["s", "t"]},
        "b": {"types": ["s", "t"]},
        "c": {"types": ["s", "t"]},
    }


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "just text",
        "- a\n- b",
        "1: 2",
        "flavors: [1]",
        "flavors: {a: 3}",
        "flavors: {a: [}",
        "a: b: c",
        "a: !!python/object/apply:os.system ['true']",
        "a: !!python/name:os.system",
        "a: !custom x",
        "!!map {a: b}",
        "a: &x [*x]",
        "a: *unknown",
        "a: " + "[" * 70 + "]" * 70,
        "a: " + "[" * 5000,
        "\x00",
        BOMB,
        "signature: {inputs: 'x'}",
        "signature: text",
        "a: b\n---\nc: d",
        "\ufffe",
    ],
)
def test_a_file_that_is_no_plain_map_is_refused_by_name(tmp_path: Path, text: str) -> None:
    _write(tmp_path, text)
    with pytest.raises(InvalidModelError, match="MLmodel") as caught:
        Model.load(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_bytes(b"a: \xff\xfe\xfa")
    with pytest.raises(InvalidModelError):
        Model.load(tmp_path)


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "MLmodel").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(InvalidModelError, match="larger than"):
        Model.load(tmp_path)


@pytest.mark.parametrize("name", [".", "missing", "file"])
def test_a_directory_without_the_file_says_so(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactNotFoundError, match="MLmodel"):
        Model.load(tmp_path / name)


def test_metadata_that_are_no_plain_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="YAML"):
        Model(metadata={"a": object()}).save(tmp_path / "MLmodel")


@pytest.mark.parametrize("load", [lambda path: load_model(path, "xgboost"), load_pyfunc])
def test_a_missing_flavor_is_named_with_those_there_are(tmp_path: Path, load: Any) -> None:
    _write(tmp_path, "flavors: {keras: {}, onnx: {}}")
    with pytest.raises(NotFoundError, match=r'Model does not have the ".*" flavor; it has: keras, onnx') as caught:
        load(tmp_path)
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"


@pytest.mark.parametrize(
    "path", ["../secret", "/etc/passwd", "a/../../secret", "a\\b", "", ".", 3, None, "a\x00b", "C:/x"]
)
def test_a_path_that_leaves_the_directory_is_refused(tmp_path: Path, path: object) -> None:
    (tmp_path / "secret").touch()
    model = tmp_path / "model"
    model.mkdir()
    with pytest.raises(InvalidModelError):
        inside(model, path, "data")


def test_a_link_that_leaves_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    model = tmp_path / "model"
    model.mkdir()
    (model / "data").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidModelError, match="leads outside"):
        inside(model, "data", "data")


def test_a_named_file_that_is_missing_says_so(tmp_path: Path) -> None:
    with pytest.raises(ArtifactNotFoundError, match=r"model\.ubj"):
        inside(tmp_path, "model.ubj", "data")


def test_model_info_has_the_figures_of_the_logged_model() -> None:
    model_id = "m-" + "1" * 32
    logged = LoggedModel("1", model_id, "churn", "s3://b/x", 5, 6, params={"p": "1"}, tags={"t": "2"})
    info = Model(run_id="r", model_id=model_id, model_uuid=model_id).get_model_info(logged)
    assert (info.model_uri, info.model_id, info.model_uuid, info.name) == (
        f"models:/{model_id}",
        model_id,
        model_id,
        "churn",
    )
    assert (info.params, info.tags, info.metrics, info.creation_timestamp) == ({"p": "1"}, {"t": "2"}, [], 5)


def test_model_info_of_a_directory_without_logged_model_names_the_run() -> None:
    assert Model(run_id="r", artifact_path="model").get_model_info().model_uri == "runs:/r/model"
