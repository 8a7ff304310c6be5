"""A machine's clock is ahead: changes are refused or reported, and the history can be corrected."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from governed_models import raw_sql, register

import registry
from registry import MlflowClient
from registry.client.maintenance.doctor import examine
from registry.entities.history import HistoryEvent, microseconds_of
from registry.exceptions import ClockAheadError, IntegrityError, InvalidParameterError, InvalidStateError
from registry.store import clock

YEAR = timedelta(days=365)


def set_clock(monkeypatch: pytest.MonkeyPatch, ahead: timedelta) -> None:
    """Set the database's clock ahead: the machine's, and on PostgreSQL the server's."""
    shift = ahead // timedelta(microseconds=1)
    monkeypatch.setattr(clock, "clock_us", lambda server_us: time.time_ns() // 1_000 + shift)


@pytest.fixture
def ahead(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """Production is 1, then 2; then a machine that is a year ahead promotes 3."""
    register(client, "nba", 3)
    client.set_registered_model_alias("nba", "best", 1)
    for version in (1, 2):
        client.transition_model_version_stage("nba", version, "Production")
    set_clock(monkeypatch, YEAR)
    client.transition_model_version_stage("nba", 3, "Production")
    set_clock(monkeypatch, timedelta())
    return client


def held(client: MlflowClient, at: datetime | None = None) -> int | None:
    version = client.find_model_version_by_stage("nba", "Production", at)
    return None if version is None else version.version


def test_on_postgresql_the_clock_of_the_server_counts(
    postgres_url: str, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient(postgres_url)
    register(client, "nba", 1)
    monkeypatch.setattr(time, "time_ns", lambda: 4_102_444_800_000_000_000)  # the year 2100
    client.transition_model_version_stage("nba", 1, "Production")
    client.delete_registered_model("nba", force=True)
    events = client.get_history("nba")
    assert max(event.time for event in events) < datetime.now(UTC) + timedelta(minutes=5)
    client.delete_run(client.create_run("0").info.run_id)
    assert raw_sql(postgres_url)("SELECT count(*) FROM registry_id WHERE latest_ms > 4000000000000") == [(0,)]


def test_a_change_is_refused_while_the_last_event_lies_ahead_of_the_clock(ahead: MlflowClient) -> None:
    before = ahead.get_history("nba")
    for change in (
        lambda: ahead.transition_model_version_stage("nba", 1, "Production"),
        lambda: ahead.rollback("nba"),
        lambda: ahead.set_registered_model_alias("nba", "best", 2),
        lambda: ahead.set_model_version_tag("nba", 1, "k", "v"),
        lambda: ahead.delete_registered_model("nba", force=True),
        lambda: register(ahead, "nba"),
    ):
        with pytest.raises(ClockAheadError, match="registry models correct-clock nba"):
            change()
    assert ahead.get_history("nba") == before
    register(ahead, "another")


def test_five_minutes_ahead_are_no_reason_to_refuse(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    register(client, "nba", 1)
    set_clock(monkeypatch, timedelta(minutes=4))
    client.transition_model_version_stage("nba", 1, "Production")
    set_clock(monkeypatch, timedelta())
    client.transition_model_version_stage("nba", 1, "Staging")
    first, second = client.get_history("nba")[-2:]
    assert second.time_us == first.time_us + 1


def test_who_says_so_changes_it_all_the_same(ahead: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    last = ahead.get_history("nba")[-1]
    monkeypatch.setenv("REGISTRY_IGNORE_CLOCK", "1")
    MlflowClient().transition_model_version_stage("nba", 1, "Production")
    assert [event.time_us - last.time_us for event in ahead.get_history("nba")[-2:]] == [1, 2]


def test_the_doctor_tells_of_it(ahead: MlflowClient) -> None:
    told = [finding for finding in examine(ahead.tracking_uri) if "ahead of the clock" in finding.text]
    assert [(finding.verdict, finding.remedy) for finding in told] == [
        ("warn", "if the clock is right now: registry models correct-clock nba")
    ]
    ahead.correct_clock("nba", ahead=YEAR)
    assert [finding for finding in examine(ahead.tracking_uri) if "ahead of the clock" in finding.text] == []


def test_a_correction_puts_time_travel_right_and_edits_no_event(ahead: MlflowClient) -> None:
    before = ahead.get_history("nba")
    wrong = before[-1]
    assert held(ahead, datetime.now(UTC)) == 2

    event = ahead.correct_clock("nba", ahead="365d", reason="worker 7")

    assert (event.kind, event.reason, dict(event.details)) == (
        "clock_corrected",
        "worker 7",
        {"from_seq": wrong.seq - 1, "to_seq": wrong.seq, "shift": -365 * 86_400 * 1_000_000},
    )
    assert ahead.get_history("nba") == [*before, event]
    right = wrong.time - YEAR
    assert (held(ahead, right - timedelta(microseconds=1)), held(ahead, right)) == (2, 3)
    assert (held(ahead, datetime.now(UTC)), held(ahead)) == (3, 3)
    assert registry.resolve("models:/nba@best").version == 1
    ahead.verify("nba")
    ahead.verify_all()

    ahead.transition_model_version_stage("nba", 1, "Production", reason="next")
    assert held(ahead, datetime.now(UTC)) == 1
    assert ahead.rollback("nba").version == 3
    assert ahead.rollback("nba").version == 2
    ahead.verify("nba")
    production = [holding for holding in ahead.get_holdings("nba") if holding.stage == "Production"]
    assert [(holding.version, holding.actor, holding.reason) for holding in production] == [
        (1, "tester", None),
        (2, "tester", None),
        (3, "tester", None),
        (1, "tester", "next"),
        (3, "tester", None),
        (2, "tester", None),
    ]
    assert production[2].since == microseconds_of(right)


def test_without_a_length_the_last_event_is_taken_to_have_happened_now(ahead: MlflowClient) -> None:
    before = datetime.now(UTC)
    ahead.correct_clock("nba")
    after = datetime.now(UTC)
    (since,) = [holding.since for holding in ahead.get_holdings("nba") if holding.version == 3]
    assert microseconds_of(before) - 10**6 <= since <= microseconds_of(after) + 10**6
    assert (held(ahead, datetime.now(UTC)), held(ahead)) == (3, 3)
    ahead.verify("nba")


def test_events_that_followed_the_wrong_one_are_corrected_with_it(
    ahead: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_IGNORE_CLOCK", "1")
    MlflowClient().set_registered_model_alias("nba", "best", 3)
    monkeypatch.delenv("REGISTRY_IGNORE_CLOCK")
    ahead.correct_clock("nba", ahead=YEAR)
    assert registry.resolve(f"models:/nba@best?at={datetime.now(UTC).isoformat()}").version == 3
    ahead.verify("nba")


def test_a_correction_that_cannot_be_true_is_refused(ahead: MlflowClient) -> None:
    for length in (timedelta(days=364), timedelta(days=366), timedelta(days=-1)):
        with pytest.raises(InvalidParameterError, match="Give another value for how far the clock was ahead"):
            ahead.correct_clock("nba", ahead=length)
    with pytest.raises(InvalidParameterError, match="has events 1 to"):
        ahead.correct_clock("nba", from_seq=0)
    register(ahead, "another")
    with pytest.raises(InvalidStateError, match="nothing to correct"):
        ahead.correct_clock("another")


def test_a_correction_that_names_no_events_is_found(client: MlflowClient) -> None:
    from registry.entities.history import corrected_times

    for details in ({}, {"from_seq": 1, "to_seq": 2, "shift": 1}, {"from_seq": "1", "to_seq": 1, "shift": 1}):
        event = HistoryEvent("u", 2, "clock_corrected", "ann", 5, details=details)
        with pytest.raises(IntegrityError, match="Event 2 corrects events that do not exist"):
            corrected_times([HistoryEvent("u", 1, "created", "ann", 9), event])


def test_a_corrected_history_travels(ahead: MlflowClient, own_place: Path) -> None:
    ahead.correct_clock("nba", ahead=YEAR)
    archive = ahead.export_model("nba", own_place / "nba.zip")
    target = MlflowClient(f"sqlite:///{own_place}/target.db")
    target.import_model(archive)
    target.verify("nba")
    assert [event.kind for event in target.get_foreign_history("nba")[0].events][-1] == "clock_corrected"
