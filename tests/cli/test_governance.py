"""Models' history, holders, rollbacks and verification; rules, approvals, events and grants."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import registry

RULES = '[{"kind": "metric_at_least", "metric": "auc", "value": 0.9}]'


def test_history_lists_what_happened(cli: Callable, filled: object) -> None:
    cli("versions", "promote", "churn/2", "Production", "--reason", "better")
    listed = cli("models", "history", "churn", "--kind", "stage_changed", "--version", "2")
    assert (listed.code, listed.err) == (0, "")
    assert "stage_changed" in listed.out
    assert "better" in listed.out
    events = cli("models", "history", "churn", "--json").json
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


def test_history_refuses_a_kind_that_is_none(cli: Callable, filled: object) -> None:
    outcome = cli("models", "history", "churn", "--kind", "promoted")
    assert (outcome.code, outcome.out) == (2, "")
    assert "There is no event kind 'promoted'" in outcome.err


def test_holders_lists_periods(cli: Callable, filled: object) -> None:
    cli("versions", "promote", "churn/2", "Production")
    held = cli("models", "holders", "churn", "--json").json
    assert [(hold["stage"], hold["version"], hold["until"] is None) for hold in held if hold["stage"][0] != "@"] == [
        ("Production", 1, False),
        ("Production", 2, True),
    ]
    assert "Production" in cli("models", "holders", "churn").out


def test_rollback_puts_the_previous_holder_back(cli: Callable, filled: object) -> None:
    cli("versions", "promote", "churn/2", "Production")
    assert cli("models", "rollback", "churn", "--expected-current", "1").code == 5
    outcome = cli("models", "rollback", "churn", "--reason", "drifted", "--expected-current", "2")
    assert outcome.err == (
        "churn: version 1 is in stage Production again.\nchurn: version 2, which held it, is in stage Archived.\n"
    )
    assert registry.MlflowClient().get_history("churn")[-1].reason == "drifted"


def test_rules_are_set_shown_checked_and_deleted(cli: Callable, filled: object) -> None:
    Path("rules.json").write_text(RULES)
    assert cli("rules", "set", "churn", "production", "rules.json").err == "churn: 1 rule guards Production.\n"
    assert "MetricAtLeast(metric='auc', value=0.9)" in cli("rules", "show", "churn", "Production").out
    (verdict,) = cli("rules", "check", "churn/2", "Production", "--json").json
    assert verdict["passed"] is False
    refused = cli("versions", "promote", "churn/2", "Production")
    assert refused.code == 3
    assert "MetricAtLeast(metric='auc', value=0.9) failed" in refused.err
    assert cli("versions", "promote", "churn/2", "Production", "--override", "--reason", "now").code == 0
    assert cli("rules", "delete", "churn", "Production", "--yes").code == 0
    assert cli("rules", "show", "churn", "Production").err == "No rules.\n"


@pytest.mark.parametrize("content", ["", "{}", '[{"kind": "unknown"}]'])
def test_rules_that_are_none_are_refused(cli: Callable, filled: object, content: str) -> None:
    Path("rules.json").write_text(content)
    outcome = cli("rules", "set", "churn", "Production", "rules.json")
    assert (outcome.code, outcome.out) == (2, "")
    assert "Not promotion rules" in outcome.err


def test_a_rules_file_that_is_not_there_is_one_line(cli: Callable, filled: object) -> None:
    outcome = cli("rules", "set", "churn", "Production", "missing.json")
    assert (outcome.code, outcome.err) == (4, "registry: The rules cannot be read: there is no file 'missing.json'.\n")
    outcome = cli("rules", "set", "churn", "Production", ".")
    assert (outcome.code, outcome.err) == (1, "registry: The rules cannot be read from '.': Is a directory.\n")


def test_approving_is_on_record(cli: Callable, filled: object) -> None:
    assert cli("versions", "approve", "churn/2", "production", "--reason", "fine").err == (
        "churn: version 2 is approved for Production.\n"
    )
    event = registry.MlflowClient().get_history("churn")[-1]
    assert (event.kind, event.reason) == ("approved", "fine")


def test_verify_says_that_all_is_well(cli: Callable, filled: object) -> None:
    assert cli("models", "verify", "churn", "--bytes").rows == [["churn", "well", "4", "2", "2"]]
    (report,) = cli("models", "verify", "--checkpoint", "checkpoint.json", "--json").json
    kept = json.loads(Path("checkpoint.json").read_text())["models"]
    assert kept == {report["model_uid"]: {"name": "churn", "sequence": report["sequence"], "hash": report["hash"]}}


def test_verify_without_a_name_is_about_every_model(cli: Callable, filled: object) -> None:
    registry.MlflowClient().create_registered_model("other")
    assert sorted(cli("models", "verify", "--checkpoint", "checkpoint.json", "-q").out.split()) == ["churn", "other"]
    kept = json.loads(Path("checkpoint.json").read_text())["models"].values()
    assert sorted(head["name"] for head in kept) == ["churn", "other"]


def test_verify_fails_with_the_first_thing_that_is_wrong(cli: Callable, filled: object) -> None:
    place = Path(registry.MlflowClient().get_model_version_download_uri("churn", 1))
    (place / "MLmodel").write_text("flavors: {evil: {}}\n")
    assert cli("models", "verify", "churn").code == 0
    outcome = cli("models", "verify", "churn", "--bytes")
    assert (outcome.code, outcome.out) == (3, "")
    assert "MLmodel" in outcome.err


def test_watch_prints_each_event_once(cli: Callable, filled: object) -> None:
    watch = ("events", "watch", "--once", "--cursor", "cursor.json")
    first = cli(*watch).out.splitlines()
    assert [json.loads(line)["position"] for line in first] == list(range(1, len(first) + 1))
    assert cli(*watch).out == ""
    cli("versions", "promote", "churn/2", "Staging")
    (line,) = cli(*watch).out.splitlines()
    assert json.loads(line)["to"] == "Staging"


def test_watch_needs_its_secret(cli: Callable, filled: object) -> None:
    outcome = cli("events", "watch", "--once", "--webhook", "http://127.0.0.1:9/", "--secret-env", "NO_SUCH_SECRET")
    assert outcome.code == 2
    assert "The environment variable NO_SUCH_SECRET is not set" in outcome.err
    assert cli("events", "watch", "--once", "--secret-env", "HOME").code == 2


def test_grants_are_printed_without_connecting(cli: Callable) -> None:
    outcome = cli("db", "grants", "--role", "writer", "--to", "ann")
    assert outcome.code == 0
    assert 'GRANT INSERT ON TABLE history TO "ann";' in outcome.out
    assert "ON TABLE promotion_rules TO" not in outcome.out
    assert list(Path("mlruns").glob("*.db")) == []


def test_grants_for_a_role_that_is_none_are_refused(cli: Callable) -> None:
    outcome = cli("db", "grants", "--role", "owner")
    assert (outcome.code, outcome.err) == (
        2,
        "registry: There is no role 'owner'; there are reader, writer, promoter.\n",
    )
