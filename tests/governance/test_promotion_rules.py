"""Promotion rules are evaluated inside the promoting transaction, on the rows of that moment."""

import re
from collections.abc import Callable

import pytest
from governed_models import kinds, register, sealed_model, stages

import registry
from registry import MlflowClient
from registry.exceptions import InvalidParameterError, PromotionRefusedError
from registry.rules import (
    Approvals,
    FlavorIn,
    MetricAtLeast,
    MetricAtMost,
    MetricNotWorse,
    PromotionRule,
    SignatureCompatible,
    SignatureUnchanged,
    TagEquals,
)


def _version(client: MlflowClient, f1: float | None = None, tags: dict[str, str] | None = None) -> int:
    run = client.create_run("0")
    if f1 is not None:
        client.log_metric(run.info.run_id, "f1", f1)
    (number,) = register(client, "nba", run_id=run.info.run_id)
    for key, value in (tags or {}).items():
        client.set_model_version_tag("nba", number, key, value)
    return number


def test_rules_are_kept_as_they_were_given(client: MlflowClient) -> None:
    register(client, "nba")
    rules: list[PromotionRule] = [MetricAtLeast("f1", 0.8), MetricNotWorse("f1", tolerance=0.01), Approvals(2)]
    client.set_promotion_rules("nba", "production", rules)
    assert client.get_promotion_rules("nba", "Production") == rules
    assert client.get_promotion_rules("nba", "Staging") == []
    client.delete_promotion_rules("nba", "PRODUCTION")
    assert client.get_promotion_rules("nba", "Production") == []


def test_rules_are_exported_by_the_package() -> None:
    assert registry.MetricAtLeast is MetricAtLeast
    assert registry.rules.Approvals is Approvals


REFUSED: list[tuple[PromotionRule, float | None, str]] = [
    (MetricAtLeast("f1", 0.8), 0.79, "expected f1 >= 0.8, actual 0.79"),
    (MetricAtLeast("f1", 0.8), None, "expected f1 >= 0.8, actual missing"),
    (MetricAtLeast("f1", 0.8), float("nan"), "expected f1 >= 0.8, actual NaN"),
    (MetricAtMost("f1", 0.1), 0.2, "expected f1 <= 0.1, actual 0.2"),
    (MetricAtMost("f1", 0.1), float("nan"), "expected f1 <= 0.1, actual NaN"),
    (MetricNotWorse("f1"), 0.89, "expected f1 >= 0.9 (version 1), actual 0.89"),
    (MetricNotWorse("f1", tolerance=0.01), 0.88, "expected f1 >= 0.9 - 0.01 (version 1), actual 0.88"),
    (MetricNotWorse("f1", higher_is_better=False), 0.91, "expected f1 <= 0.9 (version 1), actual 0.91"),
    (MetricNotWorse("f1"), None, "expected f1 >= 0.9 (version 1), actual missing"),
    (TagEquals("validated", "yes"), 0.9, "validated"),
    (FlavorIn(["xgboost"]), 0.9, "xgboost"),
    (Approvals(1), 0.9, "approval"),
]


@pytest.mark.parametrize(("rule", "f1", "words"), REFUSED)
def test_a_rule_that_fails_refuses_with_its_figures(
    client: MlflowClient, rule: PromotionRule, f1: float | None, words: str
) -> None:
    client.transition_model_version_stage("nba", _version(client, 0.9), "Production")
    number = _version(client, f1)
    client.set_promotion_rules("nba", "Production", [rule])
    with pytest.raises(PromotionRefusedError, match=re.escape(words)) as caught:
        client.transition_model_version_stage("nba", number, "Production")
    assert caught.value.error_code == "PERMISSION_DENIED"
    assert stages(client, "nba") == {1: "Production", 2: "None"}
    verdicts = client.check_promotion("nba", number, "production")
    assert [verdict.passed for verdict in verdicts] == [False]
    event = client.get_history("nba")[-1]
    assert (event.kind, event.version) == ("promotion_refused", 2)
    assert event.details["rules"] == [verdict.to_dict() for verdict in verdicts]
    client.verify("nba")


PASSED: list[tuple[PromotionRule, float]] = [
    (MetricAtLeast("f1", 0.8), 0.8),
    (MetricAtMost("f1", 0.8), 0.8),
    (MetricNotWorse("f1"), 0.9),
    (MetricNotWorse("f1", tolerance=0.01), 0.89),
    (SignatureUnchanged(), 0.5),
    (SignatureCompatible(), 0.5),
]


@pytest.mark.parametrize(("rule", "f1"), PASSED)
def test_a_rule_that_holds_lets_pass_and_leaves_its_figures(
    client: MlflowClient, rule: PromotionRule, f1: float
) -> None:
    client.transition_model_version_stage("nba", _version(client, 0.9), "Production")
    client.set_promotion_rules("nba", "Production", [rule])
    client.transition_model_version_stage("nba", _version(client, f1), "Production")
    (verdict,) = client.get_history("nba")[-1].details["rules"]
    assert verdict["passed"] is True


@pytest.mark.parametrize("rule", [MetricNotWorse("f1"), SignatureUnchanged(), SignatureCompatible()])
def test_a_rule_that_compares_passes_when_there_is_no_holder(client: MlflowClient, rule: PromotionRule) -> None:
    number = _version(client)
    client.set_promotion_rules("nba", "Production", [rule])
    assert client.transition_model_version_stage("nba", number, "Production").current_stage == "Production"


def test_a_refusal_names_every_rule_that_failed_and_none_that_passed(client: MlflowClient) -> None:
    number = _version(client, 0.9)
    rules = [MetricAtLeast("f1", 0.8), MetricAtLeast("auc", 0.7), TagEquals("validated", "yes")]
    client.set_promotion_rules("nba", "Production", rules)
    with pytest.raises(PromotionRefusedError) as caught:
        client.transition_model_version_stage("nba", number, "Production")
    assert "auc" in caught.value.message
    assert "validated" in caught.value.message
    assert "'f1'" not in caught.value.message
    assert [rule["passed"] for rule in client.get_history("nba")[-1].details["rules"]] == [True, False, False]


def test_rules_guard_their_own_stage_alone(client: MlflowClient) -> None:
    number = _version(client)
    client.set_promotion_rules("nba", "Production", [MetricAtLeast("f1", 0.8)])
    for stage in ("Staging", "Archived", "None"):
        client.transition_model_version_stage("nba", number, stage)


def test_the_runs_latest_metric_counts(client: MlflowClient) -> None:
    run = client.create_run("0")
    for step, value in ((2, 0.5), (1, 0.9)):
        client.log_metric(run.info.run_id, "f1", value, step=step)
    register(client, "nba", run_id=run.info.run_id)
    client.set_promotion_rules("nba", "Production", [MetricAtLeast("f1", 0.8)])
    with pytest.raises(PromotionRefusedError, match="actual 0.5"):
        client.transition_model_version_stage("nba", 1, "Production")
    client.log_metric(run.info.run_id, "f1", 0.85, step=3)
    client.transition_model_version_stage("nba", 1, "Production")


def test_an_override_needs_a_reason_and_is_on_record(client: MlflowClient) -> None:
    number = _version(client)
    client.set_promotion_rules("nba", "Production", [MetricAtLeast("f1", 0.8)])
    with pytest.raises(InvalidParameterError, match="needs a reason"):
        client.transition_model_version_stage("nba", number, "Production", override=True)
    client.transition_model_version_stage("nba", number, "Production", override=True, reason="hot fix")
    assert kinds(client, "nba")[-2:] == ["rules_overridden", "stage_changed"]
    assert {event.reason for event in client.get_history("nba")[-2:]} == {"hot fix"}


def test_an_override_of_rules_that_hold_is_an_ordinary_promotion(client: MlflowClient) -> None:
    number = _version(client, 0.9)
    client.set_promotion_rules("nba", "Production", [MetricAtLeast("f1", 0.8)])
    client.transition_model_version_stage("nba", number, "Production", override=True, reason="in case")
    assert kinds(client, "nba").count("rules_overridden") == 0


@pytest.fixture
def as_actor(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], MlflowClient]:
    def act(name: str) -> MlflowClient:
        monkeypatch.setenv("REGISTRY_ACTOR", name)
        return MlflowClient()

    return act


def test_approvals_count_persons_but_not_who_registered(
    sqlite_url: str, as_actor: Callable[[str], MlflowClient]
) -> None:
    registry.set_tracking_uri(sqlite_url)
    author = as_actor("author")
    register(author, "nba", 2)
    author.set_promotion_rules("nba", "Production", [Approvals(2)])
    for name in ("author", "ann", "ann"):
        as_actor(name).approve("nba", 1, "Production", reason=f"says {name}")
    as_actor("bob").approve("nba", 1, "Staging")
    as_actor("bob").approve("nba", 2, "Production")
    with pytest.raises(PromotionRefusedError, match="Approvals"):
        author.transition_model_version_stage("nba", 1, "Production")
    as_actor("bob").approve("nba", 1, "Production")
    author.transition_model_version_stage("nba", 1, "Production")
    (figures,) = author.get_history("nba")[-1].details["rules"]
    assert "ann" in figures["actual"]
    assert "bob" in figures["actual"]
    author.verify("nba")


def test_on_postgresql_one_database_user_is_one_person(
    postgres_url: str, as_actor: Callable[[str], MlflowClient]
) -> None:
    registry.set_tracking_uri(postgres_url)
    register(as_actor("author"), "nba")
    client = as_actor("ann")
    client.set_promotion_rules("nba", "Production", [Approvals(1)])
    client.approve("nba", 1, "Production")
    as_actor("bob").approve("nba", 1, "Production")
    with pytest.raises(PromotionRefusedError, match="Approvals"):
        client.transition_model_version_stage("nba", 1, "Production")


def test_flavors_and_signatures_are_judged_without_reading_bytes(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = register(client, "nba", model_id=sealed_model(client))[0]
    client.set_promotion_rules("nba", "Production", [FlavorIn(["xgboost", "sklearn"])])
    monkeypatch.setattr("registry.client.byte_stores.open_blob_store", None)
    with pytest.raises(PromotionRefusedError, match="FlavorIn"):
        client.transition_model_version_stage("nba", number, "Production")
