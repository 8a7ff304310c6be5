"""Two transactions on one model, in every order of their steps: only outcomes that some order of the two would give.

The first is held just before it commits while the second runs; then the roles are exchanged. What the second does
meanwhile is wait, and afterwards it sees what the first did.
"""

import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest
from governed_models import register, sealed_model, stages

import registry
from registry import MlflowClient
from registry.exceptions import RegistryError

Operation = Callable[[MlflowClient], Any]

OPERATIONS: dict[str, Operation] = {
    "promote 1": lambda c: c.transition_model_version_stage("nba", 1, "Production"),
    "promote 2": lambda c: c.transition_model_version_stage("nba", 2, "Production"),
    "promote 2 if empty": lambda c: c.transition_model_version_stage("nba", 2, "Production", expected_current=None),
    "promote 2 if 3": lambda c: c.transition_model_version_stage("nba", 2, "Production", expected_current=3),
    "roll back": lambda c: c.rollback("nba"),
    "register": lambda c: register(c, "nba", model_id=c.search_logged_models(["0"])[0].model_id),
    "delete 2": lambda c: c.delete_model_version("nba", 2, force=True),
    "alias 2": lambda c: c.set_registered_model_alias("nba", "best", 2),
    "rename": lambda c: c.rename_registered_model("nba", "mlb"),
    "rename another to mlb": lambda c: c.rename_registered_model("other", "mlb"),
    "create mlb": lambda c: c.create_registered_model("mlb"),
    "delete the model": lambda c: c.delete_registered_model("nba", force=True),
}
PAIRS = [pair for pair in itertools.product(OPERATIONS, repeat=2) if pair[0] != pair[1]]


def _prepare(client: MlflowClient) -> None:
    model_id = sealed_model(client)
    register(client, "nba", 3, model_id=model_id)
    client.create_registered_model("other")
    client.transition_model_version_stage("nba", 1, "Production")
    client.transition_model_version_stage("nba", 3, "Production")


def _outcome(client: MlflowClient) -> Any:
    """What everybody can see afterwards; how the chain came to be is verified apart."""
    client.verify_all()
    found = {}
    for model in sorted(client.search_registered_models(), key=lambda model: model.name):
        found[model.name] = (stages(client, model.name), dict(model.aliases))
    return found


def _called(operation: Operation, client: MlflowClient) -> str:
    try:
        operation(client)
    except RegistryError as error:
        return type(error).__name__
    return "done"


def _one_after_the_other(client: MlflowClient, first: str, second: str) -> tuple[Any, dict[str, str]]:
    said = {name: _called(OPERATIONS[name], client) for name in (first, second)}
    return _outcome(client), said


def _side_by_side(
    client: MlflowClient, first: str, second: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, dict[str, str]]:
    """The first has done all but commit when the second begins; it commits when the second waits or is done."""
    database, said = client.backend.database, {}
    once, inside, go_on = database._write_once, threading.Event(), threading.Event()

    def held(work: Any) -> Any:
        def and_wait(connection: Any) -> Any:
            result = work(connection)
            if threading.current_thread().name == "first" and not inside.is_set():
                inside.set()
                go_on.wait(30)
            return result

        return once(and_wait)

    monkeypatch.setattr(database, "_write_once", held)

    def run(name: str) -> None:
        said[name] = _called(OPERATIONS[name], client)
        if threading.current_thread().name == "first":
            inside.set()

    threads = [
        threading.Thread(target=run, args=(name,), name=role) for name, role in ((first, "first"), (second, "second"))
    ]
    threads[0].start()
    assert inside.wait(30)
    threads[1].start()
    threads[1].join(0.1)
    go_on.set()
    for thread in threads:
        thread.join(30)
    monkeypatch.undo()
    return _outcome(client), said


SOME = [pair for pair in PAIRS if "promote 2" in pair or "rename" in pair][::3]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        *(pytest.param(*pair) for pair in SOME),
        *(pytest.param(*pair, marks=pytest.mark.storm) for pair in PAIRS if pair not in SOME),
    ],
)
def test_side_by_side_is_as_one_after_the_other(
    postgres_server: Any, postgres_url: str, first: str, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.set_tracking_uri(postgres_url)
    client = MlflowClient()
    _prepare(client)
    client.backend.database.dispose()
    twin = postgres_server.create(postgres_url.rpartition("/")[2])
    try:
        expected = _one_after_the_other(MlflowClient(postgres_server.url(twin)), first, second)
        assert _side_by_side(client, first, second, monkeypatch) == expected
    finally:
        registry.store.engine.disconnect_all()
        postgres_server.execute(f"DROP DATABASE {twin} WITH (FORCE)")
