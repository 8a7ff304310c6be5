"""Why PostgreSQL gives no connection is known by SQLSTATE and errno, in whatever language the text is."""

import logging
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import pq
from refusing_server import error_response, refusing_server
from replication import wait_until
from sqlalchemy import make_url

from registry import MlflowClient
from registry.exceptions import UnavailableError
from registry.store import refused_connections
from registry.store.refused_connections import Refusal, Refusals

FULL = error_response("53300", "tut mir leid, schon zu viele Verbindungen")
STARTING = error_response("57P03", "das Datenbanksystem wird hochgefahren")
NO_DATABASE = error_response("3D000", "Datenbank »x« existiert nicht")
WRONG_PASSWORD = error_response("28P01", "Passwort-Authentifizierung für Benutzer »me« fehlgeschlagen")

traced = pytest.mark.skipif(pq.version() < 18_00_00, reason="libpq before 18 does not trace the start of a connection")


def refusal(refusals: Refusals | None = None, **arguments: object) -> Refusal:
    """Connect in vain, and return why."""
    given = {"host": "127.0.0.1", "user": "me", "dbname": "x", "password": "p", "connect_timeout": 5, **arguments}
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(**given)
    return (refusals or Refusals()).of(caught.value, given)


@traced
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (FULL, Refusal.FULL),
        (STARTING, Refusal.AWAY),
        (error_response("57P01", "Verbindung wird abgebrochen"), Refusal.AWAY),
        (error_response("57P02", "Serverprozess abgestürzt"), Refusal.AWAY),
        (NO_DATABASE, Refusal.LASTING),
        (WRONG_PASSWORD, Refusal.LASTING),
        (error_response("08P01", "no more connections allowed (max_client_conn)"), Refusal.FULL),
        (error_response("08P01", "server login has been failing, try again later"), Refusal.AWAY),
        (error_response("08P01", "no such database: x"), Refusal.LASTING),
        (b"", Refusal.AWAY),
    ],
)
@pytest.mark.parametrize("asks_password", [False, True])
def test_an_answer_in_german_is_known_by_its_state(answer: bytes, expected: Refusal, asks_password: bool) -> None:
    with refusing_server(answer, asks_password=asks_password) as server:
        assert refusal(port=server.port) is expected


@traced
def test_a_password_that_is_missing_is_no_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSFILE", "/dev/null")
    with refusing_server(b"", asks_password=True) as server:
        assert refusal(port=server.port, password=None) is Refusal.LASTING


@traced
def test_each_text_is_looked_into_once() -> None:
    refusals = Refusals()
    with refusing_server(FULL) as server:
        found = [refusal(refusals, port=server.port) for _ in range(3)]

        assert found == [Refusal.FULL] * 3
        assert server.clients == 4


@traced
def test_a_server_that_has_another_reason_a_moment_later_teaches_nothing() -> None:
    refusals = Refusals()
    with refusing_server(FULL) as server:
        given = {"host": "127.0.0.1", "user": "me", "dbname": "x", "password": "p", "port": server.port}
        with pytest.raises(psycopg.OperationalError) as caught:
            psycopg.connect(**given)
        found = []
        for server.answer in (STARTING, NO_DATABASE, FULL, STARTING):
            found.append(refusals.of(caught.value, given))

    assert found == [Refusal.AWAY, Refusal.LASTING, Refusal.FULL, Refusal.FULL]


def test_a_port_beyond_all_ports_is_a_mistake() -> None:
    assert refusal(port=70_000) is Refusal.LASTING


def test_a_port_where_nothing_listens_is_away_whatever_the_text_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused_connections, "_by_text", None)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))

        assert refusal(port=probe.getsockname()[1]) is Refusal.AWAY


def test_a_socket_file_that_nobody_listens_on_is_away_and_one_that_is_missing_is_a_mistake(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / ".s.PGSQL.5432"))

    assert refusal(host=str(tmp_path), port=5432) is Refusal.AWAY
    assert refusal(host=str(tmp_path), port=5433) is Refusal.LASTING


def test_a_host_without_an_address_is_a_mistake() -> None:
    assert refusal(host="nowhere.invalid", port=5432) is Refusal.LASTING


def test_a_server_that_does_not_answer_in_time_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert refusal(port=silent.getsockname()[1], connect_timeout=2) is Refusal.AWAY


@traced
def test_a_standby_is_away_where_the_primary_is_asked_for(postgres_url: str) -> None:
    url = make_url(postgres_url)

    assert (
        refusal(port=url.port, user=url.username, dbname=url.database, target_session_attrs="standby") is Refusal.AWAY
    )


@traced
def test_a_server_that_lets_the_next_attempt_in_is_asked_again(postgres_url: str) -> None:
    url = make_url(postgres_url)
    real = {"user": url.username, "dbname": url.database}
    refusals = Refusals()
    with psycopg.connect(host=url.host, port=url.port, **real) as connection:
        error = psycopg.OperationalError("tut mir leid, schon zu viele Verbindungen", pgconn=connection.pgconn)

        assert [refusals.of(error, real) for _ in range(2)] == [Refusal.NONE] * 2


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("sorry, too many clients already", Refusal.FULL),
        ("the database system is starting up", Refusal.AWAY),
        ('database "x" does not exist', Refusal.LASTING),
    ],
)
def test_with_an_older_libpq_the_english_text_decides(
    message: str, expected: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refused_connections, "_TRACES_REFUSALS", 99_00_00)
    with refusing_server(error_response("XX000", message)) as server:
        assert refusal(port=server.port) is expected


@traced
def test_a_client_waits_for_a_german_server_that_is_full_and_then_starts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("REGISTRY_DATABASE_PATIENCE", "60")
    with refusing_server(FULL) as server, ThreadPoolExecutor(1) as client, caplog.at_level(logging.WARNING, "registry"):
        called = client.submit(MlflowClient(f"postgresql://me@127.0.0.1:{server.port}/x").search_experiments)
        wait_until(lambda: "Waiting until it has one." in caplog.text)
        server.answer = STARTING
        clients = server.clients
        wait_until(lambda: server.clients > clients + 2)
        server.answer = NO_DATABASE

        with pytest.raises(UnavailableError, match="Datenbank »x« existiert nicht"):
            called.result()

    assert "schon zu viele Verbindungen" in caplog.text
