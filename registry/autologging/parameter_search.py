"""What is logged of a search for parameters, such as `GridSearchCV`: the best model, the results, child runs."""

import copy
import time
from collections.abc import Mapping
from numbers import Number
from typing import Any

from registry.autologging import estimators
from registry.autologging.training import AUTOLOGGING, Training, points
from registry.client.tracking.runs import PARENT_RUN_ID
from registry.entities import Metric
from registry.flavors.optional_imports import optional_import
from registry.fluent.run_context_tags import context_tags


def is_search(estimator: Any) -> bool:
    """Tell whether an estimator searches for parameters by cross-validation."""
    return isinstance(estimator, optional_import("sklearn.model_selection", "sklearn")._search.BaseSearchCV)


def logged_params(estimator: Any) -> dict[str, Any]:
    """Return the params of an estimator; of a grid or random search, as in MLflow, without those of its estimator."""
    selection = optional_import("sklearn.model_selection", "sklearn")
    is_shallow = isinstance(estimator, selection.GridSearchCV | selection.RandomizedSearchCV)
    return dict(estimator.get_params(deep=not is_shallow))


def best_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the best parameters under MLflow's names."""
    return {f"best_{name}": value for name, value in params.items()}


def log_search(training: Training, search: Any, described: Mapping[str, Any]) -> None:
    """Log the best estimator, the best score, the table of results, and a child run for each of the best settings."""
    best_model_id = None
    best_estimator = getattr(search, "best_estimator_", None)
    if best_estimator is not None and training.options.log_models:
        best_model_id = training.attempt(
            "the best estimator was not logged", _log_best_estimator, training, best_estimator, described
        )
    if hasattr(search, "best_score_"):
        training.log_metrics({"best_cv_score": search.best_score_})
    if hasattr(search, "best_params_"):
        training.log(params=best_params(search.best_params_))
    if hasattr(search, "cv_results_"):
        results = _table(search.cv_results_)
        training.log_text(results.to_csv(index=False), "cv_results.csv")
        children = ChildRuns(training, search, results, best_model_id)
        training.in_background("child runs of the search were not logged", children.log)


def _log_best_estimator(training: Training, estimator: Any, described: Mapping[str, Any]) -> str:
    params = estimator.get_params(deep=True)
    return estimators.log_estimator(training, estimator, "best_estimator", params=params, **described)


def _table(results: Mapping[str, Any]) -> Any:
    import pandas as pd

    # A masked array keeps the fill value that it was asked for: read from a copy.
    return pd.DataFrame(copy.deepcopy(dict(results)))


class ChildRuns:
    """The child runs of a search. All values are read before the fit returns; the runs are made in the background."""

    def __init__(self, training: Training, search: Any, results: Any, best_model_id: str | None) -> None:
        self._training = training
        self._best_model_id = best_model_id
        self._end_time = int(time.time() * 1_000)
        seed = search.estimator
        self._tags = {
            **context_tags(),
            **estimators.estimator_tags(seed),
            AUTOLOGGING: training.integration,
            PARENT_RUN_ID: training.run_id,
        }
        base = logged_params(seed)
        best = getattr(search, "best_params_", None)
        self._rows = [
            ({**base, **row["params"]}, _metrics(row), row["params"] == best)
            for _, row in _best_rows(results, training.options.max_tuning_runs).iterrows()
        ]
        self._texts = [training._texts(params) for params, _, _ in self._rows]

    def log(self) -> None:
        """Create the runs, ended."""
        training = self._training
        datasets = training.client.get_run(training.run_id).inputs.dataset_inputs
        for texts, (_, metrics, is_best) in zip(self._texts, self._rows, strict=True):
            run = training.client.create_run(training.experiment_id, start_time=training.start_time, tags=self._tags)
            run_id = run.info.run_id
            training.client.log_batch(run_id, params=_params(texts), synchronous=True)
            training.client.log_batch(run_id, metrics=self._points(metrics, is_best), synchronous=True)
            training.client.log_inputs(run_id, datasets)
            training.client.set_terminated(run_id, "FINISHED", self._end_time)

    def _points(self, metrics: Mapping[str, Any], is_best: bool) -> list[Metric]:
        model_id = self._best_model_id if is_best else None
        return [
            Metric(point.key, point.value, point.timestamp, point.step, model_id) for point in points(metrics, step=0)
        ]


def _params(texts: Mapping[str, str]) -> list[Any]:
    from registry.entities import Param

    return [Param(key, value) for key, value in texts.items()]


def _best_rows(results: Any, limit: int | None) -> Any:
    """Return the rows of the best ranks; of several scores the first one ranks, as in MLflow."""
    if limit is None:
        return results
    ranks = [name for name in results.columns if name.startswith("rank_test_")]
    return results.nsmallest(limit, "rank_test_score" if "rank_test_score" in ranks else ranks[0])


def _metrics(row: Any) -> dict[str, Any]:
    """Return the figures of a row, without those of single splits."""
    return {
        name: value
        for name, value in row.items()
        if isinstance(value, Number) and not name.startswith(("param", "split"))
    }
