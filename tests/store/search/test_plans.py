"""How the databases answer the searches that people wait for: by index, and without reading what is not asked about."""

import pytest
from searched_runs import gather_statistics, insert_runs, plan_of, sent_statements

from registry import MlflowClient
from registry.store.engine import Database

# What a page is asked for, and the index that gives its order.
HOT_QUERIES = [
    ({}, "ix_runs_newest"),
    ({"filter_string": "params.k0 = '3'"}, "ix_runs_newest"),
    ({"order_by": ["metrics.m0 DESC"]}, "ix_latest_metrics_value"),
    ({"order_by": ["metrics.m0"]}, "ix_latest_metrics_value"),
    (
        {"filter_string": "metrics.m1 > 100 AND params.k0 = '3'", "order_by": ["metrics.m0 DESC"]},
        "ix_latest_metrics_value",
    ),
    (
        {"filter_string": "tags.k0 = '3' OR NOT params.k1 = '4'", "order_by": ["metrics.m0 DESC"]},
        "ix_latest_metrics_value",
    ),
]


@pytest.fixture
def database(client: MlflowClient) -> Database:
    found = client.backend.database
    insert_runs(found, experiments=3, runs=700)
    return found


def whole_tables(plan: list[str]) -> list[str]:
    """The lines of a plan that read a whole table of logged things."""
    big = ("runs", "params", "tags", "latest_metrics", "metrics")
    return [line for line in plan if any(f"SCAN {name}" in line or f"Seq Scan on {name}" in line for name in big)]


def rows_joined_in_vain(plan: list[str]) -> int:
    """How many pairs of rows were looked at that do not belong together; all with all would be 490,000 here."""
    return sum(int(line.split(":")[1]) for line in plan if line.startswith("Rows Removed by Join Filter"))


def check_plans(client: MlflowClient, database: Database) -> None:
    for query, index in HOT_QUERIES:
        token = None
        for _ in range(2):
            with sent_statements(database) as sent:
                page = client.search_runs(["2"], max_results=5, page_token=token, **query)
            token = page.token

            plan = plan_of(database, *sent[0])
            assert any(index in line for line in plan), plan
            assert whole_tables(plan) == [], query
            assert rows_joined_in_vain(plan) < 1_000, query


def test_a_page_of_an_experiment_follows_an_index_and_so_does_the_next(client, database):
    gather_statistics(database)
    check_plans(client, database)


def test_a_table_that_has_just_grown_is_no_trap(client, database):
    check_plans(client, database)


def test_a_page_takes_four_statements_however_long_it_is_and_reads_what_was_logged_by_index(client, database):
    for size in (1, 500):
        with sent_statements(database) as sent:
            client.search_runs(["2"], max_results=size, order_by=["metrics.m0"])
        assert len(sent) == 4

    with sent_statements(database) as sent:
        client.search_runs(["2"], max_results=5)
    for statement, parameters in sent:
        assert whole_tables(plan_of(database, statement, parameters)) == []


def test_a_column_that_is_not_asked_for_is_not_read(client, database):
    with sent_statements(database) as sent:
        client.search_runs_frame(["2"], columns=["run_id", "metrics.m0"], max_results=10)

    assert len(sent) == 2
    assert "params" not in sent[1][0]
    assert whole_tables(plan_of(database, *sent[1])) == []
