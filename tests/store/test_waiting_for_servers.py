"""A PostgreSQL server that is away or full is waited for, and connections go back where they are scarce."""

import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from lossy_proxy import Loss, LossyProxy, lossy_proxy
from postgres_server import PostgresServer
from replication import wait_until
from sqlalchemy import Connection

from registry import MlflowClient, disconnect
from registry.exceptions import UnavailableError
from registry.store import waiting_for_servers
from registry.store.commit_markers import Sessions
from registry.store.connections import TimeLimits
from registry.store.driver_sql import run
from registry.store.engine import Database
from registry.store.tracking.runs import RunStore
from registry.store.urls import parse_database_url
from registry.store.waiting_for_servers import Connections


@pytest.fixture
def connections_of(postgres_server: PostgresServer) -> Callable[[str], int]:
    """Count the connections of a user to the server."""

    def count(user: str) -> int:
        ((number,),) = postgres_server.execute(f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{user}'")
        return int(number)

    return count


@pytest.fixture
def limited_url(postgres_url: str, postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a user who may have two connections."""
    database = postgres_url.rpartition("/")[2]
    user = f"limited_{database}"
    postgres_server.execute(f"CREATE ROLE {user} LOGIN CONNECTION LIMIT 2")
    postgres_server.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}", database=database)
    postgres_server.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {user}", database=database)
    MlflowClient(postgres_url).search_experiments()
    yield postgres_url.replace("postgres@", f"{user}@")
    disconnect()
    postgres_server.execute(f"DROP OWNED BY {user}", database=database)
    postgres_server.execute(f"DROP ROLE {user}")


def test_a_process_that_logs_from_one_thread_has_one_connection(
    limited_url: str, connections_of: Callable[[str], int]
) -> None:
    client = MlflowClient(limited_url)
    run_id = client.create_run("0").info.run_id
    for step in range(20):
        client.log_metric(run_id, "loss", 0.5, step=step)
    client.search_runs(["0"])

    assert connections_of(limited_url.partition("//")[2].partition("@")[0]) == 1


@pytest.mark.slow
def test_a_server_that_is_full_is_waited_for_without_limit_and_gets_connections_back(
    limited_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = MlflowClient(limited_url).create_run("0").info.run_id
    disconnect()
    # No patience: a server that is full is waited for nevertheless. Each database is a process; one that got its
    # connection at once does not know yet that others wait, and gives it back after its idle time.
    limits = TimeLimits(patience=0, idle=1)
    databases = [Database(parse_database_url(limited_url), limits=limits) for _ in range(6)]

    def log(number: int) -> None:
        store = RunStore(databases[number])
        for step in range(5):
            store.log_batch(run_id, tags={f"tag{number}-{step}": "x"})

    with caplog.at_level(logging.WARNING, "registry"), ThreadPoolExecutor(6) as processes:
        list(processes.map(log, range(6)))
    for database in databases:
        database.dispose()

    tags = MlflowClient(limited_url).get_run(run_id).data.tags
    assert {key for key in tags if key.startswith("tag")} == {f"tag{n}-{s}" for n in range(6) for s in range(5)}
    assert "too many connections for role" in caplog.text
    assert "Waiting until it has one." in caplog.text


def test_a_server_that_does_not_listen_yet_is_waited_for(
    postgres_url: str,
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("REGISTRY_DATABASE_PATIENCE", "60")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started: list[LossyProxy] = []

    def start() -> None:
        wait_until(lambda: "Waiting" in caplog.text)
        started.append(LossyProxy(postgres_server.port, port=port))

    with caplog.at_level(logging.WARNING, "registry"), ThreadPoolExecutor(1) as later:
        done = later.submit(start)
        client = MlflowClient(postgres_url.replace(f":{postgres_server.port}/", f":{port}/"))
        run_id = client.create_run("0").info.run_id
        done.result()

    assert MlflowClient(postgres_url).get_run(run_id).info.run_id == run_id
    assert "Connection refused" in caplog.text
    assert "Waiting for at most 60 seconds." in caplog.text
    disconnect()
    started[0].close()


def test_a_server_that_goes_away_while_a_run_logs_is_waited_for_and_no_point_is_lost(
    postgres_url: str,
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("REGISTRY_DATABASE_PATIENCE", "60")
    with lossy_proxy(postgres_server.port) as proxy, ThreadPoolExecutor(1) as later:
        client = MlflowClient(postgres_url.replace(f":{postgres_server.port}/", f":{proxy.port}/"))
        run_id = client.create_run("0").info.run_id

        def come_back() -> None:
            wait_until(lambda: "Waiting" in caplog.text)
            proxy.refuses = proxy.goes_dark = False

        proxy.losses, proxy.goes_dark = [Loss.REQUEST], True
        back = later.submit(come_back)
        for step in range(3):
            client.log_metric(run_id, "loss", 0.5, step=step)
        back.result()

        assert [point.step for point in client.get_metric_history(run_id, "loss")] == [0, 1, 2]
        disconnect()


def test_without_patience_a_server_that_is_away_is_unavailable_at_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("REGISTRY_DATABASE_PATIENCE", "0")

    with pytest.raises(UnavailableError, match="Connection refused"):
        MlflowClient("postgresql://me@127.0.0.1:1/none").search_experiments()

    assert caplog.text == ""


def test_an_error_that_waiting_does_not_mend_is_raised_at_once(
    postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UnavailableError, match='database "nothing" does not exist'):
        MlflowClient(postgres_server.url("nothing")).search_experiments()

    assert caplog.text == ""


def test_connections_that_nobody_uses_are_closed_and_opened_again(
    limited_url: str, connections_of: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_DATABASE_IDLE_SECONDS", "0.2")
    user = limited_url.partition("//")[2].partition("@")[0]
    client = MlflowClient(limited_url)
    run_id = client.create_run("0").info.run_id

    wait_until(lambda: connections_of(user) == 0)

    client.set_tag(run_id, "later", "x")
    assert client.get_run(run_id).data.tags["later"] == "x"


def test_a_connection_in_use_is_closed_when_it_comes_back_to_a_pool_that_was_given_back(limited_url: str) -> None:
    database = Database(parse_database_url(limited_url), limits=TimeLimits(idle=0.1))
    with database.engine.connect() as used:
        with database.engine.connect() as idle:
            idle_driver = idle.connection.driver_connection
        wait_until(lambda: bool(idle_driver and idle_driver.closed))
        driver = used.connection.driver_connection

    assert driver is not None
    assert driver.closed
    database.dispose()


def test_a_connection_in_use_is_closed_when_it_comes_back_after_disconnect(postgres_url: str) -> None:
    database = Database(parse_database_url(postgres_url))
    with database.engine.connect() as used:
        driver = used.connection.driver_connection
        disconnect()

    assert driver is not None
    assert driver.closed


def test_a_connection_that_was_waited_for_is_closed_when_its_pool_was_given_back_meanwhile(
    limited_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_for_servers, "_SCARCE_IDLE_SECONDS", 60.0)  # the wait is not a pause
    holder, waiting = (Database(parse_database_url(limited_url), limits=TimeLimits(idle=0)) for _ in range(2))
    with caplog.at_level(logging.WARNING, "registry"), ThreadPoolExecutor(1) as other:
        with holder.engine.connect(), holder.engine.connect():
            used = other.submit(use, waiting)
            wait_until(lambda: "Waiting" in caplog.text)
            waiting.dispose()
        holder.dispose()

    assert used.result().closed
    waiting.dispose()


def test_a_connection_that_is_let_in_at_the_second_attempt_again_and_again_is_waited_for(postgres_url: str) -> None:
    database = Database(parse_database_url(postgres_url))
    with database.engine.raw_connection() as held:
        record: Any = held._connection_record
        connection: Any = held.driver_connection
        errors = [psycopg.OperationalError("zu viele Verbindungen", pgconn=connection.pgconn) for _ in range(11)]

        def connect() -> str:
            if errors:
                raise errors.pop()
            return "a connection"

        name, user = connection.info.dbname, connection.info.user
        connections = Connections(database.engine, patience=60, idle=0)
        assert connections.open(connect, record, {"dbname": name, "user": user}) == "a connection"
    database.dispose()


@pytest.fixture
def url_of_two(limited_url: str) -> Iterator[str]:
    """A URL whose two connections are in use until a third one is waited for."""
    url = parse_database_url(limited_url)
    holders = [Database(url) for _ in range(2)]
    held = [holder.engine.connect() for holder in holders]

    def give_back() -> None:
        wait_until(lambda: "too many connections" in records.text)
        for connection, holder in zip(held, holders, strict=True):
            connection.close()
            holder.dispose()

    records = _Records()
    logging.getLogger("registry").addHandler(records)
    with ThreadPoolExecutor(1) as later:
        done = later.submit(give_back)
        yield limited_url
        done.result()
    logging.getLogger("registry").removeHandler(records)


class _Records(logging.Handler):
    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage()


def use(database: Database, statement: str = "SELECT 1") -> Any:
    """Use a connection for a statement; return the driver's."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql(statement)
        return connection.connection.driver_connection


def test_where_connections_are_scarce_one_that_is_used_seldom_goes_back_at_once(
    url_of_two: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_for_servers, "_SCARCE_IDLE_SECONDS", 0.0)  # any pause makes a use a rare one
    database = Database(parse_database_url(url_of_two), limits=TimeLimits(idle=0))

    assert [use(database).closed for _ in range(3)] == [True, True, True]
    database.dispose()


def test_where_connections_are_scarce_one_that_is_always_used_stays_for_a_while(
    url_of_two: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_for_servers, "_SCARCE_IDLE_SECONDS", 60.0)
    monkeypatch.setattr(waiting_for_servers, "_SCARCE_USE_SECONDS", 0.2)
    database = Database(parse_database_url(url_of_two))

    first = use(database)
    assert not first.closed
    assert use(database) is first
    wait_until(lambda: bool(use(database).closed))
    database.dispose()


def test_where_connections_are_scarce_one_that_is_not_used_any_more_goes_back_soon(
    url_of_two: str, connections_of: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_for_servers, "_SCARCE_IDLE_SECONDS", 0.3)
    database = Database(parse_database_url(url_of_two), limits=TimeLimits(idle=3_600))
    database.engine.connect().close()
    use(database)

    wait_until(lambda: connections_of(url_of_two.partition("//")[2].partition("@")[0]) == 0)


def test_where_connections_are_scarce_a_long_use_or_a_long_wait_before_it_is_not_a_pause(
    url_of_two: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_for_servers, "_SCARCE_IDLE_SECONDS", 0.5)
    database = Database(parse_database_url(url_of_two), limits=TimeLimits(idle=0))

    first = use(database, "SELECT pg_sleep(0.6)")
    assert use(database, "SELECT pg_sleep(0.6)") is first
    assert use(database) is first
    database.dispose()


@pytest.mark.slow
def test_where_connections_are_scarce_a_process_that_always_uses_one_lets_others_have_it(
    url_of_two: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_for_servers, "_SCARCE_IDLE_SECONDS", 60.0)
    monkeypatch.setattr(waiting_for_servers, "_SCARCE_USE_SECONDS", 1.0)
    monkeypatch.setattr(waiting_for_servers, "_SCARCE_YIELD_SECONDS", 5.0)  # longer than others pause
    holder, greedy, modest = (Database(parse_database_url(url_of_two), limits=TimeLimits(idle=0)) for _ in range(3))
    used = [use(greedy)]

    def use_once() -> None:
        use(modest)
        modest.dispose()

    with holder.engine.connect(), ThreadPoolExecutor(1) as other:
        got = other.submit(use_once)
        while not got.done():
            used.append(use(greedy))

    assert len(set(used)) <= 2
    holder.dispose()
    greedy.dispose()


def test_a_process_that_was_never_refused_asks_whether_connections_are_scarce(
    limited_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_for_servers, "_ASK_EACH_SECONDS", 0.0)
    monkeypatch.setattr(waiting_for_servers, "_SCARCE_IDLE_SECONDS", 0.0)
    first, second = (Database(parse_database_url(limited_url), limits=TimeLimits(idle=0)) for _ in range(2))

    assert not use(first).closed
    assert use(second).closed  # the user has two connections, and both are taken
    first.dispose()
    second.dispose()


def test_a_user_who_may_not_ask_keeps_the_connection(
    limited_url: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_for_servers, "_ASK_EACH_SECONDS", 0.0)
    name = limited_url.rpartition("/")[2]
    postgres_server.execute("REVOKE SELECT ON pg_stat_activity FROM PUBLIC", database=name)
    database = Database(parse_database_url(limited_url))

    first = use(database)
    assert use(database) is first
    database.dispose()


def test_where_many_connections_are_open_a_process_asks_seldom(
    limited_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_for_servers, "_ASK_EACH_SECONDS", 0.0)
    monkeypatch.setattr(waiting_for_servers, "_ASKS_PER_SECOND", 1 / 3_600)
    monkeypatch.setattr(waiting_for_servers, "_SCARCE_IDLE_SECONDS", 0.0)
    first, second = (Database(parse_database_url(limited_url), limits=TimeLimits(idle=0)) for _ in range(2))
    use(first)

    assert use(second).closed
    with second.engine.connect():
        assert not use(first).closed
    first.dispose()
    second.dispose()


def test_an_interrupted_question_leaves_no_connection_and_its_place_in_the_pool(
    limited_url: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_for_servers, "_ASK_EACH_SECONDS", 0.0)
    monkeypatch.setattr(waiting_for_servers, "_IS_SCARCE", "SELECT pg_sleep(60) IS NULL, 1")
    database = Database(parse_database_url(limited_url), limits=TimeLimits(idle=0))
    # Python's own answer to SIGINT, which a process that was started in the background does not have.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    asks = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%IS NULL, 1'"

    def interrupt() -> None:
        wait_until(lambda: bool(postgres_server.execute(asks)))
        os.kill(os.getpid(), signal.SIGINT)

    with ThreadPoolExecutor(1) as user:
        interrupted = user.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            use(database)
        interrupted.result()
    signal.signal(signal.SIGINT, before)

    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    database.dispose()


def test_a_connection_that_is_lost_at_the_question_is_replaced_and_the_next_one_asks_again(
    limited_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_for_servers, "_ASK_EACH_SECONDS", 0.5)
    monkeypatch.setattr(waiting_for_servers, "_SCARCE_IDLE_SECONDS", 0.0)
    first, second = (Database(parse_database_url(limited_url), limits=TimeLimits(idle=0)) for _ in range(2))
    lost = use(first)
    with monkeypatch.context() as change:
        change.setattr(waiting_for_servers, "_IS_SCARCE", "SELECT pg_terminate_backend(pg_backend_pid()), 1")
        wait_until(lambda: use(first) is not lost)

    with second.engine.connect():
        wait_until(lambda: bool(use(first).closed))
    first.dispose()
    second.dispose()


def test_the_reserve_of_amazon_rds_counts_as_taken(
    limited_url: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_for_servers, "_ASK_EACH_SECONDS", 0.0)
    monkeypatch.setattr(waiting_for_servers, "_SCARCE_IDLE_SECONDS", 0.0)
    name = limited_url.rpartition("/")[2]
    postgres_server.execute(f'ALTER DATABASE {name} SET "rds.rds_superuser_reserved_connections" = 200')
    database = Database(parse_database_url(limited_url), limits=TimeLimits(idle=0))

    assert use(database).closed
    database.dispose()


def test_a_parallel_worker_does_not_count_as_a_connection(
    limited_url: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_for_servers, "_ASK_EACH_SECONDS", 0.0)
    monkeypatch.setattr(waiting_for_servers, "_SCARCE_IDLE_SECONDS", 0.0)
    user, name = limited_url.partition("//")[2].partition("@")[0], limited_url.rpartition("/")[2]
    postgres_server.execute(f"ALTER ROLE {user} CONNECTION LIMIT 3")
    database = Database(parse_database_url(limited_url), limits=TimeLimits(idle=0))
    count = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{user}' AND wait_event = 'PgSleep'"

    with (
        psycopg.connect(f"host=127.0.0.1 port={postgres_server.port} user={user} dbname={name}") as other,
        ThreadPoolExecutor(1) as query,
    ):
        is_new = other.info.server_version >= 16_00_00
        other.execute(f"SET {'debug_parallel_query' if is_new else 'force_parallel_mode'} = on")
        query.submit(lambda: other.execute("SELECT pg_sleep(60)"))
        wait_until(lambda: postgres_server.execute(count) == [(1,)])
        assert postgres_server.execute(count.partition(" AND")[0]) == [(2,)]
        assert not use(database).closed
        other.cancel()
    database.dispose()


def test_writes_on_a_connection_that_soon_goes_back_have_the_time_limits_of_all_others(
    url_of_two: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_for_servers, "_SCARCE_IDLE_SECONDS", 0.0)
    database = Database(parse_database_url(url_of_two), limits=TimeLimits(idle=0))

    def limits(connection: Connection) -> list[object]:
        ((*found,),) = run(connection, "SELECT current_setting('lock_timeout'), pg_backend_pid()").rows
        return found

    settings = [database.write(limits) for _ in range(3)]
    assert [limit for limit, _ in settings] == ["30s", "30s", "30s"]
    assert len({process for _, process in settings}) == 3
    database.dispose()


def test_connections_that_follow_each_other_share_one_row_of_markers(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    client = MlflowClient(postgres_url)
    run_id = client.create_run("0").info.run_id
    name = postgres_url.rpartition("/")[2]
    count = "SELECT count(*) FROM commit_markers"
    before = postgres_server.execute(count, database=name)
    database = Database(parse_database_url(postgres_url))

    for number in range(5):
        RunStore(database).log_batch(run_id, tags={f"tag{number}": "x"})
        database.dispose()

    assert postgres_server.execute(count, database=name) == [(before[0][0] + 1,)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_does_not_go_on_with_the_markers_of_its_parent() -> None:
    sessions = Sessions()
    mine = sessions.begin("")
    sessions.end(mine)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, sessions.begin("").writer.encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(reader, 64).decode() != mine.writer
    assert sessions.begin("") is mine
    os.close(reader)
    os.close(writer)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_closes_a_connection_of_its_parent_does_not_go_on_with_its_markers() -> None:
    sessions = Sessions()
    mine = sessions.begin("")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        sessions.begin("")
        sessions.end(mine)
        os.write(writer, sessions.begin("").writer.encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(reader, 64).decode() != mine.writer
    os.close(reader)
    os.close(writer)
