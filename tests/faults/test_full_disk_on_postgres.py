"""A PostgreSQL server whose disk is full, in every operation that writes rows: one error, and nothing is half-written.

A trigger refuses each statement as the server itself does (SQLSTATE 53100): each operation meets it at its first row.
One test fills a real disk, where root may mount one.
"""

import contextlib
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from governed_models import register
from postgres_server import TEMPLATE, PostgresServer

import registry
from registry import MlflowClient
from registry.entities import Dataset, DatasetInput, Metric, Param, RunTag
from registry.exceptions import StorageError

_FULL = """
    CREATE FUNCTION disk_is_full() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$
"""
_DATASET = [DatasetInput(Dataset("games", "1", "local", "{}"), [])]


class Place:
    """A registry with one of everything, made before the disk of its server is full."""

    def __init__(self, url: str, root: Path) -> None:
        # One connection: a server whose disk is full may be unable to open another.
        # And no parallel workers, which write a file as they start.
        self._connection = psycopg.connect(
            url.replace("postgresql+psycopg://", "postgresql://"),
            autocommit=True,
            options="-c max_parallel_workers_per_gather=0",
        )
        registry.set_tracking_uri(url)
        self.client = MlflowClient()
        self.run = self.client.create_run("0").info.run_id
        self.client.log_param(self.run, "depth", 3)
        self.client.log_metric(self.run, "auc", 0.5)
        self.client.set_tag(self.run, "team", "east")
        self.deleted_run = self.client.create_run("0").info.run_id
        self.client.delete_run(self.deleted_run)
        self.experiment = self.client.create_experiment("nba")
        register(self.client, "churn", 3)
        self.client.transition_model_version_stage("churn", 1, "Production")
        self.client.transition_model_version_stage("churn", 2, "Production")
        self.client.set_registered_model_alias("churn", "champion", 1)
        self.client.set_registered_model_tag("churn", "team", "east")
        self.ready = self.client.get_model_version("churn", 1).model_id
        self.tables = [name for (name,) in self.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]

    def sql(self, statement: str) -> list[Any]:
        """Run a statement as the owner of the database; return its rows."""
        cursor = self._connection.execute(statement)
        return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def fill(self) -> None:
        """Let every statement that writes a row fail as on a full disk, except the marker of the transaction."""
        self.sql(_FULL)
        for table in set(self.tables) - {"commit_markers"}:
            self.sql(
                f"CREATE TRIGGER a_full_disk BEFORE INSERT OR UPDATE OR DELETE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION disk_is_full()"
            )

    def free(self) -> None:
        """Let statements write again."""
        self.sql("DROP FUNCTION disk_is_full() CASCADE")

    def rows(self) -> dict[str, list[Any]]:
        """Every row of every table, except the markers."""
        tables = sorted(set(self.tables) - {"commit_markers"})
        return {table: self.sql(f"SELECT t::text FROM {table} t ORDER BY 1") for table in tables}

    def newest_rows(self) -> dict[str, list[Any]]:
        """The number of rows of each table, and the transaction that wrote the newest: sorting needs a disk."""
        tables = sorted(set(self.tables) - {"commit_markers"})
        return {table: self.sql(f"SELECT count(*), max(xmin::text::bigint) FROM {table}") for table in tables}


ROWS: dict[str, Callable[[Place], Any]] = {
    "create_experiment": lambda p: p.client.create_experiment("other"),
    "rename_experiment": lambda p: p.client.rename_experiment(p.experiment, "other"),
    "delete_experiment": lambda p: p.client.delete_experiment(p.experiment),
    "set_experiment_tag": lambda p: p.client.set_experiment_tag(p.experiment, "a", "b"),
    "create_run": lambda p: p.client.create_run("0"),
    "log_param": lambda p: p.client.log_param(p.run, "rate", 1),
    "log_metric": lambda p: p.client.log_metric(p.run, "loss", 1.0),
    "log_batch": lambda p: p.client.log_batch(
        p.run, [Metric("m", float(n), n, n) for n in range(500)], [Param("p", "1")], [RunTag("t", "1")]
    ),
    "log_metric_history": lambda p: p.client.log_metric_history(p.run, "loss", np.arange(500), np.arange(500.0)),
    "set_tag": lambda p: p.client.set_tag(p.run, "a", "b"),
    "delete_tag": lambda p: p.client.delete_tag(p.run, "team"),
    "log_inputs": lambda p: p.client.log_inputs(p.run, _DATASET),
    "set_terminated": lambda p: p.client.set_terminated(p.run),
    "delete_run": lambda p: p.client.delete_run(p.run),
    "restore_run": lambda p: p.client.restore_run(p.deleted_run),
    "create_logged_model": lambda p: p.client.create_logged_model("0", name="model"),
    "set_logged_model_tags": lambda p: p.client.set_logged_model_tags(p.ready, {"a": "b"}),
    "create_registered_model": lambda p: p.client.create_registered_model("other"),
    "rename_registered_model": lambda p: p.client.rename_registered_model("churn", "other"),
    "delete_registered_model": lambda p: p.client.delete_registered_model("churn", force=True),
    "set_registered_model_tag": lambda p: p.client.set_registered_model_tag("churn", "a", "b"),
    "delete_registered_model_tag": lambda p: p.client.delete_registered_model_tag("churn", "team"),
    "set_registered_model_alias": lambda p: p.client.set_registered_model_alias("churn", "champion", 2),
    "delete_registered_model_alias": lambda p: p.client.delete_registered_model_alias("churn", "champion"),
    "create_model_version": lambda p: p.client.create_model_version("churn", f"models:/{p.ready}"),
    "delete_model_version": lambda p: p.client.delete_model_version("churn", 3),
    "set_model_version_tag": lambda p: p.client.set_model_version_tag("churn", 1, "a", "b"),
    "transition_model_version_stage": lambda p: p.client.transition_model_version_stage("churn", 3, "Production"),
    "rollback": lambda p: p.client.rollback("churn", "Production"),
    "set_promotion_rules": lambda p: p.client.set_promotion_rules(
        "churn", "Staging", [registry.MetricAtLeast("auc", 0.5)]
    ),
    "approve": lambda p: p.client.approve("churn", 3, "Production"),
    "copy_model_version": lambda p: p.client.copy_model_version("models:/churn/1", "other"),
}

# Each of these works whether or not the others were done before.
KEPT_APART = (
    "create_run log_param log_metric log_batch log_metric_history set_tag log_inputs create_logged_model "
    "set_registered_model_tag set_registered_model_alias create_model_version copy_model_version "
    "transition_model_version_stage set_promotion_rules approve set_terminated"
).split()


@pytest.fixture
def place(postgres_url: str, own_place: Path) -> Iterator[Place]:
    """A filled registry on PostgreSQL."""
    place = Place(postgres_url, own_place)
    yield place
    place.close()


@pytest.mark.parametrize("name", ROWS)
def test_a_full_disk_of_the_server_is_one_error_and_changes_nothing(name: str, place: Place) -> None:
    before = place.rows()
    place.fill()
    with pytest.raises(StorageError) as caught:
        ROWS[name](place)
    assert "No space left on device" in str(caught.value)
    assert place.rows() == before

    place.free()
    ROWS[name](place)
    assert place.rows() != before


@pytest.fixture
def small_disk(postgres_server: PostgresServer, _postgres_template: str) -> Iterator[tuple[str, Path]]:
    """Make a registry's database on a disk of 24 MiB of its own; yield its URL and where the disk is mounted."""
    name = f"small_{uuid.uuid4().hex[:12]}"
    disk = postgres_server.directory / name
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        shutil.chown(disk, postgres_server.directory.owner())
        postgres_server.execute(f"CREATE TABLESPACE {name} LOCATION '{disk}'")
        postgres_server.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} TABLESPACE {name}")
        yield postgres_server.url(name), disk
        registry.disconnect()
        postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        postgres_server.execute(f"DROP TABLESPACE {name}")
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def log_points(place: Place, first: int, count: int) -> None:
    place.client.log_metric_history(place.run, "series", np.arange(first, first + count), np.arange(float(count)))


def refused_by_full_disk(operation: Callable[[], Any]) -> StorageError | None:
    try:
        operation()
    except StorageError as error:
        return error
    return None


@pytest.mark.slow
def test_on_a_disk_that_is_really_full_what_was_acknowledged_is_there_and_nothing_else(
    small_disk: tuple[str, Path], own_place: Path
) -> None:
    url, disk = small_disk
    with contextlib.closing(Place(url, own_place)) as place:
        acknowledged = 0
        while refused_by_full_disk(partial(log_points, place, 2_000 * acknowledged, 2_000)) is None:
            acknowledged += 1
        assert acknowledged > 3

        refused = set()
        for name in KEPT_APART:
            before = place.newest_rows()
            refusal = refused_by_full_disk(partial(ROWS[name], place))
            if refusal is not None:
                assert "No space left on device" in refusal.message
                assert place.newest_rows() == before, name
                refused.add(name)
        assert {"log_batch", "log_metric_history"} <= refused

        subprocess.run(["mount", "-o", "remount,size=256m", disk], check=True)
        steps = [point.step for point in place.client.get_metric_history(place.run, "series")]
        assert sorted(steps) == list(range(2_000 * acknowledged))
        for name in refused:
            ROWS[name](place)
        assert [report.name for report in place.client.verify_all()] != []
