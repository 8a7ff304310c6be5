"""`registry artifacts`: files of runs and models, listed, downloaded and stored."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from small_models import Doubling, log_doubling

import registry


@pytest.fixture
def run_id(doubling: Doubling) -> str:
    return doubling.run_id


def test_the_files_of_a_run_are_listed_with_their_sizes(cli: Callable, run_id: str) -> None:
    outcome = cli("artifacts", "list", f"runs:/{run_id}", "--recursive")

    assert outcome.code == 0
    lines = dict(line.split("\t") for line in outcome.out.splitlines())
    assert lines["notes/"] == ""
    assert lines["notes/note.txt"] == "6"
    assert "MLmodel" in cli("artifacts", "list", f"runs:/{run_id}/model", "-q").out.split()


def test_a_directory_of_a_run_is_named_by_a_prefix_of_its_id(cli: Callable, run_id: str) -> None:
    outcome = cli("artifacts", "list", f"runs:/{run_id[:6]}/notes", "--json")

    assert [(file["path"], file["file_size"]) for file in outcome.json] == [("note.txt", 6)]


def test_a_model_is_downloaded_whole_and_its_path_printed_alone(cli: Callable, run_id: str) -> None:
    outcome = cli("artifacts", "download", "churn/1", "-d", "build/model")

    assert (outcome.code, outcome.out, outcome.err) == (0, f"{Path.cwd() / 'build/model'}\n", "")
    assert registry.pyfunc.load_model("build/model").predict(pd.DataFrame({"x": [0.5, 1.5]})).tolist() == [1.0, 3.0]


def test_a_file_in_a_run_is_downloaded_under_its_own_name(cli: Callable, run_id: str) -> None:
    outcome = cli("artifacts", "download", f"runs:/{run_id}/notes/note.txt", "-d", ".", "--json")

    assert outcome.json == {"path": str(Path.cwd() / "note.txt")}
    assert Path("note.txt").read_text() == "a note"


def test_a_damaged_model_is_not_downloaded(cli: Callable, own_place: Path) -> None:
    log_doubling()  # its own files, as they are damaged here
    location = Path(registry.resolve("models:/churn/1").location)
    (location / "MLmodel").write_text("flavors: {}\n")

    outcome = cli("artifacts", "download", "churn/1", "-d", "build")

    assert (outcome.code, outcome.out) == (3, "")
    assert "MLmodel" in outcome.err
    assert not Path("build").exists()


def test_a_missing_file_is_exit_code_4_and_the_message_lists_what_there_is(cli: Callable, run_id: str) -> None:
    outcome = cli("artifacts", "download", f"runs:/{run_id}/nots")

    assert (outcome.code, outcome.out) == (4, "")
    assert "notes" in outcome.err


def test_an_unsigned_model_is_not_downloaded_where_a_signature_is_required(
    cli: Callable, run_id: str, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = tmp_path / "key.pem"
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    key.write_bytes(public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))

    assert cli("artifacts", "download", "churn/1", "--require-signature", str(key)).code == 3


def test_files_and_directories_are_stored_in_a_run(cli: Callable, run_id: str) -> None:
    Path("plots").mkdir()
    Path("plots/roc.csv").write_text("fpr,tpr\n")
    Path("report.html").write_text("<p>")

    outcome = cli("artifacts", "upload", run_id[:8], "report.html", "plots", "--path", "week-1", "--json")

    assert outcome.json == {"uri": f"runs:/{run_id}/week-1"}
    listed = cli("artifacts", "list", f"runs:/{run_id}/week-1", "-R", "-q").out.split()
    assert listed == ["plots/", "plots/roc.csv", "report.html"]


def test_the_contents_of_a_directory_are_stored_without_its_name(cli: Callable, run_id: str) -> None:
    Path("plots").mkdir()
    Path("plots/roc.csv").write_text("fpr,tpr\n")

    cli("artifacts", "upload", run_id, "plots", "--contents")

    assert "roc.csv" in cli("artifacts", "list", f"runs:/{run_id}", "-q").out.split()


def test_a_local_path_needs_no_registry(cli: Callable, own_place: Path) -> None:
    Path("here").mkdir()
    Path("here/a.txt").write_text("a")

    assert cli("artifacts", "list", "./here").out == "a.txt\t1\n"
    assert not Path("mlruns").exists()


def test_a_path_of_two_words_is_a_path_if_it_exists_and_else_a_version(cli: Callable, run_id: str) -> None:
    cli("artifacts", "download", "churn/1", "-d", "build/model")

    assert "MLmodel" in cli("artifacts", "list", "build/model", "-q").out.split()
    assert cli("artifacts", "list", "churn/modell").code == 2  # neither a path nor a stage


def test_a_mistyped_place_makes_no_registry(cli: Callable, own_place: Path) -> None:
    outcome = cli("artifacts", "download", "churn/1", "--tracking-uri", "sqlite:////nonexist/x.db")

    assert outcome.code == 1
    assert "There is no registry at" in outcome.err
    assert not Path("/nonexist").exists()


def test_a_path_that_is_not_there_is_not_found(cli: Callable, run_id: str) -> None:
    Path("empty").mkdir()
    for uri, there in (
        ("models:/churn/1/nosuch", "MLmodel"),
        ("churn/1/nosuch", "Nothing exists there"),
        (f"runs:/{run_id}/nosuch", "notes"),
        (f"runs:/{run_id}/model/nosuch", "model/MLmodel"),
        ("./nowhere", "Nothing exists there"),
    ):
        outcome = cli("artifacts", "list", uri)
        assert (outcome.code, outcome.out) == (4, "")
        assert "No such artifact: " in outcome.err
        assert there in outcome.err
    for uri in ("./empty", f"runs:/{run_id}/notes/note.txt", "models:/churn/1/MLmodel"):
        outcome = cli("artifacts", "list", uri)
        assert (outcome.code, outcome.out) == (0, "")
    bare = registry.MlflowClient().create_run("0").info.run_id
    assert cli("artifacts", "list", f"runs:/{bare}").code == 0
