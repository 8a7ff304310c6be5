"""Directories as people have them: empty ones, symlinks, compressed files, names of another encoding, shared ones."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from file_trees import read_files, write_files
from s3_servers import S3Server

from registry import MlflowClient, artifacts
from registry.blobs import BlobStore, open_blob_store
from registry.exceptions import ArtifactNotFoundError, InvalidPathError

Lead = Callable[[S3Server], S3Server]


@pytest.fixture
def client(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", str(tmp_path / "artifacts"))
    return MlflowClient(sqlite_url)


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    return client.create_run("0").info.run_id


@pytest.fixture
def moto_store(moto_s3: S3Server, s3_environment: Lead) -> BlobStore:
    return open_blob_store(s3_environment(moto_s3).fresh_root())


def test_an_empty_directory_is_kept_listed_and_downloaded(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    source = write_files(tmp_path / "source", {"full/a.txt": b"x"})
    (source / "empty" / "inner").mkdir(parents=True)
    client.log_artifacts(run_id, source, "out")
    assert [info.path for info in client.list_artifacts(run_id, "out")] == ["out/empty", "out/full"]

    copy = Path(client.download_artifacts(run_id, "out/empty", tmp_path / "to"))
    assert [path.name for path in copy.iterdir()] == ["inner"]
    whole = Path(client.download_artifacts(run_id, "", tmp_path / "all"))
    assert (whole / "out" / "empty" / "inner").is_dir()
    assert read_files(whole) == {"out/full/a.txt": b"x"}
    with pytest.raises(ArtifactNotFoundError, match="There is: out/empty, out/full"):
        client.download_artifacts(run_id, "out/none", tmp_path / "to")


def test_an_empty_directory_on_s3_is_downloaded(moto_store: BlobStore, moto_s3: S3Server, tmp_path: Path) -> None:
    prefix = moto_store.root.split("/", 3)[3]
    moto_s3.client().put_object(Bucket=moto_s3.bucket, Key=f"{prefix}/empty/", Body=b"")
    assert [info.path for info in moto_store.list()] == ["empty"]
    assert list(moto_store.download("empty", tmp_path / "to").iterdir()) == []
    assert Path(artifacts.download_artifacts(f"{moto_store.root}/empty", dst_path=tmp_path / "uri")).is_dir()
    with pytest.raises(ArtifactNotFoundError):
        moto_store.download("none", tmp_path / "to")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.json", "application/json"),
        ("a.json.gz", "application/gzip"),
        ("a.csv.gz", "application/gzip"),
        ("a.tar.gz", "application/gzip"),
        ("a.tgz", "application/gzip"),
        ("a.svgz", "application/gzip"),
        ("a.csv.bz2", "application/x-bzip2"),
        ("a.csv.xz", "application/x-xz"),
        ("a.csv.Z", "application/octet-stream"),
        ("a.csv.br", "application/octet-stream"),
        ("a.unknown", "application/octet-stream"),
    ],
)
@pytest.mark.parametrize("size", [1, 9_000_000])
def test_a_compressed_file_has_the_type_of_its_compression(
    moto_store: BlobStore, moto_s3: S3Server, name: str, kind: str, size: int
) -> None:
    moto_store.write(name, b"x" * size)
    head = moto_s3.client().head_object(Bucket=moto_s3.bucket, Key=f"{moto_store.root.split('/', 3)[3]}/{name}")
    assert (head["ContentType"], head.get("ContentEncoding")) == (kind, None)


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A directory as the Hugging Face hub has it: names that lead to files elsewhere."""
    blobs = write_files(tmp_path / "blobs", {"1": b"weights", "2": b"{}", "tokens/3": b"a b"})
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    (snapshot / "model.bin").symlink_to(blobs / "1")
    (snapshot / "config.json").symlink_to("../blobs/2")
    (snapshot / "tokens").symlink_to(blobs / "tokens")
    return snapshot


def test_symlinks_are_refused_with_the_way_out(client: MlflowClient, run_id: str, snapshot: Path) -> None:
    for log in (client.log_artifacts, client.log_artifact):
        with pytest.raises(InvalidPathError, match=r"is a symbolic link.*follow_symlinks=True"):
            log(run_id, snapshot)
    assert client.list_artifacts(run_id) == []


@pytest.mark.parametrize("how", ["argument", "setting"])
def test_symlinks_are_followed_when_that_is_asked_for(
    client: MlflowClient, run_id: str, snapshot: Path, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "setting":
        monkeypatch.setenv("REGISTRY_FOLLOW_SYMLINKS", "true")
    follow = True if how == "argument" else None
    client.log_artifacts(run_id, snapshot, "all", follow_symlinks=follow)
    client.log_artifact(run_id, snapshot, follow_symlinks=follow)
    files = {"config.json": b"{}", "model.bin": b"weights", "tokens/3": b"a b"}
    for path in ("all", "snapshot"):
        assert read_files(client.download_artifacts(run_id, path, tmp_path / "to")) == files


def test_symlinks_are_followed_on_their_way_to_s3(moto_store: BlobStore, snapshot: Path) -> None:
    moto_store.upload(snapshot, follow_symlinks=True)
    assert {info.path: moto_store.read(info.path) for info in moto_store.walk()} == {
        "config.json": b"{}",
        "model.bin": b"weights",
        "tokens/3": b"a b",
    }


@pytest.mark.parametrize(
    ("link", "target", "said"),
    [
        ("dangling", "nowhere", "dangling is a symbolic link to nothing"),
        ("self", "self", "self is a symbolic link to itself"),
        ("up", ".", "up is a symbolic link to a directory that holds it"),
        ("null", "/dev/null", "null is neither a file nor a directory"),
    ],
)
def test_a_symlink_that_leads_to_no_file_is_named(
    client: MlflowClient, run_id: str, snapshot: Path, link: str, target: str, said: str
) -> None:
    (snapshot / link).symlink_to(target)
    with pytest.raises(InvalidPathError, match=said):
        client.log_artifacts(run_id, snapshot, follow_symlinks=True)
    assert client.list_artifacts(run_id) == []


def test_a_symlink_below_a_root_of_ours_is_never_followed(
    client: MlflowClient, run_id: str, snapshot: Path, tmp_path: Path
) -> None:
    client.log_text(run_id, "x", "there.txt")
    (Path(client.get_run(run_id).info.artifact_uri) / "out").symlink_to(tmp_path / "outside")
    (tmp_path / "outside").mkdir()
    with pytest.raises(InvalidPathError, match="symbolic link"):
        client.log_artifacts(run_id, snapshot, "out", follow_symlinks=True)
    assert list((tmp_path / "outside").iterdir()) == []


ASCII_ONLY = """
import sys
from registry import MlflowClient
from registry.exceptions import InvalidPathError
client = MlflowClient(sys.argv[1])
run_id = client.create_run("0").info.run_id
calls = [
    lambda: client.log_text(run_id, "x", "gr\\u00f6\\u00dfe.txt"),
    lambda: client.log_artifact(run_id, "gr\\u00f6\\u00dfe.txt"),
    lambda: client.download_artifacts(run_id, "gr\\u00f6\\u00dfe.txt", "to"),
    lambda: client.list_artifacts(run_id, "gr\\u00f6\\u00dfe"),
]
for call in calls:
    try:
        call()
    except InvalidPathError as error:
        print("PYTHONUTF8=1" in error.message, "ascii" in error.message)
"""


def test_a_name_that_the_file_system_cannot_hold_is_an_error_of_ours(sqlite_url: str, own_place: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", ASCII_ONLY, sqlite_url], capture_output=True, text=True, env=environment, cwd=own_place
    )
    assert (done.stdout, done.stderr) == ("True True\n" * 4, "")


SHARED = """
import os, pathlib, stat, sys
os.umask(0o002)
import registry
registry.set_tracking_uri("file:" + sys.argv[1])
with registry.start_run() as run:
    registry.log_text("x", "a/b.txt")
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*")):
    mode = stat.S_IMODE(path.stat().st_mode)
    assert mode & 0o060 == 0o060, (path, oct(mode))
    print(path.name)
"""


def test_what_is_made_in_a_shared_directory_others_of_the_group_may_write(tmp_path: Path) -> None:
    place = tmp_path / "shared"
    done = subprocess.run([sys.executable, "-c", SHARED, str(place)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert {"registry.db", "b.txt", "a"} <= set(done.stdout.split())


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_the_umask_decides_who_may_write_a_database(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        MlflowClient(f"sqlite:///{tmp_path / 'own.db'}").get_experiment("0")
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("own.db*")}["own.db"] == mode
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("own.db*")} == {mode}
    assert list(tmp_path.glob(".own.db*")) == []


def test_whoever_may_not_write_a_database_is_told_how_to_share_it(tmp_path: Path) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import OperationalError

    from registry.store.error_mapping import to_registry_error

    MlflowClient(f"sqlite:///{tmp_path / 'own.db'}").get_experiment("0")
    engine = create_engine(f"sqlite:///file:{tmp_path / 'own.db'}?mode=ro&uri=true")
    with engine.connect() as connection, pytest.raises(OperationalError) as caught:
        connection.exec_driver_sql("DELETE FROM experiments")
    engine.dispose()
    message = to_registry_error(caught.value, make_url(f"sqlite:///{tmp_path / 'own.db'}")).message
    assert message.endswith("chmod g+s for the directory, and umask 002 for every writer.")


def test_files_that_are_asked_for_by_name_follow_the_umask(client: MlflowClient, tmp_path: Path) -> None:
    client.register_model(str(write_files(tmp_path / "source", {"a.txt": b"x"})), "churn")
    before = os.umask(0o002)
    try:
        client.verify("churn", checkpoint=tmp_path / "checkpoint.json")
        client.export_model("churn", tmp_path / "churn.zip")
    finally:
        os.umask(before)
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in ("checkpoint.json", "churn.zip")}
    assert modes == {"checkpoint.json": 0o664, "churn.zip": 0o664}


def test_the_setting_counts_for_files_of_a_pending_model_too(
    client: MlflowClient, snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = client.create_logged_model("0", "snapshot")
    with pytest.raises(InvalidPathError, match="is a symbolic link"):
        client.log_model_artifacts(model.model_id, snapshot)
    monkeypatch.setenv("REGISTRY_FOLLOW_SYMLINKS", "true")
    client.log_model_artifacts(model.model_id, snapshot)
    assert read_files(model.artifact_location) == {"config.json": b"{}", "model.bin": b"weights", "tokens/3": b"a b"}
