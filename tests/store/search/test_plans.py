"""Query plans of frequent searches: they use indexes and read no unrelated rows."""

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
    """Return the lines of a plan that scan a whole table of logged data."""
    big = ("runs", "params", "tags", "latest_metrics", "metrics")
    return [line for line in plan if any(f"SCAN {name}" in line or f"Seq Scan on {name}" in line for name in big)]


def rows_joined_in_vain(plan: list[str]) -> int:
    """Return how many joined rows PostgreSQL discarded; joining each row with each row would discard 490,000."""
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


def test_a_page_takes_five_statements_however_long_it_is_and_reads_what_was_logged_by_index(client, database):
    for size in (1, 500):
        with sent_statements(database) as sent:
            client.search_runs(["2"], max_results=size, order_by=["metrics.m0"])
        assert len(sent) == 5  # the page, then the data of its runs; PostgreSQL answers in two round trips

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


def test_a_sample_of_a_series_reads_its_own_points_by_index(client, database):
    runs = [f"{number:032x}" for number in range(1, 31)]
    for run_id in runs:
        client.log_metric_history(run_id, "loss", list(range(1_000)), list(range(1_000)))
    gather_statistics(database)

    with sent_statements(database) as sent:
        client.get_metric_history_frame(runs[7], "loss", max_points=100)
    sample = [statement for statement, _ in sent if "BETWEEN" in statement]
    assert (len(sent), len(sample)) == (4, 1)
    with sent_statements(database) as whole:
        client.get_metric_history_frame(runs[7], "loss")
        client.get_metric_history(runs[7], "loss")
    for statement, parameters in [*sent, *whole]:
        plan = plan_of(database, statement, parameters)
        assert whole_tables(plan) == [], statement
        assert "SCAN metrics" not in "".join(plan), statement
        assert "Seq Scan on metrics" not in "".join(plan), statement


def insert_versions(client: MlflowClient, source: str) -> None:
    """Create a model with a version in Production and 3,000 archived ones, and 500 other models."""
    client.create_registered_model("churn", tags={"team": "blue"})
    client.create_model_version("churn", source, run_id=f"{1_000:032x}", tags={"ok": "yes"})
    client.transition_model_version_stage("churn", 1, "Production")
    client.set_registered_model_alias("churn", "champion", 1)
    columns = "model_id, version, logged_model_id, current_stage, source, run_id, creation_time, last_update_time"

    def fill(connection) -> None:
        connection.exec_driver_sql(
            "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) "
            f"INSERT INTO model_versions ({columns}) SELECT model_id, i, logged_model_id, 'Archived', source, "
            "(SELECT run_id FROM runs WHERE id = i - i / 2000 * 2000 + 1), i, i "
            "FROM model_versions, n WHERE version = 1"
        )
        connection.exec_driver_sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
            "INSERT INTO registered_models (uid, name, name_key, creation_time, last_update_time) "
            "SELECT 'u' || i, 'm' || i, 'm' || i, i, i FROM n"
        )

    client.backend.database.write(fill)


# A search for versions, and which tables it may read whole: those that it is about.
VERSION_QUERIES = [
    ("name = 'churn' AND version = 7", set()),
    ("run_id = '" + f"{7:032x}" + "'", set()),
    ("name = 'churn' AND stage = 'Production'", set()),
    ("name = 'churn' AND ever_stage = 'Production' AND metrics.m0 > 1", {"model_versions"}),
    ("alias = 'champion'", {"model_versions", "registered_models"}),
]


@pytest.mark.parametrize(("filter_string", "about"), VERSION_QUERIES, ids=[text for text, _ in VERSION_QUERIES])
def test_a_search_for_versions_reads_what_was_logged_by_index(client, database, tmp_path, filter_string, about):
    source = tmp_path / "source"
    source.mkdir()
    (source / "weights.bin").write_bytes(b"1")
    insert_versions(client, str(source))
    gather_statistics(database)

    with sent_statements(database) as sent:
        found = client.search_model_versions(filter_string, max_results=5, order_by=["metrics.m0 DESC"])

    assert found
    big = {"model_versions", "registered_models", "stage_periods", "model_aliases", "runs", "params", "latest_metrics"}
    for statement, parameters in sent:
        plan = plan_of(database, statement, parameters)
        whole = {name for name in big for line in plan if f"SCAN {name}" in line or f"Seq Scan on {name}" in line}
        assert whole - about - small(database) == set(), (statement, plan)


def small(database: Database) -> set[str]:
    """Return the names of tables so small that a sequential scan is PostgreSQL's best plan."""
    return set() if database.is_sqlite else {"stage_periods", "model_aliases"}


def test_runs_become_columns_by_index(client, database):
    gather_statistics(database)

    with sent_statements(database) as sent:
        client.search_runs_frame(["2"], max_results=5)
    assert len(sent) == 4
    for statement, parameters in sent:
        assert whole_tables(plan_of(database, statement, parameters)) == [], statement


def test_a_run_and_a_model_are_found_by_index(client, database):
    def fill(connection) -> None:
        connection.exec_driver_sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
            "INSERT INTO registered_models (uid, name, name_key, creation_time, last_update_time) "
            "SELECT 'u' || i, 'm' || i, 'm' || i, i, i FROM n"
        )

    database.write(fill)
    gather_statistics(database)

    with sent_statements(database) as sent:
        client.get_run(f"{7:032x}")
        client.search_registered_models("name = 'm7'", max_results=5)
        client.search_registered_models(max_results=5)
    for statement, parameters in sent:
        plan = plan_of(database, statement, parameters)
        assert whole_tables(plan) == [], statement
        # SQLite says SCAN of a walk along an index too.
        walked = [line.replace("SCAN registered_models USING INDEX", "") for line in plan]
        assert not any(f"{how} registered_models" in line for how in ("SCAN", "Seq Scan on") for line in walked), plan
