"""Every event reaches every poller at least once and in order, despite concurrent commits and restarts."""

import hashlib
import hmac
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from governed_models import raw_connection, raw_sql, register, sealed_model

import registry
from registry import MlflowClient
from registry.client.registry.webhook import SIGNATURE_HEADER
from registry.entities.history import PublishedEvent
from registry.exceptions import InvalidParameterError, InvalidStateError, StorageError, UnavailableError

CURSOR = Path("cursor.json")


class Kept:
    """A sink that stores events, and fails on request."""

    def __init__(self, *, breaks_at: int | None = None) -> None:
        self.events: list[PublishedEvent] = []
        self.breaks_at = breaks_at

    def deliver(self, event: PublishedEvent) -> None:
        if event.position == self.breaks_at:
            raise UnavailableError("the sink is down")
        self.events.append(event)

    @property
    def positions(self) -> list[int]:
        return [event.position for event in self.events]


def test_events_of_all_models_come_in_one_order(client: MlflowClient) -> None:
    register(client, "nba")
    register(client, "mlb")
    client.delete_registered_model("nba")
    events = client.poll_events()
    assert [event.position for event in events] == [1, 2, 3, 4, 5]
    assert [(event.model_name, str(event.event.kind)) for event in events] == [
        ("nba", "created"),
        ("nba", "version_created"),
        ("mlb", "created"),
        ("mlb", "version_created"),
        ("nba", "deleted"),
    ]
    assert [event.event for event in events if event.model_name == "mlb"] == client.get_history("mlb")


def test_polling_goes_on_where_it_stopped(client: MlflowClient) -> None:
    register(client, "nba", 3)
    assert [event.position for event in client.poll_events(limit=2)] == [1, 2]
    assert [event.position for event in client.poll_events(after=2, limit=10)] == [3, 4]
    assert client.poll_events(after=4) == []


@pytest.mark.parametrize(
    ("after", "limit", "words"),
    [(-1, 1, "0 or more, got -1"), (0, 0, "1 to 10000, got 0"), (0, 10_001, "1 to 10000, got 10001")],
)
def test_polling_for_nothing_is_refused(sqlite_url: str, after: int, limit: int, words: str) -> None:
    with pytest.raises(InvalidParameterError, match=words):
        MlflowClient(sqlite_url).poll_events(after, limit)


def test_a_sequence_would_lose_the_event_that_commits_late(postgres_url: str) -> None:
    """Show why positions are assigned under a lock: with a plain sequence, a poller misses events."""
    run = raw_sql(postgres_url)
    run("CREATE TABLE naive (id bigserial PRIMARY KEY)")
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as slow:
        slow.execute("INSERT INTO naive DEFAULT VALUES")
        run("INSERT INTO naive DEFAULT VALUES")
        seen = [key for (key,) in run("SELECT id FROM naive WHERE id > 0 ORDER BY id")]
    late = [key for (key,) in run(f"SELECT id FROM naive WHERE id > {seen[-1]} ORDER BY id")]
    assert (seen, late) == ([2], [])


def test_an_event_that_commits_late_is_not_lost(postgres_url: str) -> None:
    registry.set_tracking_uri(postgres_url)
    client = MlflowClient()
    register(client, "first")
    register(client, "second")
    start = client.poll_events()[-1].position
    changes = [
        threading.Thread(target=client.set_registered_model_tag, args=(name, "k", "v")) for name in ("first", "second")
    ]
    with raw_connection(postgres_url) as other, other.transaction():
        # Whoever records an event has this row until the commit, which travels with the event.
        other.execute("SELECT last_event FROM registry_id FOR UPDATE")
        for change in changes:
            change.start()
        for change in changes:
            change.join(0.3)
        assert [change.is_alive() for change in changes] == [True, True]  # they wait for their places
        assert client.poll_events(after=start) == []
    for change in changes:
        change.join()
    seen = client.poll_events(after=start)
    assert [event.position - start for event in seen] == [1, 2]
    assert {event.model_name for event in seen} == {"first", "second"}


def test_a_reader_beside_many_writers_misses_nothing(client: MlflowClient) -> None:
    names = [f"model-{number}" for number in range(4)]
    model_id = sealed_model(client)
    for name in names:
        register(client, name, model_id=model_id)

    def write(name: str) -> None:
        for number in range(10):
            client.set_registered_model_tag(name, "k", str(number))

    writers = [threading.Thread(target=write, args=(name,)) for name in names]
    for writer in writers:
        writer.start()
    seen: list[PublishedEvent] = []
    while any(writer.is_alive() for writer in writers):
        seen += client.poll_events(after=seen[-1].position if seen else 0, limit=7)
    while events := client.poll_events(after=seen[-1].position, limit=7):
        seen += events
    assert [event.position for event in seen] == list(range(1, 4 * 12 + 1))
    for name in names:
        assert [event.event for event in seen if event.model_name == name] == client.get_history(name)


def test_watching_delivers_everything_and_remembers_it(client: MlflowClient) -> None:
    register(client, "nba", 2)
    sink = Kept()
    assert client.watch_events(sink, cursor=CURSOR, once=True) == 3
    assert client.watch_events(sink, cursor=CURSOR, once=True) == 0
    register(client, "nba", 1)
    assert client.watch_events(sink, cursor=CURSOR, once=True) == 1
    assert sink.positions == [1, 2, 3, 4]


def test_more_events_than_a_batch_are_delivered(client: MlflowClient) -> None:
    register(client, "nba", 110)
    sink = Kept()
    assert client.watch_events(sink, cursor=CURSOR, once=True) == 111
    assert sink.positions == list(range(1, 112))


def test_an_event_that_was_not_taken_comes_again(client: MlflowClient) -> None:
    register(client, "nba", 3)
    broken, whole = Kept(breaks_at=3), Kept()
    with pytest.raises(UnavailableError, match="the sink is down"):
        client.watch_events(broken, cursor=CURSOR, once=True)
    client.watch_events(whole, cursor=CURSOR, once=True)
    assert (broken.positions, whole.positions) == ([1, 2], [3, 4])


def test_a_watcher_that_stops_after_taking_takes_it_again(client: MlflowClient) -> None:
    register(client, "nba")

    class Stops(Kept):
        def deliver(self, event: PublishedEvent) -> None:
            super().deliver(event)
            raise KeyboardInterrupt

    stopped, whole = Stops(), Kept()
    with pytest.raises(KeyboardInterrupt):
        client.watch_events(stopped, cursor=CURSOR)
    client.watch_events(whole, cursor=CURSOR, once=True)
    assert (stopped.positions, whole.positions) == ([1], [1, 2])


def test_watching_may_begin_with_future_events(client: MlflowClient) -> None:
    register(client, "nba")
    sink = Kept()
    client.watch_events(sink, cursor=CURSOR, once=True, from_now=True)
    register(client, "nba")
    client.watch_events(sink, cursor=CURSOR, once=True, from_now=True)
    assert sink.positions == [3]


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ("not json", InvalidParameterError, "not a cursor file"),
        ("{}", InvalidParameterError, "has no position"),
        ('{"position": 1, "registry_id": "another"}', InvalidStateError, "is of the registry another"),
        ('{"position": 99, "registry_id": "ID"}', InvalidStateError, "the last event is 0: the database was set back"),
    ],
)
def test_a_cursor_that_does_not_fit_is_refused(
    sqlite_url: str, content: str, error: type[Exception], words: str
) -> None:
    client = MlflowClient(sqlite_url)
    CURSOR.write_text(content.replace("ID", client.backend.experiments.registry_id()))
    with pytest.raises(error, match=words):
        client.watch_events(Kept(), cursor=CURSOR, once=True)


def test_a_cursor_that_cannot_be_kept_delivers_nothing(sqlite_url: str) -> None:
    client, sink = MlflowClient(sqlite_url), Kept()
    register(client, "nba")
    with pytest.raises(StorageError, match="cannot be written"):
        client.watch_events(sink, cursor="missing/cursor.json", once=True)
    assert sink.positions == []


class Receiver:
    """A loopback server that gives configured responses and stores its requests."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.delay = 0.0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append((dict(self.headers), body))
                time.sleep(outer.delay)
                code = outer.answers.pop(0) if outer.answers else 204
                self.send_response(code)
                if 300 <= code < 400:
                    self.send_header("Location", outer.url)
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/secret-path"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def posted(sqlite_url: str) -> MlflowClient:
    client = MlflowClient(sqlite_url)
    register(client, "nba")
    return client


def _sink(receiver: Receiver, **options: Any) -> registry.WebhookSink:
    return registry.WebhookSink(receiver.url, first_wait_seconds=0.001, **options)


def test_a_post_is_json_and_signed(posted: MlflowClient, receiver: Receiver) -> None:
    posted.watch_events(_sink(receiver, secret="s3cret"), cursor=CURSOR, once=True)
    assert len(receiver.requests) == 2
    headers, body = receiver.requests[0]
    event = posted.get_history("nba")[0]
    assert json.loads(body) == {
        "position": 1,
        "model": "nba",
        "model_uid": event.model_uid,
        "seq": 1,
        "kind": "created",
        "version": None,
        "from": None,
        "to": "nba",
        "actor": "tester",
        "session_user": None,
        "reason": None,
        "time": event.time.isoformat().replace("+00:00", "Z"),
        "details": {},
        "prev_hash": None,
        "hash": event.hash,
    }
    assert headers["Content-Type"] == "application/json"
    assert headers[SIGNATURE_HEADER] == "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()


def test_without_a_secret_there_is_no_signature(posted: MlflowClient, receiver: Receiver) -> None:
    posted.watch_events(_sink(receiver), cursor=CURSOR, once=True)
    assert SIGNATURE_HEADER not in receiver.requests[0][0]


@pytest.mark.parametrize("answer", [408, 425, 429, 500, 502, 503])
def test_a_temporary_failure_is_retried(posted: MlflowClient, receiver: Receiver, answer: int) -> None:
    receiver.answers = [answer, answer]
    posted.watch_events(_sink(receiver), cursor=CURSOR, once=True)
    assert [json.loads(body)["position"] for _, body in receiver.requests] == [1, 1, 1, 2]


@pytest.mark.parametrize("answer", [301, 302, 307, 400, 401, 404, 410])
def test_a_permanent_refusal_is_not_retried(posted: MlflowClient, receiver: Receiver, answer: int) -> None:
    receiver.answers = [answer]
    with pytest.raises(UnavailableError, match=rf"did not take event 1 \(1 attempts\): HTTP status {answer}"):
        posted.watch_events(_sink(receiver), cursor=CURSOR, once=True)
    assert len(receiver.requests) == 1
    posted.watch_events(_sink(receiver), cursor=CURSOR, once=True)
    assert [json.loads(body)["position"] for _, body in receiver.requests] == [1, 1, 2]


def test_attempts_have_an_end_and_the_message_no_secret(posted: MlflowClient, receiver: Receiver) -> None:
    receiver.answers = [500] * 3
    with pytest.raises(UnavailableError, match=r"\(3 attempts\)") as caught:
        posted.watch_events(_sink(receiver, attempts=3, secret="s3cret"), cursor=CURSOR, once=True)
    assert "s3cret" not in str(caught.value)
    assert "secret-path" not in str(caught.value)
    assert len(receiver.requests) == 3


def test_a_receiver_that_does_not_answer_is_given_up(posted: MlflowClient, receiver: Receiver) -> None:
    receiver.delay = 1.0
    with pytest.raises(UnavailableError, match="did not take event 1"):
        posted.watch_events(_sink(receiver, attempts=1, timeout_seconds=0.05), cursor=CURSOR, once=True)


def test_a_receiver_that_is_not_there_is_an_error_of_ours(posted: MlflowClient, receiver: Receiver) -> None:
    receiver.server.server_close()
    with pytest.raises(UnavailableError, match="did not take event 1"):
        posted.watch_events(_sink(receiver, attempts=2), cursor=CURSOR, once=True)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://host/x",
        "http://",
        "example.com",
        "http://host:99999/",
        "http://a b/",
        "http://ann:pw@h/",
    ],
)
def test_an_address_that_is_no_webhook_is_refused_unseen(url: str) -> None:
    with pytest.raises(InvalidParameterError, match="The address of a webhook") as caught:
        registry.WebhookSink(url)
    assert "pw" not in str(caught.value)


def test_a_sink_does_not_show_its_secrets() -> None:
    assert repr(registry.WebhookSink("https://example.com/secret-path", secret="s3cret")) == (
        "WebhookSink(https://example.com)"
    )


@pytest.mark.parametrize("interval", [-1.0, float("nan"), float("inf")])
def test_an_interval_that_is_none_is_refused(sqlite_url: str, interval: float) -> None:
    with pytest.raises(InvalidParameterError, match="interval_seconds"):
        MlflowClient(sqlite_url).watch_events(Kept(), interval_seconds=interval)
