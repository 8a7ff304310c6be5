"""Many real processes at once: every call succeeds, one version holds Production, no number is missing or given twice.

The volumes of an ordinary run are small; ``pytest -m storm`` runs the full ones.
"""

import os
from collections.abc import Iterator

import pytest
from governed_models import RawSql, raw_sql, register, sealed_model
from racing import Storm, Told, errors, promote, promote_and_look, race, register_version
from volumes import volume

import registry
from registry import MlflowClient

SMALL = [pytest.param(4, 10, id="4x10")]
FULL = [pytest.param(16, volume(50, 5), id="full", marks=pytest.mark.storm)]
VOLUMES = pytest.mark.parametrize(("workers", "rounds"), [*SMALL, *FULL])
HOLDERS = "SELECT count(*) FROM model_versions WHERE current_stage = 'Production'"


def _race_for_production(
    client: MlflowClient, workers: int, rounds: int, broken: str | None = None
) -> tuple[list[Told], list[int]]:
    register(client, "nba", workers)
    run, counts = raw_sql(client.tracking_uri), []
    told = race(
        client.tracking_uri,
        promote,
        workers=workers,
        rounds=rounds,
        broken=broken,
        after_round=lambda: counts.append(run(HOLDERS)[0][0]),
    )
    return told, counts


@VOLUMES
def test_racing_promotions_all_succeed_and_leave_one_holder(client: MlflowClient, workers: int, rounds: int) -> None:
    told, counts = _race_for_production(client, workers, rounds)
    assert errors(told) == []
    assert sorted(one.value for one in told) == sorted(list(range(1, workers + 1)) * rounds)
    assert counts == [1] * rounds
    events = client.get_history("nba", kind="stage_changed")
    promotions = [event for event in events if event.to_value == "Production"]
    archivals = [event for event in events if event.to_value == "Archived"]
    # A version that holds the stage already is not moved, and nothing is recorded; the last of a round may be the
    # first of the next.
    repeated = workers * rounds - len(promotions)
    assert 0 <= repeated < rounds
    assert len(archivals) == len(promotions) - 1
    assert [event.version for event in archivals] == [event.version for event in promotions[:-1]]
    assert client.verify("nba").events == 1 + workers + len(events)


@VOLUMES
def test_who_looks_meanwhile_sees_one_holder(client: MlflowClient, workers: int, rounds: int) -> None:
    register(client, "nba", workers)
    client.transition_model_version_stage("nba", 1, "Production")
    told = race(client.tracking_uri, promote_and_look, workers=workers, rounds=rounds)
    assert errors(told) == []


@VOLUMES
def test_racing_registrations_give_every_number_once(
    client: MlflowClient, workers: int, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_TEST_SEALED", sealed_model(client))
    told = race(client.tracking_uri, register_version, workers=workers, rounds=rounds)
    assert errors(told) == []
    assert sorted(one.value for one in told) == list(range(1, workers * rounds + 1))
    assert client.verify("nba").versions == workers * rounds


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_without_the_lock_these_races_fail(request: pytest.FixtureRequest, database: str) -> None:
    """The races above can fail: the same ones with the lock left out, by a switch that only tests have."""
    url = request.getfixturevalue(f"{'sqlite' if database == 'sqlite' else 'postgres'}_url")
    registry.set_tracking_uri(url)
    told, _ = _race_for_production(MlflowClient(), 6, 12, broken="lock")
    assert errors(told) != []


@pytest.fixture
def storm(client: MlflowClient) -> Iterator[Storm]:
    register(client, "nba", 4)
    found = Storm(client.tracking_uri, 4)
    yield found
    found.stop()


@pytest.mark.parametrize("kills", [pytest.param(6), pytest.param(volume(200, 20), marks=pytest.mark.storm)])
def test_what_was_acknowledged_survives_kills(client: MlflowClient, sql: RawSql, storm: Storm, kills: int) -> None:
    for kill in range(kills):
        storm.wait_for(12)
        if kill % 3 == 2:
            storm.freeze((kill + 1) % 4, 0.05)
        storm.kill(kill % 4)
    storm.stop()
    assert client.verify("nba").versions == 4
    events = client.get_history("nba")
    marks = {(event.version, event.to_value) for event in events if event.kind == "tag_set"}
    moves = {(event.version, event.reason) for event in events if event.to_value == "Production"}
    lost = [
        (worker, kind, tag)
        for worker, kind, tag in storm.acknowledged
        if (worker + 1, tag) not in (marks if kind == "mark" else moves)
    ]
    # A holder that is promoted again is not moved: its call is acknowledged without an event.
    held = [one for one in lost if one[1] == "promoted" and _held_already(events, one[0] + 1, one[2])]
    assert [one for one in lost if one not in held] == []
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert sql(HOLDERS) == [(1,)]


def _held_already(events: list[registry.entities.history.HistoryEvent], version: int, tag: str) -> bool:
    """Whether the version held Production when it was marked with this tag and nobody else moved in after it."""
    holder = None
    for event in events:
        if event.to_value == "Production":
            holder = event.version
        if event.kind == "tag_set" and event.to_value == tag:
            later = [one for one in events if one.seq > event.seq and one.to_value == "Production"]
            return holder == version or any(one.version == version for one in later)
    return False


def test_a_fork_after_use_works_in_both(client: MlflowClient) -> None:
    register(client, "nba", 2)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            client.transition_model_version_stage("nba", 1, "Production")
            code = 0
        finally:
            os._exit(code)
    client.transition_model_version_stage("nba", 2, "Staging")
    assert os.waitpid(child, 0)[1] == 0
    assert client.get_model_version("nba", 1).current_stage == "Production"
    client.verify("nba")
