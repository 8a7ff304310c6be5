"""The commands of monitors and incidents."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from monitored_models import NOTHING, finding
from prometheus_client.parser import text_string_to_metric_families

import registry
from registry.monitoring.runner import run_due


def find(*causes: str, triggers: tuple[str, ...] = ()) -> None:
    """Let a monitor of churn find causes in version 1."""
    client = registry.MlflowClient()
    monitor = client.add_monitor("churn", triggers=triggers, cooldown="0s")
    run_due(client, monitor_id=monitor.id, triggers=NOTHING, check=finding(*causes, version=1))


def test_a_monitor_is_added_listed_shown_and_removed(cli: Callable[..., Any], filled: Any) -> None:
    added = cli("monitor", "add", "churn", "--every", "12h", "--window", "3d", "--trigger", "page", "--detector", "ks")
    assert (added.code, added.out) == (0, "1\n")
    assert added.err == "Monitor 1 checks Production of churn every 12h.\n"

    assert cli("monitor", "list").rows[0][:4] == ["1", "churn", "Production", "43200.0"]
    assert cli("monitor", "list", "-q").out == "1\n"
    shown = cli("monitor", "show", "1", "--json").json
    assert shown["settings"] == {"window": "3d", "detectors": ["ks"]}
    assert (shown["triggers"], shown["cooldown_seconds"], shown["checks"]) == (["page"], 86_400, [])
    assert ["setting window", "3d"] in cli("monitor", "show", "1").rows

    assert cli("monitor", "remove", "1").code == 2
    assert cli("monitor", "remove", "1", "--yes").code == 0
    assert cli("monitor", "list").out == ""
    assert cli("monitor", "show", "1").code == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["monitor", "add", "churn/Production"],
            "'churn/Production' names a version; give the name of the model alone: churn.",
        ),
        (
            ["monitor", "show", "churn"],
            "Invalid value for 'MONITOR': 'churn' is not a number; 'registry monitor list' shows the numbers. "
            "Try 'registry monitor show --help'.",
        ),
        (
            ["incident", "show", "drift"],
            "Invalid value for 'INCIDENT': 'drift' is not a number; 'registry incident list' shows the numbers. "
            "Try 'registry incident show --help'.",
        ),
    ],
)
def test_a_target_of_another_kind_is_told_with_the_one_that_is_meant(
    cli: Callable[..., Any], filled: Any, arguments: list[str], said: str
) -> None:
    assert cli(*arguments).err == f"registry: {said}\n"


def test_a_guard_is_added_for_a_time(cli: Callable[..., Any], filled: Any) -> None:
    guard = cli("monitor", "guard", "churn", "--for", "24h", "--json").json

    assert guard["guard"]["version"] == 1
    assert (guard["every_seconds"], guard["settings"]) == (3_600, {"window": "24h"})
    assert cli("monitor", "guard", "churn", "--stage", "staging").code == 4
    assert ["guards", "version 1"] in cli("monitor", "show", "1").rows


def test_status_says_by_its_exit_code_whether_somebody_should_look(cli: Callable[..., Any], filled: Any) -> None:
    assert cli("monitor", "status").code == 0
    cli("monitor", "add", "churn")
    assert cli("monitor", "status").rows[0][:5] == ["1", "churn", "Production", "waiting", ""]
    find("a")

    status = cli("monitor", "status", "churn")

    assert status.code == 3
    assert status.rows[1][:5] == ["2", "churn", "Production", "drift", "1"]
    assert status.rows[1][-1] == "drift: a"


def test_status_names_triggers_that_were_given_up(cli: Callable[..., Any], filled: Any) -> None:
    find("a", triggers=("page",))
    with sqlite3.connect("mlruns/registry.db") as connection:
        connection.execute("UPDATE trigger_deliveries SET state = 'failed', attempts = 10, message = 'no pager'")
    connection.close()

    told = cli("monitor", "status").err

    assert told == "registry: the trigger 'page' of churn was given up after 10 attempts: no pager\n"
    registry.MlflowClient().close_incident(1)
    assert cli("monitor", "status").err == ""


def test_small_files_are_merged_by_hand(cli: Callable[..., Any], filled: Any) -> None:
    done = cli("monitor", "compact", "churn")
    assert (done.code, done.err) == (0, "0 files became 0; 0 that were merged before are removed.\n")
    assert cli("monitor", "compact", "churn", "--json").json == {"merged": 0, "written": 0, "removed": 0}


def test_metrics_are_prometheus_text(cli: Callable[..., Any], filled: Any) -> None:
    find("a", triggers=("page",))
    client = registry.MlflowClient()
    client.rename_registered_model("churn", 'chu"rn\\')

    text = cli("monitor", "metrics").out

    label = 'monitor="1",model="chu\\"rn\\\\",stage="Production"'
    lines = text.splitlines()
    assert f"registry_monitor_interval_seconds{{{label}}} 86400" in lines
    assert f'registry_monitor_checks{{{label},status="drift"}} 1' in lines
    assert f'registry_monitor_last_check_status{{{label},status="ok"}} 0' in lines
    assert f'registry_monitor_last_check_status{{{label},status="drift"}} 1' in lines
    assert 'registry_incidents{model="chu\\"rn\\\\",status="open"} 1' in lines
    assert 'registry_trigger_deliveries{trigger="page",state="pending"} 1' in lines
    assert [line for line in lines if line.startswith("# TYPE")] == [
        "# TYPE registry_monitor_interval_seconds gauge",
        "# TYPE registry_monitor_overdue_seconds gauge",
        "# TYPE registry_monitor_last_check_timestamp_seconds gauge",
        "# TYPE registry_monitor_last_check_duration_seconds gauge",
        "# TYPE registry_monitor_last_check_status gauge",
        "# TYPE registry_monitor_last_result_timestamp_seconds gauge",
        "# TYPE registry_monitor_needs_attention gauge",
        "# TYPE registry_monitor_checks gauge",
        "# TYPE registry_incidents gauge",
        "# TYPE registry_incident_opened_timestamp_seconds gauge",
        "# TYPE registry_trigger_deliveries gauge",
    ]
    assert cli("monitor", "metrics", "--json").json == {"text": text}
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {family.type for family in families.values()} == {"gauge"}
    incidents = {sample.labels["status"]: sample for sample in families["registry_incidents"].samples}
    assert (incidents["open"].labels["model"], incidents["open"].value) == ('chu"rn\\', 1)


def test_incidents_are_listed_shown_acknowledged_and_closed(cli: Callable[..., Any], filled: Any) -> None:
    find("a", "b", triggers=("page",))

    assert [row[:5] for row in cli("incident", "list").rows] == [
        ["1", "churn", "1", "a", "open"],
        ["2", "churn", "1", "b", "open"],
    ]
    acknowledged = cli("incident", "acknowledge", "1", "--reason", "looking")
    assert (acknowledged.code, acknowledged.err) == (0, "Incident 1 of churn is acknowledged.\n")
    assert cli("incident", "close", "1", "--reason", "over", "--json").json["status"] == "closed"
    assert [row[0] for row in cli("incident", "list", "churn").rows] == ["2"]
    assert [row[0] for row in cli("incident", "list", "--all").rows] == ["1", "2"]
    shown = cli("incident", "show", "1", "--json").json
    assert [(event["kind"], event["reason"]) for event in shown["events"]] == [
        ("incident_opened", None),
        ("incident_acknowledged", "looking"),
        ("incident_closed", "over"),
    ]
    assert (shown["figures"], shown["report_digest"]) == ({"effect": 0.25}, "d" * 64)
    assert [(one["trigger"], one["state"]) for one in shown["triggers"]] == [("page", "pending")]
    rows = cli("incident", "show", "1").rows
    assert ["effect", "0.25"] in rows
    assert ["trigger page", "pending, 0 attempts"] in rows
    assert cli("incident", "show", "9").code == 4
    assert cli("incident", "acknowledge", "1").code == 1


def test_run_makes_the_due_checks_and_fails_if_one_fails(
    cli: Callable[..., Any], filled: Any, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without observations the check itself has an error, and that is recorded."""
    cli("monitor", "add", "churn", "--stage", "Production")

    ran = cli("monitor", "run")

    assert ran.code in (0, 1)
    assert ran.rows[0][:2] == ["monitor 1", "churn"]
    assert cli("monitor", "run").err == "Nothing is due.\n"
    assert cli("monitor", "run", "7").code == 4
    assert cli("monitor", "run", "--watch", "--limit", "1").code == 2
    again = cli("monitor", "run", "1", "--json").json
    assert [check["monitor"] for check in again["checks"]] == [1]
    assert again["triggers"] == []
    assert len(cli("monitor", "show", "1", "--json").json["checks"]) == 2


def test_run_runs_the_triggers_of_the_file_on_this_machine(
    cli: Callable[..., Any], filled: Any, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find("a", triggers=("page",))
    script = "import json, sys; print(json.load(sys.stdin)['incidents'][0]['cause'], file=open('paged', 'w'))"
    command = json.dumps([sys.executable, "-c", script])
    (own_place / "triggers.toml").write_text(f"[triggers.page]\ncommand = {command}\n")
    monkeypatch.setenv("REGISTRY_TRIGGERS_FILE", "triggers.toml")

    ran = cli("monitor", "run")

    assert (ran.code, ran.rows) == (0, [["trigger page", "churn", "delivered", ""]])
    assert (own_place / "paged").read_text() == "a\n"


def test_watch_goes_on_until_it_is_interrupted(cli: Callable[..., Any], filled: Any) -> None:
    cli("monitor", "add", "churn", "--every", "1s")
    words = [sys.executable, "-m", "registry", "monitor", "run", "--watch", "--interval", "0.1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        lines = [running.stdout.readline() for _ in range(2)]
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130

    assert [line.split("\t")[:2] for line in lines] == [["monitor 1", "churn"]] * 2


@pytest.mark.parametrize("words", ["monitor list", "monitor status", "monitor run", "incident list"])
def test_a_place_without_a_registry_is_an_error_and_stays_empty(cli: Callable[..., Any], words: str) -> None:
    assert cli(*words.split()).code == 1
    assert not Path("mlruns").exists()


def test_a_retraining_that_this_machine_does_not_know_is_an_error(cli: Callable[..., Any], filled: Any) -> None:
    find("a")
    assert cli("retrain", "churn", "retrain-churn").code == 4
    assert cli("retrain", "nothing", "retrain-churn").code == 4
