"""Autologging of XGBoost: `xgboost.train`, and the scikit-learn wrappers, which call it."""

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from registry.autologging import boosting, charts, estimators, post_training
from registry.autologging.boosting import arguments
from registry.autologging.options import Options
from registry.autologging.patching import Patches
from registry.autologging.rounds import RoundMetrics, guarded
from registry.autologging.training import Training
from registry.autologging.training_data import Examples, describe_array, describe_data, signature_of
from registry.entities import DatasetInput
from registry.flavors.optional_imports import optional_import

NAME: Final = "xgboost"
# Arguments of `train` that are objects, not settings. MLflow's list.
_NOT_PARAMS: Final = {
    "params",
    "dtrain",
    "evals",
    "obj",
    "feval",
    "evals_result",
    "xgb_model",
    "callbacks",
    "learning_rates",
}
_DIGESTED_VALUES: Final = 10_000
_examples: Final = Examples("DMatrix")


def patch(patches: Patches, options: Options) -> None:
    """Patch an imported xgboost."""
    xgboost = optional_import("xgboost", "xgboost")
    patches.wrap(xgboost.DMatrix, "__init__", _examples.keep)
    patches.wrap(xgboost, "train", functools.partial(_train, options, True))
    patches.wrap(xgboost.sklearn, "train", functools.partial(_train, options, False))
    base = xgboost.sklearn.XGBModel
    for kind in vars(xgboost.sklearn).values():
        if isinstance(kind, type) and issubclass(kind, base) and kind is not base:
            estimators.patch_methods(patches, kind, functools.partial(boosting.fit_wrapper, NAME, options))
            post_training.patch_estimator(patches, kind, options)


def _train(
    options: Options,
    logs_model: bool,
    wrapped: Callable[..., Any],
    _instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    training = Training.begin(NAME, options, "xgboost.train", wrapped)
    if training is None:
        return wrapped(*args, **kwargs)
    with training:
        if not training.has_run:
            return wrapped(*args, **kwargs)
        record = TrainRecord(training, arguments(wrapped, args, kwargs))
        training.attempt("params were not logged", record.log_params)
        training.attempt("data sets were not logged", record.log_datasets)
        callback = training.attempt("metrics of rounds are not logged", record.new_callback)
        if callback is not None:
            # Ours comes first: when a callback stops training, XGBoost does not call those after it.
            kwargs = {**kwargs, "callbacks": [callback, *(kwargs.get("callbacks") or ())]}
        booster = wrapped(*args, **kwargs)
        record.log_results(booster, logs_model=logs_model and options.log_models)
    return booster


class TrainRecord:
    """What is logged of one call of `xgboost.train`."""

    def __init__(self, training: Training, given: Mapping[str, Any]) -> None:
        self._training = training
        self._given = given
        self._rounds = RoundMetrics(training.client, training.run_id)

    def log_params(self) -> None:
        """Log the booster's params and the arguments that are settings."""
        settings = {name: value for name, value in self._given.items() if name not in _NOT_PARAMS}
        self._training.log(params={**dict(self._given.get("params") or {}), **settings})

    def log_datasets(self) -> None:
        """Log the identity of the data that training uses."""
        if not self._training.options.log_datasets:
            return
        described = _describe(self._given["dtrain"], "train", None)
        for matrix, name in self._given.get("evals") or ():
            described += _describe(matrix, "eval", name)
        self._training.log_datasets(described)

    def new_callback(self) -> Any:
        """Return the callback that keeps the metrics of each round."""
        return callback_class()(guarded(self._add_round, self._training.note))

    def _add_round(self, step: int, metrics: Mapping[str, Any]) -> None:
        self._rounds.add(step, metrics)

    def log_results(self, booster: Any, *, logs_model: bool) -> None:
        """Log what there is after training: metrics, importances and the model."""
        training = self._training
        keys = training.attempt("metrics of rounds were not logged", finish, self._rounds, booster) or []
        for kind in training.options.importance_types or ("weight",):
            training.attempt(f"feature_importance_{kind} was not logged", self._log_importance, booster, kind)
        if logs_model:
            training.attempt("the model was not logged", self._log_model, booster, keys)

    def _log_importance(self, booster: Any, kind: str) -> None:
        importances = booster.get_score(importance_type=kind)
        if importances:
            self._training.log_chart(
                functools.partial(charts.importance_chart, importances, kind), f"feature_importance_{kind}.png"
            )
        self._training.log_text(json.dumps(importances), f"feature_importance_{kind}.json")

    def _log_model(self, booster: Any, keys: list[str]) -> None:
        xgboost = optional_import("xgboost", "xgboost")
        options = self._training.options
        described = boosting.example_and_signature(
            self._training,
            lambda: _examples.of(self._given["dtrain"]),
            lambda example: signature_of(example, lambda data: booster.predict(xgboost.DMatrix(data))),
        )
        matrix = self._given["dtrain"]
        described |= boosting.reference_files(
            self._training,
            lambda: (_examples.data_of(matrix), matrix.get_label()),
            lambda data: booster.predict(xgboost.DMatrix(data, enable_categorical=True)),
        )
        self._training.log_model(NAME, booster, metric_keys=keys, model_format=options.model_format, **described)


def _describe(matrix: Any, context: str, name: str | None) -> list[DatasetInput]:
    """Describe the data of a DMatrix, as MLflow does: as an array of 32-bit floats."""
    import numpy as np

    xgboost = optional_import("xgboost", "xgboost")
    rows, columns = matrix.num_row(), matrix.num_col()
    needed = -(-_DIGESTED_VALUES // max(columns, 1))
    if type(matrix) is xgboost.DMatrix and rows > 2 * needed:
        # Copy the rows that the digest covers: a copy of all could fill the memory.
        head = matrix.slice(np.arange(needed), allow_groups=True).get_data().toarray()
        return describe_array(head, rows, name=name, context=context)
    return describe_data(matrix.get_data(), name=name, context=context)


def finish(rounds: RoundMetrics, booster: Any) -> list[str]:
    """Write the metrics of the last rounds, and the best iteration if training had early stopping."""
    try:
        best = int(booster.best_iteration)
    except AttributeError:
        return rounds.finish(None, {})
    return rounds.finish(best, {"stopped_iteration": len(rounds) - 1, "best_iteration": best})


@functools.cache
def callback_class() -> Any:
    """Return the class of callbacks that pass the metrics of each round on."""
    base: Any = optional_import("xgboost", "xgboost").callback.TrainingCallback

    class RoundCallback(base):  # type: ignore[misc]  # imported on first use
        """Call a function with the number and the metrics of each round."""

        def __init__(self, receive: Callable[[int, Mapping[str, Any]], None]) -> None:
            super().__init__()
            self._receive = receive

        def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Mapping[str, Any]]) -> bool:
            """Pass the metrics on; never stop the training."""
            del model
            self._receive(epoch, last_values(evals_log))
            return False

    return RoundCallback


def last_values(evals_log: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return the last value of each metric of each data set, under MLflow's name: ``validation-auc``."""
    values = {}
    for data, metrics in evals_log.items():
        for metric, history in metrics.items():
            last = history[-1]
            # `xgboost.cv` keeps pairs of mean and deviation.
            values[f"{data}-{metric}"] = float(last[0] if isinstance(last, tuple) else last)
    return values
