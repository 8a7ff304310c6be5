"""A page whose database or files are away, or whose own code fails."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from governed_models import register
from page_client import PageClient, open_page
from postgres_server import PostgresServer
from starlette.routing import Route

import registry
from registry import MlflowClient
from registry.store.grants import grants
from registry.store.roles import Role
from registry.web.app import create_app
from registry.web.site import Site


def test_a_database_that_is_away_says_so_and_recovers(
    postgres_url: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_DATABASE_PATIENCE", "600")
    register(MlflowClient(postgres_url), "churn")
    page = open_page(postgres_url)
    assert page.get("/models/churn").status == 200
    name = postgres_url.rpartition("/")[2]
    postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    postgres_server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        answer = page.get("/models/churn")
        assert answer.status == 503
        assert answer.header("retry-after") == "5"
        assert 'http-equiv="refresh" content="5"' in answer.text
        assert "cannot be reached" in answer.text
    finally:
        postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert page.get("/models/churn").status == 200


def test_files_that_are_away_leave_the_rest_of_a_version(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    register(client, "churn")
    location = Path(client.get_model_version_download_uri("churn", 1))
    location.rename(location.with_name("elsewhere"))
    page = open_page(sqlite_url)
    assert page.get("/models/churn/1").status == 200
    assert "Do not use this version." in page.get("/models/churn/1/verify").text


def test_a_page_that_fails_says_so_with_all_headers(sqlite_url: str) -> None:
    def fail(request: object) -> None:
        raise ZeroDivisionError("secret detail")

    site = Site(tracking_uri=sqlite_url)
    app = create_app(site)
    app.router.routes.append(Route("/fail", fail))
    page = PageClient(app)
    page.get(f"/?token={site.auth.token}")  # type: ignore[attr-defined]
    answer = page.get("/fail", raises=ZeroDivisionError)
    assert answer.status == 500
    assert "secret detail" not in answer.text
    assert "terminal of &#39;registry ui&#39;" in answer.text
    assert answer.header("content-security-policy") is not None


@pytest.fixture
def login(postgres_url: str, postgres_server: PostgresServer) -> Iterator[Callable[[Role], str]]:
    """Return a function that creates a database user with a role, and returns its URL."""
    database = postgres_url.rpartition("/")[2]
    users: list[str] = []

    def make(role: Role) -> str:
        user = f"{role}_{uuid.uuid4().hex[:8]}"
        postgres_server.execute(f"CREATE ROLE {user} LOGIN")
        users.append(user)
        postgres_server.execute(grants(role, user), database)
        return postgres_url.replace("postgres@", f"{user}@")

    yield make
    registry.disconnect()
    for user in users:
        postgres_server.execute(f"DROP OWNED BY {user}", database)
        postgres_server.execute(f"DROP ROLE {user}")


def test_the_roles_of_the_database_decide_what_a_page_offers(postgres_url: str, login: Callable[[Role], str]) -> None:
    client = MlflowClient(postgres_url)
    register(client, "churn", 2)
    client.transition_model_version_stage("churn", 1, "Production")
    promotion = {"stage": "Production", "expected": "1", "reason": "x"}

    reader = open_page(login(Role.READER))
    text = reader.get("/models/churn/2").text
    assert 'method="post"' not in text
    assert "may only read" in text
    assert reader.post("/models/churn/tags", {"key": "a", "value": "b"}).status == 403

    writer = open_page(login(Role.WRITER))
    text = writer.get("/models/churn/2").text
    assert "Promote to" not in text
    assert "Set the tag" in text
    assert "lacks the role promoter" in writer.get("/models/churn/2/promote").text
    assert writer.post("/models/churn/tags", {"key": "a", "value": "b"}).status == 303
    answer = writer.post("/models/churn/2/promote", promotion)
    assert (answer.status, "It needs the role &#39;promoter&#39;" in answer.text) == (403, True)

    promoter = open_page(login(Role.PROMOTER))
    assert "Promote to" in promoter.get("/models/churn/2").text
    assert promoter.post("/models/churn/2/promote", promotion).status == 303
