"""Evaluation: how good a model is on a data set, and which of two is better beyond chance.

scikit-learn computes; here it is recorded, with the logged model and the data set that a figure belongs to. Promotion
rules look at what is recorded. Nothing heavy is imported before the first call.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from registry.evaluation.metrics import EvaluationMetric, MetricValue, make_metric
from registry.exceptions import InvalidParameterError

if TYPE_CHECKING:
    from registry.evaluation.comparison import ModelComparison
    from registry.evaluation.result import EvaluationResult

__all__ = ["EvaluationMetric", "MetricValue", "compare_models", "evaluate", "make_metric"]


def evaluate(
    model: Any = None,
    data: Any = None,
    *,
    model_type: str | None = None,
    targets: Any = None,
    predictions: str | None = None,
    dataset_path: str | None = None,
    feature_names: Sequence[str] | None = None,
    evaluators: str | Sequence[str] | None = None,
    evaluator_config: Mapping[str, Any] | None = None,
    extra_metrics: Sequence[EvaluationMetric] | None = None,
    custom_artifacts: Sequence[Callable[..., Any]] | None = None,
    env_manager: str = "local",
    model_config: Mapping[str, Any] | None = None,
    inference_params: Mapping[str, Any] | None = None,
    model_id: str | None = None,
    allow_code: bool | None = None,
) -> "EvaluationResult":
    """Evaluate a model, or predictions, on data; log the metrics, tables and figures to the active run or a new one.

    The metrics also become those of the logged model, with the data set's name, digest and schema, where promotion
    rules such as ``MetricAtLeast(…, dataset="holdout")`` find them. Give the data set its name with `data.from_pandas`.

    Args:
        model: A URI, a model of `pyfunc.load_model`, or a function from a DataFrame to predictions. Default: none, and
            `predictions` names a column of the data.
        data: A DataFrame, a data set of `data.from_pandas`, or a 2-D array or list of rows.
        model_type: ``classifier`` or ``regressor``. None computes only `extra_metrics`.
        targets: The column with the true values; for an array, the values. A data set names its own.
        predictions: The column with the predictions: of the data without a model, or of a model with several outputs.
        dataset_path: Where the data came from, a path or URI. Default: the running program.
        feature_names: The columns to predict from. Default: all except targets and predictions.
        evaluators: ``classifier``, ``regressor``, ``shap``, or a list of them. Default: the one of the model's type,
            and ``shap`` if it is installed.
        evaluator_config: Settings: ``pos_label``, ``label_list``, ``average``, ``sample_weights``, ``metric_prefix``,
            ``col_mapping``, ``max_classes_for_multiclass_roc_pr``, ``calibration_n_bins``,
            ``log_model_explainability``, ``explainability_algorithm``, ``explainability_nsamples``.
        extra_metrics: Metrics of `models.make_metric`.
        custom_artifacts: Functions of (frame, metrics, directory) that return files, tables, arrays or figures by name.
        env_manager: Only ``local``: the model runs in this process.
        model_config: Settings that overwrite those that the model was saved with.
        inference_params: Not supported: there are no endpoints here.
        model_id: The logged model that the metrics describe. Default: that of `model`.
        allow_code: Consent to run code from the model's files. Default: ``REGISTRY_ALLOW_CODE``, else False.

    Returns:
        The metrics, artifacts, tables and figures.

    Raises:
        InvalidParameterError: An argument is missing, or the data, labels or predictions do not fit each other.
        InvalidTypeError: A model, data or metric is of another type.
        NotFoundError: The URI leads to no model.
        CodeExecutionRefusedError: Loading the model would run code of it, without consent.
        MissingDependencyError: scikit-learn is not installed.

    Example:
        >>> holdout = mlflow.data.from_pandas(X.assign(won=y), targets="won", name="holdout")
        >>> result = mlflow.evaluate("models:/churn/3", holdout, model_type="classifier", evaluators="classifier")
        >>> result.metrics["example_count"], round(result.metrics["accuracy_score"], 2)
        (40.0, 0.95)
        >>> result.dataset.name, result.model_id == mlflow.resolve("models:/churn/3").model_id
        ('holdout', True)
    """
    if data is None:
        raise InvalidParameterError("The data argument cannot be None.")
    if env_manager != "local":
        raise InvalidParameterError(f"env_manager {env_manager!r} is not supported; the model runs in this process.")
    if inference_params is not None:
        raise InvalidParameterError("inference_params are for endpoints, which are not here; leave them out.")
    from registry.evaluation.run_evaluation import run_evaluation

    return run_evaluation(
        model,
        data,
        model_type=model_type,
        targets=targets,
        predictions=predictions,
        dataset_path=dataset_path,
        feature_names=feature_names,
        evaluators=evaluators,
        evaluator_config=evaluator_config,
        extra_metrics=extra_metrics,
        custom_artifacts=custom_artifacts,
        model_config=model_config,
        model_id=model_id,
        allow_code=allow_code,
    )


def compare_models(
    models: Sequence[Any],
    data: Any,
    targets: Any = None,
    *,
    metric: "str | EvaluationMetric",
    confidence: float = 0.95,
    resamples: int = 9_999,
    seed: int = 0,
    predictions: str | None = None,
    feature_names: Sequence[str] | None = None,
    evaluator_config: Mapping[str, Any] | None = None,
    allow_code: bool | None = None,
) -> "ModelComparison":
    """Compare models on the same rows, with a bootstrap interval of the difference.

    The rows are drawn anew `resamples` times, with the predictions of both models (paired bootstrap, percentile
    interval). The result is stored as evidence of each challenger that is a logged model; `BetterThanHolder` is judged
    on it. Each challenger has an interval of its own: of twenty that are no better, one will seem different.

    Args:
        models: Models as `evaluate` takes them: the challengers, then the one that they are compared with.
        data: A DataFrame, a data set of `data.from_pandas`, or a 2-D array or list of rows.
        targets: The column with the true values; for an array, the values. A data set names its own.
        metric: ``f1_score``, ``accuracy_score``, ``roc_auc``, ``log_loss``, ``root_mean_squared_error`` or another of
            `evaluate`'s metrics, or one of `models.make_metric`. ``f1``, ``auc``, ``rmse`` and the like are taken too.
        confidence: The level of the interval, between 0 and 1.
        resamples: How often the rows are drawn anew, from 1,000 to 1,000,000.
        seed: The seed of the draws. The same call gives the same interval.
        predictions: The column of a model with several outputs.
        feature_names: The columns to predict from. Default: all except targets.
        evaluator_config: ``pos_label`` and ``label_list``.
        allow_code: Consent to run code from the models' files. Default: ``REGISTRY_ALLOW_CODE``, else False.

    Returns:
        The differences with their intervals, as values, a DataFrame (`to_frame`) or a figure (`figure`).

    Raises:
        InvalidParameterError: The metric is unknown or needs probabilities that a model lacks, or an argument is out of
            its range.
        NotFoundError: A URI leads to no model.

    Example:
        >>> holdout = mlflow.data.from_pandas(X.assign(won=y), targets="won", name="holdout")
        >>> challengers = ["models:/churn/3", "models:/churn/Production"]
        >>> comparison = mlflow.compare_models(challengers, holdout, metric="f1_score")
        >>> difference = comparison.differences[0]
        >>> difference.low <= difference.difference <= difference.high
        True
        >>> client.set_promotion_rules("churn", "Production", [registry.BetterThanHolder("f1_score", "holdout")])
        >>> client.check_promotion("churn", 3, "Production")[0].passed == difference.is_better
        True
    """
    from registry.evaluation.comparison import compare_models as compare_now

    return compare_now(
        models,
        data,
        targets,
        metric=metric,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        predictions=predictions,
        feature_names=feature_names,
        evaluator_config=evaluator_config,
        allow_code=allow_code,
    )
