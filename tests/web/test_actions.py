"""Acting on models by forms."""

import re

import pytest
from governed_models import kinds, register, stages
from page_client import PageClient, open_page

import registry
from registry import MlflowClient


@pytest.fixture
def page(client: MlflowClient) -> PageClient:
    """Return a signed-in page of a registry where version 1 of three holds Production."""
    register(client, "churn", 3)
    client.transition_model_version_stage("churn", 1, "Production")
    return open_page(client.tracking_uri)


def test_a_promotion_asks_for_a_reason_and_records_the_visitor(client: MlflowClient, page: PageClient) -> None:
    path = "/models/churn/2/promote"
    asked = page.get(f"{path}?stage=production").text
    assert "which holds Production, is archived" in asked
    assert page.post(path, {"stage": "Production", "expected": "1", "reason": " "}).status == 400
    answer = page.post(path, {"stage": "Production", "expected": "1", "reason": "better auc"})
    assert answer.status == 303
    assert "Version 2 is in stage Production." in page.get(answer.header("location")).text
    assert stages(client, "churn") == {1: "Archived", 2: "Production", 3: "None"}
    event = next(e for e in client.get_history("churn", kind="stage_changed") if e.version == 2)
    assert (event.actor, event.reason) == ("tester", "better auc")


def test_who_acts_on_an_older_page_changes_nothing(client: MlflowClient, page: PageClient) -> None:
    client.transition_model_version_stage("churn", 3, "Production")
    answer = page.post("/models/churn/2/promote", {"stage": "Production", "expected": "1", "reason": "mine"})
    assert answer.status == 409
    assert 'name="expected" value="3"' in answer.text
    assert "nothing was changed" in answer.text
    assert stages(client, "churn")[3] == "Production"


def test_rules_refuse_a_promotion_until_they_pass_or_are_overridden(client: MlflowClient, page: PageClient) -> None:
    client.set_promotion_rules("churn", "Production", [registry.TagEquals("checked", "yes")])
    path, form = "/models/churn/2/promote", {"stage": "Production", "expected": "1", "reason": "now"}
    assert "The rules refuse it" in page.get(f"{path}?stage=Production").text
    refused = page.post(path, form)
    assert refused.status == 403
    assert "TagEquals" in refused.text
    assert stages(client, "churn")[1] == "Production"
    assert page.post(path, {**form, "override": "1"}).status == 303
    assert page.post("/models/churn/3/tags", {"key": "checked", "value": "yes"}).status == 303
    assert page.post("/models/churn/3/promote", {**form, "expected": "2"}).status == 303
    assert stages(client, "churn") == {1: "Archived", 2: "Archived", 3: "Production"}
    assert [kind for kind in kinds(client, "churn") if kind.startswith(("promotion_", "rules_o"))] == [
        "promotion_refused",
        "rules_overridden",
    ]


def test_a_rollback_restores_what_the_page_named(client: MlflowClient, page: PageClient) -> None:
    client.transition_model_version_stage("churn", 2, "Production")
    asked = page.get("/models/churn/rollback?stage=Production").text
    assert "Roll back to version 1" in asked
    form = {"stage": "Production", "expected": "2", "to": "1", "reason": "wrong numbers"}
    assert page.post("/models/churn/rollback", {**form, "reason": ""}).status == 400
    assert page.post("/models/churn/rollback", {**form, "expected": "3"}).status == 409
    assert page.post("/models/churn/rollback", form).status == 303
    assert stages(client, "churn")[1] == "Production"
    nothing = page.get("/models/churn/rollback?stage=Staging").text
    assert "Roll back to version" not in nothing
    assert page.get("/models/churn/rollback?stage=None").status == 400


def test_a_version_is_archived_and_taken_out(client: MlflowClient, page: PageClient) -> None:
    assert "goes from" in page.get("/models/churn/1/promote?stage=Archived").text
    assert page.post("/models/churn/1/promote", {"stage": "Archived", "reason": "old"}).status == 303
    assert page.post("/models/churn/1/promote", {"stage": "None", "reason": "older"}).status == 303
    assert stages(client, "churn")[1] == "None"
    assert page.post("/models/churn/1/promote", {"stage": "Nowhere", "reason": "x"}).status == 400


def test_descriptions_tags_and_aliases_are_edited(client: MlflowClient, page: PageClient) -> None:
    for path in ("/models/churn", "/models/churn/2"):
        assert page.post(f"{path}/description", {"description": "two\r\nlines"}).status == 303
        assert page.post(f"{path}/tags", {"key": "team", "value": "a&b <c>"}).status == 303
        assert page.post(f"{path}/tags", {"key": "gone", "value": "x"}).status == 303
        assert page.post(f"{path}/tags/delete", {"key": "gone"}).status == 303
    assert page.post("/models/churn/aliases", {"alias": "champion", "version": "2"}).status == 303
    assert page.post("/models/churn/aliases", {"alias": "v1", "version": "2"}).status == 400
    assert page.post("/models/churn/aliases", {"alias": "other", "version": "99"}).status == 404
    model, version = client.get_registered_model("churn"), client.get_model_version("churn", 2)
    assert (model.description, dict(model.tags), dict(model.aliases)) == (
        "two\nlines",
        {"team": "a&b <c>"},
        {"champion": 2},
    )
    assert (version.description, dict(version.tags)) == ("two\nlines", {"team": "a&b <c>"})
    assert page.post("/models/churn/aliases/delete", {"alias": "champion", "expected": "1"}).status == 409
    assert page.post("/models/churn/aliases/delete", {"alias": "champion", "expected": "2"}).status == 303
    assert dict(client.get_registered_model("churn").aliases) == {}


def test_versions_and_models_are_deleted_and_restored(client: MlflowClient, page: PageClient) -> None:
    assert page.post("/models/churn/2/delete", {"reason": "leak"}).status == 303
    assert page.post("/models/churn/1/delete", {"reason": "in use"}).status == 409
    assert "Restore version 2" in page.get("/models/churn").text
    assert page.post("/models/churn/2/restore").status == 303
    assert stages(client, "churn") == {1: "Production", 2: "None", 3: "None"}
    assert page.post("/models/churn/rename", {"name": "leavers"}).status == 303
    assert page.post("/models/leavers/delete", {"confirm": "churn", "reason": "x"}).status == 400
    assert page.post("/models/leavers/delete", {"confirm": "leavers", "reason": "x"}).status == 409
    assert page.post("/models/leavers/delete", {"confirm": "leavers", "reason": "x", "force": "1"}).status == 303
    assert [model.name for model in client.search_registered_models()] == []
    assert page.post("/models", {"name": "leavers", "description": "new"}).status == 303
    assert page.post("/models", {"name": "a/b"}).status == 400


def test_a_run_becomes_a_version(client: MlflowClient, page: PageClient) -> None:
    run_id = client.create_run("0", run_name="trained").info.run_id
    client.log_text(run_id, "weights", "model/weights.txt")
    assert "Register a model of" in page.get(f"/register?run={run_id}").text
    answer = page.post("/register", {"run": run_id, "path": "model", "name": "churn", "reason": "first"})
    assert answer.header("location").startswith("/models/churn/4?")
    assert client.get_model_version("churn", 4).run_id == run_id
    assert page.post("/register", {"run": run_id, "path": "nothing", "name": "churn"}).status == 404
    assert page.get("/register?run=missing").status == 404


def test_a_link_cannot_put_words_in_the_mouth_of_a_page(page: PageClient) -> None:
    assert "Send me your token" not in page.get("/models?said=Send+me+your+token&by=0").text


def test_a_read_only_page_has_no_forms_and_takes_none(client: MlflowClient) -> None:
    register(client, "churn", 2)
    client.transition_model_version_stage("churn", 1, "Production")
    page = open_page(client.tracking_uri, read_only=True)
    for path in (
        "/",
        "/models",
        "/models/churn",
        "/models/churn/1",
        "/models/churn/2/promote?stage=Production",
        "/inbox",
    ):
        answer = page.get(path)
        assert answer.status == 200
        assert re.findall(r'method="post"', answer.text) == []
        assert "read-only" in answer.text
    assert page.post("/models/churn/2/promote", {"stage": "Production", "reason": "x"}).status == 403
    assert stages(client, "churn") == {1: "Production", 2: "None"}
