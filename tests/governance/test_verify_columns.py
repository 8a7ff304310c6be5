"""Detection by `verify`, column by column: each is edited by SQL, and the outcome is compared with a literal table."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from governed_models import drop_guards, raw_connection, raw_sql
from monitored_models import DIGEST, find
from sqlalchemy import Double, Integer, Table

from registry import MlflowClient, data
from registry.entities import ComparedModel, PairedDifference
from registry.entities.history import canonical_json
from registry.entities.monitors import CheckOutcome, CheckStatus
from registry.exceptions import IntegrityError
from registry.rules import BetterThanHolder, CheckedWithin, MetricAtLeast, MetricNotWorse
from registry.store.tables import Base

# The row of each table that is edited: of version 2, which rules let into Production in the place of version 1.
_RUN = "run_id = (SELECT id FROM runs WHERE run_id = (SELECT run_id FROM model_versions WHERE version = 2))"
ROWS = {
    "registered_models": "id = 1",
    "registered_model_tags": "model_id = 1",
    "model_versions": "version = 2",
    "model_version_tags": "\"key\" = 'k'",
    "model_aliases": "alias = 'best'",
    "history": "kind = 'approved'",
    "foreign_history": "seq = 2",
    "stage_periods": "stage = 'Production' AND version = 2",
    "promotion_rules": "stage = 'Production'",
    "approvals": "version = 2",
    "logged_models": "id = (SELECT logged_model_id FROM model_versions WHERE version = 2)",
    "model_files": "logged_model_id = (SELECT logged_model_id FROM model_versions WHERE version = 2)",
    "model_signatures": "key_id = 'key'",
    "runs": "run_id = (SELECT run_id FROM model_versions WHERE version = 2)",
    "params": f"{_RUN} AND \"key\" = 'depth'",
    "tags": f"{_RUN} AND \"key\" = 'team'",
    "latest_metrics": "\"key\" = 'f1' AND value > 0.9",
    "metrics": "value > 0.9",
    "logged_model_metrics": "evaluation_dataset_id IS NOT NULL",
    "evaluation_datasets": "name = 'holdout'",
    "evidence": "kind = 'comparison'",
    "monitor_checks": "monitor_id IS NULL",
    "incidents": "cause = 'a'",
    "registry_id": "one_row = 1",
    "artifact_roots": "generation > 0",
}
# Values that the database takes where another text or number would be refused.
VALUES = {
    ("model_versions", "current_stage"): "'Archived'",
    ("model_versions", "deleted_time"): "1, current_stage = 'None'",
    ("logged_models", "status"): "'FAILED'",
    ("logged_models", "lifecycle_stage"): "'deleted'",
    ("runs", "status"): "'FAILED'",
    ("runs", "lifecycle_stage"): "'deleted'",
    ("promotion_rules", "stage"): "'Staging'",
    ("logged_models", "flavors"): "'[\"xgboost\"]'",
}
# What `verify` says of an edit of one column, or of a row that was removed: seen, seen when bytes are read, not seen.
SEEN = {
    "registered_models": (
        "id, uid, name, name_key, description, deleted_time, last_version, last_seq, last_event_us, head_hash, "
        "a row removed",
        "",
        "creation_time, last_update_time",
    ),
    "registered_model_tags": ("model_id, key, value, a row removed", "", ""),
    "model_versions": (
        "id, model_id, version, logged_model_id, current_stage, source, run_id, run_link, origin, description, "
        "user_id, session_user, creation_time, deleted_time, a row removed",
        "",
        "last_update_time",
    ),
    "model_version_tags": ("version_id, key, value, a row removed", "", ""),
    "model_aliases": ("model_id, alias, version, a row removed", "", ""),
    "history": (
        "id, model_id, seq, kind, version, from_value, to_value, actor, session_user, reason, time_us, details, "
        "prev_hash, hash, a row removed",
        "",
        "",
    ),
    "foreign_history": ("model_id, segment, seq, event, a row removed", "", ""),
    "stage_periods": ("model_id, stage, version, since, until, before, a row removed", "", "id"),
    "promotion_rules": ("model_id, stage, rules, a row removed", "", ""),
    "approvals": ("model_id, version, stage, actor, session_user, reason, time_us, a row removed", "", ""),
    "logged_models": (
        "id, model_id, experiment_id, status, digest, size_bytes, flavors, signature, purged_time, a row removed",
        "location",
        "run_id, name, model_type, status_message, creation_time, last_update_time, lifecycle_stage, deleted_time",
    ),
    "model_files": ("logged_model_id, path, size, sha256, a row removed", "", ""),
    "model_signatures": ("logged_model_id, key_id, bundle, creation_time, a row removed", "", ""),
    "runs": (
        "id, run_id, a row removed",
        "",
        "experiment_id, name, user_id, status, start_time, end_time, lifecycle_stage, deleted_time, purged_time, "
        "adopted_location",
    ),
    "params": ("", "", "run_id, key, value, a row removed"),
    "tags": ("", "", "run_id, key, value, a row removed"),
    "latest_metrics": ("id, run_id, key, step, timestamp, value, a row removed", "", "experiment_id"),
    "metrics": ("series_id, step, timestamp, value, a row removed", "", ""),
    "logged_model_metrics": (
        "id, logged_model_id, key, step, timestamp, value, dataset_name, dataset_digest, evaluation_dataset_id, "
        "a row removed",
        "",
        "run_id",
    ),
    "evaluation_datasets": ("id, name, digest, sha256, a row removed", "", "schema, row_count"),
    "evidence": (
        "id, logged_model_id, kind, dataset_id, content, timestamp, a row removed",
        "",
        "run_id, actor",
    ),
    "monitor_checks": (
        "id, model_id, version, status, report_digest, run_id, end_time, a row removed",
        "",
        "monitor_id, due_time, message, actor, start_time",
    ),
    "incidents": (
        "id, model_id, cause, status, version, monitor_id, check_id, run_id, report_digest, figures, opened_us, "
        "changed_us, changed_by, reason, a row removed",
        "",
        "",
    ),
    "registry_id": ("last_event, a row removed", "", "id, latest_ms"),
    "artifact_roots": ("", "", "root, database, server, generation, token, previous_token, a row removed"),
}
GUIDE = Path(__file__).parent.parent.parent / "docs" / "guides" / "verification.md"


@pytest.fixture
def judged(client: MlflowClient, own_place: Path) -> MlflowClient:
    """A model that was imported, with all that its history covers; rules let version 2 into Production."""
    other = MlflowClient(f"sqlite:///{own_place}/other.db")
    other.create_registered_model("nba")
    _version(other, 0.5)
    client.import_model(other.export_model("nba", own_place / "nba.zip"))
    client.set_registered_model_tag("nba", "team", "east")
    client.update_registered_model("nba", "about")
    client.transition_model_version_stage("nba", 1, "Production")
    _version(client, 0.91)
    on_data = [MetricAtLeast("f1", 0.8, dataset="holdout"), BetterThanHolder("f1", "holdout"), CheckedWithin("1d")]
    client.set_promotion_rules("nba", "Production", [MetricAtLeast("f1", 0.8), MetricNotWorse("f1"), *on_data])
    _evaluate(client)
    approver = MlflowClient(client.tracking_uri)
    approver.backend.promotion_rules.actor = "ann"
    approver.approve("nba", 2, "Production", reason="looked at it")
    approver.backend.promotion_rules.actor = "tester"
    client.backend.signing.sign(client.get_model_version("nba", 2).model_id, "key", "bundle")
    client.set_registered_model_alias("nba", "best", 2)
    client.set_model_version_tag("nba", 2, "k", "v")
    client.acknowledge_incident(find(client, "a")[0].id, reason="looking at it")
    client.backend.monitors.log_check("nba", CheckOutcome(CheckStatus.OK, 2, report_digest=DIGEST, run_id="r2"))
    return client


def _evaluate(client: MlflowClient) -> None:
    """Store a figure of version 2 on a data set, and that it is better than version 1 there."""
    holdout = data.from_pandas(pd.DataFrame({"a": [1.0]}), "here", name="holdout")
    challenger, reference = (client.get_model_version("nba", number) for number in (2, 1))
    client.log_evaluation(client.create_run("0").info.run_id, {"f1": 0.85}, holdout, challenger.model_id)
    of_challenger = ComparedModel("models:/nba/2", challenger.digest, 0.91)
    of_reference = ComparedModel("models:/nba/1", reference.digest, 0.5)
    found = PairedDifference("f1", "higher", of_challenger, of_reference, 0.41, 0.3, 0.5, 0.95, 9999, 0, 1)
    client.log_evidence(
        str(challenger.model_id), "comparison", found.to_content(), dataset=holdout, run_id=challenger.run_id
    )


def _version(client: MlflowClient, f1: float) -> str:
    run_id = client.create_run("0").info.run_id
    client.log_param(run_id, "depth", 3)
    client.set_tag(run_id, "team", "east")
    client.log_metric(run_id, "f1", f1 - 0.2, step=0, timestamp=1_000)
    client.log_metric(run_id, "f1", f1, step=1, timestamp=2_000)
    model = client.create_logged_model("0", source_run_id=run_id)
    source = Path(f"source-{model.model_id}")
    source.mkdir()
    (source / "data.txt").write_text("content")
    client.log_model_artifacts(model.model_id, source)
    client.finalize_logged_model(model.model_id, "READY")
    client.create_model_version("nba", f"models:/{model.model_id}", run_id, run_link="https://ci/1")
    return run_id


def _outcome(client: MlflowClient) -> int:
    """0 if `verify` fails, 1 if it does when it reads bytes, 2 if it passes."""
    for outcome, read_bytes in enumerate((False, True)):
        try:
            client.verify_all(read_bytes=read_bytes)
        except IntegrityError:
            return outcome
    return 2


def _edit(table: Table, column: str) -> str:
    value = VALUES.get((table.name, column))
    if value is None:
        kind = table.columns[column].type
        numeric = isinstance(kind, Integer | Double)
        value = f'COALESCE("{column}", 0) + 1000' if numeric else f"COALESCE(\"{column}\", '') || 'x'"
    return f'UPDATE {table.name} SET "{column}" = {value} WHERE {ROWS[table.name]}'


def _edits() -> Iterator[tuple[Table, str, str]]:
    for name in ROWS:
        table = Base.metadata.tables[name]
        for column in [found.name for found in table.columns]:
            if (name, column) != ("registry_id", "one_row"):  # the database refuses another value
                yield table, column, _edit(table, column)
        yield table, "a row removed", f"DELETE FROM {name} WHERE {ROWS[name]}"


class _Edited:
    """Edit one table past the library with all guards off, and restore it at the end."""

    def __init__(self, url: str, table: Table, statement: str) -> None:
        self.url, self.table, self.statement = url, table, statement
        self.rows: list[tuple[Any, ...]] = []

    def __enter__(self) -> int:
        columns = ", ".join(f'"{column.name}"' for column in self.table.columns)
        with raw_connection(self.url) as connection:
            self._unguarded(connection)
            self.rows = connection.execute(f"SELECT {columns} FROM {self.table.name}").fetchall()
            return int(connection.execute(self.statement).rowcount)

    def __exit__(self, *_: object) -> None:
        columns = ", ".join(f'"{column.name}"' for column in self.table.columns)
        mark = "?" if self.url.startswith("sqlite") else "%s"
        marks = ", ".join([mark] * len(self.table.columns))
        with raw_connection(self.url) as connection:
            self._unguarded(connection)
            connection.execute(f"DELETE FROM {self.table.name}")
            for row in self.rows:
                connection.execute(f"INSERT INTO {self.table.name} ({columns}) VALUES ({marks})", row)

    def _unguarded(self, connection: Any) -> None:
        if not self.url.startswith("sqlite"):
            connection.execute("SET session_replication_role = replica")


def test_every_single_edit_has_the_outcome_of_the_table(judged: MlflowClient, database_url: str) -> None:
    judged.transition_model_version_stage("nba", 2, "Production")
    assert _outcome(judged) == 2
    drop_guards(database_url)
    found: dict[str, tuple[list[str], ...]] = {}
    for table, column, statement in _edits():
        with _Edited(database_url, table, statement) as count:
            assert count == 1, statement
            found.setdefault(table.name, ([], [], []))[_outcome(judged)].append(column)
    assert _outcome(judged) == 2
    assert {name: tuple(map(", ".join, columns)) for name, columns in found.items()} == SEEN


def test_the_guide_has_the_same_table() -> None:
    lines = [line for line in GUIDE.read_text().splitlines() if line.startswith("| `")]
    assert lines == [f"| `{name}` | {' | '.join(text or '–' for text in texts)} |" for name, texts in SEEN.items()]


def _promoted(client: MlflowClient) -> str:
    client.transition_model_version_stage("nba", 2, "Production")
    return str(client.get_model_version("nba", 2).run_id)


def test_the_event_of_a_promotion_has_the_points_that_it_was_judged_on(judged: MlflowClient) -> None:
    run_id = _promoted(judged)
    of_holder = judged.get_model_version("nba", 1).run_id
    point = {"metric": "f1", "step": 1, "timestamp": 2_000}
    assert judged.get_history("nba")[-1].details["judged"] == [
        {**point, "version": 2, "run_id": run_id, "value": "0.91"},
        {**point, "version": 1, "run_id": of_holder, "value": "0.5"},
    ]


def test_a_run_that_goes_on_is_no_tampering(judged: MlflowClient) -> None:
    run_id = _promoted(judged)
    assert judged.verify("nba").notes == ()
    judged.log_metric(run_id, "f1", 0.4, step=2)
    assert judged.verify("nba").notes == (
        "f1 = 0.91 (step 1) of version 2 of 'nba': changed since, the latest value is 0.4 (step 2)",
    )


def test_points_that_gc_took_are_no_longer_checkable(judged: MlflowClient) -> None:
    run_id = _promoted(judged)
    judged.log_metric(run_id, "f1", 0.4, step=2)
    judged.delete_run(run_id)
    judged.collect_garbage(apply=True, older_than="0s")
    assert judged.verify("nba").notes == (
        "f1 = 0.91 (step 1) of version 2 of 'nba': no longer checkable, gc removed the points of its run",
    )


def test_a_lower_latest_value_of_a_run_without_points_is_an_edit(judged: MlflowClient, database_url: str) -> None:
    run_id = _promoted(judged)
    judged.delete_run(run_id)
    judged.collect_garbage(apply=True, older_than="0s")
    assert judged.verify("nba").notes == ()
    raw_sql(database_url)("UPDATE latest_metrics SET value = 0.9 WHERE value > 0.9")
    with pytest.raises(IntegrityError, match="the latest value of its run is older: it was edited"):
        judged.verify("nba")


def test_signing_is_an_event_of_every_version_of_the_model(judged: MlflowClient) -> None:
    model_id = judged.get_model_version("nba", 2).model_id
    judged.create_registered_model("mlb")
    judged.create_model_version("mlb", f"models:/{model_id}")
    judged.backend.signing.sign(model_id, "another key", "bundle")
    for name, version in (("nba", 2), ("mlb", 1)):
        event = judged.get_history(name)[-1]
        assert (event.kind, event.version, event.details["key_id"]) == ("signed", version, "another key")
    judged.verify_all()


def test_a_model_that_was_signed_before_it_was_registered_verifies(judged: MlflowClient, database_url: str) -> None:
    judged.create_registered_model("mlb")
    judged.create_model_version("mlb", f"models:/{judged.get_model_version('nba', 2).model_id}")
    judged.verify("mlb")
    raw_sql(database_url)("DELETE FROM model_signatures")
    with pytest.raises(IntegrityError, match="The signature of version 1 by the key 'key' of 'mlb' is None"):
        judged.verify("mlb")


def test_versions_of_an_older_release_are_verified_as_far_as_their_events_say(
    judged: MlflowClient, database_url: str
) -> None:
    """Write events without the newer details, with valid hashes, as the older release did."""
    drop_guards(database_url)
    previous = None
    run = raw_sql(database_url)
    for event in judged.get_history("nba"):
        details = {key: value for key, value in event.details.items() if key not in ("recorded", "signatures")}
        event = replace(event, details=details, prev_hash=previous)
        text = canonical_json(details) if details else None
        run(
            "UPDATE history SET details = ?, prev_hash = ?, hash = ? WHERE seq = ?",
            (text, previous, event.hash, event.seq),
        )
        previous = event.hash
    run("UPDATE registered_models SET head_hash = ?", (previous,))
    judged.verify("nba")
    run("UPDATE model_versions SET run_link = 'x'")
    judged.verify("nba")
