"""Junk for any argument of any public function raises a `RegistryError`, and nothing is written.

Every function is called with good arguments but one, which is each piece of junk in turn. Where junk is taken (a tag's
value may be anything) the call may succeed; where the call fails, the database has no new commit.
"""

import inspect
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
from sklearn.linear_model import LogisticRegression

import registry
from registry import MlflowClient
from registry.entities import Metric
from registry.exceptions import RegistryError

JUNK: Final = [None, 5, 1.5, "", "../x", "a\0b", "\ud800", "x" * 5_000, b"x", [1], {1: object()}, 2**64, object()]
DOORS: Final = ["artifacts", "data", "models", "pyfunc", "sklearn", "xgboost"]
# They say where everything is kept, for all that follows; or go on by what they are for.
LEFT_OUT: Final = {"set_tracking_uri", "set_registry_uri", "watch_events", "ui"}
# They start a run where none is active, and it stays.
LOGS_TO_A_RUN: Final = {"registry.fluent.logging", "registry.fluent.artifacts", "registry.fluent.artifacts_by_uri"}
# A model's bytes come before its row, so a place for them is noted first, and gc removes it.
NOTES_AN_UPLOAD: Final = {"log_model", "register_model", "create_model_version", "copy_model_version"}


def client_methods() -> Iterator[tuple[str, Callable[..., Any]]]:
    client = MlflowClient()
    for name in dir(client):
        if not name.startswith("_") and name not in LEFT_OUT and callable(method := getattr(client, name, None)):
            yield name, method


def module_functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    for name in registry.__all__:
        if name not in LEFT_OUT and inspect.isfunction(function := getattr(registry, name)):
            yield name, function


def door_functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    for door in DOORS:
        module = getattr(registry, door)
        for name in getattr(module, "__all__", dir(module)):
            if inspect.isfunction(function := getattr(module, name)):
                yield name, function


@pytest.fixture
def good(own_place: Path) -> dict[str, Any]:
    """Valid arguments by parameter name."""
    registry.set_tracking_uri(f"sqlite:///{own_place}/registry.db")
    (own_place / "a.txt").write_text("x")
    (own_place / "files").mkdir()
    (own_place / "files" / "b.txt").write_text("y")
    experiment = registry.set_experiment("nba").experiment_id
    with registry.start_run() as run:
        registry.log_metric("m", 1.0)
        registry.set_tag("k", "v")
        registry.log_text("x", "t.txt")
        registry.log_table({"a": [1]}, "table.json")
        model = LogisticRegression().fit([[0], [1]], [0, 1])
        info = registry.sklearn.log_model(model, name="model", registered_model_name="churn")
    client = MlflowClient()
    client.transition_model_version_stage("churn", 1, "Production")
    client.set_registered_model_alias("churn", "champion", 1)
    return {
        "alias": "champion",
        "artifact_file": "new.txt",
        "artifact_uri": f"runs:/{run.info.run_id}/t.txt",
        "data": {"a": [1]},
        "dictionary": {"a": 1},
        "dst_name": "copy",
        "experiment_id": experiment,
        "experiment_ids": [experiment],
        "key": "k",
        "local_dir": "files",
        "local_path": "a.txt",
        "metrics": [Metric("a", 1.0, 1, 0)],
        "model_id": info.model_id,
        "model_uri": info.model_uri,
        "name": "churn",
        "new_name": "renamed",
        "params": {"q": "1"},
        "path": "t.txt",
        "private_key": "a.txt",
        "run_id": run.info.run_id,
        "sk_model": model,
        "source": info.model_uri,
        "src_model_uri": "models:/churn/1",
        "stage": "Staging",
        "status": "FINISHED",
        "tags": {"a": "b"},
        "text": "x",
        "uri": "models:/churn/1",
        "value": "v",
        "version": 1,
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Integer columns:UserWarning")
@pytest.mark.parametrize(
    "functions", [client_methods, module_functions, door_functions], ids=["client", "fluent", "doors"]
)
def test_junk_in_any_argument_is_taken_or_refused_by_an_error_of_ours_that_changes_nothing(
    functions: Callable[[], Iterator[tuple[str, Callable[..., Any]]]], good: dict[str, Any], own_place: Path
) -> None:
    watcher = sqlite3.connect(own_place / "registry.db")
    faults = []
    for name, function in functions():
        parameters = inspect.signature(function).parameters.values()
        named = [each for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
        base = {each.name: good.get(each.name) for each in named if each.default is each.empty}
        for parameter in named:
            for junk in JUNK:
                if function.__module__ in LOGS_TO_A_RUN and registry.active_run() is None:
                    registry.start_run()
                before = _commits(watcher)
                try:
                    function(**{**base, parameter.name: junk})
                except RegistryError as error:
                    changed = name not in NOTES_AN_UPLOAD and _commits(watcher) != before
                    if changed or error.error_code == "INTERNAL_ERROR" or len(str(error)) > 4_100:
                        faults.append((name, parameter.name, repr(junk)[:20], changed, str(error)[:200]))
                except Exception as error:
                    faults.append((name, parameter.name, repr(junk)[:20], type(error).__name__, str(error)[:200]))
                if function.__module__ not in LOGS_TO_A_RUN:
                    _end_runs()
    watcher.close()
    assert faults == []


def _commits(watcher: sqlite3.Connection) -> int:
    """A number that changes when another connection commits."""
    return int(watcher.execute("PRAGMA data_version").fetchone()[0])


def _end_runs() -> None:
    while registry.active_run() is not None:
        with suppress(RegistryError):  # junk may have deleted the run
            registry.end_run()
