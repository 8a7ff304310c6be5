"""The schema: created by migrations alone, equal on every path to it, and never forced on a database."""

import ast
import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from schema_snapshot import snapshot
from sqlalchemy import text

import registry
from registry import MlflowClient
from registry.exceptions import (
    ForeignStoreError,
    InvalidParameterError,
    SchemaOutdatedError,
    SchemaTooNewError,
)
from registry.store.engine import Database, connect
from registry.store.schema import current, downgrade, ensure, migrations_directory, revisions, upgrade

ROOT = Path(registry.__file__).parent
HEAD = revisions()[-1]
TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
}


def config(connection: Any, directory: Path | None = None) -> Config:
    """Alembic's configuration on an open connection."""
    made = Config()
    made.set_main_option("script_location", str(directory or migrations_directory()))
    made.attributes["connection"] = connection
    return made


def counts(database: Database) -> dict[str, int]:
    """Rows by table, the version table left out."""

    def work(connection: Any) -> dict[str, int]:
        names = connection.execute(text(TABLES[connection.dialect.name])).scalars().all()
        return {
            name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in sorted(set(names) - {"registry_schema_version"})
        }

    return database.read(work)


def fill(client: MlflowClient, place: Path) -> None:
    """Write at least one row to every table of the first revisions."""
    (place / "model").mkdir()
    (place / "model" / "MLmodel").write_text("flavors: {}\n")
    experiment = client.create_experiment("nba", tags={"team": "east"})
    run_id = client.create_run(experiment, tags={"a": "b"}).info.run_id
    client.log_param(run_id, "depth", 3)
    for step in range(3):
        client.log_metric(run_id, "loss", 1 / (step + 1), step=step)
    client.log_metric(run_id, "nan", float("nan"))
    dataset = registry.entities.Dataset("games", "abc", "local", "here")
    client.log_inputs(
        run_id, [registry.entities.DatasetInput(dataset, [registry.entities.InputTag("mlflow.data.context", "x")])]
    )
    client.create_logged_model(experiment, "m", run_id, tags={"a": "b"}, params={"c": "d"})
    for _ in range(2):
        client.create_registered_model("churn", tags={"a": "b"}) if _ == 0 else None
        client.create_model_version("churn", str(place / "model"), tags={"a": "b"})
    client.set_registered_model_alias("churn", "best", 2)
    client.transition_model_version_stage("churn", 1, "Production")
    client.transition_model_version_stage("churn", 2, "Production")


def test_the_tables_are_those_of_the_row_classes(empty_database_url: str) -> None:
    database = connect(empty_database_url)
    upgrade(database)

    with database.exclusive() as connection:
        command.check(config(connection))


def test_the_catalogue_is_the_snapshot(empty_database_url: str) -> None:
    database = connect(empty_database_url)
    upgrade(database)
    found = snapshot(database)

    expected = Path(__file__).parent / f"schema_snapshot_{database.engine.dialect.name}.txt"
    if os.environ.get("REGISTRY_TEST_WRITE_SNAPSHOT"):
        expected.write_text(found)
    assert found.splitlines() == expected.read_text().splitlines()


def test_the_first_use_of_an_sqlite_file_equals_the_migrations(sqlite_url: str, own_place: Path) -> None:
    migrated = connect(f"sqlite:///{own_place / 'migrated.db'}")
    upgrade(migrated)
    script = migrations_directory() / "empty_sqlite.sql"
    if os.environ.get("REGISTRY_TEST_WRITE_SNAPSHOT"):
        script.write_text(first_use_script(migrated))

    database = connect(sqlite_url)
    ensure(database)

    assert snapshot(database).splitlines() == snapshot(migrated).splitlines()
    assert current(database) == HEAD
    found, expected = contents(database), contents(migrated)
    ids = [rows["registry_id"][0].pop("id") for rows in (found, expected)]
    assert [len(identifier) for identifier in ids] == [32, 32]
    assert ids[0] != ids[1]
    assert found == expected


def contents(database: Database) -> dict[str, list[dict[str, Any]]]:
    """All rows by table."""

    def work(connection: Any) -> dict[str, list[dict[str, Any]]]:
        names = connection.execute(text(TABLES[connection.dialect.name])).scalars().all()
        rows = {name: connection.execute(text(f"SELECT * FROM {name}")).mappings() for name in names}
        return {name: [dict(row) for row in found] for name, found in rows.items()}

    return database.read(work)


def first_use_script(migrated: Database) -> str:
    """The script for the first use of an SQLite file, from the result of the migrations."""
    query = """
        SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%'
        ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END, name
    """
    made = migrated.read(lambda connection: list(connection.execute(text(query)).scalars()))
    rows = (
        "INSERT INTO registry_id (id) VALUES (lower(hex(randomblob(16))))",
        f"INSERT INTO registry_schema_version (version_num) VALUES ('{HEAD}')",
    )
    head = (
        "-- What the migrations come to on an empty SQLite file; written and checked by tests/store/test_schema.py.\n"
    )
    # What alembic leaves of a database that was taken back to nothing is its own table.
    versions = "CREATE TABLE registry_schema_version"
    folded = [
        " ".join(statement.split()).replace(versions, versions.replace("TABLE", "TABLE IF NOT EXISTS"))
        for statement in (*made, *rows)
    ]
    return head + "".join(f"{statement};\n\n" for statement in folded)


def test_an_sqlite_file_that_was_taken_back_to_nothing_can_be_used_again(sqlite_url: str) -> None:
    assert MlflowClient(sqlite_url).search_experiments()
    downgrade(connect(sqlite_url), "base")
    registry.disconnect()

    ensure(connect(sqlite_url))

    assert current(connect(sqlite_url)) == HEAD


@pytest.mark.parametrize("revision", ["base", *revisions()[:-1]])
def test_a_filled_database_goes_down_and_up_again(revision: str, database_url: str, own_place: Path) -> None:
    fill(MlflowClient(database_url), own_place)
    database = connect(database_url)
    before, catalogue = counts(database), snapshot(database)

    downgrade(database, revision)
    below = counts(database)
    upgrade(database)

    after = counts(database)
    kept = set(below) - {"registry_id"}
    assert {name: below[name] for name in kept} == {name: before[name] for name in kept}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert set(after) == set(before)
    assert snapshot(database) == catalogue
    assert MlflowClient(database_url).search_registered_models() is not None


def test_the_filled_database_has_rows_in_every_table_of_the_first_revisions(database_url: str, own_place: Path) -> None:
    fill(MlflowClient(database_url), own_place)

    empty = {name for name, count in counts(connect(database_url)).items() if count == 0}
    assert empty <= {
        *("approvals", "promotion_rules", "uploads", "dataset_input_tags", "logged_model_metrics"),
        *("removals", "foreign_history", "model_signatures", "commit_markers", "adopted_files"),
        *("evaluation_datasets", "evidence", "tombstones", "trusted_pages"),
        *("monitors", "monitor_guards", "monitor_checks", "incidents", "trigger_deliveries"),
    }


@pytest.mark.slow
def test_one_revision_at_a_time_equals_all_at_once(empty_database_url: str, sqlite_url: str) -> None:
    database = connect(empty_database_url)
    for revision in revisions():
        upgrade(database, revision)
        assert current(database) == revision

    name = database.engine.dialect.name
    expected = (Path(__file__).parent / f"schema_snapshot_{name}.txt").read_text()
    assert snapshot(database).splitlines() == expected.splitlines()


def broken_migrations(place: Path) -> Path:
    """The migrations, with an extra one that changes much and then fails."""
    directory = place / "migrations"
    shutil.copytree(migrations_directory(), directory, ignore=shutil.ignore_patterns("__pycache__"))
    (directory / "versions" / "9000_broken.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f'revision, down_revision = "9000", "{HEAD}"\n'
        "def upgrade():\n"
        '    op.create_table("half", sa.Column("id", sa.Integer()))\n'
        "    op.execute(\"UPDATE runs SET name = 'half'\")\n"
        '    op.drop_table("stage_periods")\n'
        '    op.execute("INSERT INTO nowhere VALUES (1)")\n'
    )
    return directory


def test_a_migration_that_fails_leaves_nothing(database_url: str, own_place: Path) -> None:
    fill(MlflowClient(database_url), own_place)
    database = connect(database_url)
    before, catalogue = counts(database), snapshot(database)

    with pytest.raises(registry.RegistryError, match="nowhere"), database.exclusive() as connection:
        command.upgrade(config(connection, broken_migrations(own_place)), "head")

    assert (counts(database), snapshot(database), current(database)) == (before, catalogue, HEAD)
    assert MlflowClient(database_url).get_experiment_by_name("nba") is not None


def test_a_migration_that_orphans_rows_is_undone(sqlite_url: str) -> None:
    database = connect(sqlite_url)
    run_id = MlflowClient(sqlite_url).create_run("0").info.run_id

    with pytest.raises(registry.RegistryError, match="without its parent"), database.exclusive() as connection:
        connection.exec_driver_sql("DELETE FROM experiments")

    assert MlflowClient(sqlite_url).get_run(run_id).info.experiment_id == "0"
    assert database.read(lambda c: c.exec_driver_sql("PRAGMA foreign_keys").scalar_one()) == 1


FIRST_USE = """
import sys
from registry import MlflowClient
client = MlflowClient(sys.argv[1])
client.log_metric(client.create_run("0").info.run_id, "m", 1.0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("option", ["", "?journal_mode=wal"])
def test_eight_processes_may_use_an_empty_file_first(option: str, own_place: Path) -> None:
    url = f"sqlite:///{own_place}/a.db{option}"
    running = [
        subprocess.Popen([sys.executable, "-c", FIRST_USE, url], stderr=subprocess.PIPE, text=True) for _ in range(8)
    ]
    errors = [process.communicate(timeout=100)[1] for process in running]

    assert errors == [""] * 8
    assert [process.returncode for process in running] == [0] * 8
    assert counts(connect(url))["runs"] == 8
    assert counts(connect(url))["registry_id"] == 1


def test_an_empty_shared_database_is_not_changed_silently(empty_postgres_url: str) -> None:
    with pytest.raises(
        SchemaOutdatedError,
        match=r"has no tables of a registry yet.*registry db upgrade --tracking-uri .*alembic upgrade",
    ) as caught:
        MlflowClient(empty_postgres_url).search_experiments()

    assert caught.value.error_code == "INVALID_STATE"
    assert counts(connect(empty_postgres_url)) == {}


def test_a_database_that_is_behind_is_refused_and_stays(database_url: str) -> None:
    database = connect(database_url)
    downgrade(database, "0003")
    catalogue = snapshot(database)

    with pytest.raises(SchemaOutdatedError, match=rf"has schema revision 0003, this package needs {HEAD}"):
        MlflowClient(database_url).search_experiments()

    assert snapshot(database) == catalogue


def test_a_database_that_is_ahead_is_refused_and_stays(database_url: str) -> None:
    database = connect(database_url)
    database.write(lambda c: c.exec_driver_sql("UPDATE registry_schema_version SET version_num = '9999'"))
    changes: list[Callable[[], object]] = [
        lambda: MlflowClient(database_url).search_experiments(),
        lambda: upgrade(database),
        lambda: downgrade(database, "0001"),
    ]

    for change in changes:
        with pytest.raises(SchemaTooNewError, match="9999, newer than this package"):
            change()

    assert current(database) == "9999"


def test_up_is_not_down(sqlite_url: str) -> None:
    database = connect(sqlite_url)

    for change, revision in ((upgrade, "base"), (downgrade, "head"), (upgrade, "0001"), (downgrade, HEAD)):
        with contextlib.suppress(InvalidParameterError):
            change(database, revision)
        assert current(database) == HEAD


@pytest.mark.parametrize("name", ["0009x", "../0001", "heads", ""])
def test_an_unknown_revision_is_refused_with_those_that_are_known(name: str, sqlite_url: str) -> None:
    database = connect(sqlite_url)

    for change in (upgrade, downgrade):
        with pytest.raises(InvalidParameterError, match=rf"There is no schema revision {name!r}; known: 0001, "):
            change(database, name)


MLFLOW = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
    "INSERT INTO alembic_version VALUES ('bda7b8c39065')",
    "CREATE TABLE experiments (experiment_id INTEGER NOT NULL, name VARCHAR(256) NOT NULL)",
    "CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL, name VARCHAR(250))",
    "INSERT INTO runs VALUES ('a', 'b')",
)


def execute(database: Database, statement: str) -> None:
    """Run a statement on a database without our tables, where no marker can be written."""
    with database.exclusive() as connection:
        connection.exec_driver_sql(statement)


def test_a_database_of_mlflow_is_refused_and_stays(empty_database_url: str) -> None:
    database = connect(empty_database_url)
    for statement in MLFLOW:
        execute(database, statement)
    catalogue = snapshot(database)

    for use in (lambda: MlflowClient(empty_database_url).search_experiments(), lambda: upgrade(database)):
        with pytest.raises(ForeignStoreError, match=r"has MLflow's tables.*for example sqlite:///registry.db"):
            use()

    assert snapshot(database) == catalogue
    assert counts(database) == {"alembic_version": 1, "experiments": 0, "runs": 1}


def test_a_table_of_somebody_else_with_one_of_our_names_is_not_taken(empty_database_url: str) -> None:
    database = connect(empty_database_url)
    execute(database, "CREATE TABLE history (line TEXT)")

    with pytest.raises(ForeignStoreError, match="a table 'history' that the registry did not create"):
        upgrade(database)

    assert counts(database) == {"history": 0}


def test_a_file_with_other_tables_gets_ours_only_when_asked(own_place: Path) -> None:
    url = f"sqlite:///{own_place}/a.db"
    database = connect(url)
    database.write(lambda c: c.exec_driver_sql("CREATE TABLE games (id INTEGER)"))

    with pytest.raises(SchemaOutdatedError, match="registry db upgrade"):
        MlflowClient(url).search_experiments()
    assert counts(database) == {"games": 0}

    upgrade(database)
    assert MlflowClient(url).get_experiment("0").name == "Default"


def test_a_directory_with_mlflows_file_store_is_refused_and_stays(own_place: Path) -> None:
    (own_place / "mlruns" / "0").mkdir(parents=True)
    (own_place / "mlruns" / "0" / "meta.yaml").write_text("name: Default\n")

    with pytest.raises(ForeignStoreError, match=r"MLflow's file store.*REGISTRY_TRACKING_URI") as caught:
        registry.search_experiments()

    assert caught.value.error_code == "INVALID_STATE"
    assert sorted(str(path.relative_to(own_place)) for path in own_place.rglob("*")) == [
        "mlruns",
        "mlruns/0",
        "mlruns/0/meta.yaml",
    ]


def test_only_migrations_make_tables() -> None:
    scripts = [*ROOT.rglob("*.py"), *migrations_directory().rglob("*.py")]

    assert [path for path in scripts if re.search(r"\.\s*create_all\s*\(", path.read_text())] == []


@pytest.mark.parametrize(
    "script", sorted((migrations_directory() / "versions").glob("*.py")), ids=lambda path: path.stem
)
def test_a_revision_imports_nothing_of_the_package(script: Path) -> None:
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(script.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }

    assert not {name for name in imported if name.split(".")[0] == "registry"}
    assert re.fullmatch(r"\d{4}_[a-z_]+", script.stem)


def test_alembic_in_a_checkout_finds_the_database_of_the_settings(own_place: Path) -> None:
    checkout = migrations_directory().parent
    if not (checkout / "alembic.ini").is_file():
        pytest.skip("this is an installed package: it has no alembic.ini")
    environment = {**os.environ, "REGISTRY_TRACKING_URI": f"sqlite:///{own_place}/a.db"}

    done = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", str(checkout / "alembic.ini"), "upgrade", "head"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert current(connect(f"sqlite:///{own_place}/a.db")) == HEAD


CHANGES_OF_HISTORY = {
    "sqlite": (
        "UPDATE history SET actor = 'nobody'",
        "DELETE FROM history",
        "INSERT OR REPLACE INTO history SELECT * FROM history",
        "REPLACE INTO history (id, model_id, seq, kind, actor, time_us, hash) "
        "SELECT id, 99, 99, 'x', 'x', 1, 'x' FROM history",
    ),
    "postgresql": (
        "UPDATE history SET actor = 'nobody'",
        "DELETE FROM history",
        "TRUNCATE history",
        "TRUNCATE registered_models CASCADE",
        "INSERT INTO history SELECT * FROM history ON CONFLICT (id) DO UPDATE SET actor = 'nobody'",
    ),
}


@pytest.mark.parametrize("number", range(5))
def test_no_statement_changes_history(number: int, database_url: str) -> None:
    MlflowClient(database_url).create_registered_model("churn")
    database = connect(database_url)
    changes = CHANGES_OF_HISTORY[database.engine.dialect.name]
    if number >= len(changes):
        return
    query = "SELECT * FROM history"
    before = database.read(lambda c: c.exec_driver_sql(query).all())

    with pytest.raises(registry.RegistryError, match="history is append-only"):
        database.write(lambda c: c.exec_driver_sql(changes[number]))

    assert database.read(lambda c: c.exec_driver_sql(query).all()) == before


def test_no_connection_with_foreign_keys_off_deletes_history(sqlite_url: str) -> None:
    MlflowClient(sqlite_url).create_registered_model("churn")
    registry.disconnect()
    raw = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)

    with pytest.raises(sqlite3.IntegrityError, match="history is append-only"):
        raw.execute("DELETE FROM history")

    raw.close()
