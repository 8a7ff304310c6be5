"""Due checks: each is made once, whatever runners there are and however they end."""

import time
from pathlib import Path

import pytest
from governed_models import RawSql, register
from monitored_models import NOTHING, finding, model_in_production, race_of_runners

from registry import MlflowClient
from registry.entities import Monitor
from registry.entities.monitors import CheckOutcome, CheckStatus
from registry.exceptions import InvalidParameterError, ModelNotFoundError, NotFoundError
from registry.monitoring.runner import run_due


def test_a_due_check_is_made_and_recorded_and_the_next_is_due_after_the_interval(client: MlflowClient) -> None:
    model_in_production(client)
    monitor = client.add_monitor("nba", every="1h", window="7d", triggers=["page"])

    report = run_due(client, triggers=NOTHING, check=finding())
    again = run_due(client, triggers=NOTHING, check=finding())

    assert [(check.status, check.message, check.incidents) for check in report.checks] == [("ok", None, ())]
    assert again.checks == []
    (check,) = client.get_monitor_checks(monitor.id)
    assert (check.monitor_id, check.version, check.status, check.due_time) == (monitor.id, 2, "ok", monitor.next_time)
    now = client.get_monitor(monitor.id)
    assert now.next_time == monitor.next_time + 3_600_000
    assert (now.lease_until, now.last_check) == (None, check)


@pytest.mark.slow
def test_four_runners_make_each_of_a_thousand_due_checks_once(
    client: MlflowClient, sql: RawSql, tmp_path: Path
) -> None:
    model_in_production(client, versions=1)
    client.add_monitor("nba", every="1d")
    columns = "model_id, stage, every_seconds, cooldown_seconds, settings, triggers, actor, creation_time, next_time"
    counted = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999)"
    sql(f"INSERT INTO monitors ({columns}) {counted} SELECT {columns} FROM monitors, n WHERE monitors.id = 1")
    monitors = [monitor.id for monitor in client.get_monitors()]
    assert len(monitors) == 1_000
    made = tmp_path / "made"
    made.mkdir()

    checked = race_of_runners(client.tracking_uri, 4, made)

    assert sorted(number for numbers in checked for number in numbers) == monitors
    assert sorted(int(path.name) for path in made.iterdir()) == monitors
    assert sql("SELECT count(*), count(DISTINCT monitor_id) FROM monitor_checks WHERE status = 'ok'") == [(1000, 1000)]


def test_a_lease_that_ended_gives_the_check_to_another_runner_and_the_first_records_nothing(
    client: MlflowClient,
) -> None:
    model_in_production(client)
    monitor = client.add_monitor("nba")
    store = client.backend.monitors
    slow = store.lease("slow", 0.01)
    assert slow is not None
    time.sleep(0.02)

    quick = store.lease("quick", 60)

    assert quick is not None
    assert store.renew(slow, 60) is False
    assert client.backend.incidents.finish_check(slow, CheckOutcome(CheckStatus.DRIFT, 2, {"a": {}})) is None
    assert client.get_incidents() == []
    assert store.lease("third", 60) is None
    assert client.backend.incidents.finish_check(quick, CheckOutcome(CheckStatus.OK, 2)) is not None
    assert [check.status for check in client.get_monitor_checks(monitor.id)] == ["ok"]


def test_a_long_check_keeps_its_lease(client: MlflowClient) -> None:
    model_in_production(client)
    client.add_monitor("nba")

    def slow(client: MlflowClient, monitor: Monitor) -> CheckOutcome:
        time.sleep(1)
        assert client.backend.monitors.lease("other", 60) is None
        return finding()(client, monitor)

    report = run_due(client, triggers=NOTHING, check=slow, lease_seconds=0.4)

    assert [(check.check_id is not None, check.status) for check in report.checks] == [(True, "ok")]


def test_missed_checks_are_made_once_and_not_made_up_for(client: MlflowClient, sql: RawSql) -> None:
    model_in_production(client)
    monitor = client.add_monitor("nba", every="1h")
    sql("UPDATE monitors SET next_time = next_time - 10 * 3600000 - 60000")

    assert len(run_due(client, triggers=NOTHING, check=finding()).checks) == 1
    assert run_due(client, triggers=NOTHING, check=finding()).checks == []
    assert client.get_monitor(monitor.id).next_time == monitor.next_time + 3_600_000 - 60_000


def test_a_check_that_raises_is_an_error_and_the_others_are_made(client: MlflowClient) -> None:
    model_in_production(client)
    first, second = client.add_monitor("nba").id, client.add_monitor("nba").id

    def check(client: MlflowClient, monitor: Monitor) -> CheckOutcome:
        if monitor.id == first:
            raise ZeroDivisionError("no\nrows")
        return finding()(client, monitor)

    report = run_due(client, triggers=NOTHING, check=check)

    assert report.has_failures
    assert {check.monitor.id: (check.status, check.message) for check in report.checks} == {
        first: ("error", "ZeroDivisionError: no rows"),
        second: ("ok", None),
    }
    assert client.get_monitor_checks(first)[0].message == "ZeroDivisionError: no rows"


def test_an_interrupted_check_is_due_at_once(client: MlflowClient) -> None:
    model_in_production(client)
    client.add_monitor("nba")

    def interrupted(_client: MlflowClient, _monitor: Monitor) -> CheckOutcome:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_due(client, triggers=NOTHING, check=interrupted)

    assert [check.status for check in run_due(client, triggers=NOTHING, check=finding()).checks] == ["ok"]


def test_a_monitor_waits_while_its_stage_is_empty(client: MlflowClient) -> None:
    register(client, "nba", 1)
    client.add_monitor("nba")
    assert run_due(client, triggers=NOTHING, check=finding()).checks == []

    client.transition_model_version_stage("nba", 1, "Production")

    assert len(run_due(client, triggers=NOTHING, check=finding(version=1)).checks) == 1


def test_at_most_so_many_checks_are_made_as_are_asked_for(client: MlflowClient) -> None:
    model_in_production(client)
    for _ in range(3):
        client.add_monitor("nba")

    assert len(run_due(client, triggers=NOTHING, check=finding(), limit=2).checks) == 2


def test_a_model_that_is_deleted_during_its_check_gets_none(client: MlflowClient) -> None:
    model_in_production(client)
    client.add_monitor("nba")

    def check(client: MlflowClient, monitor: Monitor) -> CheckOutcome:
        client.delete_registered_model("nba", force=True)
        return finding("a")(client, monitor)

    (done,) = run_due(client, triggers=NOTHING, check=check).checks

    assert (done.check_id, done.status) == (None, "error")
    assert client.get_monitors() == []
    assert run_due(client, triggers=NOTHING, check=finding()).checks == []


def test_a_model_that_is_renamed_during_its_check_gets_its_incident(client: MlflowClient) -> None:
    model_in_production(client)
    client.add_monitor("nba")

    def check(client: MlflowClient, monitor: Monitor) -> CheckOutcome:
        client.rename_registered_model("nba", "wnba")
        return finding("a")(client, monitor)

    run_due(client, triggers=NOTHING, check=check)

    assert [(incident.name, incident.cause) for incident in client.get_incidents()] == [("wnba", "a")]
    assert client.verify("wnba").events == client.get_history("wnba")[-1].seq


def test_a_removed_monitor_leaves_its_checks_and_incidents(client: MlflowClient, sql: RawSql) -> None:
    model_in_production(client)
    monitor = client.add_monitor("nba")
    run_due(client, triggers=NOTHING, check=finding("a"))

    client.remove_monitor(monitor.id)

    assert client.get_monitors() == []
    assert [incident.monitor_id for incident in client.get_incidents("nba")] == [monitor.id]
    assert sql("SELECT count(*) FROM monitor_checks") == [(1,)]
    with pytest.raises(NotFoundError, match="There is no monitor"):
        client.remove_monitor(monitor.id)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": "0s"}, "every must be at least 1s, got '0s'."),
        ({"every": "daily"}, "'daily' is not a duration"),
        ({"every": 3600}, "every is a duration such as '12h', got 3600."),
        ({"window": "0d"}, "window must be at least 1s"),
        ({"against": "yesterday"}, "against"),
        ({"detectors": "ks"}, "detectors"),
        ({"detectors": ["\0"]}, "detector"),
        ({"minimum_rows": 1}, "minimum_rows must be 2 or more, got 1."),
        ({"false_incidents": -1}, "false_incidents must be more than 0, got -1."),
        ({"triggers": ["rollback"]}, "The trigger 'rollback' belongs to guards; use guard_stage."),
        ({"triggers": ["../../bin/sh\n"]}, "trigger"),
        ({"triggers": [f"t{number}" for number in range(21)]}, "A monitor may have 20 triggers, got 21."),
        ({"stage": "Archived"}, "stage"),
    ],
)
def test_a_monitor_that_could_not_be_run_is_refused(
    client: MlflowClient, options: dict[str, object], message: str
) -> None:
    register(client, "nba", 1)

    with pytest.raises(InvalidParameterError, match=message.replace("'", ".").replace("(", ".")):
        client.add_monitor("nba", **options)  # type: ignore[arg-type]


def test_a_monitor_keeps_all_that_it_was_given(client: MlflowClient) -> None:
    register(client, "nba", 1)

    monitor = client.add_monitor(
        "nba",
        "staging",
        every="90m",
        window="3d",
        against=1,
        detectors=["ks", "psi"],
        minimum_rows=50,
        false_incidents=1,
        triggers=["page", "retrain"],
        cooldown="2d",
    )

    assert client.get_monitors("nba") == [monitor]
    assert (monitor.stage, monitor.every_seconds, monitor.cooldown_seconds) == ("Staging", 5_400, 172_800)
    assert monitor.triggers == ("page", "retrain")
    assert monitor.settings == {
        "window": "3d",
        "against": 1,
        "detectors": ["ks", "psi"],
        "minimum_rows": 50,
        "false_incidents": 1.0,
    }


def test_a_monitor_of_no_model_is_refused(client: MlflowClient) -> None:
    for call in (client.add_monitor, client.get_monitors, client.get_incidents):
        with pytest.raises(ModelNotFoundError, match="nba"):
            call("nba")
    with pytest.raises(InvalidParameterError, match="limit must be 1 to 10000"):
        client.get_monitor_checks(1, limit=0)
