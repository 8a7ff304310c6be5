"""What once surprised people in pipelines, cron jobs and at 80 columns: the cases F1 to F35, one test each.

`CASES` is the table. Each test failed before its case was repaired.
"""

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from rich.cells import cell_len

import registry
from registry.cli.app import PARTS, load
from registry.cli.output import as_json

CASES: Final = {
    "F1": "db downgrade asks, and needs --yes without a terminal",
    "F2": "rules check says no with exit code 3",
    "F3": "a rollback does not empty another stage unasked, and says who left which stage",
    "F4": "reading makes no database and no directory",
    "F5": "the doctor of a missing database fails and writes nothing",
    "F6": "no character of a reason is lost at any width",
    "F7": "a full or closed stdout is one line and exit code 1",
    "F8": "a wrong command line is exit code 2",
    "F9": "exit codes tell refused, lost, missing and broken apart",
    "F10": "a pipe gets bare values, no header, no rule, nothing for nothing",
    "F11": "times in JSON are ISO 8601 with Z, and an event is one object everywhere",
    "F12": "every command has --json, and a refusal has its verdicts there",
    "F13": "--all reads page after page",
    "F14": "a run is named by a unique prefix",
    "F15": "a version is named in one way everywhere",
    "F16": "versions show says why a version is in its stage",
    "F17": "the best run of last week, with the columns that it is sorted by",
    "F18": "times are dates, ISO times and ages in every option",
    "F19": "a filter's caret stands under the place, on a line of its own",
    "F20": "errors speak the command line's words",
    "F21": "a wrong option names the command whose help has the right one",
    "F22": "-h, help, -V and -q",
    "F23": "options of every command stand anywhere",
    "F24": "the history of a version that never was is exit code 4",
    "F25": "tables keep to 80 columns, and fold no name",
    "F26": "whole numbers are whole, params are as logged",
    "F27": "relocate looks whether the files are there",
    "F28": "- is stdin or stdout wherever FILE stands",
    "F29": "watch leaves no file that nobody asked for",
    "F30": "help has examples first, and no <bool>",
    "F31": "one word and one order for lists",
    "F32": "no secret is an argument",
    "F33": "a closed pipe is exit code 141",
    "F34": "a read imports no pandas, numpy, alembic or ORM, and ends at once",
    "F35": "an empty reason is none",
}


def test_every_case_has_a_test() -> None:
    tested = {match["case"].upper() for name in globals() if (match := re.match(r"test_(?P<case>f\d+)_", name))}

    assert tested == set(CASES)


def program(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[Any]":
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "registry", *arguments]
    return subprocess.run(command, check=False, **({"capture_output": True, "text": True} | options))


READING: Final = (
    ["runs", "list"],
    ["models", "list"],
    ["experiments", "list"],
    ["versions", "list"],
    ["models", "show", "churn"],
    ["models", "verify"],
    ["models", "history", "churn"],
    ["gc"],
    ["events", "list"],
    ["events", "watch", "--once"],
    ["artifacts", "resolve", "churn/1"],
    ["rules", "check", "churn/1", "Production"],
    ["db", "check"],
)


@pytest.fixture
def guarded(filled: object) -> object:
    """Guard Production of ``churn`` by a rule that no version passes."""
    registry.MlflowClient().set_promotion_rules("churn", "Production", [registry.MetricAtLeast("auc", 0.99)])
    return filled


def test_f1_downgrading_needs_consent(cli: Callable, filled: object) -> None:
    refused = cli("db", "downgrade", "base")

    assert (refused.code, refused.out) == (2, "")
    assert "and 1 models, 2 versions, " in refused.err
    assert "All of it is lost. Give --yes" in refused.err
    plan = cli("db", "downgrade", "base", "--dry-run", "--json").json
    assert (plan["applied"], plan["has"]["models"]) == (False, 1)
    assert cli("models", "list", "-q").out == "churn\n"
    assert cli("db", "downgrade", "base", "--yes").code == 0


def test_f2_a_rule_that_says_no_is_an_exit_code(cli: Callable, guarded: object) -> None:
    failed = cli("rules", "check", "churn/2", "Production")

    assert (failed.code, [row[1] for row in failed.rows]) == (3, ["no"])
    unguarded = cli("rules", "check", "churn/2", "Staging")
    assert (unguarded.code, unguarded.out, unguarded.err) == (0, "", "No rules guard Staging of churn.\n")


def test_f3_a_rollback_that_would_empty_another_stage_is_refused(cli: Callable, filled: object) -> None:
    for version, stage in (("2", "Staging"), ("1", "Staging"), ("2", "Production")):
        assert cli("versions", "promote", f"churn/{version}", stage).code == 0

    refused = cli("models", "rollback", "churn", "Staging")

    assert (refused.code, refused.out) == (3, "")
    assert "would leave Production empty. Do it all the same with --force." in refused.err
    done = cli("models", "rollback", "churn", "Staging", "--force")
    assert done.err == (
        "churn: version 2 is in stage Staging again.\n"
        "churn: version 1, which held it, is in stage Archived.\n"
        "churn: Production, where version 2 was, is empty.\n"
    )


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_f4_reading_a_mistyped_place_makes_nothing(cli: Callable, own_place: Path, command: list[str]) -> None:
    outcome = cli(*command, "--tracking-uri", f"sqlite:///{own_place}/no/such/x.db")

    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == (
        f"registry: There is no registry at sqlite:///{own_place}/no/such/x.db. "
        f"To make one: registry db upgrade --tracking-uri sqlite:///{own_place}/no/such/x.db\n"
    )
    assert list(own_place.iterdir()) == []


def test_f4_the_error_of_a_mistyped_place_names_what_is_near(cli: Callable, filled: object, own_place: Path) -> None:
    outcome = cli("runs", "list", "--tracking-uri", str(own_place / "mlrun"))

    assert f"There is no registry at {own_place}/mlrun. Near it: {own_place}/mlruns." in outcome.err
    assert not (own_place / "mlrun").exists()


def test_f5_the_doctor_of_a_missing_place_fails_and_makes_nothing(cli: Callable, own_place: Path) -> None:
    outcome = cli("doctor", "--tracking-uri", str(own_place / "typo"))

    assert outcome.code == 3
    assert [row[0] for row in outcome.rows if row[1] == "database"] == ["fail"]
    assert list(own_place.iterdir()) == []


@pytest.mark.parametrize("width", range(40, 130, 3))
def test_f6_a_reason_is_whole_at_every_width(cli: Callable, filled: object, terminal: Callable, width: int) -> None:
    reason = "auc better than before; ticket ML-7"
    cli("versions", "promote", "churn/2", "Staging", "--reason", reason)
    terminal(width)

    printed = cli("models", "history", "churn", "--version", "2").out

    words = printed.split()
    assert [word for word in reason.split() if word not in words] == []


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_f7_a_full_or_closed_stdout_is_one_line(filled: object, flags: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = program("runs", "list", *flags, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    closed = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m registry runs list {' '.join(flags)} >&-"],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (
        1,
        "registry: The output cannot be written: No space left on device.\n",
    )
    assert (closed.returncode, closed.stderr.count("\n"), closed.stderr[:9]) == (1, 1, "registry:")


@pytest.mark.parametrize("arguments", [["nosuch"], ["runs", "list", "--foo"], ["models", "show"], ["runs", "lst"]])
def test_f8_a_wrong_command_line_is_two(cli: Callable, arguments: list[str]) -> None:
    assert cli(*arguments).code == 2


def test_f9_exit_codes_tell_failures_apart(cli: Callable, guarded: object) -> None:
    promote = ("versions", "promote")
    codes = {
        "refused": cli(*promote, "churn/2", "Production").code,
        "lost": cli(*promote, "churn/2", "Staging", "--expected-current", "9").code,
        "missing": cli("models", "show", "nobody").code,
        "away": cli("models", "list", "--tracking-uri", "postgresql://nobody@127.0.0.1:1/none").code,
    }

    assert codes == {"refused": 3, "lost": 5, "missing": 4, "away": 1}


def test_f10_a_pipe_gets_bare_values(cli: Callable, filled: Any) -> None:
    assert cli("models", "list").out.split("\t")[:4] == ["churn", "2", "1", ""]
    assert cli("runs", "list", "-q").out == f"{filled.run_id}\n"
    empty = cli("runs", "list", "--status", "FAILED")
    assert (empty.code, empty.out, empty.err) == (0, "", "No runs.\n")
    assert cli("models", "list", "--csv").out.splitlines()[0] == "name,newest,Production,Staging,aliases,updated (UTC)"


ISO: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
MLFLOW_TIMES: Final = {
    *("start_time", "end_time", "creation_timestamp", "last_updated_timestamp"),
    *("creation_time", "last_update_time", "timestamp"),
}


def test_f11_times_are_iso_or_mlflows_milliseconds(cli: Callable, filled: Any) -> None:
    documents = [
        cli(*words, "--json").json
        for words in (
            ["models", "holders", "churn"],
            ["models", "history", "churn"],
            ["versions", "show", "churn/1"],
            ["models", "show", "churn"],
            ["runs", "show", filled.run_id],
            ["gc"],
        )
    ]

    def numbers(value: Any, key: str = "") -> list[str]:
        if isinstance(value, dict):
            return [name for inner, item in value.items() for name in numbers(item, inner)]
        if isinstance(value, list):
            return [name for item in value for name in numbers(item, key)]
        return [key] if isinstance(value, int) and value > 10**11 and key not in MLFLOW_TIMES else []

    assert [name for document in documents for name in numbers(document)] == []
    assert ISO.fullmatch(documents[0][0]["since"])
    watched = [json.loads(line) for line in cli("events", "watch", "--once").out.splitlines()]
    assert watched == documents[1] == cli("events", "list", "--json").json
    assert {"position", "model", "from", "to", "hash", "time"} <= set(watched[0])


def test_f12_a_refusal_has_its_verdicts_in_json(cli: Callable, guarded: object) -> None:
    refused = cli("versions", "promote", "churn/2", "Production", "--json")

    assert refused.code == 3
    error = refused.json["error"]
    assert (error["code"], error["exit_code"]) == ("PERMISSION_DENIED", 3)
    assert error["verdicts"] == [
        {
            "rule": "MetricAtLeast(metric='auc', value=0.99)",
            "passed": False,
            "expected": "auc >= 0.99",
            "actual": "missing",
        }
    ]


def test_f12_commands_that_change_something_print_json(cli: Callable, filled: object, own_place: Path) -> None:
    Path("rules.json").write_text('[{"kind": "approvals", "n": 1}]')
    for words in (
        ["versions", "approve", "churn/2", "Production"],
        ["rules", "set", "churn", "Production", "rules.json"],
        ["rules", "delete", "churn", "Production", "--yes"],
        ["models", "export", "churn", "churn.zip"],
        ["db", "relocate", str(own_place / "mlruns"), str(own_place / "mlruns"), "--yes"],
        ["cache", "clear"],
        ["db", "check"],
        ["db", "upgrade"],
        ["db", "grants", "--role", "reader"],
    ):
        outcome = cli(*words, "--json")
        assert (outcome.code, type(outcome.json)) == (0, dict), words


def test_f13_all_reads_page_after_page(cli: Callable, filled: object, monkeypatch: pytest.MonkeyPatch) -> None:
    client = registry.MlflowClient()
    for _ in range(6):
        client.create_run("0")
    monkeypatch.setattr("registry.cli.options._PAGE", 2)

    assert len(cli("runs", "list", "--all", "-q").out.split()) == 7
    assert len(cli("runs", "list", "-n", "5", "-q").out.split()) == 5


def test_f14_a_run_is_named_by_a_unique_prefix(cli: Callable, filled: Any) -> None:
    assert cli("runs", "show", filled.run_id[:4], "-q").out == f"{filled.run_id}\n"
    assert cli("runs", "show", "nba/first try", "-q").out == f"{filled.run_id}\n"
    short = cli("runs", "show", filled.run_id[:3])
    assert (short.code, short.err) == (
        4,
        f"registry: Run with id={filled.run_id[:3]} not found. The beginning of an id has 4 characters or more.\n",
    )
    client = registry.MlflowClient()
    for _ in range(2):
        client.create_run("0", run_name="twin")
    twins = cli("runs", "show", "Default/twin")
    assert twins.code == 2
    assert re.search(r"'Default/twin' may be [0-9a-f]{32} \(twin\), [0-9a-f]{32} \(twin\)\.", twins.err)


@pytest.mark.parametrize("place", ["1", "Production", "production", "@champion"])
@pytest.mark.parametrize("scheme", ["", "models:/"])
def test_f15_a_version_is_named_in_one_way(cli: Callable, filled: object, scheme: str, place: str) -> None:
    registry.MlflowClient().set_registered_model_alias("churn", "champion", 1)
    target = f"{scheme}churn{place if place.startswith('@') else f'/{place}'}"

    assert cli("versions", "show", target, "-q").out == "churn/1\n"
    assert cli("rules", "check", target, "Staging").code == 0
    assert cli("versions", "promote", target, "Production", "--dry-run").code == 0


def test_f15_latest_is_the_highest_number(cli: Callable, filled: object) -> None:
    assert cli("versions", "show", "churn/latest", "-q").out == "churn/2\n"


def test_f16_versions_show_says_why(cli: Callable, filled: object, terminal: Callable) -> None:
    client = registry.MlflowClient()
    client.set_promotion_rules("churn", "Production", [registry.MetricAtLeast("auc", 0.99), registry.Approvals(1)])
    cli("versions", "approve", "churn/2", "Production", "--reason", "looked at it")
    cli("versions", "promote", "churn/2", "Production", "--override", "--reason", "the old one is broken")

    (held,) = cli("versions", "show", "churn/Production", "--json").json["holds"]
    assert (held["place"], held["version"], held["reason"], held["overridden"]) == (
        "Production",
        2,
        "the old one is broken",
        True,
    )
    assert [verdict["passed"] for verdict in held["verdicts"]] == [False, False]
    assert [approval["reason"] for approval in held["approvals"]] == ["looked at it"]
    assert [approval["counts"] for approval in held["approvals"]] == [False]
    piped = dict(cli("versions", "show", "churn/Production").rows)
    assert piped["Production.reason"] == "the old one is broken"
    assert piped["Production.rule.1"] == (
        "MetricAtLeast(metric='auc', value=0.99): failed, overridden; expected auc >= 0.99, actual missing"
    )
    assert piped["Production.approval.1"].endswith(" (registered it, does not count): looked at it")
    terminal(100)
    for words in (["versions", "show", "churn/Production"], ["models", "show", "churn"]):
        shown = [" ".join(line.split()) for line in cli(*words).out.splitlines()]
        start = shown.index("Why version 2 is in Production")
        assert [
            line for line in shown[start:] if line.startswith(("by ", "reason ", "MetricAtLeast", "Approvals"))
        ] == [
            f"by {held['actor']}",
            "reason the old one is broken",
            "MetricAtLeast(metric='auc', value=0.99) failed, overridden auc >= 0.99 missing",
            "Approvals(n=1) failed, overridden 1 approval 0",
        ]
        assert shown[start + 1].startswith("since 20")
        assert shown.count("reason the old one is broken") == 1
        assert [line for line in shown if line.endswith("no: registered it looked at it")] != []


def test_f16_an_approval_of_another_person_counts(
    cli: Callable, filled: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.MlflowClient().set_promotion_rules("churn", "Production", [registry.Approvals(1)])
    monkeypatch.setenv("REGISTRY_ACTOR", "ann")
    cli("versions", "approve", "churn/2", "Production")
    cli("versions", "promote", "churn/2", "Production")

    piped = dict(cli("models", "show", "churn").rows)

    assert piped["Production.rule.1"] == "Approvals(n=1): passed; expected 1 approval, actual 1 (ann)"
    assert re.fullmatch(r"ann at [0-9TZ.:-]+", piped["Production.approval.1"])


def test_f16_a_version_that_no_rule_guarded_says_so(cli: Callable, filled: object, terminal: Callable) -> None:
    terminal(80)

    assert "\nrules   none guarded it\n" in cli("versions", "show", "churn/1").out
    cli("versions", "promote", "churn/2", "Production")
    cli("models", "rollback", "churn")
    assert "\nhow     by a rollback\n" in cli("versions", "show", "churn/1").out


def test_f17_the_best_run_of_last_week(cli: Callable, filled: Any) -> None:
    client = registry.MlflowClient()
    for name, auc in (("worse", 0.5), ("better", 0.95)):
        run = client.create_run("1", run_name=name)
        client.log_metric(run.info.run_id, "auc", auc)

    rows = cli("runs", "list", "--since", "7d", "--best", "auc", "--header").rows

    assert rows[0] == ["run id", "name", "status", "experiment", "auc", "started (UTC)", "took"]
    assert [(row[1], row[3], row[4]) for row in rows[1:]] == [("better", "nba", "0.95"), ("worse", "nba", "0.5")]
    assert cli("runs", "list", "--best", "loss", "--since", "7d", "-q").code == 0


def test_f17_a_status_that_is_none_is_no_empty_list(cli: Callable, filled: object) -> None:
    assert cli("runs", "list", "--status", "finished", "-q").code == 0
    outcome = cli("runs", "list", "--status", "FINISH")
    assert (outcome.code, outcome.err) == (
        2,
        "registry: There is no run status 'FINISH'. Did you mean 'FINISHED'? "
        "There are RUNNING, SCHEDULED, FINISHED, FAILED, KILLED.\n",
    )


@pytest.mark.parametrize("since", ["7d", "2026-01-01", "2026-01-01T00:00:00Z", "yesterday"])
def test_f18_times_are_written_the_same_everywhere(cli: Callable, filled: Any, since: str) -> None:
    for words in (
        ["runs", "list", "--since", since],
        ["models", "history", "churn", "--since", since],
        ["events", "list", "--since", since],
        ["gc", "--older-than", since],
        ["runs", "list", "--filter", f"start_time > '{since}'"] if since != "yesterday" else ["gc"],
    ):
        assert cli(*words).code == 0, words
    assert cli("models", "history", "churn", "--since", "2019-13-01").code == 2


def test_f19_the_caret_stands_under_the_place(cli: Callable, filled: object) -> None:
    outcome = cli("runs", "list", "--since", "7d", "--filter", "metrics.auc > and")

    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines()[1:] == ["  metrics.auc > and", "                ^"]


def test_f20_errors_speak_the_command_lines_words(cli: Callable, guarded: object) -> None:
    told = [
        cli("versions", "promote", "churn/2", "Production").err,
        cli("versions", "promote", "churn/2", "Production", "--override").err,
        cli("versions", "promote", "churn/2", "Staging", "--expected-current", "7").err,
        cli("runs", "list", "-n", "many").err,
        cli("db", "adopt").err,
        cli("models", "rollback", "churn").err,
    ]

    python = re.compile(r"=(True|'…')|set_tracking_uri|page_token|expected_current|_stage\b|new_root|unable to")
    assert [text for text in told if python.search(text)] == []
    assert "To promote it anyway: --override --reason TEXT." in told[0]
    assert "give --reason TEXT with --override" in told[1]


def test_f20_a_missing_consent_is_told_without_a_parameters_name(cli: Callable, filled: object) -> None:
    assert cli("models", "delete", "churn").err == (
        "registry: The model churn and its 2 versions will be gone for good. Give --yes to do it.\n"
    )
    assert cli("completion", "tcsh").err == (
        "registry: Invalid value for 'SHELL': 'tcsh' is not one of 'bash', 'zsh', 'fish'. "
        "Try 'registry completion --help'.\n"
    )


def test_f21_a_wrong_option_names_the_help_that_lists_the_right_one(cli: Callable) -> None:
    assert cli("runs", "list", "--foo").err == "registry: No such option: --foo. Try 'registry runs list --help'.\n"


def test_f22_the_usual_ways_to_ask_for_help(cli: Callable, filled: Any) -> None:
    assert cli("-V").out == f"registry {registry.__version__}\n"
    assert cli("-h").out == cli("--help").out != ""
    assert cli("runs", "list", "-h").out == cli("help", "runs", "list").out != ""
    assert cli("help").out.startswith(cli("--help").out.rstrip("\n"))
    assert "141" in cli("help", "exit-codes").out
    for topic in ("json", "environment", "filters", "targets"):
        assert cli("help", topic).code == 0
    unknown = cli("help", "jsn")
    assert (unknown.code, "Did you mean 'json'?" in unknown.err, "compare-models" in unknown.err) == (2, True, False)
    assert cli("runs", "list", "-q").out == f"{filled.run_id}\n"


def test_f23_options_of_every_command_stand_anywhere(cli: Callable, filled: object, own_place: Path) -> None:
    place = ["--tracking-uri", str(own_place / "mlruns")]
    for words in (
        [*place, "--json", "models", "list"],
        ["models", *place, "--json", "list"],
        ["--json", "models", "list", *place],
    ):
        assert [model["name"] for model in cli(*words).json] == ["churn"]


def test_f24_a_version_that_never_was_has_no_history(cli: Callable, filled: object) -> None:
    outcome = cli("models", "history", "churn", "--version", "99")

    assert (outcome.code, outcome.out, outcome.err) == (4, "", "registry: 'churn' never had a version 99.\n")


def test_f25_lists_keep_to_80_columns_and_fold_no_name(
    cli: Callable, filled: Any, terminal: Callable, own_place: Path
) -> None:
    client = registry.MlflowClient()
    client.create_registered_model("demo-breast-cancer")
    client.set_registered_model_alias("churn", "champion", 2)
    terminal(80)

    for words in (
        ["experiments", "list"],
        ["runs", "list"],
        ["models", "list"],
        ["versions", "list"],
        ["versions", "list", "churn"],
        ["models", "history", "churn"],
        ["models", "holders", "churn"],
        ["events", "list"],
        ["gc", "--older-than", "0s"],
    ):
        lines = cli(*words).out.splitlines()
        assert [line for line in lines if cell_len(line) > 80] == [], words
    assert "demo-breast-cancer" in cli("models", "list").out
    assert filled.run_id in cli("runs", "list").out
    assert str(own_place) not in cli("experiments", "list").out or len(str(own_place)) < 30


def test_f25_a_comparison_that_is_too_wide_turns_sideways(cli: Callable, filled: Any, terminal: Callable) -> None:
    client = registry.MlflowClient()
    runs = [filled.run_id]
    for number in range(3):
        run_id = client.create_run("1", run_name=f"a run with a long name, number {number}").info.run_id
        client.log_metric(run_id, "auc", 0.5 + number / 10)
        runs.append(run_id)
    terminal(80)

    lines = cli("runs", "compare", *runs).out.splitlines()

    assert "a run with a long name, number 2  0.7" in lines
    assert max(map(cell_len, lines)) <= 80


def test_f26_whole_numbers_are_whole_and_params_as_logged(cli: Callable, filled: Any, terminal: Callable) -> None:
    client = registry.MlflowClient()
    run_id = client.create_run("1").info.run_id
    client.log_metric(run_id, "rows", 12345678.0)
    client.log_param(run_id, "rate", 0.7000000000000001)
    terminal(120)

    shown = cli("runs", "show", run_id).out

    assert "rows  12345678\n" in shown
    assert "rate  0.7000000000000001\n" in shown


def test_f27_relocating_looks_for_the_files(cli: Callable, filled: object, own_place: Path) -> None:
    old, new = str(own_place / "mlruns"), str(own_place / "nowhere")

    refused = cli("db", "relocate", old, new, "--yes")

    assert (refused.code, refused.out) == (4, "")
    assert f"The files of {old} are not at {new}" in refused.err
    assert cli("db", "relocate", old, new).code == 4
    Path(new).symlink_to(old)
    assert cli("db", "relocate", old, new).code == 2
    assert cli("db", "relocate", old, new, "--dry-run", "--json").json == {
        "old": old,
        "new": new,
        "experiments": 2,
        "adopted": 0,
        "applied": False,
    }
    assert registry.MlflowClient().get_experiment("0").artifact_location == f"{old}/0"
    assert cli("db", "relocate", old, new, "--yes").code == 0
    assert registry.MlflowClient().get_experiment("0").artifact_location == f"{new}/0"


def test_f28_a_hyphen_is_stdin_or_stdout(filled: object, own_place: Path) -> None:
    exported = program("models", "export", "churn", "-", text=False)
    imported = program("models", "import", "-", "--tracking-uri", "file:./other", text=False, input=exported.stdout)
    rules = program("rules", "set", "churn", "Production", "-", input='[{"kind": "approvals", "n": 1}]')

    assert (exported.returncode, exported.stdout[:2], Path("-").exists()) == (0, b"PK", False)
    assert (imported.returncode, imported.stdout) == (0, b"churn\n")
    assert (rules.returncode, rules.stderr) == (0, "churn: 1 rule guards Production.\n")


def test_f29_watching_leaves_no_file_unasked(cli: Callable, filled: object, own_place: Path) -> None:
    before = sorted(own_place.iterdir())

    first, second = cli("events", "watch", "--once"), cli("events", "watch", "--once")

    assert (first.code, first.out != "", first.out == second.out) == (0, True, True)
    assert sorted(own_place.iterdir()) == before


def test_f30_help_begins_with_what_it_does_and_examples(cli: Callable) -> None:
    for name in PARTS:
        part = load(name)
        for verb in getattr(part, "commands", {None: part}):
            words = [name] if verb is None else [name, verb]
            command = part if verb is None else part.commands[verb]
            if command.hidden:
                continue
            text = cli(*words, "--help").out
            sections = re.findall(r"^(Examples|Usage|Arguments|Options|Everywhere):", text, flags=re.MULTILINE)
            assert sections[:2] == ["Examples", "Usage"], words
            assert f"  registry {' '.join(words)}" in text, words
            assert not re.search(r"<\w+>|\{[A-Z]+\}|\[\[", text), words
            assert max(map(len, text.splitlines())) <= 80 or "registry" in max(text.splitlines(), key=len), words
            assert [line for line in text.splitlines() if line.endswith(" ")] == [], words


def test_f30_help_names_what_a_command_needs_and_filters_by(cli: Callable) -> None:
    assert "Usage: registry runs copy RUN... --to URI [OPTIONS]\n" in cli("runs", "copy", "--help").out
    assert "metrics." in cli("runs", "list", "--help").out
    for noun in ("experiments", "models", "versions"):
        assert "metrics." not in cli(noun, "list", "--help").out


def test_f31_lists_have_one_word_and_one_order(cli: Callable, filled: object) -> None:
    client = registry.MlflowClient()
    client.set_model_version_tag("churn", "1", "changed", "last")

    assert cli("cache", "ls").code == 2
    assert cli("cache", "list").code == 0
    assert [row[0] for row in cli("versions", "list", "churn").rows] == ["2", "1"]
    sizes = [row[2] for row in cli("doctor").rows if row[1] == "cache"]
    assert [text for text in sizes if "of at most 20.0 GiB" not in text] == []


def test_f32_no_secret_is_an_argument(cli: Callable, filled: object) -> None:
    options = [option for parameter in load("versions").commands["sign"].params for option in parameter.opts]

    assert "--password" not in options
    assert "--password-file" in options


@pytest.mark.parametrize("arguments", ["--help", "events watch --once", "models history churn"])
def test_f33_a_closed_pipe_is_141(filled: object, arguments: str) -> None:
    script = f"{sys.executable} -m registry {arguments} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", f"sleep 0; {script}"], capture_output=True, text=True, check=False)

    # The reader may go before or after the first line: 0 if all fitted into the pipe.
    assert (done.returncode in (0, 141), done.stderr) == (True, "")


@pytest.mark.parametrize("words", [["runs", "list"], ["artifacts", "resolve", "churn/1"], ["models", "show", "churn"]])
def test_f34_a_read_imports_little(filled: object, words: list[str]) -> None:
    code = (
        "import sys; from registry.cli import main; main(sys.argv[1:]); "
        "heavy = 'pandas numpy pyarrow alembic boto3 xgboost sklearn matplotlib rich.console sqlalchemy.orm'.split(); "
        "sys.exit([name for name in heavy if name in sys.modules] or 0)"
    )

    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_f34_a_process_ends_without_looking_for_garbage() -> None:
    code = (
        "import atexit, gc, sys; from registry.cli import main; "
        "atexit.register(lambda: print(gc.get_freeze_count() > 1000)); main()"
    )

    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == (f"registry {registry.__version__}\nTrue\n", "")


def test_f35_an_empty_reason_is_none(cli: Callable, filled: object) -> None:
    cli("versions", "promote", "churn/2", "Staging", "--reason", "")

    assert registry.MlflowClient().get_history("churn")[-1].reason is None
    assert cli("versions", "promote", "churn/2", "Production", "--override", "--reason", "").code == 2


def test_json_has_no_microseconds_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    from registry.cli.formatting import Duration, Size, Time

    as_json([Time(1_767_225_665_250_000), Size(2048), Duration(1500)])

    assert json.loads(capsys.readouterr().out) == ["2026-01-01T00:01:05.250Z", 2048, 1.5]


def test_stdin_that_is_no_text_is_one_line(cli: Callable, filled: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe"), encoding="utf-8"))

    outcome = cli("rules", "set", "churn", "Production", "-")

    assert (outcome.code, outcome.err.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rules set churn Production - <&-", "The rules cannot be read: stdin is closed."),
        ("models import - <&-", "The export cannot be read: stdin is closed."),
        ("models export churn - >&-", "The output cannot be written: stdout is closed."),
        ("db backup - >&-", "The output cannot be written: stdout is closed."),
    ],
)
def test_a_stream_that_is_closed_is_one_line(filled: object, line: str, said: str) -> None:
    command = f"'{sys.executable}' -m registry {line}"
    done = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, text=True, check=False)

    assert (done.returncode, done.stderr) == (1, f"registry: {said}\n")


def test_a_name_that_is_too_long_for_a_path_is_no_fault_of_the_output(cli: Callable, filled: object) -> None:
    outcome = cli("artifacts", "resolve", f"{'a' * 300}/x")

    assert (outcome.code, "output" in outcome.err) == (2, False)


def test_a_rollback_to_what_is_no_number_names_its_own_option(cli: Callable, filled: object) -> None:
    outcome = cli("models", "rollback", "churn", "--to", "none")

    assert (outcome.code, outcome.err) == (2, "registry: Parameter '--to' must be an integer, got 'none'.\n")


@pytest.mark.parametrize("line", ["events watch --interval inf", "sync . --watch --interval inf"])
def test_an_interval_without_end_is_refused(cli: Callable, filled: object, line: str) -> None:
    outcome = cli(*line.split())

    assert (outcome.code, "'--interval'" in outcome.err) == (2, True)
