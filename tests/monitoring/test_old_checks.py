"""gc removes the checks of monitors that nothing needs, and keeps all others."""

import pytest
from governed_models import RawSql, register
from monitored_models import NOTHING

import registry
from registry import MlflowClient
from registry.entities import LifecycleStage, Monitor
from registry.entities.monitors import CheckOutcome, CheckStatus
from registry.monitoring.runner import run_due

DAY = 86_400_000


def make_check(
    client: MlflowClient, monitor: Monitor, status: str = "ok", *, version: int | None = 1, causes: tuple[str, ...] = ()
) -> tuple[int, str]:
    """Let a monitor make a check that ends so; return its number and its run."""
    run_id = client.create_run("0").info.run_id
    outcome = CheckOutcome(CheckStatus(status), version, dict.fromkeys(causes, 1), None, "d" * 64, run_id, 0)
    (done,) = run_due(client, monitor_id=monitor.id, triggers=NOTHING, check=lambda *_: outcome).checks
    assert done.check_id is not None
    return done.check_id, run_id


def age(sql: RawSql, *numbers: int, days: int = 40) -> None:
    for number in numbers:
        sql("UPDATE monitor_checks SET end_time = end_time - ? WHERE id = ?", (days * DAY, number))


def kept(sql: RawSql) -> list[int]:
    return [row[0] for row in sql("SELECT id FROM monitor_checks ORDER BY id")]


@pytest.fixture
def monitor(client: MlflowClient) -> Monitor:
    register(client, "nba", 2)
    client.transition_model_version_stage("nba", 1, "Production")
    return client.add_monitor("nba", triggers=["page"])


def test_old_checks_go_with_their_runs_and_the_newest_stay(client: MlflowClient, sql: RawSql, monitor: Monitor) -> None:
    made = [make_check(client, monitor, status) for status in ("ok", "error", "unavailable", "drift", "ok", "error")]
    numbers = [number for number, _ in made]
    age(sql, *numbers)

    plan = client.collect_garbage()
    assert (plan.applied, plan.counts) == (False, {"check": 4})
    assert next((item.kind, item.id, item.name) for item in plan.items) == ("check", str(numbers[0]), "nba")
    assert len(kept(sql)) == 6
    assert client.collect_garbage(older_than="50d").counts == {}
    done = client.collect_garbage(apply=True)

    assert done.counts == {"check": 4}
    # The newest that measured something, on which rules are judged, and the newest of the monitor.
    assert kept(sql) == numbers[4:]
    stages = [client.get_run(run_id).info.lifecycle_stage for _, run_id in made]
    assert stages == [LifecycleStage.DELETED] * 4 + [LifecycleStage.ACTIVE] * 2
    assert client.collect_garbage(apply=True).counts == {}
    assert client.collect_garbage(apply=True, older_than="0s").counts == {"run": 4}


def test_checks_that_are_not_old_stay(client: MlflowClient, sql: RawSql, monitor: Monitor) -> None:
    for _ in range(3):
        make_check(client, monitor)
    assert client.collect_garbage(apply=True).counts == {}
    assert len(kept(sql)) == 3


def test_checks_that_incidents_and_triggers_need_stay(client: MlflowClient, sql: RawSql, monitor: Monitor) -> None:
    found, run_id = make_check(client, monitor, "drift", causes=("input/age",))
    guard = client.guard_stage("nba", duration="1h")
    client.close_incident(client.get_incidents("nba")[0].id)
    rolled, _ = make_check(client, guard, "drift")
    later = [make_check(client, one)[0] for one in (monitor, guard, monitor, guard)]
    age(sql, found, rolled, *later)

    client.collect_garbage(apply=True)

    assert kept(sql) == [found, rolled, *later[2:]]
    assert client.get_run(run_id).info.lifecycle_stage == LifecycleStage.ACTIVE
    assert client.verify("nba").events > 0


def test_a_check_that_a_promotion_was_judged_on_stays(client: MlflowClient, sql: RawSql, monitor: Monitor) -> None:
    judged, _ = make_check(client, monitor, version=2)
    age(sql, judged)
    client.set_promotion_rules("nba", "Production", [registry.CheckedWithin("100d")])
    client.transition_model_version_stage("nba", 2, "Production")
    others = [make_check(client, monitor, version=2)[0] for _ in range(3)]
    age(sql, *others)

    assert client.collect_garbage().counts == {"check": 2}
    client.collect_garbage(apply=True)

    assert kept(sql) == [judged, others[-1]]
    client.verify("nba")


def test_a_check_that_is_needed_by_now_stays_although_it_was_listed(
    client: MlflowClient, sql: RawSql, monitor: Monitor
) -> None:
    old, _ = make_check(client, monitor, version=2)
    make_check(client, monitor, version=2)
    age(sql, old)
    from registry.store.gc.removal_conditions import Windows

    store = client.backend.gc
    windows = Windows(expired=store.now_ms() - 30 * DAY, abandoned=0)
    assert [candidate.key for candidate in store.find(windows)] == [old]
    client.set_promotion_rules("nba", "Production", [registry.CheckedWithin("100d")])
    sql("DELETE FROM monitor_checks WHERE id > ?", (old,))
    client.transition_model_version_stage("nba", 2, "Production")
    make_check(client, monitor, version=2)

    assert store.remove_check(old, windows) is False
    assert store.remove_check(99, windows) is False
    assert old in kept(sql)
    client.verify("nba")


def test_checks_without_a_monitor_and_runs_that_are_named_are_told_apart(
    client: MlflowClient, sql: RawSql, monitor: Monitor
) -> None:
    numbers = [client.backend.monitors.log_check("nba", CheckOutcome(CheckStatus.OK, 1)) for _ in range(3)]
    age(sql, *numbers)
    deleted = client.create_run("0").info.run_id
    client.delete_run(deleted)

    assert client.collect_garbage(older_than="0s", run_ids=[deleted]).counts == {"run": 1}
    assert client.collect_garbage(apply=True).counts == {"check": 2}
    assert kept(sql) == numbers[2:]
    assert monitor.id == 1
