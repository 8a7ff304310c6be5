"""`compare_models`: figures, intervals and the evidence on which a promotion is judged."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from evaluated_models import estimator, games, holdout, log
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score

import registry
from registry import BetterThanHolder, MlflowClient
from registry.exceptions import InvalidParameterError, PromotionRefusedError
from registry.models import make_metric

FEWER: dict[str, Any] = {"resamples": 1000}


def dummy(kind: str = "binary") -> Any:
    """A model that always says the same."""
    frame = games(kind)
    return DummyClassifier(strategy="constant", constant=frame["y"].iloc[0]).fit(frame[["a", "b"]], frame["y"])


def test_values_are_scikit_learns_and_the_interval_holds_the_difference(own_place: Any) -> None:
    uris, frame = [log("binary"), log("binary", dummy())], games("binary").tail(60)
    comparison = registry.compare_models(uris, holdout("binary"), metric="f1")
    (one,) = comparison.differences
    labels = estimator("binary").predict(frame[["a", "b"]])
    assert one.challenger.value == f1_score(frame["y"], labels)
    assert one.reference.value == f1_score(frame["y"], dummy().predict(frame[["a", "b"]]), zero_division=0)
    assert (one.metric, one.better, one.confidence, one.resamples, one.seed, one.rows) == (
        "f1_score",
        "higher",
        0.95,
        9999,
        0,
        60,
    )
    assert one.low < one.difference < one.high
    assert one.is_better
    assert comparison.to_frame().loc[0, "challenger"] == uris[0]
    assert registry.compare_models(uris, holdout("binary"), metric="f1").differences == comparison.differences


def test_the_evidence_is_on_the_challenger_with_digests_data_set_metric_and_interval(own_place: Any) -> None:
    client, data = MlflowClient(), holdout("binary")
    uris = [log("binary"), log("binary", dummy())]
    with registry.start_run() as run:
        comparison = registry.compare_models(uris, data, metric="accuracy_score", **FEWER)
    challenger, reference = (registry.resolve(uri) for uri in uris)
    assert client.get_evidence(reference.model_id) == []
    (record,) = client.get_evidence(challenger.model_id)
    assert (record.id, record.kind, record.run_id) == (comparison.evidence_ids[0], "comparison", run.info.run_id)
    assert record.dataset == comparison.dataset == data.to_evaluated()
    assert record.content["challenger"]["digest"] == challenger.digest
    assert record.content["reference"] == {
        "uri": uris[1],
        "digest": reference.digest,
        "value": repr(comparison.differences[0].reference.value),
    }
    assert record.content["low"] == repr(comparison.differences[0].low)


def test_a_better_challenger_is_promoted_and_one_by_chance_is_refused(own_place: Any) -> None:
    client, data = MlflowClient(), holdout("binary")
    log("binary", dummy())
    client.transition_model_version_stage("nba", 1, "Production")
    client.set_promotion_rules("nba", "Production", [BetterThanHolder("f1_score", "holdout-2026")])
    better = log("binary")
    with pytest.raises(PromotionRefusedError, match="registry models compare models:/nba/2 models:/nba/1 DATA"):
        client.transition_model_version_stage("nba", 2, "Production")
    registry.compare_models([better, "models:/nba/Production"], data, metric="f1_score", **FEWER)
    client.transition_model_version_stage("nba", 2, "Production")

    train = games("binary").head(60)
    twin = LogisticRegression(C=0.9).fit(train[["a", "b"]], train["y"])
    equal = log("binary", twin)
    (one,) = registry.compare_models([equal, "models:/nba/Production"], data, metric="f1_score", **FEWER).differences
    assert not one.is_better
    with pytest.raises(PromotionRefusedError, match="BetterThanHolder"):
        client.transition_model_version_stage("nba", 3, "Production")
    assert client.verify("nba").notes == ()


METRICS = ["accuracy", "precision", "recall", "f1", "auc", "average_precision", "log_loss"]


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_of_two_classes_is_compared(own_place: Any, metric: str) -> None:
    uris = [log("binary"), log("binary", dummy())]
    (one,) = registry.compare_models(uris, holdout("binary"), metric=metric, **FEWER).differences
    assert one.low <= one.difference <= one.high
    assert one.is_better == (metric != "recall")  # the dummy says 1, or 0, always


def test_auc_with_the_other_label_positive(own_place: Any) -> None:
    frame = games("binary").tail(60)
    uris = [log("binary"), log("binary", dummy())]
    config = {"pos_label": 0}
    (one,) = registry.compare_models(uris, frame, "y", metric="auc", evaluator_config=config, **FEWER).differences
    scores = estimator("binary").predict_proba(frame[["a", "b"]])[:, 0]
    assert one.challenger.value == pytest.approx(roc_auc_score(frame["y"] == 0, scores))
    assert one.low <= one.difference <= one.high


@pytest.mark.parametrize("metric", ["accuracy_score", "f1_score", "roc_auc", "log_loss"])
def test_metrics_of_three_classes_are_compared(own_place: Any, metric: str) -> None:
    uris = [log("multi"), log("multi", dummy("multi"))]
    (one,) = registry.compare_models(uris, holdout("multi"), metric=metric, **FEWER).differences
    assert one.low <= one.difference <= one.high
    assert one.is_better


@pytest.mark.parametrize("metric", ["mae", "mse", "rmse", "mape", "r2"])
def test_metrics_of_numbers_are_compared(own_place: Any, metric: str) -> None:
    frame = games("number").head(60)
    worse = LinearRegression().fit(frame[["a", "b"]] * [0, 1], frame["y"])
    uris = [log("number"), log("number", worse)]
    (one,) = registry.compare_models(uris, holdout("number"), metric=metric, **FEWER).differences
    assert one.low <= one.difference <= one.high
    assert one.is_better == (metric != "mape")
    assert one.better == ("higher" if metric == "r2" else "lower")


def far(predictions: Any, targets: Any) -> float:
    return float((abs(predictions - targets) > 5).mean())


def test_a_metric_of_ones_own_is_compared_resample_by_resample(own_place: Any) -> None:
    own = make_metric(eval_fn=far, greater_is_better=False)
    uris = [log("number"), lambda frame: np.zeros(len(frame))]
    comparison = registry.compare_models(uris, holdout("number"), metric=own, **FEWER)
    (one,) = comparison.differences
    assert (one.metric, one.better, one.reference.digest) == ("far", "lower", None)
    assert one.low <= one.difference <= one.high
    assert one.reference.uri == "<lambda>"
    rows = make_metric(eval_fn=lambda predictions: registry.models.MetricValue(), greater_is_better=True, name="rows")
    with pytest.raises(InvalidParameterError, match="must return one number to be compared"):
        registry.compare_models(uris, holdout("number"), metric=rows, **FEWER)


def test_several_challengers_have_an_interval_each_and_a_figure(own_place: Any) -> None:
    uris = [log("binary"), log("binary", dummy()), log("binary", dummy())]
    comparison = registry.compare_models(uris, holdout("binary"), metric="f1", **FEWER)
    assert comparison.to_frame()["reference"].tolist() == [uris[2], uris[2]]
    assert [one.is_better for one in comparison.differences] == [True, False]
    assert len(comparison.evidence_ids) == 2
    axes = comparison.figure().axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == uris[:2]


def test_models_outside_the_registry_are_compared_without_evidence(own_place: Any) -> None:
    def guess(frame: pd.DataFrame) -> Any:
        return (frame["a"] > 0).astype(int)

    comparison = registry.compare_models([guess, guess], games("binary"), "y", metric="f1", **FEWER)
    assert comparison.evidence_ids == (None,)
    assert (comparison.differences[0].low, comparison.differences[0].high) == (0.0, 0.0)
    assert not comparison.differences[0].is_better


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"models": ["models:/nba/1"]}, "at least two models"),
    ({"models": "models:/nba/1"}, "models must be a list"),
    ({"metric": "example_count"}, "cannot be compared by 'example_count'; there are accuracy_score"),
    ({"metric": 7}, "cannot be compared by 7"),
    ({"confidence": 95}, "must lie between 0 and 1, such as 0.95; got 95"),
    ({"confidence": True}, "must lie between 0 and 1"),
    ({"resamples": 10}, "from 1,000 to 1,000,000, got 10"),
    ({"seed": -1}, "seed must be an integer of 0 or more"),
    ({"targets": None}, "The targets argument must be specified"),
    ({"evaluator_config": {"sample_weights": [1.0] * 120}}, "leave sample_weights out"),
    ({"metric": "auc", "models": ["models:/nba/1", lambda frame: [0, 1] * 60]}, "a model has no predict_proba"),
    ({"models": [lambda frame: ["x"] * len(frame)] * 2}, "cannot evaluate these targets and predictions"),
    ({"metric": "rmse", "models": [lambda frame: ["x"] * len(frame)] * 2}, "must be numbers"),
]


@pytest.mark.parametrize(("options", "words"), REFUSED)
def test_what_cannot_be_compared_is_refused(own_place: Any, options: dict[str, Any], words: str) -> None:
    uri = log("binary")
    given = {"models": [uri, uri], "data": games("binary"), "targets": "y", "metric": "f1", **FEWER, **options}
    with pytest.raises(InvalidParameterError, match=words):
        registry.compare_models(**given)


def test_labels_that_the_list_of_labels_lacks_are_not_taken_for_others(own_place: Any) -> None:
    truth, guess = ["a", "b", "c", "d"] * 5, ["a", "b", "c", "a"] * 5
    models = [lambda frame: truth, lambda frame: guess]
    with pytest.raises(
        InvalidParameterError, match=r"labels besides \['a', 'b', 'c'\]. Name all of them in label_list"
    ):
        registry.compare_models(
            models,
            np.zeros((20, 1)),
            truth,
            metric="accuracy_score",
            evaluator_config={"label_list": ["a", "b", "c"]},
            **FEWER,
        )


def test_average_precision_is_of_two_classes(own_place: Any) -> None:
    uri = log("multi")
    with pytest.raises(InvalidParameterError, match="a metric of two classes; the data has 3"):
        registry.compare_models([uri, uri], holdout("multi"), metric="average_precision", **FEWER)
