"""The first page, storage and the inbox."""

import re

import pytest
from governed_models import register, sealed_model
from monitored_models import find, model_in_production
from page_client import PageClient, open_page, words

import registry
from registry import MlflowClient
from registry.web.app import create_app
from registry.web.auth import HeaderAuth
from registry.web.site import Site


def test_the_first_page_says_what_is_in_production_what_changed_and_what_runs(client: MlflowClient) -> None:
    register(client, "churn", 2)
    register(client, "fraud")
    client.transition_model_version_stage("churn", 2, "Production", reason="better auc")
    client.create_run("0", run_name="still-running")
    failed = client.create_run("0", run_name="broken").info.run_id
    client.set_terminated(failed, "FAILED")
    text = words(open_page(client.tracking_uri).get("/").text)
    production = text[text.index("In Production") : text.index("Changed in")]
    assert re.search(r"churn 2 \S+ \S+ UTC \(\d+ s\) tester better auc$", production.strip())
    assert "fraud" not in production
    assert "stage changed 2 None → Production" in text
    assert re.search(r"Running Run Experiment Started By still-running Default", text)
    assert re.search(r"Failed in the last seven days Run Experiment Started By broken Default", text)
    assert "2 models with 3 versions" in text
    assert "14 B in 2 logged models" in text


def test_an_empty_registry_says_what_to_do(sqlite_url: str) -> None:
    text = open_page(sqlite_url).get("/").text
    assert "Nothing is in Production." in text
    assert "No model changed." in text
    assert "No run is running." in text


def test_alarms_are_shown_acknowledged_and_closed(client: MlflowClient) -> None:
    model_in_production(client)
    page = open_page(client.tracking_uri)
    assert "Alarms" not in page.get("/").text
    (incident,) = find(client, "input/<b>age")
    for path in ("/", "/models/nba"):
        text = page.get(path).text
        assert "input/&lt;b&gt;age" in text
        assert f"Acknowledge incident {incident.id}" in text
    assert page.post(f"/incidents/{incident.id}/acknowledge", {"reason": "looking"}).status == 303
    text = page.get("/models/nba").text
    assert "acknowledged</span> by <bdi>tester</bdi>: <bdi>looking</bdi>" in text
    assert f"Acknowledge incident {incident.id}" not in text
    assert page.post(f"/incidents/{incident.id}/close", {"reason": "new rules"}).status == 303
    assert "Alarms" not in page.get("/models/nba").text
    assert page.post("/incidents/99/close").status == 404
    assert client.get_incident(incident.id).status == "closed"


def test_storage_says_what_gc_would_free(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    page = open_page(sqlite_url)
    assert "gc would free nothing now" in page.get("/storage").text
    client.delete_logged_model(sealed_model(client))
    assert "gc would free nothing now" in page.get("/storage").text


@pytest.fixture
def approvals(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """Return a client of a registry where ann's version of churn needs two approvals."""
    monkeypatch.setenv("REGISTRY_ACTOR", "ann")
    ann = MlflowClient(client.tracking_uri)
    register(ann, "churn", 2)
    ann.set_promotion_rules("churn", "Production", [registry.Approvals(2)])
    ann.transition_model_version_stage("churn", 1, "Production", override=True, reason="first")
    return client


def test_the_inbox_shows_what_waits_for_the_visitor(
    approvals: MlflowClient, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    ann = open_page(approvals.tracking_uri)
    text = words(ann.get("/inbox").text)
    assert re.search(r"Nothing waits for you.*Waits for others.*churn 2 Production version 1 .* 0 of 2$", text)
    if "postgresql" in request.node.name:
        return  # there, one database user is one person
    monkeypatch.setenv("REGISTRY_ACTOR", "bob")
    bob = open_page(approvals.tracking_uri)
    assert "Approve version 2 of churn for Production" in bob.get("/inbox").text
    answer = bob.post("/models/churn/2/approve", {"stage": "Production", "back": "inbox", "reason": "read"})
    assert answer.header("location").startswith("/inbox?")
    text = words(bob.get("/inbox").text)
    assert re.search(r"Nothing waits for you.*churn 2 Production version 1 .* ann 1 of 2: bob$", text)
    monkeypatch.setenv("REGISTRY_ACTOR", "cleo")
    cleo = open_page(approvals.tracking_uri)
    assert (
        cleo.post("/models/churn/2/approve", {"stage": "Production"}).header("location").startswith("/models/churn/2?")
    )
    assert "Waits for others" not in cleo.get("/inbox").text
    assert [event.actor for event in approvals.get_history("churn", kind="approved")] == ["bob", "cleo"]


def test_a_shared_page_says_why_its_approvals_would_not_count(
    approvals: MlflowClient, request: pytest.FixtureRequest
) -> None:
    page = PageClient(create_app(Site(HeaderAuth("X-User"), tracking_uri=approvals.tracking_uri)))
    visitor = {"x-user": "bob"}
    inbox, version = page.get("/inbox", visitor).text, page.get("/models/churn/2", visitor).text
    answer = page.post("/models/churn/2/approve", {"stage": "Production"}, visitor)
    if "postgresql" in request.node.name:
        assert "count database users, and everybody behind this page is the user" in inbox
        assert "count database users, and everybody behind this page is the user" in version
        assert answer.status == 403
        assert approvals.get_history("churn", kind="approved") == []
    else:
        assert answer.status == 303
        assert [event.actor for event in approvals.get_history("churn", kind="approved")] == ["bob"]
