"""Database users that speak for others: approvals count for the actor that such a page names."""

import uuid
from collections.abc import Callable, Iterator

import pytest
from governed_models import raw_sql, register
from page_client import PageClient
from postgres_server import PostgresServer

import registry
from registry import MlflowClient
from registry.exceptions import PromotionRefusedError
from registry.store.grants import grants
from registry.store.roles import Role
from registry.web.app import create_app
from registry.web.auth import HeaderAuth
from registry.web.site import Site

Login = Callable[[bool], str]


@pytest.fixture
def login(postgres_url: str, postgres_server: PostgresServer) -> Iterator[Login]:
    """Return a function that creates a promoter with an odd name, who speaks for others or not; it returns a URL."""
    database = postgres_url.rpartition("/")[2]
    users: list[str] = []

    def make(speaks_for_others: bool) -> str:
        user = f"""p'"{uuid.uuid4().hex[:8]}"""
        quoted = user.replace('"', '""')
        postgres_server.execute(f'CREATE ROLE "{quoted}" LOGIN')
        users.append(quoted)
        postgres_server.execute(grants(Role.PROMOTER, user, speaks_for_others=speaks_for_others), database)
        return postgres_url.replace("postgres@", f"{user.replace(chr(39), '%27').replace(chr(34), '%22')}@")

    yield make
    registry.disconnect()
    for user in users:
        postgres_server.execute(f'DROP OWNED BY "{user}"', database)
        postgres_server.execute(f'DROP ROLE "{user}"')


@pytest.fixture
def guarded(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """Return a client of a registry where version 1 of churn needs two approvals."""
    client = MlflowClient(postgres_url)
    register(client, "churn")
    client.set_promotion_rules("churn", "Production", [registry.Approvals(2)])
    return client


def visitors(uri: str) -> Callable[[str, str, dict[str, str]], int]:
    site = Site(HeaderAuth("X-User"), tracking_uri=uri)

    def post(name: str, path: str, form: dict[str, str]) -> int:
        page = PageClient(create_app(site))
        page.get("/inbox", {"x-user": name})
        return page.post(path, form, {"x-user": name}).status

    return post


APPROVAL = ("/models/churn/1/approve", {"stage": "Production"})


def test_visitors_of_a_trusted_page_count_as_themselves(guarded: MlflowClient, login: Login) -> None:
    post = visitors(login(True))
    assert [post(name, *APPROVAL) for name in ("ann", "ann", "bob")] == [303, 303, 303]
    verdict = guarded.check_promotion("churn", 1, "Production")[0]
    assert (verdict.passed, verdict.actual) == (True, "2 (ann, bob)")
    form = {"stage": "Production", "expected": "", "reason": "both agree"}
    assert post("cleo", "/models/churn/1/promote", form) == 303
    events = guarded.get_history("churn", kind="approved")
    assert [event.actor for event in events] == ["ann", "bob"]
    assert len({event.session_user for event in events}) == 1
    assert guarded.verify("churn").versions == 1


def test_who_registered_on_a_trusted_page_does_not_approve_themselves(guarded: MlflowClient, login: Login) -> None:
    run_id = guarded.create_run("0").info.run_id
    guarded.log_text(run_id, "weights", "model/weights.txt")
    post = visitors(login(True))
    assert post("ann", "/register", {"run": run_id, "path": "model", "name": "churn"}) == 303
    approval = ("/models/churn/2/approve", {"stage": "Production"})
    assert [post(name, *approval) for name in ("ann", "bob")] == [303, 303]
    assert guarded.check_promotion("churn", 2, "Production")[0].actual == "1 (bob)"


def test_without_the_mark_the_page_refuses_and_scripts_count_once(guarded: MlflowClient, login: Login) -> None:
    uri = login(False)
    assert visitors(uri)("ann", *APPROVAL) == 403
    for actor in ("ann", "bob"):
        Site(HeaderAuth("X-User"), tracking_uri=uri).client(actor).approve("churn", 1, "Production")
    verdict = guarded.check_promotion("churn", 1, "Production")[0]
    assert (verdict.passed, verdict.actual[:3]) == (False, "1 (")
    with pytest.raises(PromotionRefusedError):
        guarded.transition_model_version_stage("churn", 1, "Production")


def test_taking_the_mark_away_makes_its_visitors_one_again(
    guarded: MlflowClient, login: Login, postgres_server: PostgresServer
) -> None:
    post = visitors(login(True))
    assert [post(name, *APPROVAL) for name in ("ann", "bob")] == [303, 303]
    assert guarded.check_promotion("churn", 1, "Production")[0].passed
    raw_sql(guarded.tracking_uri)("DELETE FROM trusted_pages")
    assert guarded.check_promotion("churn", 1, "Production")[0].actual.startswith("1 (")


def test_no_role_marks_itself(guarded: MlflowClient, login: Login) -> None:
    uri = login(True)
    for statement in (
        "INSERT INTO trusted_pages VALUES ('x')",
        "DELETE FROM trusted_pages",
        "UPDATE trusted_pages SET db_user = 'x'",
    ):
        with pytest.raises(Exception, match="permission denied for table trusted_pages"):
            raw_sql(uri)(statement)
