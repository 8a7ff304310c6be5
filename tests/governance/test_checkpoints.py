"""A checkpoint kept elsewhere detects what a chain cannot: a truncated or rewritten chain."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from governed_models import drop_guards, raw_connection, register

from registry import MlflowClient
from registry.entities.history import HistoryEvent
from registry.exceptions import IntegrityError, InvalidParameterError, StorageError

FILE = Path("checkpoint.json")


def _write_anew(client: MlflowClient, url: str, *, keep: int | None = None, actor: str | None = None) -> None:
    """Rewrite a model's history with a valid chain, as the owner of the database can."""
    drop_guards(url)
    events: list[HistoryEvent] = []
    for event in client.get_history("nba")[:keep]:
        previous = events[-1].hash if events else None
        events.append(replace(event, actor=actor or event.actor, prev_hash=previous))
    with raw_connection(url) as connection:
        mark = "?" if url.startswith("sqlite") else "%s"
        connection.execute(f"DELETE FROM history WHERE seq > {len(events)}")
        for event in events:
            row = (event.actor, event.prev_hash, event.hash, event.seq)
            connection.execute(
                f"UPDATE history SET actor = {mark}, prev_hash = {mark}, hash = {mark} WHERE seq = {mark}", row
            )
        end = (len(events), events[-1].hash, events[-1].time_us)
        connection.execute(
            f"UPDATE registered_models SET last_seq = {mark}, head_hash = {mark}, last_event_us = {mark}", end
        )
        if actor is not None:
            connection.execute(f"UPDATE model_versions SET user_id = '{actor}'")


def test_a_checkpoint_holds_the_end_of_every_chain(client: MlflowClient) -> None:
    register(client, "nba")
    register(client, "mlb")
    client.delete_registered_model("mlb")
    reports = client.verify_all(checkpoint=FILE)
    written = json.loads(FILE.read_text())
    assert written == {
        "format": 1,
        "registry_id": client.backend.experiments.registry_id(),
        "models": {
            report.model_uid: {"name": report.name, "sequence": report.seq, "hash": report.hash} for report in reports
        },
    }
    assert [path.name for path in Path().iterdir() if path.name.startswith(".checkpoint")] == []


def test_a_chain_that_went_on_agrees_with_its_checkpoint(client: MlflowClient) -> None:
    register(client, "nba")
    client.verify("nba", checkpoint=FILE)
    client.transition_model_version_stage("nba", 1, "Production")
    client.rename_registered_model("nba", "mlb")
    client.verify("mlb", checkpoint=FILE)
    (entry,) = json.loads(FILE.read_text())["models"].values()
    assert (entry["name"], entry["sequence"]) == ("mlb", 4)


def test_a_chain_that_was_cut_off_is_found(client: MlflowClient, database_url: str) -> None:
    register(client, "nba")
    client.approve("nba", 1, "Production")
    client.verify("nba", checkpoint=FILE)
    before = FILE.read_text()
    _write_anew(client, database_url, keep=2)
    with raw_connection(database_url) as connection:
        connection.execute("DELETE FROM approvals")
    assert client.verify("nba").seq == 2
    with pytest.raises(IntegrityError, match="Event 3 of 'nba' .* the end of its history was cut off"):
        client.verify("nba", checkpoint=FILE)
    assert FILE.read_text() == before


def test_a_chain_that_was_written_anew_is_found(client: MlflowClient, database_url: str) -> None:
    register(client, "nba")
    client.verify_all(checkpoint=FILE)
    _write_anew(client, database_url, actor="innocent")
    assert client.verify("nba").seq == 2
    with pytest.raises(IntegrityError, match="Event 2 of 'nba' .* its history was written anew"):
        client.verify_all(checkpoint=FILE)


def test_the_checkpoint_of_one_model_keeps_the_others(client: MlflowClient) -> None:
    register(client, "nba")
    register(client, "mlb")
    client.verify_all(checkpoint=FILE)
    client.approve("nba", 1, "Production")
    client.verify("nba", checkpoint=FILE)
    models = json.loads(FILE.read_text())["models"].values()
    assert {entry["name"]: entry["sequence"] for entry in models} == {"nba": 3, "mlb": 2}


def test_a_missing_model_is_found(client: MlflowClient, database_url: str) -> None:
    register(client, "nba")
    client.create_registered_model("mlb")
    client.verify_all(checkpoint=FILE)
    drop_guards(database_url)
    with raw_connection(database_url) as connection:
        connection.execute("DELETE FROM history WHERE model_id = 2")
        connection.execute("DELETE FROM registered_models WHERE id = 2")
    with pytest.raises(IntegrityError, match="Event 1 of 'mlb'"):
        client.verify_all(checkpoint=FILE)


def test_another_database_in_its_place_is_found(client: MlflowClient, database_url: str) -> None:
    register(client, "nba")
    client.verify_all(checkpoint=FILE)
    with raw_connection(database_url) as connection:
        connection.execute("UPDATE registry_id SET id = 'another'")
    with pytest.raises(IntegrityError, match="but this database says it is another"):
        client.verify_all(checkpoint=FILE)


@pytest.mark.parametrize(
    "content",
    ["", "not json", "[]", "{}", '{"format": 2, "models": {}}', '{"format": 1, "models": []}'],
)
def test_a_file_that_is_no_checkpoint_is_refused_and_left(sqlite_url: str, content: str) -> None:
    client = MlflowClient(sqlite_url)
    FILE.write_text(content)
    with pytest.raises(InvalidParameterError, match=r"checkpoint\.json"):
        client.verify_all(checkpoint=FILE)
    assert FILE.read_text() == content


def test_a_checkpoint_with_an_entry_that_means_nothing_is_refused(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    client.verify_all(checkpoint=FILE)
    content = json.loads(FILE.read_text()) | {"models": {"uid": {"name": "nba", "sequence": "1", "hash": "x"}}}
    FILE.write_text(json.dumps(content))
    with pytest.raises(InvalidParameterError, match="an entry for 'uid' that cannot be read"):
        client.verify_all(checkpoint=FILE)


def test_a_checkpoint_that_cannot_be_written_is_an_error(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    with pytest.raises(StorageError, match="cannot be written"):
        client.verify_all(checkpoint="missing/checkpoint.json")
