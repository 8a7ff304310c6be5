"""``registry db``: says what it did, and changes nothing unasked."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from registry.store.engine import connect
from registry.store.schema import revisions

NEWEST = revisions()[-1]


def test_the_schema_goes_up_down_and_up(cli: Callable, own_place: Path) -> None:
    uri = f"sqlite:///{own_place}/a.db"
    told = [
        cli("db", *words, "--tracking-uri", uri)
        for words in (
            ["upgrade", "0001"],
            ["upgrade"],
            ["upgrade"],
            ["downgrade", "0001", "--yes"],
            ["downgrade", "base", "--yes"],
        )
    ]

    assert [outcome.code for outcome in told] == [0, 0, 0, 0, 0]
    assert [outcome.err for outcome in told] == [
        f"{uri}: schema revision none -> 0001.\n",
        f"{uri}: schema revision 0001 -> {NEWEST}.\n",
        f"{uri} has schema revision {NEWEST} already; nothing to do.\n",
        f"{uri}: schema revision {NEWEST} -> 0001.\n",
        f"{uri}: schema revision 0001 -> none.\n",
    ]


def test_current_and_check_of_a_database_that_is_up_to_date(cli: Callable, own_place: Path) -> None:
    uri = f"sqlite:///{own_place}/a.db"
    cli("db", "upgrade", "--tracking-uri", uri)

    assert cli("db", "current").rows == [["database", uri], ["revision", NEWEST], ["newest", NEWEST]]
    assert cli("db", "current", "--json").json == {"database": uri, "revision": NEWEST, "newest": NEWEST}
    checked = cli("db", "check")
    assert (checked.code, checked.err) == (0, f"{uri} has schema revision {NEWEST}, which this package needs.\n")


def test_check_of_a_database_that_is_behind_fails_with_the_command(cli: Callable, own_place: Path) -> None:
    uri = f"sqlite:///{own_place}/a.db"
    cli("db", "upgrade", "0001", "--tracking-uri", uri)

    checked = cli("db", "check")

    assert (checked.code, checked.out) == (3, "")
    assert checked.err == (
        f"registry: The database {uri} has schema revision 0001, this package needs {NEWEST}. Run 'registry db upgrade "
        f"--tracking-uri {uri}' (in a checkout: 'alembic upgrade head'); back the database up first.\n"
    )


def test_check_of_a_database_that_is_ahead_fails(cli: Callable, own_place: Path) -> None:
    uri = f"sqlite:///{own_place}/a.db"
    cli("db", "upgrade", "--tracking-uri", uri)
    connect(uri).write(lambda c: c.exec_driver_sql("UPDATE registry_schema_version SET version_num = '9999'"))

    for command, code in (("check", 3), ("upgrade", 1)):
        outcome = cli("db", command)
        assert outcome.code == code
        assert "revision 9999, newer than this package" in outcome.err


def test_looking_at_a_database_that_is_not_there_does_not_make_it(cli: Callable, own_place: Path) -> None:
    uri = f"sqlite:///{own_place}/none.db"

    assert cli("db", "current", "--json", "--tracking-uri", uri).json == {
        "database": uri,
        "revision": None,
        "newest": NEWEST,
    }
    checked = cli("db", "check", "--tracking-uri", uri)
    assert checked.code == 1
    assert checked.err == (
        f"registry: There is no registry at {uri}. To make one: registry db upgrade --tracking-uri {uri}\n"
    )
    assert list(own_place.iterdir()) == []


def test_a_directory_of_mlflow_is_told_before_a_registry_is_missed_in_it(cli: Callable, own_place: Path) -> None:
    (own_place / "mlruns" / "0").mkdir(parents=True)
    (own_place / "mlruns" / "0" / "meta.yaml").write_text("name: Default\n")

    outcome = cli("runs", "list")

    place = own_place / "mlruns"
    assert outcome.err == (
        f"registry: The directory '{place}' holds MLflow's file store and was left as it is. Keep this registry "
        "elsewhere, for example --tracking-uri file:./registry-store or REGISTRY_TRACKING_URI, and import this one: "
        f"registry import-mlflow {place}.\n"
    )
    assert sorted(path.name for path in place.iterdir()) == ["0"]


def test_an_unknown_revision_is_refused(cli: Callable) -> None:
    outcome = cli("db", "upgrade", "9")

    assert outcome.code == 2
    assert outcome.err == (f"registry: There is no schema revision '9'; known: {', '.join(revisions())}, head, base.\n")


def test_a_database_that_cannot_be_reached_is_one_line(cli: Callable) -> None:
    outcome = cli("db", "current", "--tracking-uri", "postgresql://nobody:s3cret@127.0.0.1:1/none")

    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("registry: The database postgresql+psycopg://nobody:***@127.0.0.1:1/none ")
    assert outcome.err.count("\n") == 1
    assert "s3cret" not in outcome.err


def test_postgresql_goes_up_and_down(cli: Callable, empty_postgres_url: str) -> None:
    assert cli("db", "check", "--tracking-uri", empty_postgres_url).code == 3
    assert cli("db", "upgrade").err.endswith(f": schema revision none -> {NEWEST}.\n")
    assert cli("db", "check").code == 0
    assert cli("db", "downgrade", "base", "--yes").err.endswith(f": schema revision {NEWEST} -> none.\n")


@pytest.mark.parametrize("tracking_uri", ["http://host:5000", "databricks://profile", "mysql://host/db"])
def test_a_place_that_cannot_hold_a_registry_is_refused(cli: Callable, tracking_uri: str) -> None:
    outcome = cli("db", "current", "--tracking-uri", tracking_uri)

    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)


def test_the_package_runs_as_a_module(own_place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "registry", "--tracking-uri", "sqlite:///m.db", "db", "upgrade"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr == f"sqlite:///{own_place}/m.db: schema revision none -> {NEWEST}.\n"
