"""Edits past the library are found and named: of history, tables and files."""

from collections.abc import Callable
from pathlib import Path

import pytest
from governed_models import RawSql, drop_guards, raw_sql, register, sealed_model

import registry
from registry import MlflowClient
from registry.entities.history import HistoryEvent
from registry.exceptions import IntegrityError, ModelNotFoundError
from registry.rules import MetricAtLeast

Rewriting = Callable[[HistoryEvent], HistoryEvent]


@pytest.fixture
def full(client: MlflowClient) -> MlflowClient:
    """A model with every kind of event, and an unrelated second model."""
    client.create_registered_model("nba", tags={"team": "a"}, description="about")
    register(client, "nba", 4)
    register(client, "other", model_id=sealed_model(client, "other content"))
    for version in (1, 2, 3):
        client.transition_model_version_stage("nba", version, "Production")
    client.rollback("nba")
    client.transition_model_version_stage("nba", 1, "Staging")
    client.set_registered_model_alias("nba", "best", 2)
    client.set_model_version_tag("nba", 2, "k", "v")
    client.update_model_version("nba", 2, "second")
    client.set_promotion_rules("nba", "Staging", [MetricAtLeast("f1", 0.8)])
    client.approve("nba", 4, "Staging")
    client.delete_model_version("nba", 4)
    return client


def test_an_unedited_registry_verifies(full: MlflowClient) -> None:
    report = full.verify("nba", read_bytes=True)
    assert (report.name, report.versions, report.events) == ("nba", 4, report.seq)
    assert report.hash == full.get_history("nba")[-1].hash
    assert registry.verify("nba") == report.__class__(**{name: getattr(report, name) for name in report.__slots__})


def test_deleted_models_are_verified_too(full: MlflowClient) -> None:
    full.delete_registered_model("other")
    assert [report.name for report in sorted(full.verify_all(), key=lambda report: report.name)] == ["nba", "other"]
    with pytest.raises(ModelNotFoundError):
        full.verify("other")


EDITS = [
    ("UPDATE history SET actor = 'somebody else' WHERE model_id = 1 AND seq = 3", "Event 3 of 'nba' was edited"),
    ("UPDATE history SET reason = 'because' WHERE model_id = 1 AND seq = 3", "Event 3 of 'nba' was edited"),
    ("UPDATE history SET time_us = time_us - 1 WHERE model_id = 1 AND seq = 3", "Event 3 of 'nba' was edited"),
    ("UPDATE history SET \"session_user\" = 'x' WHERE model_id = 1 AND seq = 3", "Event 3 of 'nba' was edited"),
    ("UPDATE history SET details = '{\"x\": 1}' WHERE model_id = 1 AND seq = 3", "Event 3 of 'nba' was edited"),
    ("UPDATE history SET details = 'not json' WHERE model_id = 1 AND seq = 3", "details are not a JSON object"),
    ("UPDATE history SET details = '[NaN]' WHERE model_id = 1 AND seq = 3", "details are not a JSON object"),
    ("UPDATE history SET kind = 'updated' WHERE model_id = 1 AND seq = 4", "Event 4 of 'nba' was edited"),
    ("UPDATE history SET hash = prev_hash WHERE model_id = 1 AND seq = 4", "Event 4 of 'nba' was edited"),
    ("UPDATE history SET prev_hash = hash WHERE model_id = 1 AND seq = 4", "the chain of hashes is broken there"),
    ("DELETE FROM history WHERE model_id = 1 AND seq = 4", "Event 5 of 'nba' follows event 3: events are missing"),
    ("DELETE FROM history WHERE model_id = 1 AND seq = 1", "Event 2 of 'nba' follows event 0: events are missing"),
    ("DELETE FROM history WHERE model_id = 1 AND seq > 6", "ends at event 6"),
    ("DELETE FROM history WHERE model_id = 1", "ends at event 0"),
    ("UPDATE registered_models SET head_hash = uid WHERE id = 1", "its end was cut off or replaced"),
    ("UPDATE registered_models SET last_version = 9 WHERE id = 1", "counts 9 versions, but its history has 4"),
    ("UPDATE registered_models SET description = 'else' WHERE id = 1", "The description of 'nba' is 'else'"),
    ("UPDATE registered_model_tags SET value = 'b' WHERE model_id = 1", "The tag 'team' of 'nba' is 'b'"),
    ("DELETE FROM registered_model_tags", "The tag 'team' of 'nba' is None"),
    (
        "UPDATE model_versions SET current_stage = 'None' WHERE current_stage = 'Production'",
        "The stage of version 2 of 'nba' is 'None', but its history says 'Production'",
    ),
    (
        "UPDATE model_versions SET current_stage = 'None' WHERE model_id = 1 AND version = 3",
        "The stage of version 3 of 'nba' is 'None', but its history says 'Archived'",
    ),
    ("UPDATE model_versions SET description = 'x' WHERE model_id = 1 AND version = 2", "The description of version 2"),
    ("UPDATE model_versions SET run_id = 'x' WHERE model_id = 1 AND version = 2", "The run id of version 2"),
    ("UPDATE model_versions SET source = 'x' WHERE model_id = 1 AND version = 2", "The source of version 2"),
    ("UPDATE model_versions SET user_id = 'x' WHERE model_id = 1 AND version = 2", "The user id of version 2"),
    (
        "UPDATE model_versions SET \"session_user\" = 'x' WHERE model_id = 1 AND version = 2",
        "The session user of version 2",
    ),
    ("UPDATE model_versions SET logged_model_id = 2 WHERE model_id = 1 AND version = 2", "The digest of version 2"),
    ("UPDATE model_versions SET deleted_time = NULL WHERE model_id = 1 AND version = 4", "The deleted of version 4"),
    ("UPDATE model_versions SET deleted_time = 1 WHERE model_id = 1 AND version = 3", "The stage of version 3"),
    ("UPDATE model_version_tags SET value = 'w'", "The tag of version 2 'k' of 'nba' is 'w'"),
    ("UPDATE model_aliases SET version = 3", "The alias 'best' of 'nba' is 3, but its history says 2"),
    ("DELETE FROM model_aliases", "The alias 'best' of 'nba' is None"),
    ("DELETE FROM promotion_rules", "The rules for stage 'Staging' of 'nba' is None"),
    ("DELETE FROM approvals", "The approval (4, 'Staging', 'tester', "),
    ("INSERT INTO approvals SELECT model_id, version, stage, 'ann', \"session_user\", NULL, 1 FROM approvals", "'ann'"),
    ("UPDATE approvals SET stage = 'Production'", "The approval (4, "),
    (
        "UPDATE stage_periods SET version = 3 WHERE version = 1 AND stage = 'Production'",
        "The period of ('Production', ",
    ),
    ("UPDATE stage_periods SET until = until - 1 WHERE until IS NOT NULL", "The period of ('Production', "),
    ("UPDATE stage_periods SET before = NULL WHERE version = 3", "The period of ('Production', "),
    ("UPDATE stage_periods SET since = since + 1 WHERE stage = '@best'", "The period of ('@best', "),
    ("UPDATE logged_models SET digest = 'x' WHERE id = 1", "The digest of version 1 of 'nba' is 'x'"),
    ("UPDATE model_files SET sha256 = path WHERE logged_model_id = 1", "The manifest of version 1 of 'nba' hashes to"),
    ("UPDATE model_files SET size = 8 WHERE logged_model_id = 1", "The manifest of version 1 of 'nba' hashes to"),
    ("DELETE FROM model_files WHERE logged_model_id = 1", "The manifest of version 1 of 'nba' hashes to"),
    (
        "INSERT INTO model_files SELECT logged_model_id, 'evil.pkl', size, sha256 FROM model_files",
        "The manifest of version 1 of 'nba' hashes to",
    ),
]


@pytest.mark.parametrize(("edit", "words"), EDITS)
def test_an_edit_is_named(full: MlflowClient, database_url: str, sql: RawSql, edit: str, words: str) -> None:
    drop_guards(database_url)
    sql(edit.replace("deleted_time = 1 ", "deleted_time = 1, current_stage = 'None' "))
    with pytest.raises(IntegrityError) as caught:
        full.verify("nba")
    assert words in caught.value.message
    assert "'nba'" in caught.value.message or "of the model" in caught.value.message
    with pytest.raises(IntegrityError):
        full.verify_all()


def test_a_renamed_row_is_found_among_all(full: MlflowClient, sql: RawSql) -> None:
    sql("UPDATE registered_models SET name = 'mlb', name_key = 'mlb' WHERE id = 1")
    with pytest.raises(IntegrityError, match="The name of 'mlb' is 'mlb', but its history says 'nba'"):
        full.verify_all()


def test_values_of_another_type_are_an_error_of_ours(sqlite_url: str) -> None:
    registry.set_tracking_uri(sqlite_url)
    client = MlflowClient()
    register(client, "nba")
    drop_guards(sqlite_url)
    client.set_model_version_tag("nba", 1, "k", "v")
    raw_sql(sqlite_url)("UPDATE model_aliases SET version = 'one'")
    raw_sql(sqlite_url)("INSERT INTO model_version_tags SELECT version_id, x'00', value FROM model_version_tags")
    with pytest.raises(IntegrityError, match="has an impossible value"):
        client.verify("nba")


def _edit_byte(file: Path) -> None:
    file.write_bytes(b"Content")


def _add_file(file: Path) -> None:
    (file.parent / "extra.txt").write_text("extra")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_edit_byte, "data.txt is not what was recorded: expected .* found"),
        (Path.unlink, "is missing|no file"),
        (_add_file, "extra.txt was not sealed"),
    ],
)
def test_stored_bytes_are_read_on_demand(full: MlflowClient, damage: Callable[[Path], None], words: str) -> None:
    damage(Path(full.get_model_version_download_uri("nba", 1)) / "data.txt")
    full.verify("nba")
    with pytest.raises(IntegrityError, match=words):
        full.verify("nba", read_bytes=True)


def test_a_sealed_model_cannot_be_given_other_files(full: MlflowClient, sql: RawSql) -> None:
    for column, value in (("digest", "'x'"), ("location", "'elsewhere'"), ("signature", "'{}'"), ("flavors", "'[]'")):
        if column == "flavors":
            value = "'[\"xgboost\"]'"
        with pytest.raises(Exception, match="a sealed logged model never changes"):
            sql(f"UPDATE logged_models SET {column} = {value}")
    sql("UPDATE logged_models SET purged_time = 1, lifecycle_stage = 'deleted'")


def test_the_last_hash_is_of_the_documented_form() -> None:
    event = HistoryEvent(
        model_uid="0" * 32,
        seq=1,
        kind="created",
        actor="ann",
        time_us=1_767_225_600_000_000,
        to_value="ñba",
        details={"b": 1, "a": [None, True, "x"]},
    )
    assert event.canonical().decode() == (
        '{"actor":"ann","details":{"a":[null,true,"x"],"b":1},"from":null,"kind":"created",'
        '"model_uid":"00000000000000000000000000000000","prev_hash":null,"reason":null,"seq":1,"session_user":null,'
        '"time_us":1767225600000000,"to":"ñba","version":null}'
    )
    assert event.hash == "c1c7ed2035f817091bd79fdd083728b2dea30505bfac4c4f13047b6b2a3eeb64"


def _forget_the_model(sql: RawSql) -> None:
    """Remove a model row by row, children first, as PostgreSQL requires."""
    for table in ("stage_periods", "approvals", "promotion_rules", "model_aliases", "registered_model_tags"):
        sql(f"DELETE FROM {table} WHERE model_id = 1")
    sql("DELETE FROM model_version_tags WHERE version_id IN (SELECT id FROM model_versions WHERE model_id = 1)")
    sql("DELETE FROM model_versions WHERE model_id = 1")
    sql("DELETE FROM history WHERE model_id = 1")
    sql("DELETE FROM registered_models WHERE id = 1")


def test_a_model_that_was_removed_with_its_whole_history_is_missed(full: MlflowClient, sql: RawSql) -> None:
    drop_guards(full.tracking_uri)
    _forget_the_model(sql)
    assert full.verify("other").events == 2
    with pytest.raises(IntegrityError, match=r"counted 22 events of all models, but 2 exist, the last with number 8"):
        full.verify_all()


def test_a_history_whose_model_was_removed_is_found(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    register(client, "nba")
    raw_sql(sqlite_url)("DELETE FROM registered_models")  # SQLite looks at foreign keys only when told to
    with pytest.raises(IntegrityError, match="Event 1 belongs to a registered model that is missing"):
        client.verify_all()
