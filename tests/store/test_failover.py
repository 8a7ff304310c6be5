"""A primary that dies and a standby that takes its place: what was acknowledged is true, and happened once.

With asynchronous replication PostgreSQL may lose what it acknowledged before the primary died; no client is told
anything false afterwards. With synchronous replication nothing is lost.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lossy_proxy import Loss, LossyProxy, lossy_proxy
from replication import ReplicatedServers, replicated_servers, wait_until
from volumes import volume

from registry import MlflowClient
from registry.exceptions import RegistryError
from registry.store import commit_markers
from registry.store.engine import Database
from registry.store.schema import upgrade
from registry.store.urls import parse_database_url

SYNCHRONOUS = pytest.mark.parametrize("servers", [False, True], ids=["asynchronous", "synchronous"], indirect=True)


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Iterator[ReplicatedServers]:
    """A primary and its standby."""
    with replicated_servers(synchronous=request.param) as made:
        database = Database(parse_database_url(f"postgresql://postgres@127.0.0.1:{made.port}/postgres"))
        upgrade(database)
        database.dispose()
        yield made


@pytest.fixture
def proxy(servers: ReplicatedServers) -> Iterator[LossyProxy]:
    """A proxy that clients connect to; it leads to the current primary."""
    with lossy_proxy(servers.port) as started:
        yield started


@pytest.fixture
def client(proxy: LossyProxy, own_place: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A client with a model of three versions, the first of which is in Production."""
    monkeypatch.setattr(commit_markers, "LOOKUP_PAUSES_SECONDS", (0.0, *[0.1] * 600))
    (own_place / "model").mkdir()
    (own_place / "model" / "a").write_text("a")
    made = MlflowClient(f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres")
    made.create_registered_model("churn")
    for _ in range(3):
        made.create_model_version("churn", str(own_place / "model"))
    made.transition_model_version_stage("churn", 1, "Production")
    return made


def fail_over(servers: ReplicatedServers, proxy: LossyProxy) -> None:
    """Kill the primary, promote the standby, and point the proxy there."""
    proxy.refuses = True
    servers.kill_primary()
    servers.promote_standby()
    proxy.server_port = servers.port


@SYNCHRONOUS
@pytest.mark.parametrize("what", ["transition", "log_metric"])
def test_a_stranger_with_the_transactions_id_makes_nothing_true(
    what: str, servers: ReplicatedServers, proxy: LossyProxy, client: MlflowClient
) -> None:
    run_id = client.create_run("0").info.run_id
    servers.catch_up()
    servers.hold_back_wal()
    said: list[object] = []

    def call() -> None:
        if what == "transition":
            said.append(client.transition_model_version_stage("churn", 2, "Production", reason="once").version)
        else:
            said.append(client.log_metric(run_id, "loss", 0.5))

    proxy.losses, proxy.goes_dark = [Loss.ANSWER], True
    calling = threading.Thread(target=call)
    calling.start()
    wait_until(lambda: proxy.refuses)  # COMMIT is on its way, and its response will be lost
    if servers.synchronous:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        wait_until(lambda: servers.execute(waiting) == [(1,)])
    ((lost,),) = servers.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    fail_over(servers, proxy)
    while servers.execute("SELECT pg_current_xact_id()::text::bigint")[0][0] <= lost:
        pass
    proxy.goes_dark = proxy.refuses = False
    calling.join(60)

    assert said == [2 if what == "transition" else None]
    if what == "transition":
        assert client.get_model_version_by_stage("churn", "Production").version == 2
        assert _promotions(servers, "once") == {"once": 1}
    else:
        assert [metric.value for metric in client.get_metric_history(run_id, "loss")] == [0.5]


@SYNCHRONOUS
@pytest.mark.storm
def test_a_storm_of_failovers_acknowledges_nothing_false_and_does_nothing_twice(
    servers: ReplicatedServers,
    proxy: LossyProxy,
    client: MlflowClient,
    record_property: Callable[[str, object], None],
) -> None:
    run_ids = [client.create_run("0").info.run_id for _ in range(3)]
    totals: Counter[str] = Counter()
    for number in range(volume(20, 3)):
        servers.catch_up()
        totals += _fail_over_under_load(number, servers, proxy, client, run_ids)
    record_property("counts", dict(totals))

    assert totals["false"] == totals["doubled"] == 0
    assert not servers.synchronous or totals["lost"] == 0
    assert totals["acknowledged after a failover"] > 0
    assert client.verify("churn").versions == 3


def _fail_over_under_load(
    number: int, servers: ReplicatedServers, proxy: LossyProxy, client: MlflowClient, run_ids: list[str]
) -> "Counter[str]":
    """Fail over while three threads log and one promotes; count what was acknowledged, and what of it is wrong."""
    over, stop = threading.Event(), threading.Event()
    acknowledged: list[tuple[str, bool]] = []  # what, and whether it was said after the failover

    def log(worker: int) -> None:
        step = number * 1_000_000
        while not stop.is_set():
            step += 1
            with contextlib.suppress(RegistryError):
                client.log_metric(run_ids[worker], "m", 1.0, step=step)
                acknowledged.append((f"{run_ids[worker]}/{step}", over.is_set()))
            time.sleep(0.005)

    def promote() -> None:
        count = 0
        while not stop.is_set():
            count += 1
            reason = f"{number}/{count}"
            with contextlib.suppress(RegistryError):
                holder = client.get_model_version_by_stage("churn", "Production").version
                client.transition_model_version_stage("churn", holder % 3 + 1, "Production", reason=reason)
                acknowledged.append((reason, over.is_set()))
            time.sleep(0.005)

    threads = [threading.Thread(target=log, args=(worker,)) for worker in range(3)] + [threading.Thread(target=promote)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(acknowledged) >= 40)
    fail_over(servers, proxy)
    over.set()
    proxy.refuses = False
    servers.rebuild_standby()
    before = len(acknowledged)
    wait_until(lambda: len(acknowledged) >= before + 20)
    stop.set()
    for thread in threads:
        thread.join()
    found = _points(servers, number) | _promotions(servers, f"{number}/%")
    missing = [after for what, after in acknowledged if what not in found]
    return Counter(
        {
            "acknowledged": len(acknowledged),
            "acknowledged after a failover": sum(after for _, after in acknowledged),
            "lost": missing.count(False),
            "false": missing.count(True),
            "doubled": sum(count > 1 for count in found.values()),
        }
    )


def _points(servers: ReplicatedServers, number: int) -> dict[str, int]:
    """Count each point of a failover."""
    query = f"""
        SELECT runs.run_id || '/' || metrics.step, count(*) FROM metrics
        JOIN latest_metrics ON latest_metrics.id = metrics.series_id JOIN runs ON runs.id = latest_metrics.run_id
        WHERE metrics.step / 1000000 = {number} GROUP BY 1
    """
    return {str(point): int(count) for point, count in servers.execute(query)}


def _promotions(servers: ReplicatedServers, pattern: str) -> dict[str, int]:
    """Count the versions that entered Production, by reason."""
    query = f"SELECT reason, count(*) FROM history WHERE reason LIKE '{pattern}' AND to_value = 'Production' GROUP BY 1"
    return {str(reason): int(count) for reason, count in servers.execute(query)}
