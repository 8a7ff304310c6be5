"""Incidents: one per cause, in the model's history, and under verify."""

from collections.abc import Callable

import pytest
from governed_models import RawSql, drop_guards, kinds
from monitored_models import DIGEST, NOTHING, find, finding, model_in_production
from racing import errors, race

from registry import MlflowClient
from registry.entities.monitors import CheckOutcome, CheckStatus
from registry.exceptions import IntegrityError, InvalidParameterError, InvalidStateError, NotFoundError
from registry.monitoring.runner import run_due


def test_each_cause_opens_an_incident_with_figures_and_digest_in_the_history(client: MlflowClient) -> None:
    model_in_production(client)

    first, second = find(client, "input/age:distribution", "performance/auc:metric")

    assert (first.cause, second.cause) == ("input/age:distribution", "performance/auc:metric")
    assert (first.name, first.status, first.version, first.changed_by) == ("nba", "open", 2, "tester")
    assert (first.figures, first.report_digest, first.run_id) == ({"effect": 0.25}, DIGEST, "r1")
    assert client.get_incident(first.id) == first
    event = client.get_history("nba")[-2]
    assert (event.kind, event.version, event.from_value, event.to_value) == ("incident_opened", 2, None, "open")
    assert event.time_us == first.opened_us
    assert event.details == {
        "incident": first.id,
        "cause": "input/age:distribution",
        "figures": {"effect": 0.25},
        "report_digest": DIGEST,
        "run_id": "r1",
        "monitor_id": 1,
        "check_id": first.check_id,
    }
    assert client.verify("nba").events == event.seq + 1


def test_a_check_without_drift_writes_nothing_to_the_history(client: MlflowClient) -> None:
    model_in_production(client)
    before = kinds(client, "nba")

    assert find(client) == []

    assert kinds(client, "nba") == before


def test_a_cause_has_one_incident_that_is_not_closed(client: MlflowClient) -> None:
    model_in_production(client)
    (first,) = find(client, "a")

    assert [incident.cause for incident in find(client, "a", "b")] == ["b"]
    client.acknowledge_incident(first.id, reason="looking at the feed")
    assert find(client, "a") == []
    client.close_incident(first.id, reason="the feed is mended")
    (again,) = find(client, "a")

    assert again.id != first.id
    assert [(one.cause, one.status, one.reason) for one in client.get_incidents("nba")] == [
        ("a", "closed", "the feed is mended"),
        ("b", "open", None),
        ("a", "open", None),
    ]
    assert [one.cause for one in client.get_incidents(statuses=["open", "acknowledged"])] == ["b", "a"]
    client.verify("nba")


def test_a_closed_cause_opens_no_incident_within_the_cool_down(client: MlflowClient) -> None:
    model_in_production(client)
    (incident,) = find(client, "a")
    client.close_incident(incident.id)

    assert find(client, "a", cooldown="1d") == []
    assert [one.cause for one in find(client, "a", cooldown="0s")] == ["a"]


def test_two_models_have_incidents_of_the_same_cause(client: MlflowClient) -> None:
    model_in_production(client)
    model_in_production(client, "nfl")
    find(client, "a")
    monitor = client.add_monitor("nfl")

    (done,) = run_due(client, monitor_id=monitor.id, triggers=NOTHING, check=finding("a")).checks

    assert [incident.name for incident in done.incidents] == ["nfl"]


def test_acknowledging_and_closing_are_events_and_repeating_them_changes_nothing(client: MlflowClient) -> None:
    model_in_production(client)
    (incident,) = find(client, "a")
    before = len(kinds(client, "nba"))

    for _ in range(2):
        acknowledged = client.acknowledge_incident(incident.id, reason="seen")
    for _ in range(2):
        closed = client.close_incident(str(incident.id), reason="over")

    assert (acknowledged.status, acknowledged.reason) == ("acknowledged", "seen")
    assert (closed.status, closed.reason, closed.opened_us) == ("closed", "over", incident.opened_us)
    events = client.get_history("nba")[before:]
    assert [(event.kind, event.from_value, event.to_value, event.reason, dict(event.details)) for event in events] == [
        ("incident_acknowledged", "open", "acknowledged", "seen", {"incident": incident.id, "cause": "a"}),
        ("incident_closed", "acknowledged", "closed", "over", {"incident": incident.id, "cause": "a"}),
    ]
    with pytest.raises(InvalidStateError, match="is closed; it cannot be acknowledged"):
        client.acknowledge_incident(incident.id)
    with pytest.raises(NotFoundError, match="There is no incident 99"):
        client.close_incident(99)
    with pytest.raises(InvalidParameterError, match="statuses is a list of acknowledged, closed, open"):
        client.get_incidents(statuses="open")


TAMPERINGS: list[tuple[str, str]] = [
    ("UPDATE incidents SET status = 'closed'", "incident"),
    ("UPDATE incidents SET figures = '{\"effect\":0.01}'", "incident"),
    ("UPDATE incidents SET report_digest = 'e'", "incident"),
    ("UPDATE incidents SET version = 1", "incident"),
    ("UPDATE incidents SET cause = 'b'", "incident"),
    ("UPDATE incidents SET changed_by = 'nobody'", "incident"),
    ("UPDATE incidents SET reason = 'never mind'", "incident"),
    ("UPDATE incidents SET opened_us = opened_us - 1", "incident"),
    ("DELETE FROM incidents", "incident"),
    (
        "INSERT INTO incidents (model_id, cause, status, version, check_id, figures, opened_us, changed_us, changed_by)"
        " SELECT model_id, 'b', 'closed', 1, check_id, '{}', 1, 1, 'me' FROM incidents",
        "incident",
    ),
    ("UPDATE history SET details = replace(details, '0.25', '0.01') WHERE kind = 'incident_opened'", "was edited"),
]


@pytest.mark.parametrize(("statement", "message"), TAMPERINGS)
def test_verify_finds_an_incident_that_was_edited(
    client: MlflowClient, sql: RawSql, statement: str, message: str
) -> None:
    model_in_production(client)
    find(client, "a")
    client.verify("nba")
    drop_guards(client.tracking_uri)

    sql(statement)

    with pytest.raises(IntegrityError, match=message):
        client.verify("nba")


def _find_in_each(client: MlflowClient, worker: int, _round: int) -> list[str]:
    lease = client.backend.monitors.lease(f"worker-{worker}", 60, worker + 1)
    assert lease is not None
    outcome = CheckOutcome(CheckStatus.DRIFT, 2, {"a": {"effect": 0.5}})
    finished = client.backend.incidents.finish_check(lease, outcome)
    assert finished is not None
    return [incident.cause for incident in finished[1]]


def test_monitors_that_find_one_cause_at_once_open_one_incident(client: MlflowClient) -> None:
    model_in_production(client)
    for _ in range(4):
        client.add_monitor("nba", cooldown="0s")

    told = race(client.tracking_uri, _find_in_each, workers=4, rounds=1)

    assert errors(told) == []
    assert sorted(one.value for one in told) == [[], [], [], ["a"]]
    assert len(client.get_incidents()) == 1
    client.verify("nba")


def test_an_hourly_check_does_not_wait_for_the_models_lock(postgres_url: str) -> None:
    client = MlflowClient(postgres_url)
    model_in_production(client)
    client.add_monitor("nba")
    checked: list[str] = []

    def hold(work: Callable[[], None]) -> None:
        stages = client.backend.stages

        def locked(connection: object) -> None:
            with stages.locked(connection, "nba"):  # type: ignore[arg-type]
                work()

        client.backend.database.write(locked)

    hold(lambda: checked.extend(str(c.status) for c in run_due(client, triggers=NOTHING, check=finding()).checks))

    assert checked == ["ok"]


def test_an_offline_client_changes_no_incident(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from registry.exceptions import OfflineError

    monkeypatch.setenv("REGISTRY_SPOOL_DIR", "spool")
    monkeypatch.setenv("REGISTRY_TRACKING_URI", client.tracking_uri)
    with pytest.raises(OfflineError):
        MlflowClient().add_monitor("nba")
