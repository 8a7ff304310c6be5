"""What `verify` sees, column by column: each is edited once by SQL, and the outcome is that of a literal table."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from governed_models import drop_guards, raw_connection
from sqlalchemy import Double, Integer, Table

from registry import MlflowClient
from registry.exceptions import IntegrityError
from registry.rules import Approvals, MetricAtLeast, MetricNotWorse
from registry.store.tables import Base

# The row of each table that is edited: of version 2, which rules let into Production in the place of version 1.
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
    "model_files": "logged_model_id = (SELECT logged_model_id FROM model_versions WHERE version = 2) AND path = 'data.txt'",
    "model_signatures": "key_id = 'key'",
    "runs": "run_id = (SELECT run_id FROM model_versions WHERE version = 2)",
    "params": "\"key\" = 'depth'",
    "tags": "\"key\" = 'team'",
    "latest_metrics": "\"key\" = 'f1' AND value > 0.9",
    "metrics": "value > 0.9",
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
# What `verify` says of an edit of one column, or of a row that was removed. "bytes" needs `read_bytes=True`.
SEEN: dict[str, dict[str, str]] = {}


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
    rules = [MetricAtLeast("f1", 0.8), MetricNotWorse("f1"), Approvals(1)]
    client.set_promotion_rules("nba", "Production", rules)
    approver = MlflowClient(client.tracking_uri)
    approver.backend.promotion_rules.actor = "ann"
    approver.approve("nba", 2, "Production", reason="looked at it")
    approver.backend.promotion_rules.actor = "tester"
    client.backend.signing.sign(client.get_model_version("nba", 2).model_id, "key", "bundle")
    client.set_registered_model_alias("nba", "best", 2)
    client.set_model_version_tag("nba", 2, "k", "v")
    return client


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


def _outcome(client: MlflowClient) -> str:
    for read_bytes in (False, True):
        try:
            client.verify_all(read_bytes=read_bytes)
        except IntegrityError:
            return "bytes" if read_bytes else "yes"
    return "no"


def _edit(table: Table, column: str) -> str:
    value = VALUES.get((table.name, column))
    if value is None:
        kind = table.columns[column].type
        numeric = isinstance(kind, Integer | Double)
        value = f'COALESCE("{column}", 0) + 1' if numeric else f"COALESCE(\"{column}\", '') || 'x'"
    return f'UPDATE {table.name} SET "{column}" = {value} WHERE {ROWS[table.name]}'


def _edits() -> Iterator[tuple[Table, str, str]]:
    for name in ROWS:
        table = Base.metadata.tables[name]
        for column in table.columns.keys():
            if (name, column) != ("registry_id", "one_row"):  # the database refuses another value
                yield table, column, _edit(table, column)
        yield table, "a row removed", f"DELETE FROM {name} WHERE {ROWS[name]}"


class _Edited:
    """One table, edited behind the library's back, with every guard off, and put back in the end."""

    def __init__(self, url: str, table: Table, statement: str) -> None:
        self.url, self.table, self.statement = url, table, statement
        self.rows: list[tuple[Any, ...]] = []

    def __enter__(self) -> int:
        columns = ", ".join(f'"{column}"' for column in self.table.columns.keys())
        with raw_connection(self.url) as connection:
            self._unguarded(connection)
            self.rows = connection.execute(f"SELECT {columns} FROM {self.table.name}").fetchall()
            return int(connection.execute(self.statement).rowcount)

    def __exit__(self, *_: object) -> None:
        columns = ", ".join(f'"{column}"' for column in self.table.columns.keys())
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
    assert _outcome(judged) == "no"
    drop_guards(database_url)
    found: dict[str, dict[str, str]] = {}
    for table, column, statement in _edits():
        with _Edited(database_url, table, statement) as count:
            assert count == 1, statement
            found.setdefault(table.name, {})[column] = _outcome(judged)
    assert _outcome(judged) == "no"
    assert found == SEEN
