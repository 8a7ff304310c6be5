"""Autologging of LightGBM: `lightgbm.train`, and the scikit-learn wrappers, which call it."""

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
from registry.autologging.training_data import Examples, describe_data, signature_of
from registry.entities import DatasetInput
from registry.flavors.optional_imports import optional_import

NAME: Final = "lightgbm"
# Arguments of `train` that are objects, not settings. MLflow's list.
_NOT_PARAMS: Final = {
    "params",
    "train_set",
    "valid_sets",
    "valid_names",
    "fobj",
    "feval",
    "init_model",
    "learning_rates",
    "callbacks",
}
_IMPORTANCES: Final = ("split", "gain")
_examples: Final = Examples("Dataset")


def patch(patches: Patches, options: Options) -> None:
    """Patch an imported lightgbm."""
    lightgbm = optional_import("lightgbm", "lightgbm")
    patches.wrap(lightgbm.Dataset, "__init__", _examples.keep)
    patches.wrap(lightgbm, "train", functools.partial(_train, options, True))
    patches.wrap(lightgbm.sklearn, "train", functools.partial(_train, options, False))
    base = lightgbm.LGBMModel
    for kind in vars(lightgbm.sklearn).values():
        if isinstance(kind, type) and issubclass(kind, base):
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
    training = Training.begin(NAME, options, "lightgbm.train", wrapped)
    if training is None:
        return wrapped(*args, **kwargs)
    with training:
        if not training.has_run:
            return wrapped(*args, **kwargs)
        given = arguments(wrapped, args, kwargs)
        record = TrainRecord(training, given)
        training.attempt("params were not logged", record.log_params)
        training.attempt("data sets were not logged", record.log_datasets)
        call = training.attempt("metrics of rounds are not logged", record.with_callback, wrapped, args, kwargs)
        booster = wrapped(*args, **kwargs) if call is None else call()
        record.log_results(booster, logs_model=logs_model and options.log_models)
    return booster


class TrainRecord:
    """What is logged of one call of `lightgbm.train`."""

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
        described = _describe(self._given["train_set"], "train", None)
        sets = self._given.get("valid_sets") or ()
        names = self._given.get("valid_names") or [None] * len(sets)
        for dataset, name in zip(sets, names, strict=False):
            described += _describe(dataset, "eval", name)
        self._training.log_datasets(described)

    def with_callback(
        self, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Callable[[], Any]:
        """Return the call with a callback of ours, which does not change what LightGBM does to those of the user."""
        add = guarded(self._add_round, self._training.note)
        callbacks = list(self._given.get("callbacks") or ())
        names = list(self._given)
        position = names.index("callbacks") if "callbacks" in names else len(args)
        # LightGBM numbers callbacks from the end of the list, so ours comes first.
        own = RoundCallback(add, order=-len(callbacks) - 1)
        if position < len(args):
            args = (*args[:position], [own, *callbacks], *args[position + 1 :])
        else:
            kwargs = {**kwargs, "callbacks": [own, *callbacks]}
        return functools.partial(wrapped, *args, **kwargs)

    def _add_round(self, step: int, metrics: Mapping[str, Any]) -> None:
        self._rounds.add(step, metrics)

    def log_results(self, booster: Any, *, logs_model: bool) -> None:
        """Log what there is after training: metrics, importances and the model."""
        training = self._training
        keys = training.attempt("metrics of rounds were not logged", self._finish, booster) or []
        for kind in _IMPORTANCES:
            training.attempt(f"feature_importance_{kind} was not logged", self._log_importance, booster, kind)
        if logs_model:
            training.attempt("the model was not logged", self._log_model, booster, keys)

    def _finish(self, booster: Any) -> list[str]:
        """Write the metrics of the last rounds, and the best iteration, which LightGBM counts from 1."""
        best = booster.best_iteration
        reported = {"stopped_iteration": len(self._rounds), "best_iteration": best}
        return self._rounds.finish(best - 1 if best > 0 else None, reported)

    def _log_importance(self, booster: Any, kind: str) -> None:
        values = booster.feature_importance(importance_type=kind).tolist()
        importances = dict(zip(booster.feature_name(), values, strict=True))
        self._training.log_chart(
            functools.partial(charts.importance_chart, importances, kind), f"feature_importance_{kind}.png"
        )
        self._training.log_text(json.dumps(importances, indent=2), f"feature_importance_{kind}.json")

    def _log_model(self, booster: Any, keys: list[str]) -> None:
        described = boosting.example_and_signature(
            self._training,
            lambda: _examples.of(self._given["train_set"]),
            lambda example: signature_of(example, booster.predict),
        )
        dataset = self._given["train_set"]
        described |= boosting.reference_files(
            self._training, lambda: (_examples.data_of(dataset), dataset.get_label()), booster.predict
        )
        self._training.log_model(NAME, booster, metric_keys=keys, **described)


class RoundCallback:
    """Pass the metrics of each round on to a function. LightGBM calls callbacks by their `order`."""

    before_iteration = False

    def __init__(self, receive: Callable[[int, Mapping[str, Any]], None], order: int) -> None:
        self._receive = receive
        self.order = order

    def __call__(self, environment: Any) -> None:
        """Pass the metrics of the round on."""
        results = environment.evaluation_result_list or ()
        metrics = {f"{data}-{metric}": value for data, metric, value, *_ in results}
        self._receive(environment.iteration, metrics)


def _describe(dataset: Any, context: str, name: str | None) -> list[DatasetInput]:
    return describe_data(dataset.data, dataset.label, name=name, context=context)
