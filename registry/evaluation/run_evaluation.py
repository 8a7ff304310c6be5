"""What `evaluate` does: measure a model on data, and record the figures with the model and the data set.

Guarantees: everything is computed and drawn before anything is stored; the metrics and their data set are stored in
one transaction.
"""

import io
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from registry.client import MlflowClient
from registry.client.artifacts.figures import draw_figure
from registry.evaluation.custom_artifacts import make_artifacts
from registry.evaluation.data import EvaluationData, read_data
from registry.evaluation.evaluators import check_model_type, read_config, run_evaluators
from registry.evaluation.metrics import Arguments, EvaluationMetric, MetricValue, aggregates, compute
from registry.evaluation.models import EvaluatedModel, open_model
from registry.evaluation.outcome import Evaluation, Outcome
from registry.evaluation.result import EvaluationArtifact, EvaluationResult
from registry.exceptions import InvalidParameterError, MissingDependencyError
from registry.fluent import state
from registry.fluent.runs import start_run
from registry.validation.arguments import check_list
from registry.validation.names import check_key

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TABLE = "eval_results_table"
_logger = logging.getLogger(__name__)


def run_evaluation(
    model: Any,
    data: Any,
    *,
    model_type: str | None,
    targets: Any,
    predictions: str | None,
    dataset_path: str | None,
    feature_names: Sequence[str] | None,
    evaluators: str | Sequence[str] | None,
    evaluator_config: Mapping[str, Any] | None,
    extra_metrics: Sequence[EvaluationMetric] | None,
    custom_artifacts: Sequence[Callable[..., Any]] | None,
    model_config: Mapping[str, Any] | None,
    model_id: str | None,
    allow_code: bool | None,
) -> EvaluationResult:
    """Evaluate a model; see `registry.evaluation.evaluate`, which describes the arguments."""
    checked_type = check_model_type(model_type)
    extra = check_list(extra_metrics, "extra_metrics", EvaluationMetric)
    if checked_type is None and not extra:
        raise InvalidParameterError("The extra_metrics argument must be specified if model_type is None.")
    names, config = read_config(evaluators, evaluator_config)
    prefix = _check_prefix(config)
    opened = None if model is None else open_model(model, allow_code=allow_code, model_config=model_config)
    evaluated_id = _choose_model_id(model_id, opened)
    read = read_data(
        data,
        targets=targets,
        predictions=predictions,
        feature_names=feature_names,
        has_model=model is not None,
        source=dataset_path,
    )
    if checked_type is not None and read.targets is None:
        raise InvalidParameterError(f"The targets argument must be specified for {checked_type} models.")
    evaluation = Evaluation(opened, read, read.targets, _predict(opened, read, predictions), config)
    outcome = run_evaluators(names, checked_type, evaluation)
    arguments = _arguments(evaluation, predictions)
    outcome.metrics = compute(extra, arguments, outcome.metrics)
    made = make_artifacts(check_list(custom_artifacts, "custom_artifacts", object), arguments, outcome.metrics)
    metrics = {f"{prefix}{name}": value for name, value in aggregates(outcome.metrics).items()}
    drawn = _draw(outcome, prefix)
    scores = _score_table(evaluation, outcome.metrics)
    with _run() as (client, run_id):
        client.log_evaluation(run_id, metrics, read.dataset, evaluated_id, context=prefix or None)
        writer = _ArtifactWriter(client, run_id)
        for name, (_, data_of_figure) in drawn.items():
            writer.write(name, f"{prefix}{name}.png", data_of_figure)
        for name, table in outcome.tables.items():
            writer.write(name, f"{prefix}{name}.csv", table.to_csv(index=False).encode())
        for name, (file, content) in made.items():
            writer.write(name, f"{prefix}{file}", content)
        if scores is not None:
            file = f"{prefix}{_TABLE}.json"
            client.log_table(run_id, scores, file)
            text = scores.to_json(orient="split", index=False)
            writer.artifacts[_TABLE] = EvaluationArtifact(writer.uri(file), text.encode())
        tables = outcome.tables if scores is None else {**outcome.tables, _TABLE: scores}
        return EvaluationResult(
            metrics,
            writer.artifacts,
            run_id,
            tables=tables,
            figures={name: figure for name, (figure, _) in drawn.items()},
            model_id=evaluated_id,
            dataset=read.dataset.to_evaluated(),
        )


class _ArtifactWriter:
    """Writes files of one run."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.client = client
        self.run_id = run_id
        self.root = client.get_run(run_id).info.artifact_uri.rstrip("/")
        self.artifacts: dict[str, EvaluationArtifact] = {}

    def uri(self, file: str) -> str:
        return f"{self.root}/{PurePosixPath(file)}"

    def write(self, name: str, file: str, data: bytes) -> None:
        if name in self.artifacts:
            raise InvalidParameterError(
                f"An artifact named {name!r} is made already; give that of custom_artifacts another name."
            )
        self.client.log_stream(self.run_id, io.BytesIO(data), file)
        self.artifacts[name] = EvaluationArtifact(self.uri(file), data)


@contextmanager
def _run() -> Iterator[tuple[MlflowClient, str]]:
    """Yield the client and id of the active run, or of a new one that ends with the block."""
    active = state.active_with_client()
    if active is not None:
        yield active[1], active[0].info.run_id
        return
    with start_run() as run:
        yield state.client(), run.info.run_id


def _check_prefix(config: Mapping[str, Any]) -> str:
    prefix = config.get("metric_prefix") or ""
    if prefix:
        check_key(f"{prefix}x" if isinstance(prefix, str) else prefix, "metric_prefix")
    return str(prefix)


def _choose_model_id(given: str | None, model: EvaluatedModel | None) -> str | None:
    found = None if model is None else model.model_id
    if given is not None and found is not None and given != found:
        raise InvalidParameterError(
            f"The specified value of the 'model_id' parameter {given!r} contradicts the model_id {found!r} associated "
            "with the model. Leave model_id out."
        )
    return given or found


def _predict(model: EvaluatedModel | None, data: EvaluationData, column: str | None) -> "np.ndarray[Any, Any]":
    if model is not None:
        return model.predictions(data.features, column)
    if data.predictions is None:
        raise InvalidParameterError(
            "Either a model or predictions are needed: give model=…, or the column of the data that holds the "
            "predictions, predictions='…'."
        )
    return data.predictions


def _arguments(evaluation: Evaluation, predictions: str | None) -> Arguments:
    dataset = evaluation.data.dataset
    index = evaluation.data.features.index
    truth = evaluation.data.targets
    return Arguments(
        predictions=pd.Series(list(evaluation.predicted), index=index),
        targets=None if truth is None else pd.Series(truth, index=index),
        features=evaluation.data.features,
        config=evaluation.config,
        targets_name=dataset.targets,
        predictions_name=predictions or dataset.predictions,
    )


def _draw(outcome: Outcome, prefix: str) -> "dict[str, tuple[Figure, bytes]]":
    """Draw the figures; without matplotlib there are none, and one warning."""
    drawn: dict[str, tuple[Figure, bytes]] = {}
    for name, draw in outcome.figures.items():
        try:
            figure = draw()
        except MissingDependencyError as error:
            _logger.warning("No figures are drawn: %s", error)
            return {}
        drawn[name] = (figure, draw_figure(figure, f"{prefix}{name}.png", {"bbox_inches": "tight"}))
    return drawn


def _score_table(evaluation: Evaluation, metrics: Mapping[str, MetricValue]) -> pd.DataFrame | None:
    """Return the data with predictions and the scores of each row, or None if no metric scores rows."""
    columns: dict[str, Any] = {}
    for name, value in metrics.items():
        if value.scores:
            columns[f"{name}/score"] = value.scores
        if value.justifications:
            columns[f"{name}/justification"] = value.justifications
    if not columns:
        return None
    dataset = evaluation.data.dataset
    data = {dataset.predictions or "outputs": evaluation.predicted, **columns}
    if evaluation.data.targets is not None:
        data = {dataset.targets or "target": evaluation.data.targets, **data}
    wrong = [name for name, values in data.items() if len(values) != len(evaluation.data.features)]
    if wrong:
        raise InvalidParameterError(f"{wrong} must have one value per row of the data.")
    return evaluation.data.features.assign(**data)
