"""MLflow's command lines, and those that people guess, run as they are: `alias mlflow=registry`."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_models import Doubling

import registry
from registry.cli import main
from registry.cli.app import root_command
from registry.cli.mlflow_spellings import SPELLINGS, absent, translate

# {run} is the run's id. Each line does, in this program's words, what stands beside it.
OWN = [
    (
        "artifacts download --artifact-uri models:/churn/1 --dst-path out",
        "artifacts download models:/churn/1 --dst-path out",
    ),
    ("artifacts download -u models:/churn/1 -d out", "artifacts download models:/churn/1 -d out"),
    ("artifacts download --run-id {run} --artifact-path notes -d out", "artifacts download runs:/{run}/notes -d out"),
    ("artifacts download -r {run} -a notes -d out", "artifacts download runs:/{run}/notes -d out"),
    ("artifacts download -r{run} -d out", "artifacts download runs:/{run} -d out"),
    ("artifacts list --run-id {run}", "artifacts list runs:/{run}"),
    ("artifacts list -r {run} -a notes", "artifacts list runs:/{run}/notes"),
    ("artifacts log-artifact --local-file f.txt --run-id {run}", "artifacts upload {run} f.txt"),
    ("artifacts log-artifact -l f.txt -r {run} -a in", "artifacts upload {run} f.txt --path in"),
    ("artifacts log-artifacts -l dir -r {run} -a in", "artifacts upload {run} dir --path in --contents"),
    ("doctor --mask-envs", "doctor"),
    ("experiments create -n etl", "experiments create etl"),
    ("experiments create --experiment-name etl -l files", "experiments create etl --artifact-location files"),
    ("experiments csv -x 1 -o runs.csv", "experiments csv 1 -o runs.csv"),
    ("experiments csv --experiment-id 1 --filename runs.csv", "experiments csv 1 --output runs.csv"),
    ("experiments delete -x 1", "experiments delete 1 --yes"),
    ("experiments get --experiment-name nba --output json", "experiments show nba --json"),
    ("experiments get -x 1", "experiments show 1"),
    ("experiments rename --experiment-id 1 --new-name other", "experiments rename 1 other"),
    ("experiments restore --experiment-id 1", "experiments restore 1"),
    ("experiments search --view active_only --max-results 5", "experiments list --max-results 5 --view active"),
    ("experiments search -v all", "experiments list --view all"),
    ("gc --backend-store-uri file:./mlruns --older-than 30d", "gc --older-than 30d --tracking-uri file:./mlruns"),
    ("gc --artifacts-destination s3://files", "gc"),
    (
        "models serve -m models:/churn/1 -p 5001 -h 127.0.0.1 -w 2 --no-conda",
        "models serve models:/churn/1 -p 5001 -w 2 --host 127.0.0.1",
    ),
    ("models serve --model-uri models:/churn/1 --env-manager local -t 30", "models serve models:/churn/1 -t 30"),
    ("ui --backend-store-uri file:./mlruns --port 5000 -w 4", "ui --port 5000 --tracking-uri file:./mlruns"),
    ("models generate-dockerfile -m models:/churn/1 -d out", "models generate-dockerfile models:/churn/1 -d out"),
    (
        "models generate-dockerfile --model-uri models:/churn/1 --output-directory out --no-conda --enable-mlserver",
        "models generate-dockerfile models:/churn/1 --directory out",
    ),
    (
        "models predict -m models:/churn/1 -i rows.csv -t csv --env-manager local",
        "models predict models:/churn/1 -i rows.csv --input-format csv --output-format json",
    ),
    (
        "models predict --model-uri models:/churn/1 --input-path rows.csv --output-path o.csv --no-conda",
        "models predict models:/churn/1 --input rows.csv --output o.csv",
    ),
    ("runs create --experiment-id 1 --run-name night -t a=b", "runs create --experiment 1 --name night --tag a=b"),
    (
        "runs create --experiment-name etl --status finished --description text --parent-run-id {run}",
        "runs create --status finished --experiment etl --tag mlflow.note.content=text --tag mlflow.parentRunId={run}",
    ),
    ("runs delete --run-id {run}", "runs delete {run} --yes"),
    ("runs describe --run-id {run}", "runs show {run} --json"),
    ("runs list --experiment-id 1 --view all", "runs list --experiment 1 --view all"),
    ("runs list --experiment-name nba -v active_only", "runs list --experiment nba --view active"),
    ("runs restore --run-id {run}", "runs restore {run}"),
]
GUESSED = [
    ("experiments describe --experiment-name nba", "experiments show nba"),
    ("experiments get-by-name --name nba", "experiments show nba"),
    (
        "models create-version --name churn --source runs:/{run}/model --tags a=b",
        "models register churn runs:/{run}/model --tag a=b",
    ),
    ("models delete --name churn --yes", "models delete churn --yes"),
    ("models delete-alias --name churn --alias old", "models unalias churn old"),
    ("models delete-model-version --name churn --version 1 --yes", "versions delete churn/1 --yes"),
    ("models delete-registered-model --name churn --yes", "models delete churn --yes"),
    ("models delete-version --name churn --version 1 --yes", "versions delete churn/1 --yes"),
    ("models describe -n churn", "models show churn"),
    ("models download -m models:/churn/1 -o out", "artifacts download models:/churn/1 --directory out"),
    ("models download --model-uri models:/churn/1 --dst out", "artifacts download models:/churn/1 --directory out"),
    ("models download -r {run} -A notes -d out", "artifacts download runs:/{run}/notes -d out"),
    ("models get --name churn --output json", "models show churn --json"),
    ("models get-version --name churn --version 1", "versions show churn/1"),
    ("models list-versions --name churn", "versions list churn"),
    ("models promote --name churn --version 1 --stage Production", "versions promote churn/1 Production"),
    ("models promote churn/1 Production --reason why", "versions promote churn/1 Production --reason why"),
    ("models promote -m models:/churn/1 --stage Staging", "versions promote models:/churn/1 Staging"),
    ("models register -m runs:/{run}/model -n churn", "models register churn runs:/{run}/model"),
    ("models register --run-id {run} --name churn", "models register churn runs:/{run}/model"),
    ("models register-model --model-uri runs:/{run}/model --name churn", "models register churn runs:/{run}/model"),
    ("models restore-version --name churn --version 1", "versions restore churn/1"),
    ("models search", "models list"),
    ("models search-model-versions --filter name='churn'", "versions list --filter name='churn'"),
    ("models set-alias --name churn --alias champion --version 1", "models alias churn champion 1"),
    ("models transition --name churn --version 1 --stage Production", "versions promote churn/1 Production"),
    (
        "models transition-model-version-stage --name churn --version 1 --stage Production --archive-existing-versions",
        "versions promote churn/1 Production",
    ),
    ("models transition-stage --name churn --version 1 --to-stage Staging", "versions promote churn/1 Staging"),
    ("models transition-version-stage -m churn -v 1 -s Production", "versions promote churn/1 Production"),
    ("runs compare {run} churn/1", "runs compare {run} churn/1"),
    ("runs get --run-id {run}", "runs show {run}"),
    (
        "runs search --experiment-name nba --filter metrics.auc>0.5 --order-by metrics.auc",
        "runs list --filter metrics.auc>0.5 --order-by metrics.auc --experiment nba",
    ),
    ("runs search --experiment-name nba --output-format json", "runs list --experiment nba --json"),
]


def find(command: tuple[str, ...]) -> Any:
    found = root_command()
    for name in command:
        found = found.get_command(None, name)
    return found


@pytest.fixture
def filled_place(doubling: Doubling) -> Doubling:
    doubling.rows.to_csv("rows.csv", index=False)
    Path("f.txt").write_text("f")
    Path("dir").mkdir()
    Path("dir/g.txt").write_text("g")
    registry.MlflowClient().set_registered_model_alias("churn", "old", 1)
    return doubling


def said_here(words: list[str]) -> list[str]:
    for length in (2, 1):
        line = translate(tuple(words[:length]), words[length:], find)
        if line is not None:
            return [*line.command, *line.words]
    return words


@pytest.mark.parametrize(("mlflows", "ours"), [*OWN, *GUESSED])
def test_a_line_of_mlflows_is_said_in_our_words(mlflows: str, ours: str) -> None:
    run = "0123456789abcdef" * 2
    assert said_here(mlflows.format(run=run).split()) == ours.format(run=run).split()


# Servers do not end by themselves; tests/serving and tests/web run them.
@pytest.mark.parametrize("line", [line for line, _ in [*OWN, *GUESSED] if not line.startswith(("models serve", "ui "))])
def test_a_line_of_mlflows_runs(cli: Callable, filled_place: Doubling, line: str) -> None:
    if " restore" in line:
        prepare = {"experiments": ["experiments", "delete", "1"], "runs": ["runs", "delete", filled_place.run_id]}
        main([*prepare.get(line.split()[0], ["versions", "delete", "churn/1"]), "--yes"])

    outcome = cli(*line.format(run=filled_place.run_id).split())

    assert outcome.code == 0, outcome.err


def test_every_spelling_is_tried() -> None:
    tried = {tuple(line.split()[:length]) for line, _ in [*OWN, *GUESSED] for length in (1, 2)}

    assert [command for command in SPELLINGS if command not in tried] == [
        ("experiments", "list"),
        ("experiments", "show"),
        ("models", "restore-model-version"),
        ("models", "show"),
        ("runs", "show"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "artifacts download churn/1 -d out",
        "artifacts list runs:/1/notes --recursive",
        "experiments create etl --tag a=b",
        "experiments delete 1 --dry-run",
        "models delete churn --reason --name",
        "models predict churn/1 -i rows.csv -o out.csv",
        "models register churn runs:/1/model --description -m",
        "runs create -e etl --metric a=1",
        "runs delete 1 2 --yes",
        "runs list -n 5 --all --filter -v",
        "runs list -- -v",
    ],
)
def test_a_line_in_our_own_words_is_not_changed(line: str) -> None:
    words = line.split()

    assert said_here(words)[: len(words)] == words or sorted(said_here(words)) == sorted(words)


def test_an_option_of_mlflows_without_its_value_is_a_wrong_command_line(cli: Callable, doubling: Doubling) -> None:
    assert cli("artifacts", "download", "-r").code == 2


def test_deleting_with_a_guessed_command_still_needs_consent(cli: Callable, doubling: Doubling) -> None:
    assert cli("models", "delete-version", "--name", "churn", "--version", "1").code == 2
    assert cli("models", "delete", "--name", "churn").code == 2


def test_the_id_of_a_new_experiment_can_be_cut_out_of_the_output(cli: Callable, own_place: Path) -> None:
    """Scripts take the last word of MLflow's sentence: with `awk '{print $NF}'`, or `rev | cut -d " " -f1 | rev`."""
    assert cli("experiments", "create", "-n", "etl").out.split()[-1] == "1"


def test_a_described_run_is_json_with_mlflows_keys(cli: Callable, doubling: Doubling) -> None:
    described = json.loads(cli("runs", "describe", "--run-id", doubling.run_id).out)

    assert described["info"]["run_id"] == doubling.run_id
    assert described["data"]["metrics"]["auc"] == 0.875


def test_runs_as_csv_have_mlflows_columns(cli: Callable, doubling: Doubling) -> None:
    rows = list(csv.DictReader(io.StringIO(cli("experiments", "csv", "-x", "1").out)))

    assert [row["run_id"] for row in rows] == [doubling.run_id]
    assert rows[0]["metrics.auc"] == "0.875"
    assert rows[0]["status"] == "FINISHED"


def test_predictions_are_json_as_mlflow_prints_them(cli: Callable, filled_place: Doubling) -> None:
    printed = cli("models", "predict", "-m", "models:/churn/1", "-i", "rows.csv").json

    assert printed["predictions"][:2] == [1.0, 3.0]


def test_a_database_is_upgraded_by_its_url(cli: Callable, own_place: Path) -> None:
    assert cli("db", "upgrade", "sqlite:///fresh.db").code == 0
    assert Path("fresh.db").exists()


@pytest.mark.parametrize(
    ("line", "way_out"),
    [
        ("server --host 0.0.0.0", "REGISTRY_TRACKING_URI"),
        ("run . --env-manager local", "call the script itself"),
        ("models build-docker -m models:/churn/1 -n churn", "registry models generate-dockerfile"),
        ("models prepare-env -m models:/churn/1", "registry artifacts download"),
        ("models update-pip-requirements -m models:/churn/1", "pip_requirements"),
        ("sagemaker deploy", "generate-dockerfile"),
        ("runs link-traces --run-id 1", "no traces"),
    ],
)
def test_what_mlflow_has_and_we_lack_says_what_to_do_instead(cli: Callable, line: str, way_out: str) -> None:
    outcome = cli(*line.split())

    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert way_out in outcome.err


def test_nothing_that_we_have_is_called_absent() -> None:
    assert [command for command in SPELLINGS if absent(command)] == []


def test_no_spelling_of_mlflows_stands_in_the_help(cli: Callable) -> None:
    for noun in ("artifacts", "experiments", "models", "runs"):
        shown = {line.split()[0] for line in cli(noun).out.split("Commands:")[1].splitlines() if line.startswith("  ")}
        hidden = {
            command[1] for command, spelling in SPELLINGS.items() if command[0] == noun and spelling.command != command
        }
        assert shown & hidden == set()
