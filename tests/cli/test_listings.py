"""Lists and single items: lines and JSON for programs, tables for people, errors that name what is missing."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import registry


def test_experiments_are_listed(cli: Callable, filled: object, own_place: Path) -> None:
    rows = cli("experiments", "list", "--order-by", "experiment_id", "--header").rows

    assert rows[0] == ["id", "name", "created (UTC)", "state", "files"]
    assert [[row[0], row[1], row[3], row[4]] for row in rows[1:]] == [
        ["0", "Default", "active", f"{own_place}/mlruns/0"],
        ["1", "nba", "active", f"{own_place}/mlruns/1"],
    ]


def test_deleted_experiments_are_listed_when_asked_for(cli: Callable, filled: object) -> None:
    registry.MlflowClient().delete_experiment("1")

    assert [found["name"] for found in cli("experiments", "list", "--json").json] == ["Default"]
    assert [found["name"] for found in cli("experiments", "list", "--view", "deleted", "--json").json] == ["nba"]


@pytest.mark.parametrize("name_or_id", ["nba", "1"])
def test_an_experiment_is_shown_by_name_and_by_id(cli: Callable, filled: object, name_or_id: str) -> None:
    shown = cli("experiments", "show", name_or_id)

    assert shown.rows[:3] == [["experiment", "nba"], ["id", "1"], ["state", "active"]]
    described = cli("experiments", "show", name_or_id, "--json").json
    assert (described["name"], described["runs"], described["deleted_runs"]) == ("nba", 1, 0)


def test_runs_are_listed_with_the_columns_asked_for(cli: Callable, filled: Any) -> None:
    plain = cli("runs", "list", "--header")
    compared = cli("runs", "list", "-e", "nba", "--param", "depth", "--metric", "auc", "--metric", "loss", "--header")

    assert plain.rows == [
        ["run id", "name", "status", "experiment", "started (UTC)", "took"],
        [filled.run_id, "first try", "FINISHED", "nba", "2026-01-01T00:00:00Z", "65.0"],
    ]
    assert compared.rows == [
        ["run id", "name", "status", "auc", "loss", "depth", "started (UTC)", "took"],
        [filled.run_id, "first try", "FINISHED", "0.875", "nan", "3", "2026-01-01T00:00:00Z", "65.0"],
    ]


def test_a_column_and_an_order_that_no_run_has_are_told(
    cli: Callable, filled: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cli("runs", "list", "--metric", "acu", "--param", "dept", "--metric", "auc", "--order-by", "metrics.los")

    assert [record.getMessage() for record in caplog.records] == [
        "No run in these experiments has the metric 'los'; did you mean 'loss'?",
        "No run in these experiments has the metric 'acu'; did you mean 'auc'?",
        "No run in these experiments has the param 'dept'; did you mean 'depth'?",
    ]


def test_runs_are_filtered(cli: Callable, filled: Any) -> None:
    assert cli("runs", "list", "--filter", "metrics.auc > 0.9").err == "No runs.\n"
    assert len(cli("runs", "list", "--filter", "metrics.auc > 0.8", "--json").json) == 1


def test_a_run_as_json_has_what_was_logged_and_is_strict_json(cli: Callable, filled: Any) -> None:
    run = cli("runs", "show", filled.run_id, "--json").json

    assert run["data"]["params"] == {"depth": "3"}
    assert run["data"]["metrics"] == {"auc": 0.875, "loss": "NaN"}
    assert run["info"]["start_time"] == 1_767_225_600_000


def test_a_run_is_shown_in_sections(cli: Callable, filled: Any, terminal: Callable) -> None:
    terminal(80)
    shown = cli("runs", "show", filled.run_id).out

    assert "started     2026-01-01 00:00:00\ntook        1 m 05 s\n" in shown
    assert "\nParams\ndepth  3\n" in shown
    assert "\nMetrics\nauc   0.875\nloss  nan\n" in shown


def test_a_run_is_lines_of_names_and_values_in_a_pipe(cli: Callable, filled: Any) -> None:
    rows = dict(cli("runs", "show", filled.run_id).rows)

    assert (rows["name"], rows["params.depth"], rows["metrics.auc"]) == ("first try", "3", "0.875")


def test_models_are_listed_with_their_holders(cli: Callable, filled: object) -> None:
    registry.MlflowClient().set_registered_model_alias("churn", "champion", 2)

    header, row = cli("models", "list", "--header").rows

    assert header == ["name", "newest", "Production", "Staging", "aliases", "updated (UTC)"]
    assert row[:5] == ["churn", "2", "1", "", "champion=2"]


def test_a_model_is_shown_with_its_versions(cli: Callable, filled: object, terminal: Callable) -> None:
    assert cli("models", "show", "churn", "--json").json["name"] == "churn"
    registry.MlflowClient().set_registered_model_alias("churn", "champion", 2)
    terminal(80)
    facts, why, aliases, versions = re.split(
        r"\n\n(?:Why version 1 is in Production|Aliases|Newest versions)\n", cli("models", "show", "churn").out
    )

    assert "Production   1" in facts.splitlines()
    assert why.splitlines()[-1] == "rules   none guarded it"
    assert [row.split()[:2] for row in aliases.splitlines()[2:]] == [["@champion", "2"]]
    assert [row.split()[:2] for row in versions.splitlines()[2:]] == [["2", "None"], ["1", "Production"]]


def test_versions_are_listed_of_one_model_and_of_all(cli: Callable, filled: object) -> None:
    assert [row[:2] for row in cli("versions", "list").rows] == [["churn", "2"], ["churn", "1"]]
    found = cli("versions", "list", "churn", "--order-by", "version_number", "--json").json
    assert [version["version"] for version in found] == [1, 2]
    picked = cli("versions", "list", "churn", "--filter", "version_number = 1 OR version_number = 9", "--json").json
    assert [version["version"] for version in picked] == [1]


def test_a_model_name_with_a_quote_is_a_value_not_syntax(cli: Callable) -> None:
    registry.MlflowClient().create_registered_model("it's")

    assert cli("versions", "list", "it's", "--json").json == []


def test_a_version_is_shown(cli: Callable, filled: Any, own_place: Path) -> None:
    shown = cli("versions", "show", "churn/1").rows

    assert shown[:3] == [["model", "churn"], ["version", "1"], ["stage", "Production"]]
    assert ["files", f"{own_place}/mlruns/0/models/{filled.model_ids[0]}/artifacts"] in shown
    assert cli("versions", "show", "churn/1", "--json").json["model_id"] == filled.model_ids[0]


@pytest.mark.parametrize("noun", ["experiments", "runs", "models", "versions"])
def test_a_listing_that_stops_early_says_so_on_stderr(cli: Callable, filled: Any, noun: str) -> None:
    client = registry.MlflowClient()
    client.create_run("0")
    client.create_registered_model("other")

    outcome = cli(noun, "list", "-n", "1", "--json")

    assert len(outcome.json) == 1
    assert outcome.err == "The first is shown; --all shows the rest, --limit more, --filter picks.\n"
    assert len(cli(noun, "list", "-n", "1", "--all", "--json").json) == 2


@pytest.mark.parametrize("noun", ["runs", "models", "versions"])
def test_an_empty_registry_lists_nothing(cli: Callable, noun: str) -> None:
    cli("db", "upgrade")

    listed = cli(noun, "list")

    assert (listed.code, listed.out) == (0, "")
    assert listed.err in ("No runs.\n", "No registered models.\n", "No versions.\n")
    assert cli(noun, "list", "--json").json == []


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (4, ["experiments", "show", "nab"]),
        (4, ["experiments", "show", "17"]),
        (4, ["runs", "show", "0" * 32]),
        (4, ["runs", "list", "-e", "nab"]),
        (2, ["runs", "list", "--order-by", "nothing"]),
        (4, ["models", "show", "chrun"]),
        (4, ["versions", "list", "chrun"]),
        (2, ["versions", "show", "churn/one"]),
    ],
)
def test_what_is_not_there_is_an_error_that_names_it(
    cli: Callable, filled: object, code: int, arguments: list[str]
) -> None:
    outcome = cli(*arguments)

    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.startswith("registry: ")
    assert arguments[-1].rpartition("/")[2] in outcome.err


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_no_stored_text_reaches_the_terminal_raw(cli: Callable, flags: list[str]) -> None:
    client = registry.MlflowClient()
    evil = "\x1b]0;owned\x07\x9b31m\u202e"
    run = client.create_run("0", run_name=evil, tags={"note": evil})
    client.create_registered_model("m", description=evil, tags={"note": evil})

    for arguments in (["runs", "list"], ["runs", "show", run.info.run_id], ["models", "show", "m"], ["models", "list"]):
        printed = cli(*arguments, *flags).out
        assert [character for character in evil if not character.isprintable() and character in printed] == []


def test_a_table_that_nobody_watches_is_not_folded(cli: Callable, own_place: Path) -> None:
    registry.MlflowClient().create_registered_model("n" * 200)

    assert "n" * 200 in cli("models", "list").out


def test_a_narrow_terminal_still_gets_whole_ids(cli: Callable, filled: Any, terminal: Callable) -> None:
    terminal(30)

    assert filled.run_id in cli("runs", "list").out


def test_the_place_is_taken_before_and_after_the_command(cli: Callable, filled: object, own_place: Path) -> None:
    elsewhere = f"sqlite:///{own_place}/other.db"
    cli("db", "upgrade", elsewhere)

    assert cli("--tracking-uri", elsewhere, "models", "list", "--json").json == []
    assert cli("models", "list", "--json", "--tracking-uri", "file:./mlruns").json[0]["name"] == "churn"


def test_a_warning_is_one_line(filled: object, own_place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "registry", "models", "list", "-q", "--tracking-uri", "s3://bucket/prefix"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "churn\n"
    assert done.stderr == (
        "registry: warning: The tracking URI s3://bucket/prefix says where artifacts go; runs and models are kept in "
        f"sqlite:///{own_place}/mlruns/registry.db on this machine. Set REGISTRY_BACKEND_STORE_URI to a database that "
        "all machines share.\n"
    )
