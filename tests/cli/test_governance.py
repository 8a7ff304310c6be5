"""``registry history``, ``holders``, ``rollback``, ``rules``, ``approve``, ``verify``, ``watch`` and ``db grants``."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import registry

RULES = '[{"kind": "metric_at_least", "metric": "auc", "value": 0.9}]'


def test_history_lists_what_happened(cli: Callable, filled: object) -> None:
    cli("promote", "churn", "2", "Production", "--reason", "better")
    listed = cli("history", "churn", "--kind", "stage_changed", "--version", "2")
    assert (listed.code, listed.err) == (0, "")
    assert "stage_changed" in listed.out
    assert "better" in listed.out
    events = cli("history", "churn", "--json").json
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


def test_history_refuses_a_kind_that_is_none(cli: Callable, filled: object) -> None:
    outcome = cli("history", "churn", "--kind", "promoted")
    assert (outcome.code, outcome.out) == (1, "")
    assert "There is no event kind 'promoted'" in outcome.err


def test_holders_lists_periods(cli: Callable, filled: object) -> None:
    cli("promote", "churn", "2", "Production")
    held = cli("holders", "churn", "--json").json
    assert [(hold["stage"], hold["version"], hold["until"] is None) for hold in held if hold["stage"][0] != "@"] == [
        ("Production", 1, False),
        ("Production", 2, True),
    ]
    assert "Production" in cli("holders", "churn").out


def test_rollback_puts_the_previous_holder_back(cli: Callable, filled: object) -> None:
    cli("promote", "churn", "2", "Production")
    assert cli("rollback", "churn", "--expected-current", "1").code == 1
    outcome = cli("rollback", "churn", "--reason", "drifted", "--expected-current", "2")
    assert outcome.out == "churn: version 1 is in stage Production again.\n"
    assert registry.MlflowClient().get_history("churn")[-1].reason == "drifted"


def test_rules_are_set_shown_checked_and_deleted(cli: Callable, filled: object) -> None:
    Path("rules.json").write_text(RULES)
    assert cli("rules", "set", "churn", "production", "rules.json").out == "churn: 1 rules guard production.\n"
    assert "MetricAtLeast(metric='auc', value=0.9)" in cli("rules", "show", "churn", "Production").out
    (verdict,) = cli("rules", "check", "churn", "2", "Production", "--json").json
    assert verdict["passed"] is False
    refused = cli("promote", "churn", "2", "Production")
    assert refused.code == 1
    assert "MetricAtLeast(metric='auc', value=0.9) failed" in refused.err
    assert cli("promote", "churn", "2", "Production", "--override", "--reason", "now").code == 0
    assert cli("rules", "delete", "churn", "Production").code == 0
    assert cli("rules", "show", "churn", "Production").out == "No rules.\n"


@pytest.mark.parametrize("content", ["", "{}", '[{"kind": "unknown"}]'])
def test_rules_that_are_none_are_refused(cli: Callable, filled: object, content: str) -> None:
    Path("rules.json").write_text(content)
    outcome = cli("rules", "set", "churn", "Production", "rules.json")
    assert (outcome.code, outcome.out) == (1, "")
    assert "Not promotion rules" in outcome.err


def test_a_rules_file_that_is_not_there_is_one_line(cli: Callable, filled: object) -> None:
    outcome = cli("rules", "set", "churn", "Production", "missing.json")
    assert outcome.code == 1
    assert outcome.err.startswith("registry: The rules in 'missing.json' cannot be read")


def test_approving_is_on_record(cli: Callable, filled: object) -> None:
    assert cli("approve", "churn", "2", "production", "--reason", "fine").out == (
        "churn: version 2 is approved for production.\n"
    )
    event = registry.MlflowClient().get_history("churn")[-1]
    assert (event.kind, event.reason) == ("approved", "fine")


def test_verify_says_that_all_is_well(cli: Callable, filled: object) -> None:
    assert cli("verify", "churn", "--bytes").out.startswith("churn: well; ")
    (report,) = cli("verify", "--all", "--checkpoint", "checkpoint.json", "--json").json
    kept = json.loads(Path("checkpoint.json").read_text())["models"]
    assert kept == {report["model_uid"]: {"name": "churn", "sequence": report["sequence"], "hash": report["hash"]}}


def test_verify_without_a_name_is_about_every_model(cli: Callable, filled: object) -> None:
    registry.MlflowClient().create_registered_model("other")
    told = cli("verify", "--checkpoint", "checkpoint.json").out.splitlines()
    assert told == cli("verify", "--all").out.splitlines()
    assert sorted(line.partition(":")[0] for line in told) == ["churn", "other"]
    kept = json.loads(Path("checkpoint.json").read_text())["models"].values()
    assert sorted(head["name"] for head in kept) == ["churn", "other"]


def test_verify_fails_with_the_first_thing_that_is_wrong(cli: Callable, filled: object) -> None:
    place = Path(registry.MlflowClient().get_model_version_download_uri("churn", 1))
    (place / "MLmodel").write_text("flavors: {evil: {}}\n")
    assert cli("verify", "churn").code == 0
    outcome = cli("verify", "churn", "--bytes")
    assert (outcome.code, outcome.out) == (1, "")
    assert "MLmodel" in outcome.err


def test_verify_takes_a_name_or_all(cli: Callable, filled: object) -> None:
    outcome = cli("verify", "churn", "--all")
    assert (outcome.code, outcome.err) == (1, "registry: Give either the name of a model or --all.\n")


def test_watch_prints_each_event_once(cli: Callable, filled: object) -> None:
    first = cli("watch", "--once").out.splitlines()
    assert [json.loads(line)["position"] for line in first] == list(range(1, len(first) + 1))
    assert cli("watch", "--once").out == ""
    cli("promote", "churn", "2", "Staging")
    (line,) = cli("watch", "--once").out.splitlines()
    assert json.loads(line)["to"] == "Staging"


def test_watch_needs_its_secret(cli: Callable, filled: object) -> None:
    outcome = cli("watch", "--once", "--webhook", "http://127.0.0.1:9/", "--secret-env", "NO_SUCH_SECRET")
    assert outcome.code == 1
    assert "The environment variable NO_SUCH_SECRET is not set" in outcome.err
    assert cli("watch", "--once", "--secret-env", "HOME").code == 1


def test_grants_are_printed_without_connecting(cli: Callable) -> None:
    outcome = cli("db", "grants", "--role", "writer", "--to", "ann")
    assert outcome.code == 0
    assert 'GRANT INSERT ON TABLE history TO "ann";' in outcome.out
    assert "ON TABLE promotion_rules TO" not in outcome.out
    assert list(Path("mlruns").glob("*.db")) == []


def test_grants_for_a_role_that_is_none_are_refused(cli: Callable) -> None:
    outcome = cli("db", "grants", "--role", "owner")
    assert (outcome.code, outcome.err) == (
        1,
        "registry: There is no role 'owner'; there are reader, writer, promoter.\n",
    )
