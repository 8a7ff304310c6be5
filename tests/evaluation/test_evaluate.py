"""`evaluate` in this registry: what is stored with what, what is refused, and what a result offers."""

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from evaluated_models import estimator, games, holdout, log

import registry
from registry import MlflowClient, models
from registry.datasets import content_digest
from registry.exceptions import (
    InvalidParameterError,
    InvalidTypeError,
    LoggedModelNotFoundError,
    MissingDependencyError,
    ModelValidationError,
    StorageError,
)
from registry.models import MetricThreshold, MetricValue, make_metric


def evaluate(model: Any, data: Any, kind: str = "binary", **options: Any) -> models.EvaluationResult:
    """Evaluate without SHAP, which takes seconds."""
    model_type = "regressor" if kind == "number" else "classifier"
    return registry.evaluate(model, data, **{"model_type": model_type, "evaluators": model_type, **options})


@pytest.fixture
def client(database_url: str) -> MlflowClient:
    """A client of a new registry on each database, which module-level functions use too."""
    registry.set_tracking_uri(database_url)
    return MlflowClient()


def test_each_metric_is_stored_with_its_model_and_its_data_set(client: MlflowClient) -> None:
    uri, data = log("binary"), holdout("binary")
    result = evaluate(uri, data)

    assert result.run_id is not None
    assert client.get_run(result.run_id).data.metrics == pytest.approx(result.metrics)
    assert client.get_run(result.run_id).info.status == "FINISHED"
    model_id = registry.resolve(uri).model_id
    records = client.get_evidence(model_id, "metric")
    assert {record.content["metric"]: float(record.content["value"]) for record in records} == result.metrics
    assert {record.run_id for record in records} == {result.run_id}
    (dataset,) = {record.dataset for record in records}
    assert dataset == result.dataset
    assert (dataset.name, dataset.digest, dataset.rows) == ("holdout-2026", data.digest, 60)
    assert dataset.sha256 == content_digest(games("binary").tail(60))
    assert [column["name"] for column in json.loads(dataset.schema)["mlflow_colspec"]] == ["a", "b", "y"]
    (point, *_) = [one for one in client.get_logged_model(model_id).metrics if one.key == "f1_score"]
    assert (point.dataset_name, point.dataset_digest) == ("holdout-2026", data.digest)


def test_the_run_has_the_data_set_and_the_model_as_inputs(client: MlflowClient) -> None:
    uri = log("binary")
    with registry.start_run() as run:
        result = evaluate(uri, holdout("binary"), evaluator_config={"metric_prefix": "val_"})
    assert result.run_id == run.info.run_id
    inputs = client.get_run(run.info.run_id).inputs
    (used,) = inputs.dataset_inputs
    assert (used.dataset.name, [tag.value for tag in used.tags]) == ("holdout-2026", ["val_"])
    assert [one.model_id for one in inputs.model_inputs] == [registry.resolve(uri).model_id]
    assert sorted(result.metrics)[0] == "val_accuracy_score"
    assert "val_roc_curve_plot.png" in [file.path for file in client.list_artifacts(run.info.run_id)]


def test_evaluations_of_one_model_on_two_data_sets_stay_apart(client: MlflowClient) -> None:
    uri = log("binary")
    first, second = holdout("binary"), registry.data.from_pandas(games("binary").head(30), targets="y", name="train")
    values = [evaluate(uri, data).metrics["accuracy_score"] for data in (first, second, first)]
    found = [
        (record.dataset and record.dataset.name, float(record.content["value"]))
        for record in client.get_evidence(registry.resolve(uri).model_id)
        if record.content["metric"] == "accuracy_score"
    ]
    assert found == list(zip(["holdout-2026", "train", "holdout-2026"], values, strict=True))


def test_an_evaluation_that_fails_stores_nothing(own_place: Path) -> None:
    uri = log("binary")

    def broken(predictions: Any, targets: Any) -> float:
        raise ZeroDivisionError

    metric = make_metric(eval_fn=broken, greater_is_better=True)
    with pytest.raises(ZeroDivisionError):  # the user's own error is theirs
        evaluate(uri, holdout("binary"), extra_metrics=[metric])
    assert MlflowClient().get_evidence(registry.resolve(uri).model_id) == []
    assert len(registry.search_runs(output_format="list", search_all_experiments=True)) == 1  # the training run


def test_a_model_from_elsewhere_is_evaluated_and_only_the_run_has_its_metrics(own_place: Path) -> None:
    registry.sklearn.save_model(estimator("binary"), own_place / "saved")
    for model in (
        str(own_place / "saved"),
        registry.pyfunc.load_model(str(own_place / "saved")),
        lambda frame: (frame["a"] > 0).astype(int),
    ):
        result = evaluate(model, holdout("binary"))
        assert (result.model_id, result.metrics["example_count"]) == (None, 60)


def test_a_loaded_model_is_its_logged_model(own_place: Path) -> None:
    uri = log("binary")
    result = evaluate(registry.pyfunc.load_model(uri), holdout("binary"))
    assert result.model_id == registry.resolve(uri).model_id


def test_a_loaded_model_of_another_registry_is_not_looked_for_here(own_place: Path) -> None:
    loaded = registry.pyfunc.load_model(log("binary"))
    registry.set_tracking_uri(str(own_place / "other"))
    assert evaluate(loaded, holdout("binary")).model_id is None


def test_static_predictions_can_be_those_of_a_logged_model(own_place: Path) -> None:
    uri = log("binary")
    model_id = registry.resolve(uri).model_id
    data = games("binary").assign(guess=1)
    result = evaluate(None, data, targets="y", predictions="guess", model_id=model_id)
    assert result.metrics["recall_score"] == 1.0
    assert sorted(result.artifacts) == ["confusion_matrix"]
    assert len(MlflowClient().get_evidence(model_id)) == len(result.metrics)
    with pytest.raises(LoggedModelNotFoundError):
        evaluate(None, data, targets="y", predictions="guess", model_id=f"m-{'0' * 32}")


def test_a_model_that_was_logged_to_predict_probabilities_is_evaluated_by_its_labels(own_place: Path) -> None:
    with registry.start_run():
        info = registry.sklearn.log_model(estimator("binary"), name="model", pyfunc_predict_fn="predict_proba")
    found = evaluate(info.model_uri, holdout("binary")).metrics
    assert found == evaluate(log("binary"), holdout("binary")).metrics


def test_a_class_that_the_data_lacks_is_known_from_the_model(own_place: Path) -> None:
    frame = games("multi").tail(60)
    two = frame[frame["y"] != "draw"]
    uri = log("multi")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, of curves without positives
        result = evaluate(uri, two, targets="y")
    assert result.tables["per_class_metrics"]["positive_class"].tolist() == ["away", "draw", "home"]


def test_a_result_is_a_frame_figures_and_files(own_place: Path) -> None:
    result = evaluate(log("number"), holdout("number"), "number")
    frame = result.to_frame()
    assert frame.index.name == "metric"
    assert frame["value"].to_dict() == result.metrics
    assert list(result.figures) == ["residuals_plot"]
    assert result.artifacts["residuals_plot"].content.format == "PNG"
    assert repr(result.artifacts["residuals_plot"]).startswith("ImageEvaluationArtifact(uri=")
    assert repr(result).startswith("EvaluationResult(10 metrics of m-")
    result.save(own_place / "saved")
    again = models.EvaluationResult.load(own_place / "saved")
    assert again.metrics == result.metrics
    assert again.artifacts["residuals_plot"].data == result.artifacts["residuals_plot"].data


@pytest.mark.parametrize("uri", ["../../x.csv", "/etc/passwd", "a/.png/..", "x.pickle", 7, None])
def test_a_saved_result_that_leads_elsewhere_is_refused(own_place: Path, uri: Any) -> None:
    place = own_place / "saved"
    (place / "artifacts").mkdir(parents=True)
    (own_place / "x.csv").write_text("a\n1\n")
    (place / "metrics.json").write_text("{}")
    (place / "artifacts_metadata.json").write_text(json.dumps({"a": {"uri": uri, "class_name": "os.system"}}))
    with pytest.raises((InvalidParameterError, StorageError)):
        models.EvaluationResult.load(place)


def test_a_directory_without_a_result_is_refused(own_place: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        models.EvaluationResult.load(own_place)
    (own_place / "metrics.json").write_text("[")
    (own_place / "artifacts_metadata.json").write_text("{}")
    with pytest.raises(InvalidParameterError, match="does not hold an evaluation"):
        models.EvaluationResult.load(own_place)


def test_a_result_on_a_full_disk_is_an_error_of_ours(own_place: Path) -> None:
    with pytest.raises(StorageError):
        models.EvaluationResult({"a": 1.0}, {}).save("/dev/null/x")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"data": None}, "The data argument cannot be None"),
    ({"targets": None}, "The targets argument must be specified for classifier models"),
    ({"targets": "nothing"}, "does not contain the specified targets column 'nothing'"),
    ({"targets": [1, 0]}, "targets is the name of its column"),
    ({"model_type": "text"}, "'text' is not evaluated here; use 'classifier', 'regressor'"),
    ({"model_type": None}, "The extra_metrics argument must be specified if model_type is None"),
    ({"evaluators": ["classifier", "nobody"]}, r"no evaluators \['nobody'\]; there are classifier, default"),
    ({"evaluators": []}, "there are classifier"),
    ({"env_manager": "conda"}, "env_manager 'conda' is not supported"),
    ({"inference_params": {}}, "inference_params"),
    ({"model": 7}, "must be a string URI referring to a model"),
    ({"model": None}, "Either a model or predictions are needed"),
    ({"data": "data.csv"}, "must be a DataFrame"),
    ({"data": np.zeros(3)}, "must be 2-dimensional"),
    ({"data": np.zeros((3, 2)), "targets": [1, 0]}, "an array of as many values"),
    ({"data": np.zeros((3, 2)), "targets": [[1], [1, 0], [1]]}, "no array with one value per row"),
    ({"data": np.zeros((3, 2)), "targets": [1, 0, 1], "feature_names": ["a", "a"]}, "2 different names"),
    ({"data": [[1, 2], [3]]}, "must have the same length"),
    ({"data": games("binary").head(0)}, "no rows"),
    ({"feature_names": ["a", "z"]}, r"no columns \['z'\]"),
    ({"extra_metrics": [len]}, "extra_metrics"),
    ({"evaluator_config": {"pos_label": 7}}, "'pos_label' 7 must be one of the labels"),
    ({"evaluator_config": {"label_list": [0]}}, "at least two labels"),
    ({"evaluator_config": {"metric_prefix": "../"}}, "metric_prefix"),
    ({"evaluator_config": {"calibration_n_bins": "x"}}, "calibration_n_bins must be an integer"),
    ({"model_id": "m-0"}, "contradicts the model_id"),
    ({"model": lambda frame: frame["a"].head(3)}, "one per row is expected"),
    ({"model": lambda frame: frame}, "name the one to evaluate"),
    ({"model": lambda frame: ["x"] * len(frame)}, "cannot evaluate these targets and predictions"),
    (
        {"model": lambda frame: frame["a"].abs() / 9},
        r"mix of binary and continuous targets\. A classifier must predict",
    ),
]


@pytest.mark.parametrize(("options", "words"), REFUSED)
def test_what_cannot_be_evaluated_is_refused_with_the_way_out(
    own_place: Path, options: dict[str, Any], words: str
) -> None:
    given = {"model": log("binary"), "data": games("binary"), "targets": "y", "model_type": "classifier", **options}
    given = {"evaluators": "classifier", **given}
    with pytest.raises(InvalidParameterError, match=words):
        registry.evaluate(**given)


def test_a_data_set_names_its_own_columns(own_place: Path) -> None:
    data = holdout("binary")
    assert evaluate(log("binary"), data, targets="y").metrics["example_count"] == 60
    with pytest.raises(InvalidParameterError, match="names its target column 'y'"):
        evaluate("models:/nba/1", data, targets="a")
    guessed = registry.data.from_pandas(games("binary").assign(p=1), targets="y", predictions="p")
    assert evaluate(None, guessed).metrics["recall_score"] == 1.0
    for options, words in (
        ({"model": "models:/nba/1"}, "a model is given too"),
        ({"model": None, "predictions": "y"}, "names its predictions 'p'"),
    ):
        with pytest.raises(InvalidParameterError, match=words):
            evaluate(options.pop("model"), guessed, **options)


def test_a_regressor_needs_numbers(own_place: Path) -> None:
    frame = games("number")
    for bad in (frame.assign(y="x"), frame.assign(y=np.nan)):
        with pytest.raises(InvalidParameterError, match="must be numbers|missing or infinite"):
            evaluate(log("number"), bad, "number", targets="y")


def test_several_outputs_are_told_apart_by_name(own_place: Path) -> None:
    def two(frame: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"label": (frame["a"] > 0).astype(int), "score": frame["a"]})

    def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
        return two(frame).to_dict("records")

    data = holdout("binary")
    expected = evaluate(lambda frame: two(frame)[["label"]], data).metrics
    assert evaluate(two, data, predictions="label").metrics == expected
    assert evaluate(rows, data, predictions="label").metrics == expected
    assert evaluate(lambda frame: {"only": two(frame)["label"]}, data).metrics == expected


def close(predictions: Any, targets: Any) -> float:
    return float((abs(predictions - targets) < 5).mean())


def test_metrics_of_ones_own_get_what_they_ask_for(own_place: Path) -> None:
    seen: dict[str, Any] = {}

    def curious(
        predictions: Any, y: Any, b: Any, limit: Any, close: MetricValue, metrics: Any, rest: int = 7
    ) -> MetricValue:
        seen.update(b=b.tolist(), limit=limit, close=close, rest=rest, metrics=sorted(metrics))
        return MetricValue(scores=[1.0] * len(predictions), justifications=["so"] * len(predictions))

    def mapped(predictions: Any, targets: Any, league: Any, given: Any) -> float:
        return float(league.sum() + len(given))

    result = evaluate(
        log("number"),
        holdout("number"),
        "number",
        extra_metrics=[
            make_metric(eval_fn=curious, greater_is_better=True),
            make_metric(eval_fn=close, greater_is_better=True, version="v1"),
            make_metric(eval_fn=mapped, greater_is_better=True, name="other"),
        ],
        evaluator_config={"regressor": {"limit": 3, "col_mapping": {"league": "a", "given": [1, 2]}}},
    )
    assert (seen["limit"], seen["rest"], len(seen["b"])) == (3, 7, 60)
    assert seen["close"].aggregate_results == {"close": result.metrics["close/v1"]}
    assert "mean_squared_error" in seen["metrics"]
    assert result.metrics["curious/mean"] == 1.0
    assert result.metrics["other"] == pytest.approx(games("number").tail(60)["a"].sum() + 2)
    table = result.tables["eval_results_table"]
    assert list(table) == ["a", "b", "y", "outputs", "curious/score", "curious/justification"]
    stored = registry.load_table("eval_results_table.json", run_ids=[str(result.run_id)])
    assert len(stored) == 60


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda predictions, nothing, targets: 1.0, "metric 'own' asks for 'nothing'"),
        (lambda predictions, targets: None, "must return a number or a MetricValue"),
        (lambda predictions, targets: "0.9", "must return a number or a MetricValue"),
        (lambda predictions, targets: MetricValue(scores=(1, 2)), "scores as a list"),  # type: ignore[arg-type]
        (
            lambda predictions, targets: MetricValue(aggregate_results={"a": "high"}),
            "must return numbers as aggregates",
        ),  # type: ignore[dict-item]
        (lambda predictions, targets: MetricValue(scores=[1.0]), "one value per row"),
    ],
)
def test_a_metric_that_cannot_be_used_is_refused(own_place: Path, function: Any, words: str) -> None:
    metric = make_metric(eval_fn=function, greater_is_better=True, name="own")
    with pytest.raises(InvalidParameterError, match=words):
        evaluate(log("number"), holdout("number"), "number", extra_metrics=[metric])


def test_make_metric_refuses_what_has_no_name(own_place: Path) -> None:
    with pytest.raises(InvalidParameterError, match="lambda"):
        make_metric(eval_fn=lambda predictions: 1, greater_is_better=True)
    with pytest.raises(InvalidTypeError, match="must be a function"):
        make_metric(eval_fn=7, greater_is_better=True)  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="name"):
        make_metric(eval_fn=close, greater_is_better=True, name="../x")
    metric = make_metric(eval_fn=close, greater_is_better=True, long_name="within five", metric_details="of points")
    assert (metric.long_name, metric.key, metric(predictions=pd.Series([1]), targets=pd.Series([2]))) == (
        "within five",
        "close",
        1.0,
    )


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda frame, metrics, directory: None, "must return a dict by name"),
        (lambda frame, metrics, directory: {7: 1}, "must return a dict by name"),
        (lambda frame, metrics, directory: {"a": object()}, "must be a file's path, JSON"),
        (lambda frame, metrics, directory: {"a": np.array([object()])}, "an array of objects"),
        (lambda frame, metrics, directory: {"a": "neither a path nor JSON"}, "must be a file's path, JSON"),
        (lambda frame, metrics, directory: {"a": Path("/no/such.csv")}, "cannot be read"),
        (lambda frame, metrics, directory: {"a": Path("/no/such.pickle")}, "must end with one of"),
        (lambda frame, metrics, directory: {"a\0": "1"}, "a"),
        (lambda frame, metrics, directory: {"../a": "1"}, "a"),
        (lambda frame, metrics, directory: {"residuals_plot": "1"}, "made already"),
    ],
)
def test_a_custom_artifact_that_cannot_be_stored_is_refused(own_place: Path, function: Any, words: str) -> None:
    with pytest.raises(InvalidParameterError, match=words):
        evaluate(log("number"), holdout("number"), "number", custom_artifacts=[function])


def test_custom_artifacts_are_drawn_and_two_of_one_name_are_refused(own_place: Path) -> None:
    from matplotlib.figure import Figure

    def drawn(frame: Any, metrics: Any, directory: str) -> dict[str, Any]:
        figure = Figure()
        figure.subplots().scatter(frame["prediction"], frame["target"])
        return {"drawn": figure}

    result = evaluate(log("number"), holdout("number"), "number", custom_artifacts=[drawn])
    assert result.artifacts["drawn"].content.format == "PNG"
    with pytest.raises(InvalidParameterError, match="Two artifacts of custom_artifacts are named 'drawn'"):
        evaluate("models:/nba/1", holdout("number"), "number", custom_artifacts=[drawn, drawn])


def test_without_matplotlib_there_are_no_figures_and_one_warning(
    own_place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    uri = log("binary")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with caplog.at_level(logging.WARNING):
        result = evaluate(uri, holdout("binary"))
    assert result.artifacts == {}
    assert [record.message.partition(":")[0] for record in caplog.records] == ["No figures are drawn"]
    assert "registry-ml[plots]" in caplog.text


def test_an_estimator_whose_score_fails_is_evaluated_without_it(
    own_place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from sklearn.cluster import KMeans

    uri = log("binary", KMeans(2, n_init=1, random_state=0).fit(games("binary")[["a", "b"]]))
    with caplog.at_level(logging.WARNING):
        result = evaluate(uri, holdout("binary"), evaluator_config={"sample_weights": None})
    assert "score" in result.metrics
    assert "roc_auc" not in result.metrics


def test_shap_explains_a_model_of_numbers(own_place: Path) -> None:
    result = registry.evaluate(log("binary"), holdout("binary"), model_type="classifier", evaluators="shap")
    assert sorted(result.artifacts) == ["shap_beeswarm_plot", "shap_feature_importance_plot", "shap_summary_plot"]
    assert result.metrics == {}


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["exact", "permutation", "kernel", None])
def test_shap_explains_a_model_of_many_classes_and_pipelines(own_place: Path, algorithm: str | None) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame = games("multi").replace({"y": {"away": 0, "draw": 1, "home": 2}}).astype({"y": int})
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame[["a", "b"]], frame["y"])
    result = registry.evaluate(
        log("multi", pipeline),
        frame.head(20),
        targets="y",
        model_type="classifier",
        evaluators="shap",
        evaluator_config={
            "explainability_algorithm": algorithm,
            "explainability_nsamples": 10,
            "ignore_exceptions": False,
        },
    )
    assert len(result.artifacts) == 3


def test_what_shap_cannot_explain_is_told(own_place: Path, caplog: pytest.LogCaptureFixture) -> None:
    frame = games("binary").head(8)

    def guess(data: pd.DataFrame) -> Any:
        if data["b"].dtype == object:
            return [0, 1] * 4
        raise RuntimeError("no")

    with caplog.at_level(logging.WARNING):
        registry.evaluate(log("multi"), holdout("multi"), model_type="classifier", evaluators="shap")
        registry.evaluate(
            guess, frame.assign(b="x").astype({"b": object}), targets="y", model_type="classifier", evaluators="shap"
        )
    assert "targets must be numbers or booleans" in caplog.text
    assert "the features ['b'] are not numbers" in caplog.text

    def once(data: pd.DataFrame) -> Any:
        if not data.index.equals(frame.index) or not np.array_equal(data.to_numpy(), frame[["a", "b"]].to_numpy()):
            raise RuntimeError("other rows than those of the data")
        return [0, 1] * 4

    options: dict[str, Any] = {"targets": "y", "model_type": "classifier", "evaluators": "shap"}
    registry.evaluate(once, frame, **options)
    assert "SHAP could not explain the model" in caplog.text
    with pytest.raises(InvalidParameterError, match="SHAP could not explain"):
        registry.evaluate(once, frame, evaluator_config={"ignore_exceptions": False}, **options)
    with pytest.raises(InvalidParameterError, match="Unknown explainability_algorithm 'magic'"):
        registry.evaluate(once, frame, evaluator_config={"explainability_algorithm": "magic"}, **options)


def test_without_shap_it_is_left_out_unless_it_was_named(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "shap" else real(name, *rest))
    result = registry.evaluate(log("binary"), holdout("binary"), model_type="classifier")
    assert [name for name in result.artifacts if "shap" in name] == []
    with pytest.raises(MissingDependencyError, match=r"registry-ml\[shap\]"):
        registry.evaluate("models:/nba/1", holdout("binary"), model_type="classifier", evaluators=["shap"])


def test_a_result_is_validated(own_place: Path) -> None:
    result = evaluate(log("binary"), holdout("binary"))
    limit = MetricThreshold(threshold=0.999, greater_is_better=True)
    with pytest.raises(ModelValidationError, match="accuracy_score value threshold check failed") as caught:
        registry.validate_evaluation_results({"accuracy_score": limit}, result)
    assert caught.value.error_code == "BAD_REQUEST"
    with pytest.raises(InvalidParameterError, match="maps strings to MetricThreshold"):
        registry.validate_evaluation_results({"accuracy_score": 0.9}, result)  # type: ignore[dict-item]


def test_content_digests_see_what_mlflows_digest_does_not() -> None:
    frame = games("binary").assign(won=True, when=pd.Timestamp("2026-01-01"), who="é")
    long = pd.concat([frame] * 100, ignore_index=True)
    changed = [
        long.assign(a=long["a"].where(long.index != len(long) - 1, 7.0)),
        long.assign(won=long.index != 5),
        long.assign(when=long["when"] + pd.to_timedelta(long.index, "s")),
        long.assign(who="e"),
        long.iloc[::-1],
        long.rename(columns={"a": "A"}),
        long.head(-1),
        long[["b", "a", *list(long)[2:]]],
    ]
    digests = {content_digest(one) for one in [long, *changed]}
    assert len(digests) == 9
    assert content_digest(long.set_index(long.index + 7)) == content_digest(long)
    assert all(len(digest) == 64 for digest in digests)
    with pytest.raises(InvalidParameterError, match="The column 'a' cannot be digested"):
        content_digest(pd.DataFrame({"a": [[1], [2]]}))
