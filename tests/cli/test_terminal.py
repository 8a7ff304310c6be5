"""The program as a person meets it: at a pseudo-terminal, behind closed pipes, and on a full disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from terminals import Terminal

import registry

PROGRAM = [sys.executable, "-m", "registry"]
LONG = "retention-of-customers-in-the-north-eastern-region"


@pytest.fixture
def place(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGISTRY_TRACKING_URI", "sqlite:///registry.db")
    client = registry.MlflowClient()
    client.create_registered_model("churn")
    client.create_registered_model(LONG, description="x" * 300)
    client.create_experiment("scratch")
    registry.disconnect()
    return own_place


def exists(name: str) -> bool:
    return [model.name for model in registry.MlflowClient().search_registered_models() if model.name == name] == [name]


def test_a_deletion_asks_and_goes_on_after_yes(place: Path) -> None:
    with Terminal([*PROGRAM, "models", "delete", "churn"], os.environ) as terminal:
        asked = terminal.expect("[y/N] ")
        assert "The model churn and its 0 versions will be gone for good." in asked
        terminal.send("y\n")
        assert terminal.exit_code() == 0
    assert not exists("churn")


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"])
def test_a_deletion_that_is_not_wanted_changes_nothing(place: Path, answer: str) -> None:
    with Terminal([*PROGRAM, "models", "delete", "churn"], os.environ) as terminal:
        terminal.expect("[y/N] ")
        terminal.send(answer)
        assert terminal.exit_code() == 130
    assert exists("churn")


def test_ctrl_c_at_a_question_is_130_and_changes_nothing(place: Path) -> None:
    with Terminal([*PROGRAM, "models", "delete", "churn"], os.environ) as terminal:
        terminal.expect("[y/N] ")
        terminal.send("\x03")
        assert terminal.exit_code() == 130
        assert "Traceback" not in terminal.rest()
    assert exists("churn")


def test_no_question_is_asked_if_that_is_forbidden(place: Path) -> None:
    with Terminal([*PROGRAM, "models", "delete", "churn", "--no-input"], os.environ) as terminal:
        assert terminal.exit_code() == 2
        assert "--yes" in terminal.rest()
    assert exists("churn")


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_table_fits_the_terminal_and_folds_no_name(place: Path, columns: int) -> None:
    with Terminal([*PROGRAM, "models", "list"], os.environ, columns) as terminal:
        printed = terminal.rest()

    lines = [line for line in printed.split("\n") if not line.startswith("Too narrow")]
    assert LONG in printed
    assert columns == 40 or max(map(len, lines)) <= columns  # a name that is longer than a line stays whole


def test_a_download_prints_only_its_path_at_a_terminal(place: Path) -> None:
    Path("here").mkdir()
    Path("here/a.txt").write_text("a")
    with Terminal([*PROGRAM, "artifacts", "download", "./here/a.txt", "-d", "there"], os.environ) as terminal:
        assert terminal.rest() == f"{place / 'there' / 'a.txt'}\n"


def test_parquet_is_not_written_to_a_terminal(place: Path) -> None:
    line = ["models", "predict", "churn/1", "-i", "rows.csv", "--output-format", "parquet"]
    with Terminal([*PROGRAM, *line], os.environ) as terminal:
        assert terminal.exit_code() == 2
        assert "binary" in terminal.rest()


@pytest.mark.parametrize(
    "line", [["artifacts", "list", "./here"], ["completion", "bash"], ["db", "backup", "-"], ["runs", "create"]]
)
def test_a_full_disk_is_one_line_and_exit_code_1(place: Path, line: list[str]) -> None:
    Path("here").mkdir()
    Path("here/a.txt").write_text("a")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*PROGRAM, *line], stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("line", ["artifacts list here -R", "completion bash", "db backup -"])
def test_a_reader_that_leaves_is_141(place: Path, line: str) -> None:
    Path("here").mkdir()
    for number in range(3000):  # more than a pipe holds
        (Path("here") / f"{number:0100}.txt").touch()
    command = f"'{sys.executable}' -m registry {line.replace('here', './here')} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) in ((141, ""), (0, ""))  # a short answer is in the pipe before it closes
    assert done.returncode == 141 or line == "completion bash"


def test_a_stdout_that_is_closed_is_one_line(place: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -m registry experiments list >&-"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert (done.stderr.count("\n"), "Traceback" in done.stderr) == (1, False)
