"""A guard: a new version whose checks find drift is rolled back."""

import pytest
from governed_models import RawSql, kinds
from monitored_models import NOTHING, finding, model_in_production

from registry import MlflowClient
from registry.entities import Monitor
from registry.exceptions import InvalidParameterError, NotFoundError
from registry.monitoring.monitors import monitor_states
from registry.monitoring.runner import RunnerReport, run_due


def check_now(client: MlflowClient, monitor: Monitor, *causes: str) -> RunnerReport:
    return run_due(client, monitor_id=monitor.id, triggers=NOTHING, check=finding(*causes))


def holder(client: MlflowClient) -> int:
    return client.get_model_version_by_stage("nba", "Production").version


def test_a_guarded_version_whose_check_finds_drift_is_rolled_back(client: MlflowClient) -> None:
    model_in_production(client)
    monitor = client.guard_stage("nba", duration="24h")
    check_now(client, monitor)
    assert holder(client) == 2

    report = check_now(client, monitor, "performance/auc:metric")

    assert [(one.delivery.trigger, str(one.state), one.message) for one in report.deliveries] == [
        ("rollback", "delivered", "version 1 holds Production again")
    ]
    assert holder(client) == 1
    (incident,) = client.get_incidents("nba")
    event = client.get_history("nba")[-1]
    assert (event.kind, event.version) == ("rolled_back", 1)
    assert event.reason == (
        f"guard {monitor.id}: check {incident.check_id} of version 2 found drift: performance/auc:metric; run r1"
    )
    client.verify("nba")


def test_a_guard_ends_when_its_version_no_longer_holds_the_stage(client: MlflowClient, sql: RawSql) -> None:
    model_in_production(client, versions=3)
    client.guard_stage("nba", duration="24h")
    client.rollback("nba")
    sql("UPDATE monitors SET next_time = 0")

    assert run_due(client, triggers=NOTHING, check=finding("a", version=3)).checks == []
    assert holder(client) == 2


def test_a_guard_ends_after_its_time(client: MlflowClient, sql: RawSql) -> None:
    model_in_production(client)
    monitor = client.guard_stage("nba", duration="1h", every="20m")
    assert monitor.guard is not None
    sql("UPDATE monitor_guards SET until = ?", (monitor.next_time - 1,))

    assert run_due(client, monitor_id=monitor.id, triggers=NOTHING, check=finding("a")).checks == []
    assert [one.state for one in monitor_states(client)] == ["ended"]
    assert holder(client) == 2


def test_a_cause_that_has_an_incident_already_rolls_back_too(client: MlflowClient) -> None:
    model_in_production(client)
    monitor = client.add_monitor("nba")
    check_now(client, monitor, "a")

    check_now(client, client.guard_stage("nba"), "a")

    assert holder(client) == 1


def test_a_rollback_whose_version_was_replaced_meanwhile_changes_nothing(client: MlflowClient) -> None:
    model_in_production(client, versions=3)
    monitor = client.guard_stage("nba")
    lease = client.backend.monitors.lease("x", 60, monitor.id)
    assert lease is not None
    client.backend.incidents.finish_check(lease, finding("a", version=3)(client, monitor))
    client.transition_model_version_stage("nba", 1, "Production")

    (done,) = run_due(client, triggers=NOTHING, check=finding()).deliveries

    assert (str(done.state), done.message) == ("skipped", "version 3 does not hold Production any more")
    assert holder(client) == 1


def test_a_rollback_that_has_nothing_to_go_back_to_is_given_up(client: MlflowClient) -> None:
    model_in_production(client, versions=1)
    monitor = client.guard_stage("nba")

    report = run_due(client, monitor_id=monitor.id, triggers=NOTHING, check=finding("a", version=1))

    assert [str(one.state) for one in report.deliveries] == ["failed"]
    assert holder(client) == 1


@pytest.mark.parametrize("kind", ["removed", "withdrawn"])
def test_no_rollback_happens_without_the_guard(client: MlflowClient, sql: RawSql, kind: str) -> None:
    """Only a promoter may write a guard; a writer who forges a delivery of 'rollback' moves nothing."""
    model_in_production(client)
    monitor = client.guard_stage("nba")
    lease = client.backend.monitors.lease("x", 60, monitor.id)
    assert lease is not None
    client.backend.incidents.finish_check(lease, finding("a")(client, monitor))
    if kind == "removed":
        client.remove_monitor(monitor.id)
    else:
        sql("DELETE FROM monitor_guards")
    before = kinds(client, "nba")

    (done,) = run_due(client, triggers=NOTHING, check=finding()).deliveries

    assert (str(done.state), done.message) == (
        "skipped",
        "the guard was removed" if kind == "removed" else "no guard asked for it",
    )
    assert kinds(client, "nba") == before


def test_a_guard_needs_a_version_and_some_time(client: MlflowClient) -> None:
    model_in_production(client)

    with pytest.raises(NotFoundError, match="Staging of 'nba' is empty; a guard watches the version that holds it."):
        client.guard_stage("nba", "Staging")
    with pytest.raises(InvalidParameterError, match="duration must be at least 60s, got '5s'."):
        client.guard_stage("nba", duration="5s")
    monitor = client.guard_stage("nba", duration="48h", triggers=["page"])
    assert (monitor.every_seconds, monitor.settings, monitor.triggers) == (7_200, {"window": "48h"}, ("page",))
