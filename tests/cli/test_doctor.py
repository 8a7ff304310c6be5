"""``registry doctor`` and ``registry cache``."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from governed_models import raw_sql
from s3_servers import S3Server

import registry
from registry import MlflowClient
from registry.client.maintenance.doctor import examine
from registry.client.models.loading import open_model
from registry.uris import parse


def verdicts(area: str, tracking_uri: str | None = None) -> list[str]:
    return [str(finding.verdict) for finding in examine(tracking_uri) if finding.area == area]


def test_a_sound_registry_passes(cli: Callable, filled: object) -> None:
    outcome = cli("doctor")

    assert (outcome.code, outcome.err) == (0, "")
    assert "schema revision" in outcome.out
    assert "can be written, read and deleted from" in outcome.out
    assert [path.name for path in Path("mlruns").iterdir() if "doctor" in path.name] == []


def test_findings_can_be_read_by_programs(cli: Callable, filled: object) -> None:
    found = cli("doctor", "--json").json

    assert {finding["verdict"] for finding in found} <= {"ok", "warn"}
    assert {finding["area"] for finding in found} >= {"packages", "settings", "database", "bytes", "cache"}


def test_a_missing_database_fails_and_is_not_made(own_place: Path) -> None:
    assert verdicts("database") == ["fail"]
    assert list(own_place.iterdir()) == []


def test_a_damaged_database_fails(cli: Callable, filled: object) -> None:
    path = Path("mlruns/registry.db")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("UPDATE model_versions SET logged_model_id = 999 WHERE version = 1")
    connection.close()

    outcome = cli("doctor")

    assert outcome.code == 3
    assert "of model_versions refers to a missing row of logged_models" in outcome.out


def test_points_of_no_run_are_told(database_url: str) -> None:
    assert MlflowClient(database_url).search_experiments()
    raw_sql(database_url)("INSERT INTO metrics (series_id, step, timestamp, value) VALUES (77, 0, 0, 0.5)")

    (finding,) = [finding for finding in examine(database_url) if "of the series" in finding.text]

    assert (finding.verdict, finding.text) == (
        "warn",
        "there are points of the series 77, which is not there; no run has them",
    )


def test_a_database_that_is_none_fails(own_place: Path) -> None:
    Path("mlruns").mkdir()
    Path("mlruns/registry.db").write_text("not a database" * 100)
    assert verdicts("database") == ["fail"]


def test_an_outdated_database_fails_and_names_the_command(own_place: Path) -> None:
    from registry.store import schema
    from registry.store.engine import connect

    schema.upgrade(connect("sqlite:///old.db"), "0003")
    (finding,) = [finding for finding in examine("sqlite:///old.db") if finding.area == "database"]
    assert "registry db upgrade" in finding.text


def test_bytes_that_cannot_be_written_fail(own_place: Path) -> None:
    Path("file").write_text("x")
    os.environ["REGISTRY_ARTIFACT_LOCATION"] = str(Path("file").absolute() / "below")
    assert verdicts("bytes", "sqlite:///a.db") == ["fail"]


def test_places_of_experiments_that_moved_are_named(filled: object, own_place: Path) -> None:
    (own_place / "elsewhere").write_text("a file")
    registry.MlflowClient().create_experiment("lost", artifact_location=str(own_place / "elsewhere" / "x"))
    found = [finding for finding in examine() if "elsewhere" in finding.text]
    assert [finding.verdict for finding in found] == ["ok"]  # a missing entry has no files, which is no fault


@pytest.mark.parametrize("server", ["moto_s3", "seaweedfs"])
def test_s3_is_tried_out(
    server: str, request: pytest.FixtureRequest, s3_environment: Callable[[S3Server], S3Server]
) -> None:
    os.environ["REGISTRY_ARTIFACT_LOCATION"] = s3_environment(request.getfixturevalue(server)).fresh_root()
    assert verdicts("bytes", "sqlite:///a.db") == ["ok", "ok"]


def test_a_missing_bucket_fails(moto_s3: S3Server, s3_environment: Callable[[S3Server], S3Server]) -> None:
    s3_environment(moto_s3)
    os.environ["REGISTRY_ARTIFACT_LOCATION"] = "s3://no-such-bucket/x"
    (finding,) = [finding for finding in examine("sqlite:///a.db") if finding.area == "bytes"]
    assert "The bucket 'no-such-bucket' does not exist" in finding.text


def test_rights_on_postgresql_are_told(postgres_url: str) -> None:
    (finding,) = [finding for finding in examine(postgres_url) if finding.area == "rights"]
    assert (finding.verdict, finding.text) == ("ok", "postgres may do all that a promoter may")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"REGISTRY_ALLOW_CODE": "1"}, "every model that is loaded may run code"),
        ({"REGISTRY_RUN_ID": "a", "MLFLOW_RUN_ID": "b"}, "MLFLOW_RUN_ID is set to something else"),
        ({"REGISTRY_REGISTRY_URI": "sqlite:///b.db"}, "runs and models share one database"),
        ({"REGISTRY_CACHE_LIMIT_BYTES": "lots"}, "cache_limit_bytes|CACHE_LIMIT"),
    ],
)
def test_settings_in_force_that_surprise_are_told(own_place: Path, variables: dict[str, str], said: str) -> None:
    import re

    os.environ.update(variables)
    told = [finding for finding in examine() if finding.area == "settings" and finding.verdict != "ok"]
    assert [finding for finding in told if re.search(said, finding.text)] != []


@pytest.fixture
def cached(moto_s3: S3Server, s3_environment: Callable[[S3Server], S3Server], own_place: Path) -> str:
    """Load a model into the cache; return its digest."""
    os.environ["REGISTRY_ARTIFACT_LOCATION"] = s3_environment(moto_s3).fresh_root()
    (own_place / "source").mkdir()
    (own_place / "source" / "data.bin").write_bytes(b"x" * 2048)
    client = registry.MlflowClient("sqlite:///a.db")
    version = client.register_model(str(own_place / "source"), "churn")
    with open_model(client.backend, parse("models:/churn/1")):
        return str(version.digest)


@pytest.fixture
def cache_cli(cached: str, cli: Callable) -> Callable:
    return cli


def test_the_cache_is_listed(cached: str, cache_cli: Callable) -> None:
    outcome = cache_cli("cache", "list")
    assert cached in outcome.out
    (entry,) = cache_cli("cache", "list", "--json").json
    assert (entry["digest"], entry["files"]) == (cached, 1)
    assert entry["size_bytes"] > 2048


def test_to_look_at_a_cache_that_is_not_there_makes_none(
    cli: Callable, filled: object, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_CACHE_DIR", str(own_place / "none" / "cache"))

    assert verdicts("cache") == ["ok"]
    assert cli("cache", "list").err.startswith("The cache is empty.\n")
    assert cli("cache", "clear", "--dry-run").code == 0
    assert not (own_place / "none").exists()

    (own_place / "file").touch()
    monkeypatch.setenv("REGISTRY_CACHE_DIR", str(own_place / "file" / "cache"))
    assert verdicts("cache") == ["fail"]


def test_the_cache_is_verified_and_what_is_damaged_is_dropped(cached: str, cache_cli: Callable) -> None:
    assert cache_cli("cache", "verify").err == "Read 1 model, 0 damaged.\n"
    (data,) = Path(os.environ["REGISTRY_CACHE_DIR"]).rglob("data.bin")
    data.chmod(0o600)
    data.write_bytes(b"y" * 2048)

    outcome = cache_cli("cache", "verify")

    assert outcome.code == 3
    assert outcome.err.splitlines() == [
        f"{cached} was damaged and is dropped; the next load downloads it again.",
        "Read 1 model, 1 damaged.",
    ]
    assert cache_cli("cache", "list").err.startswith("The cache is empty.\n")


def test_the_cache_is_cleared(cached: str, cache_cli: Callable) -> None:
    assert cache_cli("cache", "clear").err.startswith("Removed 1 model, 2.")
    assert cache_cli("cache", "clear").err == "Removed 0 models, 0 B.\n"


def test_the_doctor_names_only_settings_that_the_user_made(
    cli: Callable, filled: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = ["ok", "settings", "REGISTRY_DATABASE_PATIENCE is set", ""]
    monkeypatch.setenv("REGISTRY_DATABASE_PATIENCE", "2")
    assert told in cli("doctor").rows
    monkeypatch.delenv("REGISTRY_DATABASE_PATIENCE")
    assert told not in cli("doctor").rows
