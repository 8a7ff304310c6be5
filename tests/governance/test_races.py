"""Many real processes at once: every call succeeds, one version holds Production, no number is missing or given twice.

The volumes of an ordinary run are small; ``pytest -m storm`` runs the full ones.
"""

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from chaos import MODELS, VERSIONS, Call, Chaos, Judge
from governed_models import RawSql, raw_sql, register, sealed_model
from lossy_proxy import Loss, LossyProxy, lossy_proxy
from postgres_server import PostgresServer
from racing import (
    Told,
    enter_if_empty,
    errors,
    move_about,
    promote,
    promote_and_look,
    race,
    register_version,
    succeed_the_holder,
)
from volumes import volume

from registry import MlflowClient
from registry.entities.history import HistoryEvent

pytestmark = pytest.mark.slow

SMALL = pytest.param(4, 6, id="4x6")
REGISTRATIONS = pytest.mark.parametrize(
    ("workers", "rounds"), [SMALL, pytest.param(16, volume(200, 50), id="full", marks=pytest.mark.storm)]
)
# Twenty times 200 rounds, or three times 50.
PROMOTIONS = pytest.mark.parametrize(
    ("workers", "rounds"), [SMALL, pytest.param(16, volume(4_000, 40), id="full", marks=pytest.mark.storm)]
)
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


@PROMOTIONS
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


@PROMOTIONS
def test_a_concurrent_reader_sees_one_holder(client: MlflowClient, workers: int, rounds: int) -> None:
    register(client, "nba", workers)
    client.transition_model_version_stage("nba", 1, "Production")
    assert errors(race(client.tracking_uri, promote_and_look, workers=workers, rounds=rounds)) == []


def test_racing_moves_between_both_stages_keep_one_holder_of_each(client: MlflowClient, sql: RawSql) -> None:
    register(client, "nba", 4)
    told = race(client.tracking_uri, move_about, workers=4, rounds=6)
    assert errors(told) == []
    assert [one.value for one in told] == [stage for _ in range(3) for stage in ["Production"] * 4 + ["Staging"] * 4]
    open_periods = "SELECT stage, count(*) FROM stage_periods WHERE until IS NULL GROUP BY stage ORDER BY stage"
    assert sql(open_periods) == [("@best", 1), ("Production", 1), ("Staging", 1)]
    assert sql("SELECT seq FROM history ORDER BY id") == sql("SELECT seq FROM history ORDER BY seq")
    client.verify("nba")


def test_of_racing_entrants_one_gets_in(client: MlflowClient, sql: RawSql) -> None:
    register(client, "nba", 4)
    told = race(client.tracking_uri, enter_if_empty, workers=4, rounds=1)
    assert sorted(str(one.value) for one in told) == ["in", "occupied", "occupied", "occupied"]
    assert sql(HOLDERS) == [(1,)]


def test_compare_and_set_prevents_lost_updates(client: MlflowClient) -> None:
    register(client, "nba", 4)
    client.transition_model_version_stage("nba", 1, "Production")
    told = race(client.tracking_uri, succeed_the_holder, workers=4, rounds=6)
    assert errors(told) == []
    won = sum(one.value for one in told)
    assert client.get_model_version_by_stage("nba", "Production").version == 1 + won % 4
    assert won >= 6  # somebody in every round


@REGISTRATIONS
def test_racing_registrations_give_every_number_once(
    client: MlflowClient, workers: int, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_TEST_SEALED", sealed_model(client))
    told = race(client.tracking_uri, register_version, workers=workers, rounds=rounds)
    assert errors(told) == []
    assert sorted(one.value for one in told) == list(range(1, workers * rounds + 1))
    assert client.verify("nba").versions == workers * rounds


@REGISTRATIONS
def test_racing_threads_get_every_number_once_too(
    client: MlflowClient, workers: int, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_TEST_SEALED", sealed_model(client))
    with ThreadPoolExecutor(workers) as pool:
        numbers = list(pool.map(lambda number: register_version(client, number, 0), range(workers * rounds)))
    assert sorted(numbers) == list(range(1, workers * rounds + 1))
    assert client.verify("nba").versions == workers * rounds


def _registrations_without_a_lock(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> list[Told]:
    monkeypatch.setenv("REGISTRY_TEST_SEALED", sealed_model(client))
    return race(client.tracking_uri, register_version, workers=4, rounds=6, broken="lock")


def _promotions_without_a_lock(client: MlflowClient, _monkeypatch: pytest.MonkeyPatch) -> list[Told]:
    return _race_for_production(client, 4, 6, broken="lock")[0]


@pytest.mark.parametrize("racing", [_registrations_without_a_lock, _promotions_without_a_lock])
def test_without_the_lock_these_races_fail(
    client: MlflowClient,
    racing: Callable[[MlflowClient, pytest.MonkeyPatch], list[Told]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Show that the races above can fail: run them without the lock, by a switch that only tests have."""
    failures = errors(racing(client, monkeypatch))
    assert failures != []
    assert [failure for failure in failures if "stayed locked" not in failure and "duplicate key" not in failure] == []


@pytest.fixture
def models(client: MlflowClient) -> MlflowClient:
    """A client of a registry with the models of the chaos, and nothing else."""
    model_id = sealed_model(client)
    for name in MODELS:
        register(client, name, VERSIONS, model_id=model_id)
    return client


def _judge(client: MlflowClient, chaos: Chaos) -> None:
    chaos.stop()
    for name in MODELS:
        client.verify(name)
        calls = [call for call in chaos.calls.values() if call.model == name]
        assert Judge(calls, client.get_history(name)).complaints() == []


@pytest.mark.parametrize("calls", [120, pytest.param(volume(20_000, 1_500), marks=pytest.mark.storm)])
def test_acknowledged_changes_survive_kills(models: MlflowClient, calls: int) -> None:
    with _chaos(models.tracking_uri) as chaos:
        for turn in range(calls // 50):
            chaos.wait_for(50)
            if turn % 3 == 2:
                chaos.freeze((turn + 1) % 4, 0.05)
            chaos.kill(turn % 4)
        _judge(models, chaos)


@pytest.mark.parametrize("calls", [120, pytest.param(volume(20_000, 1_500), marks=pytest.mark.storm)])
def test_acknowledged_changes_survive_server_restarts(
    postgres_server: PostgresServer, postgres_url: str, calls: int
) -> None:
    name = postgres_url.rpartition("/")[2]
    # Elsewhere in the tests what a server acknowledged may be lost when it stops.
    postgres_server.execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
    client = MlflowClient(postgres_url)
    model_id = sealed_model(client)
    for model in MODELS:
        register(client, model, VERSIONS, model_id=model_id)
    chance = random.Random(7)
    with lossy_proxy(postgres_server.port) as proxy:
        with _chaos(postgres_url.replace(f":{postgres_server.port}/", f":{proxy.port}/")) as chaos:
            for turn in range(calls // 30):
                chaos.wait_for(30)
                _trouble(postgres_server, proxy, name, turn, chance)
            _judge(client, chaos)
    assert proxy.commits > calls // 4


def _trouble(server: PostgresServer, proxy: LossyProxy, name: str, turn: int, chance: random.Random) -> None:
    """Faults of a server: ended sessions, lost COMMITs or responses, restarts."""
    if turn % 3 == 0:
        server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    elif turn % 3 == 1:
        proxy.losses += chance.choices([Loss.ANSWER, Loss.REQUEST, Loss.NOTHING], k=8)
    else:
        server.restart()


@contextlib.contextmanager
def _chaos(url: str) -> Iterator[Chaos]:
    chaos = Chaos(url, 4)
    try:
        yield chaos
    finally:
        chaos.stop()


def _call(key: str, kind: str, begun: int, ended: int | None, outcome: object, *, version: int = 1) -> Call:
    return Call(key, kind, "nba", version, None, begun, ended, outcome)


JUDGED = [
    ([_call("a", "promote", 1, 2, "done")], ["a"], []),
    ([_call("a", "promote", 1, None, None)], ["a"], []),
    ([_call("a", "promote", 1, None, None)], [], []),
    ([_call("a", "mark", 1, 2, "done")], [], ["lost"]),
    ([_call("a", "promote", 1, 2, "done")], ["a", "b"], ["phantom"]),
    ([_call("a", "promote", 1, 2, "done")], ["a", "a"], ["not once and whole"]),
    ([_call("a", "promote", 1, 2, "VersionNotFoundError")], ["a"], ["refused but there"]),
    ([_call("a", "mark", 1, 2, "VersionNotFoundError")], [], ["refused for no reason"]),
    ([_call("a", "promote", 3, 4, "done"), _call("b", "promote", 1, 2, "done")], ["a", "b"], ["out of order"]),
    ([_call("a", "promote", 1, 2, "done"), _call("l", "look", 3, 4, 1)], ["a"], []),
    ([_call("a", "promote", 1, 2, "done"), _call("l", "look", 3, 4, None)], ["a"], ["stale"]),
    ([_call("a", "promote", 1, 3, "done"), _call("l", "look", 2, 4, None)], ["a"], []),
    ([_call("a", "promote", 3, 4, "done"), _call("l", "look", 1, 2, 1)], ["a"], ["stale"]),
]


@pytest.mark.parametrize(("calls", "reasons", "complaints"), JUDGED)
def test_the_judge_finds_errors_and_nothing_else(calls: list[Call], reasons: list[str], complaints: list[str]) -> None:
    events = [
        HistoryEvent("uid", seq, "stage_changed", "tester", seq, version=1, to_value="Production", reason=reason)
        for seq, reason in enumerate(reasons, 1)
    ]
    assert [complaint.partition(":")[0] for complaint in Judge(calls, events).complaints()] == complaints


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
