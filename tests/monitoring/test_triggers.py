"""Triggers: names in the database, and what they mean on the machine of the runner."""

import hashlib
import hmac
import http.server
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from governed_models import RawSql
from monitored_models import NOTHING, finding, model_in_production

from registry import MlflowClient
from registry.exceptions import InvalidParameterError, MissingDependencyError, NotFoundError
from registry.monitoring.runner import RunnerReport, run_due
from registry.monitoring.triggers import TriggerFile, load_callable, read_triggers, run_command

RECORD = "import json, sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')"
TAKEN: list[dict[str, Any]] = []


def take(payload: dict[str, Any]) -> None:
    """Keep a payload; the callable of a trigger."""
    TAKEN.append(payload)


def refuse(_payload: dict[str, Any]) -> None:
    """Fail; the callable of a trigger."""
    raise ValueError("the pager is off")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make this module importable by name, as a module of the runner's machine is."""
    monkeypatch.setitem(sys.modules, "pager", sys.modules[__name__])
    TAKEN.clear()
    yield
    TAKEN.clear()


def triggers_file(text: str) -> Path:
    """Write a file of triggers into the working directory."""
    path = Path("triggers.toml")
    path.write_text(text)
    return path


def raise_incident(client: MlflowClient, triggers: TriggerFile, *names: str, cause: str = "a") -> RunnerReport:
    """Let a monitor with these triggers find a cause, and run what it sets off."""
    monitor = client.add_monitor("nba", triggers=names, cooldown="0s", window="7d")
    return run_due(client, monitor_id=monitor.id, triggers=triggers, check=finding(cause))


def states(client: MlflowClient) -> list[tuple[str, str, int, str | None]]:
    return [(one.trigger, str(one.state), one.attempts, one.message) for one in client.get_trigger_deliveries()]


def test_a_command_gets_the_evidence_on_stdin(client: MlflowClient, own_place: Path) -> None:
    model_in_production(client)
    command = json.dumps([sys.executable, "-c", RECORD, str(own_place / "got.jsonl")])
    known = read_triggers(triggers_file(f"[triggers.page]\ncommand = {command}\n"))

    report = raise_incident(client, known, "page")

    assert [(one.state, one.message) for one in report.deliveries] == [("delivered", None)]
    assert report.has_failures is False
    (payload,) = map(json.loads, (own_place / "got.jsonl").read_text().splitlines())
    (incident,) = client.get_incidents()
    assert (payload["model"], payload["stage"], payload["version"]) == ("nba", "Production", 2)
    assert (payload["delivery"], payload["attempt"], payload["trigger"]) == (1, 1, "page")
    assert payload["registry_id"] == client.backend.experiments.registry_id()
    assert payload["check"]["status"] == "drift"
    (told,) = payload["incidents"]
    assert (told["id"], told["cause"], told["figures"]) == (incident.id, "a", {"effect": 0.25})
    assert (told["report_digest"], told["run_id"]) == (incident.report_digest, incident.run_id)


def test_a_callable_is_called_once_per_check_whatever_it_finds(client: MlflowClient) -> None:
    model_in_production(client)
    known = read_triggers(triggers_file('[triggers.page]\ncallable = "pager:take"\n'))
    monitor = client.add_monitor("nba", triggers=["page", "page"])

    run_due(client, monitor_id=monitor.id, triggers=known, check=finding("a", "b"))
    run_due(client, monitor_id=monitor.id, triggers=known, check=finding("a", "b"))

    assert [[one["cause"] for one in payload["incidents"]] for payload in TAKEN] == [["a", "b"]]
    assert states(client) == [("page", "delivered", 1, None)]


class _Receiver(http.server.BaseHTTPRequestHandler):
    answers: ClassVar[list[int]] = []
    got: ClassVar[list[tuple[str | None, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.headers["X-Registry-Signature-256"], body))
        self.send_response(self.answers.pop(0) if self.answers else 204)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Print nothing."""


@pytest.fixture
def receiver() -> Iterator[str]:
    _Receiver.got, _Receiver.answers = [], []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hooks/token"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_gets_the_evidence_signed(
    client: MlflowClient, receiver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_in_production(client)
    monkeypatch.setenv("PAGE_SECRET", "s3cret")
    known = read_triggers(triggers_file(f'[triggers.page]\nwebhook = "{receiver}"\nsecret_env = "PAGE_SECRET"\n'))

    raise_incident(client, known, "page")

    ((signature, body),) = _Receiver.got
    assert signature == "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    assert [one["cause"] for one in json.loads(body)["incidents"]] == ["a"]


def test_a_webhook_that_refuses_is_asked_again_later(client: MlflowClient, receiver: str, sql: RawSql) -> None:
    model_in_production(client)
    _Receiver.answers = [400]
    known = read_triggers(triggers_file(f'[triggers.page]\nwebhook = "{receiver}"\nsecret = "s3cret"\n'))

    report = raise_incident(client, known, "page")

    failure = "The webhook at 127.0.0.1 did not take trigger 'page' (1 attempts): HTTP status 400."
    assert report.has_failures
    assert states(client) == [("page", "pending", 1, failure)]
    assert run_due(client, triggers=known, check=finding()).deliveries == []
    sql("UPDATE trigger_deliveries SET next_time = 0")
    run_due(client, triggers=known, check=finding())
    assert states(client) == [("page", "delivered", 2, None)]
    assert [json.loads(body)["attempt"] for _, body in _Receiver.got] == [1, 2]


def test_a_trigger_that_always_fails_is_given_up_after_ten_attempts(client: MlflowClient, sql: RawSql) -> None:
    model_in_production(client)
    known = read_triggers(triggers_file('[triggers.page]\ncallable = "pager:refuse"\n'))
    raise_incident(client, known, "page")

    for _ in range(12):
        sql("UPDATE trigger_deliveries SET next_time = 0")
        run_due(client, triggers=known, check=finding())

    assert states(client) == [("page", "failed", 10, "ValueError: the pager is off")]
    assert [one.trigger for one in client.get_trigger_deliveries(["failed"])] == ["page"]


def test_a_runner_that_was_killed_during_a_trigger_leaves_it_to_the_next(client: MlflowClient, sql: RawSql) -> None:
    model_in_production(client)
    raise_incident(client, NOTHING, "page")
    known = read_triggers(triggers_file('[triggers.page]\ncallable = "pager:take"\n'))
    store = client.backend.deliveries
    killed = store.lease("killed", 60, ["page"])
    assert killed is not None
    assert run_due(client, triggers=known, check=finding()).deliveries == []

    sql("UPDATE trigger_deliveries SET lease_until = 0")
    run_due(client, triggers=known, check=finding())

    assert [payload["attempt"] for payload in TAKEN] == [2]
    assert store.finish(killed, "pending") is None  # type: ignore[arg-type]
    assert store.renew(killed, 60) is False
    assert states(client) == [("page", "delivered", 2, None)]


def test_a_machine_that_does_not_know_a_name_leaves_it_to_one_that_does(client: MlflowClient) -> None:
    model_in_production(client)

    assert raise_incident(client, NOTHING, "page").deliveries == []
    assert states(client) == [("page", "pending", 0, None)]

    known = read_triggers(triggers_file('[triggers.page]\ncallable = "pager:take"\n'))
    assert [one.state for one in run_due(client, triggers=known, check=finding()).deliveries] == ["delivered"]


def test_a_row_cannot_name_a_command(client: MlflowClient, own_place: Path, sql: RawSql) -> None:
    """Whoever may write to the database may not run code on the machine of a runner."""
    model_in_production(client)
    known = read_triggers(triggers_file('[triggers.page]\ncallable = "pager:take"\n'))
    monitor = client.add_monitor("nba")
    evil = json.dumps([f"touch {own_place}/evil", "os:system", "pager:refuse", "../triggers.toml"])
    sql('UPDATE monitors SET triggers = ?, settings = \'{"window": "7d"}\'', (evil,))

    report = run_due(client, monitor_id=monitor.id, triggers=known, check=finding("a"))

    assert report.deliveries == []
    assert {state for _, state, _, _ in states(client)} == {"pending"}
    assert not (own_place / "evil").exists()


def test_the_file_of_the_setting_is_used(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    model_in_production(client)
    monkeypatch.setenv("REGISTRY_TRIGGERS_FILE", str(triggers_file('[triggers.page]\ncallable = "pager:take"\n')))
    monitor = client.add_monitor("nba", triggers=["page"])

    run_due(client, monitor_id=monitor.id, check=finding("a"))

    assert len(TAKEN) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[triggers.page", "cannot be read: "),
        ("triggers = 3", "triggers: Input should be a valid dictionary"),
        ("[trigger.page]\ncommand = ['x']", "trigger: Extra inputs are not permitted"),
        ("[triggers.page]\ncommand = 'rm -rf /'", "triggers.page.command: Input should be a valid list"),
        ("[triggers.page]\ncommand = []", "triggers.page.command: List should have at least 1 item"),
        ("[triggers.page]\nshell = 'x'", "triggers.page.shell: Extra inputs are not permitted"),
        ("[triggers.page]\ntimeout = '1m'", "trigger 'page' needs one of command, callable and webhook."),
        ("[triggers.page]\ncommand = ['a']\ncallable = 'b'", "needs one of command, callable and webhook."),
        ("[triggers.page]\ncommand = ['a']\nsecret = 'b'", "has a secret, which only a webhook takes."),
        ("[triggers.page]\ncommand = ['a']\ntimeout = 'long'", "'long' is not a duration"),
        ("[triggers.page]\nwebhook = 'ftp://x/y'", "is not an http:// or https:// URL"),
        ("[triggers.page]\nwebhook = 'http://x/y'\nsecret_env = 'NOT_SET'", "the variable NOT_SET is not set."),
        ("[triggers.rollback]\ncommand = ['a']", "defines 'rollback', which is built in. Rename it."),
        ("[retrainings.a]\nmetric = 'f1'", "retraining 'a' needs one of command and callable."),
        ("[retrainings.a]\ncommand = ['x']", "retrainings.a.metric: Field required"),
        (
            "[triggers.a]\ncommand = ['x']\n[retrainings.a]\ncommand = ['x']\nmetric = 'f1'",
            "defines 'a', which is a trigger and a retraining. Rename it.",
        ),
    ],
)
def test_a_file_that_says_nothing_clear_is_refused(text: str, message: str) -> None:
    path = triggers_file(text)
    with pytest.raises(InvalidParameterError) as caught:
        read_triggers(path)

    assert str(caught.value).startswith(f"The triggers file {str(path)!r}")
    assert message in str(caught.value)


def test_a_wrong_file_does_not_show_its_secrets() -> None:
    path = triggers_file("[triggers.page]\nwebhook = 'http://x/token'\nsecret = ['s3cret']\n")

    with pytest.raises(InvalidParameterError) as caught:
        read_triggers(path)

    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_that_everybody_may_write_is_refused() -> None:
    path = triggers_file("[triggers]\n")
    path.chmod(0o666)

    with pytest.raises(InvalidParameterError, match="Everybody may write the triggers file"):
        read_triggers(path)
    with pytest.raises(InvalidParameterError, match="'nowhere.toml' cannot be read: No such file"):
        read_triggers("nowhere.toml")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["/no/such/program"], "The command '/no/such/program' cannot be started: "),
        ([sys.executable, "-c", "import sys; print('no'); sys.exit('pager\\noff')"], "ended with code 1: pager\noff"),
        ([sys.executable, "-c", "import time; time.sleep(600)"], "took more than 0.5 seconds."),
        (["sh", "-c", "sleep 600 & sleep 600"], "took more than 0.5 seconds."),
        (["nul\0"], "cannot be started: embedded null byte."),
    ],
)
def test_a_command_that_fails_says_how(command: list[str], message: str) -> None:
    from registry.exceptions import UnavailableError

    with pytest.raises(UnavailableError) as caught:
        run_command(command, {"a": 1}, 0.5 if "sleep" in command[-1] else 60)

    assert message in str(caught.value)


def test_a_command_may_leave_its_input_unread() -> None:
    assert run_command([sys.executable, "-c", "print('done')"], {"a": "x" * 1_000_000}, 60) == "done\n"


def test_a_callable_that_is_not_there_says_so() -> None:
    with pytest.raises(NotFoundError, match=r"No installed package has the entry point 'page' in the group"):
        load_callable("page", "registry.triggers")
    with pytest.raises(MissingDependencyError, match="The callable 'nowhere:f' cannot be loaded"):
        load_callable("nowhere:f", "registry.triggers")
    with pytest.raises(InvalidParameterError, match="which cannot be called"):
        load_callable("pager:TAKEN", "registry.triggers")


def test_an_installed_entry_point_is_found(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = own_place / "pager-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pager\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[registry.triggers]\npage = pager:take\n")
    monkeypatch.syspath_prepend(str(own_place))

    assert load_callable("page", "registry.triggers") is take
