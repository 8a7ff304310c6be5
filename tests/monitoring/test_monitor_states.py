"""How monitors are, for whoever is on call: what needs attention, and what does not."""

import pytest
from governed_models import RawSql, register
from monitored_models import NOTHING, find, finding, model_in_production

from registry import MlflowClient
from registry.entities.monitors import CheckOutcome, CheckStatus
from registry.monitoring.monitors import lost_triggers, metrics_text, monitor_states
from registry.monitoring.runner import run_due

DAY = 86_400_000


def states(client: MlflowClient) -> list[tuple[str, bool]]:
    return [(one.state, one.needs_attention) for one in monitor_states(client)]


def miss(sql: RawSql, days: int = 3) -> None:
    """Let the checks of all monitors have been due for days."""
    sql("UPDATE monitors SET next_time = next_time - ?", (days * DAY,))


def test_a_check_that_is_missing_is_overdue_and_an_empty_stage_is_not(client: MlflowClient, sql: RawSql) -> None:
    model_in_production(client)
    client.add_monitor("nba")
    client.add_monitor("nba", "Staging")
    assert states(client) == [("waiting", False), ("waiting", False)]
    miss(sql)
    assert states(client) == [("overdue", True), ("empty", False)]
    assert monitor_states(client)[0].overdue_seconds >= 3 * 86_400
    client.transition_model_version_stage("nba", 1, "Staging")
    assert states(client) == [("overdue", True), ("overdue", True)]


def test_a_guard_ends_when_its_version_holds_the_stage_no_more(client: MlflowClient, sql: RawSql) -> None:
    model_in_production(client)
    client.guard_stage("nba", duration="24h")
    assert states(client) == [("waiting", False)]
    miss(sql)
    assert states(client) == [("overdue", True)]
    client.rollback("nba")
    assert states(client) == [("ended", False)]
    client.transition_model_version_stage("nba", 1, "Archived")
    assert states(client) == [("ended", False)]


def test_what_is_open_is_named_with_its_cause(client: MlflowClient) -> None:
    model_in_production(client)
    (incident,) = find(client, 'input/"a"')
    (state,) = monitor_states(client)
    assert (state.state, state.needs_attention) == ("drift", True)
    assert [(one.id, one.cause) for one in state.incidents] == [(incident.id, 'input/"a"')]
    lines = metrics_text(client).splitlines()
    labels = f'model="nba",incident="{incident.id}",version="2",cause="input/\\"a\\"",status="open"'
    opened = next(line for line in lines if line.startswith("registry_incident_opened_timestamp_seconds{"))
    assert opened == f"registry_incident_opened_timestamp_seconds{{{labels}}} {incident.opened_us / 1_000_000!r}"
    assert 'registry_monitor_needs_attention{monitor="1",model="nba",stage="Production",state="drift"} 1' in lines


def test_the_newest_result_is_told_apart_from_the_newest_check(client: MlflowClient, sql: RawSql) -> None:
    model_in_production(client)
    monitor = client.add_monitor("nba")
    name = "registry_monitor_last_result_timestamp_seconds{"
    unavailable = CheckOutcome(CheckStatus.UNAVAILABLE, 2, message="too few rows: 3 of 100")
    run_due(client, monitor_id=monitor.id, triggers=NOTHING, check=lambda *_: unavailable)
    assert name not in metrics_text(client)
    run_due(client, monitor_id=monitor.id, triggers=NOTHING, check=finding())
    run_due(client, monitor_id=monitor.id, triggers=NOTHING, check=lambda *_: unavailable)
    ((end_time,),) = sql("SELECT end_time FROM monitor_checks WHERE status = 'ok'")
    line = next(line for line in metrics_text(client).splitlines() if line.startswith(name))
    assert line.endswith(f" {end_time / 1000!r}")


@pytest.mark.parametrize("age", [0, 8])
def test_a_trigger_that_was_given_up_is_somebodys_business_while_its_incident_is_open(
    client: MlflowClient, sql: RawSql, age: int
) -> None:
    model_in_production(client)
    (incident,) = find(client, "input/age", triggers=["page"])
    sql("UPDATE trigger_deliveries SET state = 'failed', attempts = 10, message = 'no pager'")
    sql("UPDATE monitor_checks SET end_time = end_time - ?", (age * DAY,))
    assert [one.trigger for one in lost_triggers(client)] == ["page"]
    client.close_incident(incident.id)
    assert lost_triggers(client) == []


@pytest.mark.parametrize(("age", "lost"), [(0, ["rollback"]), (8, [])])
def test_a_rollback_that_failed_is_somebodys_business_for_a_week(
    client: MlflowClient, sql: RawSql, age: int, lost: list[str]
) -> None:
    register(client, "nba", 1)
    client.transition_model_version_stage("nba", 1, "Production")
    guard = client.guard_stage("nba", duration="1h")
    drift = CheckOutcome(CheckStatus.DRIFT, 1, message="drift: x")
    run_due(client, monitor_id=guard.id, triggers=NOTHING, check=lambda *_: drift)
    assert sql("SELECT state FROM trigger_deliveries") == [("failed",)]
    sql("UPDATE monitor_checks SET end_time = end_time - ?", (age * DAY,))
    assert [one.trigger for one in lost_triggers(client)] == lost
