"""gc removes the checks of monitors that nothing needs, and keeps all others."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from governed_models import RawSql, raw_connection, register
from monitored_models import NOTHING

import registry
from registry import MlflowClient
from registry.entities import LifecycleStage, Monitor
from registry.entities.monitors import CheckOutcome, CheckStatus
from registry.monitoring.runner import run_due
from registry.store.gc import Windows, old_checks

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


def windows_of(client: MlflowClient) -> Windows:
    return Windows(expired=client.backend.gc.now_ms() - 30 * DAY, abandoned=0)


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
    store, windows = client.backend.gc, windows_of(client)
    assert [candidate.key for candidate in store.find(windows)] == [old]
    (unjudged,) = store.find_unjudged_checks([old])
    client.set_promotion_rules("nba", "Production", [registry.CheckedWithin("100d")])
    sql("DELETE FROM monitor_checks WHERE id > ?", (old,))
    client.transition_model_version_stage("nba", 2, "Production")
    make_check(client, monitor, version=2)

    # Judged after gc listed it, and after gc read the history.
    assert store.find_unjudged_checks([old, 99]) == []
    assert store.remove_checks(unjudged, windows) == []
    assert old in kept(sql)
    client.verify("nba")


def test_a_check_stays_that_a_promotion_is_judged_on_while_gc_waits_for_the_model(
    client: MlflowClient, sql: RawSql, monitor: Monitor, database_url: str
) -> None:
    judged, _ = make_check(client, monitor, version=2)
    client.set_promotion_rules("nba", "Production", [registry.CheckedWithin("100d")])
    client.transition_model_version_stage("nba", 2, "Production")
    other, _ = make_check(client, monitor, version=2)
    make_check(client, monitor, version=2)
    age(sql, judged, other)
    store = client.backend.gc
    (unjudged,) = store.find_unjudged_checks([judged, other])
    assert unjudged.keys == [other]
    ((event, model),) = sql("SELECT details, model_id FROM history WHERE details LIKE ?", ('%"kind":"check"%',))
    later = event.replace(f'"id":{judged},"kind":"check"', f'"id":{other},"kind":"check"')
    mark = "?" if database_url.startswith("sqlite") else "%s"

    with raw_connection(database_url) as connection, ThreadPoolExecutor() as pool:
        is_sqlite = database_url.startswith("sqlite")
        connection.execute("BEGIN IMMEDIATE" if is_sqlite else "BEGIN")
        connection.execute(f"UPDATE registered_models SET last_seq = last_seq + 1 WHERE id = {model}")
        removing = pool.submit(store.remove_checks, unjudged, windows_of(client))
        with pytest.raises(TimeoutError):
            removing.result(0.2)
        connection.execute(
            "INSERT INTO history (id, model_id, seq, kind, version, actor, time_us, details, hash) SELECT max(id) + 1, "
            f"{model}, max(seq) + 1, 'stage_changed', 2, 'me', max(time_us) + 1, {mark}, 'h' FROM history",
            (later,),
        )
        connection.execute("COMMIT")
        assert removing.result(30) == []

    assert kept(sql)[:2] == [judged, other]


@pytest.mark.parametrize("batch", [1, 2, 500])
def test_many_checks_of_several_models_are_removed_in_batches(
    client: MlflowClient, sql: RawSql, monitor: Monitor, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(old_checks, "BATCH", batch)
    register(client, "nhl")
    client.transition_model_version_stage("nhl", 1, "Production")
    second = client.add_monitor("nhl")
    made = [make_check(client, one) for one in (monitor, second) * 4]
    numbers = [number for number, _ in made]
    age(sql, *numbers)

    assert client.collect_garbage(apply=True).counts == {"check": 6}

    assert kept(sql) == numbers[6:]
    stages = [client.get_run(run_id).info.lifecycle_stage for _, run_id in made]
    assert stages == [LifecycleStage.DELETED] * 6 + [LifecycleStage.ACTIVE] * 2


def test_the_check_stays_that_ended_last_though_a_clock_went_back(
    client: MlflowClient, sql: RawSql, monitor: Monitor
) -> None:
    numbers = [make_check(client, monitor)[0] for _ in range(3)]
    age(sql, *numbers)
    age(sql, *numbers[1:], days=1)

    assert client.collect_garbage(apply=True).counts == {"check": 1}

    # The rules are judged on the first one, and the monitor shows the last one.
    assert kept(sql) == [numbers[0], numbers[2]]


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
