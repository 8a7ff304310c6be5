"""Hostile texts for every public argument, on both databases: one of our errors, and nothing changes.

At the command line an error is one line on stderr, without anything that a terminal obeys, and the exit code is 1.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from file_trees import read_files
from governed_models import raw_sql
from hostile_texts import (
    ALIASES,
    FILTERS,
    KEYS,
    MLMODEL_FILES,
    NAMES,
    ORDERS,
    PATHS,
    RUN_IDS,
    STAGES,
    URIS,
    VERSIONS,
)

import registry
from registry import MlflowClient, cli
from registry.entities import Metric, Param, RunTag
from registry.exceptions import RegistryError
from registry.store.tables import Base

RUN: Final = "0123456789abcdef" * 2
FREE: Final = "fresh"

# What is given each text of a kind; `RUN` is a run, `churn` a model with one version, which is in Production.
CALLS: Final[dict[str, tuple[list[str], list[Callable[[MlflowClient, str], Any]]]]] = {
    "names": (
        NAMES,
        [
            lambda client, text: client.create_registered_model(text),
            lambda client, text: client.rename_registered_model("churn", text),
            lambda client, text: client.register_model("models:/churn/1", text),
            lambda client, text: client.copy_model_version("models:/churn/1", text),
            lambda client, text: client.get_registered_model(text),
            lambda client, text: client.delete_registered_model(text, force=True),
            lambda client, text: client.transition_model_version_stage(text, 1, "Archived"),
        ],
    ),
    "aliases": (
        ALIASES,
        [lambda client, text: client.set_registered_model_alias("churn", text, 1)],
    ),
    "keys": (
        KEYS,
        [
            lambda client, text: client.log_param(RUN, text, 1),
            lambda client, text: client.log_metric(RUN, text, 1),
            lambda client, text: client.log_batch(RUN, [Metric("a", 1.0, 1, 0)], [Param(text, "1")], [RunTag("t", "")]),
            lambda client, text: client.set_tag(RUN, text, 1),
            lambda client, text: client.delete_tag(RUN, text),
            lambda client, text: client.set_experiment_tag("0", text, 1),
            lambda client, text: client.set_registered_model_tag("churn", text, 1),
            lambda client, text: client.set_model_version_tag("churn", 1, text, 1),
            lambda client, text: client.create_run("0", tags={text: 1}),
        ],
    ),
    "paths": (
        PATHS,
        [
            lambda client, text: client.log_text(RUN, "x", text),
            lambda client, text: client.log_dict(RUN, {}, text),
            lambda client, text: client.log_artifact(RUN, "notes.txt", text),
            lambda client, text: client.log_artifacts(RUN, "files", text),
            lambda client, text: client.list_artifacts(RUN, text),
            lambda client, text: client.download_artifacts(RUN, text),
            lambda client, text: registry.artifacts.download_artifacts(run_id=RUN, artifact_path=text),
        ],
    ),
    "URIs": (
        URIS,
        [
            lambda client, text: client.resolve(text),
            lambda client, text: client.register_model(text, FREE),
            lambda client, text: client.create_model_version("churn", text),
            lambda client, text: registry.pyfunc.load_model(text),
            lambda client, text: registry.xgboost.load_model(text),
            lambda client, text: registry.artifacts.load_text(text),
            lambda client, text: client.copy_model_version(text, FREE),
        ],
    ),
    "run ids": (
        RUN_IDS,
        [
            lambda client, text: client.get_run(text),
            lambda client, text: client.log_metric(text, "m", 1),
            lambda client, text: client.log_text(text, "x", "a.txt"),
            lambda client, text: client.delete_run(text),
            lambda client, text: client.set_terminated(text),
            lambda client, text: client.get_metric_history(text, "m"),
        ],
    ),
    "versions": (
        VERSIONS,
        [
            lambda client, text: client.get_model_version("churn", text),
            lambda client, text: client.delete_model_version("churn", text, force=True),
            lambda client, text: client.transition_model_version_stage("churn", text, "Staging"),
            lambda client, text: client.set_registered_model_alias("churn", "champion", text),
            lambda client, text: client.set_model_version_tag("churn", text, "k", "v"),
        ],
    ),
    "stages": (
        STAGES,
        [
            lambda client, text: client.transition_model_version_stage("churn", 1, text),
            lambda client, text: client.get_latest_versions("churn", [text]),
            lambda client, text: client.rollback("churn", text),
            lambda client, text: client.approve("churn", 1, text),
        ],
    ),
    "filters": (
        FILTERS,
        [
            lambda client, text: client.search_runs(["0"], text),
            lambda client, text: client.search_experiments(filter_string=text),
            lambda client, text: client.search_registered_models(text),
            lambda client, text: client.search_model_versions(text),
            lambda client, text: client.search_logged_models(["0"], text),
        ],
    ),
    "orders": (
        ORDERS,
        [
            lambda client, text: client.search_runs(["0"], order_by=[text]),
            lambda client, text: client.search_registered_models(order_by=[text]),
            lambda client, text: client.search_model_versions(order_by=[text]),
        ],
    ),
}
COMMANDS: Final[dict[str, tuple[list[str], list[list[str]]]]] = {
    "names": (
        NAMES,
        [["models", "show", "TEXT"], ["versions", "promote", "TEXT/1", "Archived"], ["models", "history", "TEXT"]],
    ),
    "URIs": (URIS, [["artifacts", "resolve", "TEXT"]]),
    "run ids": (RUN_IDS, [["runs", "show", "TEXT"]]),
    "versions": (VERSIONS, [["versions", "show", "churn/TEXT"], ["versions", "promote", "churn/TEXT", "Staging"]]),
    "stages": (STAGES, [["versions", "promote", "churn/1", "TEXT"], ["models", "rollback", "churn", "TEXT"]]),
    "filters": (FILTERS, [["runs", "list", "--filter", "TEXT"], ["models", "list", "--filter", "TEXT"]]),
    "orders": (ORDERS, [["runs", "list", "--order-by", "TEXT"]]),
}


@pytest.fixture
def filled(database_url: str, own_place: Path) -> MlflowClient:
    """A client of a registry with a run and a model, set as the tracking URI."""
    registry.set_tracking_uri(database_url)
    (own_place / "notes.txt").write_text("x")
    (own_place / "files").mkdir()
    (own_place / "files" / "MLmodel").write_text("flavors: {}\n")
    client = MlflowClient()
    made = client.create_run("0").info.run_id
    raw_sql(database_url)(f"UPDATE runs SET run_id = '{RUN}' WHERE run_id = '{made}'")
    client.log_param(RUN, "p", 1)
    client.log_text(RUN, "x", "t.txt")
    client.register_model("files", "churn")
    client.transition_model_version_stage("churn", 1, "Production")
    return client


@pytest.fixture
def state(database_url: str, filled: MlflowClient, own_place: Path) -> Callable[[], Any]:
    """All rows of all tables, and all files."""
    del filled  # what is read is there
    sql = raw_sql(database_url)

    def read() -> Any:
        rows = {name: sorted(map(repr, sql(f"SELECT * FROM {name}"))) for name in Base.metadata.tables}
        return rows, read_files(own_place)

    return read


@pytest.mark.parametrize("kind", CALLS)
def test_a_hostile_text_is_refused_by_an_error_of_ours_and_changes_nothing(
    kind: str, filled: MlflowClient, state: Callable[[], Any]
) -> None:
    texts, calls = CALLS[kind]
    before = state()
    faults = []
    for text in texts:
        for number, call in enumerate(calls):
            try:
                answer = call(filled, text)
            except RegistryError as error:
                if error.error_code == "INTERNAL_ERROR" or not 15 < len(str(error)) < 4_100:
                    faults.append((text[:40], number, str(error)[:300]))
            except Exception as error:
                faults.append((text[:40], number, repr(error)[:300]))
            else:
                faults.append((text[:40], number, f"was accepted: {answer!r}"[:300]))
    assert faults == []
    assert state() == before


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_hostile_text_at_the_command_line_is_an_error_on_stderr_and_changes_nothing(
    kind: str, state: Callable[[], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    texts, commands = COMMANDS[kind]
    before = state()
    faults = []
    for text in texts:
        for command in commands:
            code = cli.main([word.replace("TEXT", text) for word in command])
            printed = capsys.readouterr()
            lines = printed.err.splitlines()
            # The place in a filter is two lines more, and the filter itself may have line breaks.
            is_told = len(lines) == (3 if kind in ("filters", "orders") and len(lines) > 1 else 1)
            if code not in (2, 4) or printed.out or not is_told or not all(map(str.isprintable, lines)):
                faults.append((text[:40], command, code, printed.out[:100], printed.err[:300]))
    assert faults == []
    assert state() == before


@pytest.mark.parametrize("kind", MLMODEL_FILES)
def test_a_hostile_mlmodel_file_is_refused_when_it_is_loaded(kind: str, own_place: Path) -> None:
    directory = own_place / "model"
    directory.mkdir()
    (directory / "MLmodel").write_bytes(MLMODEL_FILES[kind])
    (directory / "model.pkl").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    (directory / "python_model.pkl").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    before = read_files(own_place)

    for load in (registry.pyfunc.load_model, registry.xgboost.load_model, registry.sklearn.load_model):
        with pytest.raises(RegistryError) as caught:
            load(str(directory))
        assert caught.value.error_code != "INTERNAL_ERROR"

    assert read_files(own_place) == before
