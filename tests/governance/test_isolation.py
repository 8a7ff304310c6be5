"""Two transactions on one model, the first held before each of its statements in turn while the second runs.

Whatever statement it is, what comes of it is what one of the two orders would give: the second waits for the lock, or
is done before the first has it. Stops are at PostgreSQL's statements, as in its own tests of isolation; whether the
second waits is asked of the server, not guessed from its silence.
"""

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from governed_models import raw_connection, register, sealed_model
from racing import without_lock
from sqlalchemy import event
from statements_heard import hear_statements

from registry import MlflowClient
from registry.exceptions import RegistryError
from registry.store.registry import history_writer

# Each takes a client, what sets the names of this trial apart, and the id of a sealed model.
Operation = Callable[[MlflowClient, str, str], Any]

OPERATIONS: dict[str, Operation] = {
    "promote 1": lambda c, n, _: c.transition_model_version_stage(f"nba{n}", 1, "Production"),
    "promote 2": lambda c, n, _: c.transition_model_version_stage(f"nba{n}", 2, "Production"),
    "promote 2 if empty": lambda c, n, _: c.transition_model_version_stage(
        f"nba{n}", 2, "Production", expected_current=None
    ),
    "promote 2 if 3": lambda c, n, _: c.transition_model_version_stage(f"nba{n}", 2, "Production", expected_current=3),
    "stage 3": lambda c, n, _: c.transition_model_version_stage(f"nba{n}", 3, "Staging"),
    "roll back": lambda c, n, _: c.rollback(f"nba{n}"),
    "register": lambda c, n, model_id: register(c, f"nba{n}", model_id=model_id),
    "delete 2": lambda c, n, _: c.delete_model_version(f"nba{n}", 2, force=True),
    "restore 4": lambda c, n, _: c.restore_model_version(f"nba{n}", 4),
    "alias 2": lambda c, n, _: c.set_registered_model_alias(f"nba{n}", "best", 2),
    "no alias": lambda c, n, _: c.delete_registered_model_alias(f"nba{n}", "best"),
    "rename": lambda c, n, _: c.rename_registered_model(f"nba{n}", f"mlb{n}"),
    "rename another to mlb": lambda c, n, _: c.rename_registered_model(f"other{n}", f"mlb{n}"),
    "create mlb": lambda c, n, _: c.create_registered_model(f"mlb{n}"),
    "delete the model": lambda c, n, _: c.delete_registered_model(f"nba{n}", force=True),
}
PAIRS = list(itertools.combinations(OPERATIONS, 2))
# What an ordinary run tries; a storm tries all.
SOME = [
    ("promote 2 if 3", "roll back"),
    ("alias 2", "delete 2"),
    ("register", "rename"),
    ("rename", "rename another to mlb"),
]
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


class Bench:
    """A database on which pairs of calls are tried, each on its own models."""

    def __init__(self, url: str, watch: Any) -> None:
        self.client = MlflowClient(url)
        self.model_id = sealed_model(self.client)
        self.waiting = 0
        self._watch = watch
        self._numbers = itertools.count(1)
        self._stop: _Stop | None = None
        engine = self.client.backend.database.engine
        hear_statements(engine, lambda *_: self._before_statement())
        event.listen(engine, "commit", lambda _: self._before_statement())

    def allowed(self, first: str, second: str) -> list[Any]:
        """The results of both serial orders."""
        return [self._one_after_the_other(*order) for order in ((first, second), (second, first))]

    def found(self, first: str, second: str) -> Iterator[Any]:
        """The results when the first call is held before each of its statements, up to COMMIT."""
        for place in itertools.count(1):
            trial, self._stop = self._prepared(), _Stop(place)
            said: dict[str, str] = {}
            holding = threading.Thread(target=self._call, args=(first, trial, said), name="held")
            holding.start()
            if not self._stop.reached.wait(30) or self._stop.passed:
                holding.join(30)
                return
            meanwhile = threading.Thread(target=self._call, args=(second, trial, said))
            meanwhile.start()
            self._wait_until_it_waits(meanwhile)
            self._stop.go_on.set()
            for thread in (holding, meanwhile):
                thread.join(30)
            self._stop = None
            yield self._outcome(trial), said

    def _prepared(self) -> str:
        trial = f"-{next(self._numbers)}"
        client, name = self.client, f"nba{trial}"
        register(client, name, 4, model_id=self.model_id)
        client.create_registered_model(f"other{trial}")
        client.transition_model_version_stage(name, 1, "Production")
        client.transition_model_version_stage(name, 3, "Production")
        client.set_registered_model_alias(name, "best", 1)
        client.delete_model_version(name, 4)
        return trial

    def _one_after_the_other(self, first: str, second: str) -> Any:
        trial, said = self._prepared(), {}
        for name in (first, second):
            self._call(name, trial, said)
        return self._outcome(trial), said

    def _call(self, operation: str, trial: str, said: dict[str, str]) -> None:
        try:
            OPERATIONS[operation](self.client, trial, self.model_id)
        except RegistryError as error:
            said[operation] = type(error).__name__
        else:
            said[operation] = "done"
        if threading.current_thread().name == "held" and self._stop is not None and not self._stop.reached.is_set():
            self._stop.passed = True
            self._stop.reached.set()

    def _before_statement(self) -> None:
        if self._stop is not None and threading.current_thread().name == "held":
            self._stop.count_down()

    def _wait_until_it_waits(self, thread: threading.Thread) -> None:
        while thread.is_alive():
            if self._watch.execute(WAITING).fetchone() != (0,):
                self.waiting += 1
                return
            thread.join(0.002)

    def _outcome(self, trial: str) -> Any:
        """The visible state afterwards; the chains are verified separately."""
        where = f"name LIKE '%{trial}'"
        for (uid,) in self._watch.execute(f"SELECT uid FROM registered_models WHERE {where}").fetchall():
            self.client.backend.verification.verify_uid(uid)
        found = self.client.search_registered_models(where)
        rows = self.client.search_model_versions(where)
        return (
            {model.name.removesuffix(trial): dict(model.aliases) for model in found},
            {(row.name.removesuffix(trial), row.version): row.current_stage for row in rows},
        )


class _Stop:
    """A point at which a thread is held: before its statement of this number."""

    def __init__(self, place: int) -> None:
        self.left = place
        self.passed = False
        self.reached, self.go_on = threading.Event(), threading.Event()

    def count_down(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.reached.set()
            self.go_on.wait(30)


def _try(bench: Bench, first: str, second: str) -> None:
    allowed = bench.allowed(first, second)
    for held, other in ((first, second), (second, first)):
        outcomes = list(bench.found(held, other))
        assert len(outcomes) >= 3  # BEGIN, the lock, COMMIT
        assert [one for one in outcomes if one not in allowed] == []


@pytest.fixture
def bench(postgres_url: str) -> Iterator[Bench]:
    with raw_connection(postgres_url) as connection:
        yield Bench(postgres_url, connection)


@pytest.mark.parametrize(
    ("first", "second"),
    [*SOME, *(pytest.param(*pair, marks=pytest.mark.storm) for pair in PAIRS if pair not in SOME)],
)
def test_side_by_side_is_as_one_after_the_other(bench: Bench, first: str, second: str) -> None:
    _try(bench, first, second)
    # What is always refused holds nothing that a change of another model waits for.
    assert bench.waiting > 0 or "promote 2 if empty" in (first, second)


def test_without_the_lock_it_is_not(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Show that the tests above can fail."""
    monkeypatch.setattr(history_writer, "_lock_statement", without_lock(history_writer._lock_statement))
    with pytest.raises((AssertionError, RegistryError)):
        _try(bench, "alias 2", "delete 2")
