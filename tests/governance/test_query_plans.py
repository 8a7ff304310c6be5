"""Frequent queries use an index, however many versions and events exist."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from governed_models import RawSql, register
from statements_heard import record_statements

import registry
from registry import MlflowClient
from registry.entities.times import format_time

COPIES = 3_000


@pytest.fixture
def large(client: MlflowClient, sql: RawSql) -> MlflowClient:
    """A model with thousands of versions, archived, and of periods in Production; version 1 holds it now."""
    register(client, "nba")
    client.transition_model_version_stage("nba", 1, "Production")
    client.set_registered_model_alias("nba", "best", 1)
    series = f"WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {COPIES})"
    columns = "model_id, version, logged_model_id, current_stage, source, creation_time, last_update_time"
    sql(
        f"INSERT INTO model_versions ({columns}) {series} SELECT model_id, i, logged_model_id, 'Archived', source, "
        "creation_time, last_update_time FROM model_versions, n WHERE version = 1"
    )
    sql(
        f"INSERT INTO stage_periods (model_id, stage, version, since, until) {series} SELECT model_id, stage, i, "
        "i * 10, i * 10 + 5 FROM stage_periods, n WHERE stage = 'Production' AND version = 1"
    )
    sql(
        f"INSERT INTO history (id, model_id, seq, kind, version, actor, time_us, hash) {series} SELECT 100 + i, "
        "model_id, 100 + i, kind, version, actor, i, hash FROM history, n WHERE seq = 1"
    )
    sql("ANALYZE")
    return client


def _statements(client: MlflowClient, call: Any) -> list[tuple[str, Any]]:
    with record_statements(client.backend.database.engine) as found:
        call()
    return [one for one in found if one[0].lstrip().upper().startswith(("SELECT", "WITH", "UPDATE"))]


def _plan(client: MlflowClient, statement: str, parameters: Any) -> str:
    explain = "EXPLAIN QUERY PLAN " if client.backend.database.is_sqlite else "EXPLAIN (ANALYZE, FORMAT TEXT) "
    if isinstance(parameters, list):  # of a statement that ran for several rows
        parameters = parameters[0]
    with client.backend.database.engine.connect() as connection:
        rows = connection.exec_driver_sql(explain + statement, parameters).all()
        connection.rollback()
    return "\n".join(str(row[-1]) for row in rows)


NOON = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=10_003)
GAP = NOON + timedelta(microseconds=4)
URIS = {
    "models:/nba/Archived": "uq_model_versions_model_id_version",
    "models:/nba/1": "uq_model_versions_model_id_version",
    "models:/nba/latest": "uq_model_versions_model_id_version",
    "models:/nba/Production": "uq_model_versions_one_production",
    "models:/nba@best": "model_aliases",
    f"models:/nba/Production?at={format_time(NOON)}": "stage_periods",
}


def _index_name(client: MlflowClient, name: str) -> str:
    # SQLite numbers the indexes behind UNIQUE constraints instead of naming them.
    return (
        "sqlite_autoindex_model_versions_1"
        if client.backend.database.is_sqlite and name.startswith("uq_model_versions_model")
        else name
    )


@pytest.mark.parametrize("uri", sorted(URIS))
def test_resolving_is_one_query_that_walks_an_index(large: MlflowClient, uri: str) -> None:
    ((statement, parameters),) = _statements(large, lambda: registry.resolve(uri))
    plan = _plan(large, statement, parameters)
    assert _index_name(large, URIS[uri]) in plan
    # The whole of this index is the holders of Production, one per model.
    plan = plan.replace("SCAN model_versions USING INDEX uq_model_versions_one_production", "")
    assert "SCAN model_versions" not in plan
    assert "SCAN stage_periods" not in plan
    assert "Seq Scan on model_versions" not in plan
    assert "Seq Scan on stage_periods" not in plan


@pytest.mark.parametrize("at", [NOON, GAP], ids=["held", "empty"])
def test_going_back_in_time_reads_a_handful_of_rows(large: MlflowClient, at: datetime) -> None:
    statements = _statements(large, lambda: large.find_model_version_by_stage("nba", "Production", at))
    (statement,) = (one for one in statements if "stage_periods" in one[0])
    plan = _plan(large, *statement)
    if large.backend.database.is_sqlite:
        assert "(model_id=? AND stage=? AND since<?)" in plan
        assert "(model_id=? AND stage=? AND since=?)" in plan
    else:
        assert "stage_periods" in plan
        removed = [int(line.rsplit(" ", 1)[1]) for line in plan.splitlines() if "Rows Removed" in line]
        assert sum(removed) <= 1


def test_moving_a_stage_scans_nothing(large: MlflowClient) -> None:
    statements = _statements(large, lambda: large.transition_model_version_stage("nba", 2, "Production"))
    assert large.get_model_version_by_stage("nba", "Production").version == 2
    for statement, parameters in statements:
        plan = _plan(large, statement, parameters)
        for table in ("model_versions", "stage_periods", "history"):
            assert f"SCAN {table}" not in plan, statement
            assert f"Seq Scan on {table}" not in plan, statement


def test_rolling_back_follows_the_links_and_scans_nothing(large: MlflowClient) -> None:
    large.transition_model_version_stage("nba", 2, "Production")
    for statement, parameters in _statements(large, lambda: large.rollback("nba")):
        plan = _plan(large, statement, parameters)
        assert "SCAN stage_periods" not in plan, statement
        assert "Seq Scan on stage_periods" not in plan, statement
    assert large.get_model_version_by_stage("nba", "Production").version == 1


def test_the_events_of_a_version_are_found_by_an_index(large: MlflowClient) -> None:
    reads = (
        lambda: large.get_history("nba", version=1),
        lambda: large.backend.overview.events(name="nba", version=1, limit=5),
    )
    for read in reads:
        (plan,) = (
            _plan(large, statement, parameters)
            for statement, parameters in _statements(large, read)
            if "FROM history" in statement and "version" in statement and "seq" in statement
        )
        assert "ix_history_model_id_version" in plan


def test_polling_walks_the_primary_key(large: MlflowClient) -> None:
    ((statement, parameters),) = _statements(large, lambda: large.poll_events(after=1_000, limit=10))
    plan = _plan(large, statement, parameters)
    assert "SEARCH history USING INTEGER PRIMARY KEY (rowid>?)" in plan or "pk_history" in plan


def test_the_page_of_a_model_reads_no_more_versions_and_periods_than_it_shows(large: MlflowClient) -> None:
    overview = large.backend.overview

    def show() -> None:
        assert len(overview.tenures("nba", newest=20)) == 20
        assert len(overview.tenures("nba", newest=20, before=10_000)) == 20
        assert len(overview.versions("nba", newest=20)) == 20
        assert [version.version for version in overview.versions("nba", newest=2, before=100)] == [99, 98]
        assert len(overview.holders(names=["nba"], stages=())) == 2

    statements = _statements(large, show)
    assert statements
    for statement, parameters in statements:
        plan = _plan(large, statement, parameters)
        for table in ("model_versions", "stage_periods"):
            assert f"Seq Scan on {table}" not in plan, statement
            plan = plan.replace(f"SCAN {table} USING INDEX uq_stage_periods_open", "")  # what is open, no more
            assert f"SCAN {table}" not in plan, statement
