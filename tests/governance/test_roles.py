"""PostgreSQL itself enforces the roles: raw SQL may do no more than the library."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from governed_models import raw_sql, register, sealed_model
from postgres_server import PostgresServer

import registry
from registry import MlflowClient
from registry.entities import Metric, Param, RunTag
from registry.exceptions import (
    IntegrityError,
    InvalidParameterError,
    PermissionDeniedError,
    PromotionRefusedError,
    ReadOnlyError,
)
from registry.rules import Approvals
from registry.store.grants import grants
from registry.store.roles import Role
from registry.store.tables import Base


@pytest.fixture
def owner(postgres_url: str) -> MlflowClient:
    registry.set_tracking_uri(postgres_url)
    client = MlflowClient()
    register(client, "nba", 2, model_id=sealed_model(client))
    client.transition_model_version_stage("nba", 1, "Production")
    client.set_registered_model_alias("nba", "best", 1)
    return client


@pytest.fixture
def login(owner: MlflowClient, postgres_server: PostgresServer) -> Iterator[Callable[[Role], str]]:
    """A function that creates a database user with a role and returns its URL."""
    database = owner.tracking_uri.rpartition("/")[2]
    users: list[str] = []

    def make(role: Role) -> str:
        user = f"{role} {uuid.uuid4().hex[:8]}"
        postgres_server.execute(f'CREATE ROLE "{user}" LOGIN')
        users.append(user)
        postgres_server.execute(grants(role, user), database)
        return owner.tracking_uri.replace("postgres@", f"{user.replace(' ', '%20')}@")

    yield make
    registry.disconnect()
    for user in users:
        postgres_server.execute(f'DROP OWNED BY "{user}"', database)
        postgres_server.execute(f'DROP ROLE "{user}"')


def test_a_writer_does_all_that_a_training_job_does(login: Callable[[Role], str]) -> None:
    client = MlflowClient(login(Role.WRITER))
    experiment = client.create_experiment("season", tags={"k": "v"})
    client.set_experiment_tag(experiment, "k", "w")
    client.rename_experiment(experiment, "other season")
    run = client.create_run(experiment, tags={"k": "v"}).info.run_id
    client.log_batch(run, [Metric("f1", 0.9, 1, 0), Metric("f1", 0.8, 2, 1)], [Param("p", "1")], [RunTag("t", "1")])
    client.set_tag(run, "t", "2")
    client.delete_tag(run, "t")
    client.set_terminated(run)
    model = sealed_model(client, "writer's", source_run_id=run, tags={"k": "v"}, params={"p": "2"})
    client.set_logged_model_tags(model, {"k": "w"})
    client.delete_logged_model_tag(model, "k")
    client.create_registered_model("mlb", tags={"k": "v"})
    client.create_model_version("mlb", f"models:/{model}", run_id=run, tags={"k": "v"})
    assert client.register_model(f"models:/{model}", "nba").version == 3
    client.update_registered_model("nba", "about")
    client.update_model_version("nba", 3, "about")
    client.set_registered_model_tag("nba", "k", "v")
    client.delete_registered_model_tag("nba", "k")
    client.set_model_version_tag("nba", 3, "k", "v")
    client.delete_model_version_tag("nba", 3, "k")
    client.approve("nba", 3, "Production")
    client.delete_run(run)
    client.restore_run(run)
    client.delete_logged_model(model)
    assert client.verify("nba", read_bytes=True).versions == 3
    assert client.get_model_version_by_alias("nba", "best").version == 1


FORBIDDEN: list[Callable[[MlflowClient], Any]] = [
    lambda c: c.transition_model_version_stage("nba", 2, "Production"),
    lambda c: c.transition_model_version_stage("nba", 2, "Archived"),
    lambda c: c.rollback("nba"),
    lambda c: c.set_registered_model_alias("nba", "best", 2),
    lambda c: c.set_registered_model_alias("nba", "new", 2),
    lambda c: c.delete_registered_model_alias("nba", "best"),
    lambda c: c.delete_model_version("nba", 2),
    lambda c: c.delete_registered_model("nba", force=True),
    lambda c: c.rename_registered_model("nba", "mlb"),
    lambda c: c.set_promotion_rules("nba", "Staging", [Approvals(1)]),
    lambda c: c.delete_promotion_rules("nba", "Production"),
]


def test_a_writer_may_not_promote_and_is_told_which_role_it_needs(
    owner: MlflowClient, login: Callable[[Role], str]
) -> None:
    owner.transition_model_version_stage("nba", 2, "Staging")
    owner.transition_model_version_stage("nba", 2, "None")
    owner.set_promotion_rules("nba", "Production", [])
    before = owner.get_history("nba")
    client = MlflowClient(login(Role.WRITER))
    for change in FORBIDDEN:
        if "rollback" in change.__code__.co_names:
            continue
        with pytest.raises(PermissionDeniedError, match="'promoter'"):
            change(client)
    assert owner.get_history("nba") == before
    owner.verify("nba")


def test_a_promoter_may_do_all_of_it(owner: MlflowClient, login: Callable[[Role], str]) -> None:
    client = MlflowClient(login(Role.PROMOTER))
    client.transition_model_version_stage("nba", 2, "Production")
    client.rollback("nba")
    client.set_registered_model_alias("nba", "best", 2)
    client.set_registered_model_alias("nba", "new", 2)
    client.delete_registered_model_alias("nba", "best")
    client.set_promotion_rules("nba", "Production", [Approvals(1)])
    with pytest.raises(PromotionRefusedError):
        client.transition_model_version_stage("nba", 2, "Production")
    client.delete_promotion_rules("nba", "Production")
    client.delete_model_version("nba", 2)
    client.restore_model_version("nba", 2)
    client.rename_registered_model("nba", "mlb")
    assert {event.session_user for event in owner.get_history("mlb")} == {
        "postgres",
        client.backend.database.url.username,
    }
    owner.verify("mlb")
    client.delete_registered_model("mlb", force=True)


RAW = [
    "UPDATE model_versions SET current_stage = 'Production' WHERE version = 2",
    "UPDATE model_versions SET current_stage = 'None'",
    "UPDATE model_versions SET logged_model_id = 1",
    "UPDATE model_versions SET version = 7 WHERE version = 2",
    "UPDATE model_versions SET deleted_time = 1",
    "UPDATE model_versions SET user_id = 'x'",
    "DELETE FROM model_versions",
    "INSERT INTO model_versions (model_id, version, logged_model_id, source, creation_time, last_update_time, "
    "current_stage) VALUES (1, 9, 1, 'x', 1, 1, 'Staging')",
    "INSERT INTO model_versions VALUES (9, 1, 9, 1, 'Staging')",
    "UPDATE model_aliases SET version = 2",
    "INSERT INTO model_aliases VALUES (1, 'new', 2)",
    "DELETE FROM model_aliases",
    "INSERT INTO promotion_rules VALUES (1, 'Staging', '[]')",
    "DELETE FROM promotion_rules",
    "UPDATE stage_periods SET version = 2",
    "INSERT INTO stage_periods (model_id, stage, version, since) VALUES (1, 'Staging', 2, 1)",
    "UPDATE approvals SET actor = 'x'",
    "DELETE FROM approvals",
    "UPDATE registered_models SET deleted_time = 1",
    "UPDATE registered_models SET name = 'mlb'",
    "DELETE FROM registered_models",
    "UPDATE history SET actor = 'x'",
    "DELETE FROM history",
    "TRUNCATE history",
    "UPDATE model_files SET sha256 = 'x'",
    "DELETE FROM model_files",
    "UPDATE logged_models SET location = 'elsewhere'",
    "UPDATE logged_models SET digest = 'x'",
    "UPDATE experiments SET artifact_location = '/elsewhere'",
    "UPDATE registry_id SET id = 'x'",
    "UPDATE registry_schema_version SET version_num = '0001'",
    "ALTER TABLE history DISABLE TRIGGER ALL",
    "DROP TRIGGER history_no_change ON history",
    "DROP INDEX uq_model_versions_one_production",
    "SET session_replication_role = replica",
    "INSERT INTO monitor_guards VALUES (1, 1, 1)",
    "UPDATE monitor_guards SET version = 1",
    "UPDATE monitor_checks SET status = 'ok'",
    "DELETE FROM incidents",
    "UPDATE incidents SET figures = '{}'",
]


def test_raw_sql_of_a_writer_gets_no_further(owner: MlflowClient, login: Callable[[Role], str]) -> None:
    run = raw_sql(login(Role.WRITER))
    for statement in RAW:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run(statement)
    owner.verify("nba", read_bytes=True)


# A promoter's grants cover these statements: a stage is a column that the library must be able to write. `verify` is
# what tells that the change had no event.
PROMOTERS_OWN = [
    "UPDATE model_versions SET current_stage = 'Staging' WHERE version = 2",
    "UPDATE model_versions SET current_stage = 'None'",
    "UPDATE model_versions SET deleted_time = 1 WHERE version = 2",
    "UPDATE model_aliases SET version = 2",
    "INSERT INTO model_aliases VALUES (1, 'new', 2)",
    "DELETE FROM model_aliases",
    "INSERT INTO promotion_rules VALUES (1, 'Staging', '[]')",
    "DELETE FROM promotion_rules",
    "INSERT INTO stage_periods (model_id, stage, version, since) VALUES (1, 'Staging', 2, 1)",
    "UPDATE stage_periods SET since = since - 1",
    "UPDATE stage_periods SET until = since + 1",
    "UPDATE registered_models SET deleted_time = 1",
    "UPDATE registered_models SET name = 'mlb', name_key = 'mlb'",
]


@pytest.mark.parametrize("statement", PROMOTERS_OWN)
def test_raw_sql_of_a_promoter_that_the_grants_cannot_stop_is_found_by_verify(
    owner: MlflowClient, login: Callable[[Role], str], statement: str
) -> None:
    owner.set_promotion_rules("nba", "Production", [Approvals(1)])
    owner.verify_all()
    raw_sql(login(Role.PROMOTER))(statement)
    with pytest.raises(IntegrityError):
        owner.verify_all()


def test_raw_sql_of_a_promoter_gets_no_further(owner: MlflowClient, login: Callable[[Role], str]) -> None:
    run = raw_sql(login(Role.PROMOTER))
    allowed = {statement.partition(" WHERE")[0] for statement in PROMOTERS_OWN}
    allowed |= {"UPDATE model_versions SET current_stage = 'Production'", "UPDATE model_versions SET deleted_time = 1"}
    allowed |= {"UPDATE registered_models SET name = 'mlb'", "INSERT INTO monitor_guards VALUES (1, 1, 1)"}
    refused = [statement for statement in RAW if statement.partition(" WHERE")[0] not in allowed]
    assert len(refused) == 28
    for statement in refused:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run(statement)
    owner.verify("nba", read_bytes=True)


def test_raw_sql_of_a_writer_cannot_sign_as_somebody_else(owner: MlflowClient, login: Callable[[Role], str]) -> None:
    url = login(Role.WRITER)
    raw_sql(url)("INSERT INTO approvals VALUES (1, 2, 'Production', 'ann', 'ann', NULL, 1)")
    ((stamped,),) = raw_sql(owner.tracking_uri)('SELECT "session_user" FROM approvals')
    assert stamped == url.split("//")[1].split("@")[0].replace("%20", " ")


def test_who_registered_cannot_approve_under_another_name(
    owner: MlflowClient, login: Callable[[Role], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, peer = login(Role.WRITER), login(Role.WRITER)
    (version,) = register(MlflowClient(writer), "nba")
    owner.set_promotion_rules("nba", "Production", [Approvals(1)])
    for actor in ("ann", "bob"):
        monkeypatch.setenv("REGISTRY_ACTOR", actor)
        MlflowClient(writer).approve("nba", version, "Production")
    with pytest.raises(PromotionRefusedError):
        owner.transition_model_version_stage("nba", version, "Production")
    MlflowClient(peer).approve("nba", version, "Production")
    owner.transition_model_version_stage("nba", version, "Production")
    owner.verify("nba")


@pytest.mark.parametrize("read_only", [True, False])
def test_a_reader_reads_everything_and_changes_nothing(login: Callable[[Role], str], *, read_only: bool) -> None:
    url = login(Role.READER)
    client = MlflowClient(url, read_only=read_only)
    assert client.resolve("models:/nba/Production").version == 1
    assert client.resolve("models:/nba@best").version == 1
    assert {version.version for version in client.search_model_versions("name = 'nba'")} == {1, 2}
    assert client.verify("nba", read_bytes=True).versions == 2
    assert client.poll_events(limit=1)[0].position == 1
    with pytest.raises(ReadOnlyError if read_only else PermissionDeniedError) as caught:
        client.set_model_version_tag("nba", 1, "k", "v")
    assert read_only or "It needs the role 'writer'" in caught.value.message
    for table in sorted(Base.metadata.tables):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            raw_sql(url)(f"DELETE FROM {table}")


def test_granting_a_lesser_role_revokes_the_other_rights(
    owner: MlflowClient, login: Callable[[Role], str], postgres_server: PostgresServer
) -> None:
    url = login(Role.PROMOTER)
    user, database = url.split("//")[1].split("@")[0].replace("%20", " "), url.rpartition("/")[2]
    postgres_server.execute(grants(Role.WRITER, user), database)
    with pytest.raises(PermissionDeniedError, match="'promoter'"):
        MlflowClient(url).transition_model_version_stage("nba", 2, "Production")


def test_a_name_is_quoted() -> None:
    assert 'TO "x""; DROP TABLE history; --";' in grants(Role.READER, 'x"; DROP TABLE history; --')
    assert 'TO "registry_reader";' in grants(Role.READER)


@pytest.mark.parametrize("name", ["\0", "a\nb", "x" * 64])
def test_a_name_that_no_user_can_have_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameterError, match="cannot be the name of a PostgreSQL user"):
        grants(Role.READER, name)


def test_every_table_is_thought_of() -> None:
    """List the tables that only the owner changes, so that a new table cannot be forgotten."""
    changed = {
        line.split(" ON TABLE ")[1].split()[0]
        for line in grants(Role.PROMOTER).split("\n")
        if " ON TABLE " in line and "SELECT" not in line and "REVOKE" not in line
    }
    assert set(Base.metadata.tables) - changed == {"removals", "tombstones", "trusted_pages"}
