"""Exports: the content of the file, its atomic appearance, and models that are rejected."""

from pathlib import Path

import pytest
from export_files import MANIFEST, read_archive, read_manifest
from governed_models import raw_sql
from travelling_models import FILES, make_staged_registry

import registry
from registry.exceptions import (
    IntegrityError,
    ModelNotFoundError,
    PathExistsError,
    StorageError,
    VersionNotFoundError,
)

Client = registry.MlflowClient


@pytest.fixture
def dev(own_place: Path) -> Client:
    return make_staged_registry("sqlite:///dev.db", f"{own_place}/dev")


def test_the_same_model_gives_the_same_file(dev: Client) -> None:
    one, two = dev.export_model("churn", "one.zip"), dev.export_model("churn", "two.zip")

    assert one.read_bytes() == two.read_bytes()


def test_a_file_is_in_the_archive_once_and_under_its_digest(dev: Client) -> None:
    path = dev.export_model("churn", "churn.zip")

    contents = read_archive(path)
    names = list(contents)
    files = {
        logged["path"]: logged["sha256"] for model in read_manifest(path)["logged_models"] for logged in model["files"]
    }
    assert names[0] == MANIFEST
    assert set(names[1:]) > {f"files/{digest}" for digest in files.values()}
    assert contents[f"files/{files['data/weights.bin']}"] == FILES["data/weights.bin"]
    assert read_manifest(path)["format"] == 1


@pytest.mark.parametrize(
    ("name", "versions", "error"),
    [
        ("nobody", None, ModelNotFoundError),
        ("churn", [9], VersionNotFoundError),
        ("churn", [2], VersionNotFoundError),
    ],
)
def test_what_is_not_there_is_not_exported(
    dev: Client, own_place: Path, name: str, versions: list[int] | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        dev.export_model(name, "x.zip", versions=versions)

    assert list(own_place.glob("*x.zip*")) == []


def test_an_export_never_overwrites(dev: Client, own_place: Path) -> None:
    Path("x.zip").write_text("mine")

    with pytest.raises(PathExistsError):
        dev.export_model("churn", "x.zip")

    assert Path("x.zip").read_text() == "mine"


def test_an_export_to_nowhere_is_one_clear_error(dev: Client) -> None:
    with pytest.raises(StorageError, match="No such file or directory"):
        dev.export_model("churn", "missing/x.zip")


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_damaged_bytes_are_not_exported(dev: Client, own_place: Path, damage: str) -> None:
    file = Path(dev.get_model_version_download_uri("churn", 3), "data/weights.bin")
    if damage == "changed":
        file.write_bytes(b"W" + file.read_bytes()[1:])
    else:
        file.unlink()

    with pytest.raises(IntegrityError, match=r"data/weights\.bin"):
        dev.export_model("churn", "x.zip", versions=[3])

    assert [path.name for path in own_place.iterdir() if "x.zip" in path.name] == []


def test_an_edited_history_is_not_exported(dev: Client) -> None:
    run = raw_sql(dev.tracking_uri)
    run("DROP TRIGGER history_no_update")
    run("UPDATE history SET reason = 'worse' WHERE reason = 'better'")

    with pytest.raises(IntegrityError, match="was edited"):
        dev.export_model("churn", "x.zip")
