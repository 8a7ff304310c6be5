"""The classes of tables stand for Core tables, and SQLAlchemy's ORM is not loaded for them."""

import subprocess
import sys

from sqlalchemy import insert, select
from sqlalchemy.dialects import sqlite

from registry.store.tables import ExperimentRow, MetricRow, RunRow, TagRow


def sql(statement: object) -> str:
    return " ".join(str(statement.compile(dialect=sqlite.dialect())).split())  # type: ignore[attr-defined]


def test_a_statement_takes_a_class_as_its_table() -> None:
    assert sql(select(RunRow.run_id).join(ExperimentRow).where(ExperimentRow.name == "nba")) == (
        "SELECT runs.run_id FROM runs JOIN experiments ON experiments.id = runs.experiment_id "
        "WHERE experiments.name = ?"
    )
    assert sql(select(TagRow)) == 'SELECT tags.run_id, tags."key", tags.value FROM tags'
    assert sql(insert(MetricRow)) == "INSERT INTO metrics (series_id, step, timestamp, value) VALUES (?, ?, ?, ?)"


def test_an_annotation_with_none_makes_a_column_nullable() -> None:
    nullable = [column.name for column in RunRow.__table__.columns if column.nullable]

    assert nullable == ["end_time", "deleted_time", "purged_time", "adopted_location"]


def test_the_kind_of_a_key_part_makes_a_primary_key() -> None:
    assert [column.name for column in TagRow.__table__.primary_key] == ["run_id", "key"]
    assert list(MetricRow.__table__.primary_key) == []


def test_tables_load_no_orm() -> None:
    code = "import sys, registry.client, registry.store.search; sys.exit('sqlalchemy.orm' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
