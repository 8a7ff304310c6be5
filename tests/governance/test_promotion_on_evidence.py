"""Rules that look at evidence: figures on a data set, and comparisons with the holder, judged while promoting."""

import re
from typing import Any

import pandas as pd
import pytest
from governed_models import RawSql, drop_guards, register, sealed_model, stages

import registry
from registry import MlflowClient
from registry.exceptions import IntegrityError, InvalidParameterError, PromotionRefusedError
from registry.rules import BetterThanHolder, EvaluatedOn, MetricAtLeast, MetricAtMost, PromotionRule, rules_to_json

FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0], "y": [0, 1, 1]})
HOLDOUT = registry.data.from_pandas(FRAME, "s3://bucket/holdout.parquet", targets="y", name="holdout-2026")
SHA256 = f"sha256:{HOLDOUT.sha256}"
OTHER = registry.data.from_pandas(FRAME.iloc[::-1], "s3://bucket/holdout.parquet", targets="y", name="holdout-2026")


def evaluated(client: MlflowClient, f1: float, dataset: Any = HOLDOUT) -> int:
    """Register a version whose model has an f1_score on a data set; its run logs a better one without."""
    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "f1_score", 0.99)
    model_id = sealed_model(client, f"a model of {f1}")
    client.log_evaluation(run_id, {"f1_score": f1}, dataset, model_id)
    (number,) = register(client, "nba", model_id=model_id, run_id=run_id)
    return number


def compared(client: MlflowClient, number_of_challenger: int, number_of_reference: int, **changes: Any) -> int:
    """Store a comparison of two versions; return the number of the record."""
    model, other = (client.get_model_version("nba", number) for number in (number_of_challenger, number_of_reference))
    content = {
        "metric": "f1_score",
        "better": "higher",
        "challenger": {"uri": f"models:/nba/{number_of_challenger}", "digest": model.digest, "value": "0.92"},
        "reference": {"uri": f"models:/nba/{number_of_reference}", "digest": other.digest, "value": "0.9"},
        "difference": "0.02",
        "low": "0.005",
        "high": "0.035",
        "confidence": "0.95",
        "resamples": 9999,
        "seed": 0,
        "rows": 3,
        **changes,
    }
    return client.log_evidence(str(model.model_id), "comparison", content, dataset=HOLDOUT).id


PASSED: list[PromotionRule] = [
    MetricAtLeast("f1_score", 0.9, dataset="holdout-2026"),
    MetricAtLeast("f1_score", 0.9, dataset=SHA256),
    MetricAtMost("f1_score", 0.91, dataset="holdout-2026"),
    EvaluatedOn("holdout-2026"),
    EvaluatedOn(SHA256),
]


@pytest.mark.parametrize("rule", PASSED, ids=repr)
def test_a_figure_on_the_data_set_lets_pass_and_the_event_carries_it(client: MlflowClient, rule: PromotionRule) -> None:
    number = evaluated(client, 0.91)
    client.set_promotion_rules("nba", "Production", [rule])
    assert client.get_promotion_rules("nba", "Production") == [rule]

    client.transition_model_version_stage("nba", number, "Production")

    details = client.get_history("nba")[-1].details
    assert "judged" not in details
    assert details["rules"][0]["evidence"] == {
        "id": 1,
        "kind": "metric",
        "model_id": client.get_model_version("nba", number).model_id,
        "dataset": {"name": "holdout-2026", "digest": HOLDOUT.digest, "sha256": HOLDOUT.sha256},
        "content": {"metric": "f1_score", "value": "0.91", "step": 0},
        "timestamp": client.get_evidence(str(client.get_model_version("nba", number).model_id))[0].timestamp,
    }
    assert client.verify("nba").notes == ()


REFUSED: list[tuple[PromotionRule, str]] = [
    (
        MetricAtLeast("f1_score", 0.92, dataset="holdout-2026"),
        "expected f1_score >= 0.92 on 'holdout-2026', actual 0.9",
    ),
    (MetricAtMost("f1_score", 0.8, dataset="holdout-2026"), "expected f1_score <= 0.8 on 'holdout-2026', actual 0.91"),
    (
        MetricAtLeast("f1_score", 0.9, dataset="holdout 2027"),
        "measure it: registry models evaluate models:/nba/1 DATA --targets TARGET --name 'holdout 2027'",
    ),
    (
        MetricAtLeast("auc", 0.9, dataset="holdout-2026"),
        "actual missing; measure it: registry models evaluate models:/nba/1 DATA --targets TARGET --name holdout-2026",
    ),
    (
        EvaluatedOn(f"sha256:{OTHER.sha256}"),
        "actual missing; measure it: registry models evaluate models:/nba/1 DATA --targets TARGET.",
    ),
]


@pytest.mark.parametrize(("rule", "words"), REFUSED, ids=[repr(rule) for rule, _ in REFUSED])
def test_a_figure_on_other_data_or_none_refuses_and_names_the_command(
    client: MlflowClient, rule: PromotionRule, words: str
) -> None:
    number = evaluated(client, 0.91)
    client.set_promotion_rules("nba", "Production", [rule])

    with pytest.raises(PromotionRefusedError, match=re.escape(words)):
        client.transition_model_version_stage("nba", number, "Production")

    assert stages(client, "nba") == {1: "None"}
    client.verify("nba")


def test_the_newest_figure_on_the_data_set_counts_and_nan_never_passes(client: MlflowClient) -> None:
    number = evaluated(client, 0.91)
    version = client.get_model_version("nba", number)
    client.set_promotion_rules("nba", "Production", [MetricAtLeast("f1_score", 0.9, dataset="holdout-2026")])
    for value, shown in ((0.5, "0.5"), (float("nan"), "NaN")):
        client.log_evaluation(str(version.run_id), {"f1_score": value}, HOLDOUT, version.model_id)
        (verdict,) = client.check_promotion("nba", number, "Production")
        assert (verdict.passed, verdict.actual) == (False, shown)


def test_a_data_set_of_the_same_name_is_another_one_by_digest(client: MlflowClient) -> None:
    number = evaluated(client, 0.91, OTHER)
    rules = [EvaluatedOn("holdout-2026"), EvaluatedOn(SHA256)]
    client.set_promotion_rules("nba", "Production", rules)
    assert [verdict.passed for verdict in client.check_promotion("nba", number, "Production")] == [True, False]


def test_a_metric_that_a_script_logs_with_its_data_set_counts_by_name_only(client: MlflowClient) -> None:
    model_id = sealed_model(client)
    with registry.start_run():
        registry.log_metric("f1_score", 0.95, model_id=model_id, dataset=HOLDOUT)
    (number,) = register(client, "nba", model_id=model_id)
    rules = [MetricAtLeast("f1_score", 0.9, dataset=name) for name in ("holdout-2026", SHA256)]
    client.set_promotion_rules("nba", "Production", rules)
    assert [verdict.passed for verdict in client.check_promotion("nba", number, "Production")] == [True, False]


BETTER = BetterThanHolder("f1_score", "holdout-2026")


@pytest.fixture
def contested(client: MlflowClient) -> MlflowClient:
    """Version 1 holds Production; version 2 wants to."""
    client.transition_model_version_stage("nba", evaluated(client, 0.9), "Production")
    evaluated(client, 0.92)
    client.set_promotion_rules("nba", "Production", [BETTER])
    return client


def test_a_comparison_with_the_holder_lets_pass_and_the_event_carries_its_figures(contested: MlflowClient) -> None:
    record = compared(contested, 2, 1)
    contested.transition_model_version_stage("nba", 2, "Production")

    (verdict,) = contested.get_history("nba")[-1].details["rules"]
    assert verdict["actual"] == "0.02 [0.005, 0.035] with confidence 0.95"
    assert (verdict["evidence"]["id"], verdict["evidence"]["content"]["low"]) == (record, "0.005")
    assert verdict["evidence"]["content"]["reference"]["digest"] == contested.get_model_version("nba", 1).digest
    assert contested.verify("nba").notes == ()


COMMAND = (
    "registry models compare models:/nba/2 models:/nba/1 DATA --targets TARGET --metric f1_score --confidence 0.95 "
    "--name holdout-2026"
)
WEAK: list[tuple[dict[str, Any], str]] = [
    ({"low": "-0.001"}, "0.02 [-0.001, 0.035] with confidence 0.95"),
    ({"low": "0.0"}, "0.02 [0.0, 0.035] with confidence 0.95"),
    ({"low": "nan", "high": "nan"}, "0.02 [nan, nan] with confidence 0.95"),
    ({"better": "lower"}, "0.02 [0.005, 0.035] with confidence 0.95"),
    ({"confidence": "0.9"}, f"0.02 [0.005, 0.035] with confidence 0.9; make it surer: {COMMAND}"),
    ({"metric": "auc"}, f"no comparison with version 1; make one: {COMMAND}"),
    (
        {"reference": {"uri": "models:/nba/7", "digest": "0" * 64, "value": "0.9"}},
        "no comparison with version 1, only with models:/nba/7, whose model does not hold the stage; make one: "
        + COMMAND,
    ),
    (
        {"challenger": {"uri": "models:/nba/7", "digest": "0" * 64, "value": "0.9"}},
        f"no comparison with version 1; make one: {COMMAND}",
    ),
    ({"reference": None}, f"no comparison with version 1; make one: {COMMAND}"),
    ({"low": "near"}, f"no comparison with version 1; make one: {COMMAND}"),
    ({"seed": "1e999"}, f"no comparison with version 1; make one: {COMMAND}"),
]


@pytest.mark.parametrize(("changes", "actual"), WEAK)
def test_weak_or_foreign_evidence_refuses(contested: MlflowClient, changes: dict[str, Any], actual: str) -> None:
    compared(contested, 2, 1, **changes)
    (verdict,) = contested.check_promotion("nba", 2, "Production")
    assert (verdict.passed, verdict.actual) == (False, actual)
    with pytest.raises(PromotionRefusedError):
        contested.transition_model_version_stage("nba", 2, "Production")
    contested.verify("nba")


def test_a_lower_metric_is_better_below_zero(contested: MlflowClient) -> None:
    contested.set_promotion_rules("nba", "Production", [BetterThanHolder("log_loss", SHA256, confidence=0.9)])
    compared(contested, 2, 1, metric="log_loss", better="lower", low="-0.03", high="-0.01", difference="-0.02")
    (verdict,) = contested.check_promotion("nba", 2, "Production")
    assert verdict.passed


def test_a_holder_that_changed_since_makes_the_comparison_void(contested: MlflowClient) -> None:
    compared(contested, 2, 1)
    evaluated(contested, 0.91)
    contested.transition_model_version_stage("nba", 3, "Production", override=True, reason="a hotfix")
    with pytest.raises(PromotionRefusedError, match="no comparison with version 3, only with models:/nba/1"):
        contested.transition_model_version_stage("nba", 2, "Production")


def test_the_comparison_follows_the_model_not_the_number(contested: MlflowClient) -> None:
    compared(contested, 2, 1)
    (again,) = register(contested, "nba", model_id=contested.get_model_version("nba", 1).model_id)
    contested.transition_model_version_stage("nba", again, "Production", override=True, reason="the same model")
    contested.transition_model_version_stage("nba", 2, "Production")
    assert stages(contested, "nba") == {1: "Archived", 2: "Production", 3: "Archived"}


def test_an_empty_stage_needs_no_comparison(client: MlflowClient) -> None:
    number = evaluated(client, 0.9)
    client.set_promotion_rules("nba", "Production", [BETTER])
    client.transition_model_version_stage("nba", number, "Production")
    assert stages(client, "nba") == {1: "Production"}


EDITS = [
    "UPDATE evidence SET content = replace(content, '0.005', '0.001')",
    "UPDATE evidence SET kind = 'other'",
    "UPDATE evidence SET dataset_id = NULL",
    "UPDATE evidence SET timestamp = timestamp + 1",
    "DELETE FROM evidence",
    "UPDATE evaluation_datasets SET sha256 = 'x'",
    "UPDATE evaluation_datasets SET name = 'x'",
]


@pytest.mark.parametrize("edit", EDITS)
def test_verify_sees_an_edit_of_the_evidence(
    contested: MlflowClient, sql: RawSql, database_url: str, edit: str
) -> None:
    compared(contested, 2, 1)
    contested.transition_model_version_stage("nba", 2, "Production")
    drop_guards(database_url)
    sql(edit)
    with pytest.raises(IntegrityError, match="this evidence"):
        contested.verify("nba")


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE logged_model_metrics SET value = 0.95",
        "UPDATE logged_model_metrics SET dataset_name = 'other'",
        "UPDATE logged_model_metrics SET evaluation_dataset_id = NULL",
        "DELETE FROM logged_model_metrics",
    ],
)
def test_verify_sees_an_edit_of_a_judged_figure(client: MlflowClient, sql: RawSql, edit: str) -> None:
    number = evaluated(client, 0.91)
    client.set_promotion_rules("nba", "Production", [MetricAtLeast("f1_score", 0.9, dataset="holdout-2026")])
    client.transition_model_version_stage("nba", number, "Production")
    assert client.verify("nba").notes == ()
    sql(edit)
    with pytest.raises(IntegrityError, match="this evidence"):
        client.verify("nba")


def test_evidence_that_gc_took_with_a_deleted_version_is_no_longer_checkable(
    contested: MlflowClient, sql: RawSql
) -> None:
    compared(contested, 2, 1)
    contested.transition_model_version_stage("nba", 2, "Production")
    contested.delete_model_version("nba", 2, force=True)
    sql("DELETE FROM evidence")  # what a cascade from logged_models does
    assert contested.verify("nba").notes == (
        "comparison 1 of version 2 of 'nba': no longer checkable, its logged model was removed",
    )


def test_rules_without_a_data_set_are_stored_as_before() -> None:
    assert rules_to_json([MetricAtLeast("f1", 0.8)]) == '[{"metric":"f1","value":0.8,"kind":"metric_at_least"}]'
    assert repr(MetricAtLeast("f1", 0.8)) == "MetricAtLeast(metric='f1', value=0.8)"
    assert repr(MetricAtMost("f1", 1, "d")) == "MetricAtMost(metric='f1', value=1.0, dataset='d')"


@pytest.mark.parametrize("dataset", ["", " ", "sha256:", "sha256:" + "A" * 64, "a\0b", 7, "x" * 501])
def test_a_data_set_that_cannot_be_is_refused_at_once(dataset: Any) -> None:
    for make in (EvaluatedOn, lambda name: BetterThanHolder("f1", name), lambda name: MetricAtLeast("f1", 1, name)):
        with pytest.raises(InvalidParameterError, match="dataset"):
            make(dataset)


def test_a_data_set_cannot_be_named_like_a_digest(client: MlflowClient) -> None:
    posing = registry.data.from_pandas(FRAME, name=f"sha256:{'0' * 64}")
    with pytest.raises(InvalidParameterError, match="which would be a digest in a rule"):
        client.log_evaluation(client.create_run("0").info.run_id, {"f1": 1}, posing, sealed_model(client))


@pytest.mark.parametrize("confidence", [0, 1, -0.5, 95, "0.95", float("nan")])
def test_a_confidence_lies_between_0_and_1(confidence: Any) -> None:
    with pytest.raises(InvalidParameterError, match="confidence"):
        BetterThanHolder("f1", "d", confidence)
