"""Metrics that are computed after training: calls of `sklearn.metrics` and of `score` on a logged model's predictions.

A metric is logged to the run of the model whose prediction is among its arguments. Its name is MLflow's:
``accuracy_score_X_test``, ``accuracy_score-2_X_test`` for the second call.
"""

import contextlib
import functools
import inspect
import logging
import numbers
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final

from registry.autologging.options import Options
from registry.autologging.patching import Patches, unwrapped
from registry.autologging.training import Training, is_training, points, without_autologging
from registry.autologging.training_data import ByIdentity, describe_data
from registry.client import MlflowClient
from registry.entities import Metric

PREDICT_METHODS: Final = ("predict", "predict_proba", "transform", "predict_log_proba")
# These return no measure, or wrap functions that do.
_NO_METRICS: Final = ("check_scoring", "get_scorer", "make_scorer", "get_scorer_names")
# A model that predicts in a loop would fill its run with data sets.
MAX_DATASETS: Final = 50
_logger = logging.getLogger("registry.autologging")


@dataclass(slots=True)
class FittedModel:
    """A trained estimator's run, and what was measured of it so far."""

    client: MlflowClient
    run_id: str
    model_id: str | None
    is_silent: bool
    data_names: dict[str, list[ByIdentity]] = field(default_factory=dict)
    calls: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    datasets: set[str] = field(default_factory=set)
    lock: Any = field(default_factory=threading.RLock)

    def name_of_data(self, data: Any, variable: str) -> str:
        """Return the name of data: that of its variable, with a number if other data had it before."""
        with self.lock:
            known = self.data_names.setdefault(variable, [])
            for position, entry in enumerate(known):
                if entry.find(data) is not None:
                    return _numbered(variable, position)
            entry = ByIdentity()
            with contextlib.suppress(TypeError):  # lists and the like cannot be recognised
                entry.set(data, True)
            known.append(entry)
            return _numbered(variable, len(known) - 1)

    def log_metric(self, metric: str, data_name: str, call: str, value: Any) -> None:
        """Log a metric to the run and to the model, and keep the call in ``metric_info.json``."""
        with self.lock:
            calls = self.calls.setdefault(metric, [])
            key = f"{_numbered(metric, len(calls))}_{data_name}"
            calls.append((key, call))
            described = dict(sorted(entry for entries in self.calls.values() for entry in entries))
        [point] = points({key: value}, step=0)
        if self.model_id is None:
            self.client.log_batch(self.run_id, [point], synchronous=True)
        self.client._backend_for_logging.tasks.put(functools.partial(self._store, point, described))

    def _store(self, point: Metric, described: dict[str, str]) -> None:
        if self.model_id is not None:  # its row may have waited for its upload until now
            named = Metric(point.key, point.value, point.timestamp, point.step, self.model_id)
            _guarded(self, self._log_point, named, point)
        _guarded(self, self.client.log_dict, self.run_id, described, "metric_info.json")

    def _log_point(self, named: Metric, point: Metric) -> None:
        from registry.exceptions import LoggedModelNotFoundError

        try:
            self.client.log_batch(self.run_id, [named], synchronous=True)
        except LoggedModelNotFoundError:  # its upload failed, and was told of
            self.client.log_batch(self.run_id, [point], synchronous=True)

    def log_dataset(self, data: Any) -> None:
        """Record data that the model has predicted from, once."""
        described = describe_data(data, context="eval")
        with self.lock:
            new = [item for item in described if item.dataset.digest not in self.datasets]
            self.datasets.update(item.dataset.digest for item in new)
        if new:
            self.client._backend_for_logging.runs.log_inputs(self.run_id, datasets=new, models=())


@dataclass(frozen=True, slots=True)
class Prediction:
    """Where a prediction came from."""

    model: FittedModel
    data_name: str


_models = ByIdentity()
_predictions = ByIdentity()


def remember_estimator(estimator: Any, training: Training) -> None:
    """Remember the run of an estimator that was just trained."""
    if training.options.log_post_training_metrics:
        model = FittedModel(training.client, training.run_id, training.model_id, training.options.silent)
        training.attempt("metrics after training are not logged", _models.set, estimator, model)


def patch_estimator(patches: Patches, kind: type, options: Options) -> None:
    """Patch the methods of an estimator's class that predict or score."""
    if not options.log_post_training_metrics:
        return
    for name in PREDICT_METHODS:
        patches.wrap(kind, name, functools.partial(_predict, options.log_datasets))
    patches.wrap(kind, "score", _score)


def patch_metrics(patches: Patches, metrics: Any) -> None:
    """Patch the functions of the imported module `sklearn.metrics`."""
    for name in metrics.__all__:
        function = unwrapped(getattr(metrics, name))
        if callable(function) and not inspect.isclass(function) and name not in _NO_METRICS:
            patches.wrap(metrics, name, _metric)


def _predict(
    logs_datasets: bool, wrapped: Callable[..., Any], estimator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    model = _active_model(estimator)
    if model is None:
        return wrapped(*args, **kwargs)
    prediction = without_autologging(wrapped, *args, **kwargs)
    data = _first_argument(args, kwargs)
    _guarded(model, _remember_prediction, model, data, prediction, inspect.currentframe())
    if logs_datasets and len(model.datasets) < MAX_DATASETS:
        _guarded(model, model.log_dataset, data)
    return prediction


def _remember_prediction(model: FittedModel, data: Any, prediction: Any, frame: FrameType | None) -> None:
    name = model.name_of_data(data, variable_name(data, frame, "unknown_dataset"))
    _predictions.set(prediction, Prediction(model, name))


def _score(wrapped: Callable[..., Any], estimator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    model = _active_model(estimator)
    if model is None:
        return wrapped(*args, **kwargs)
    value = without_autologging(wrapped, *args, **kwargs)
    if _is_measure(value):
        _guarded(model, _log_score, model, wrapped, estimator, args, kwargs, value, inspect.currentframe())
    return value


def _log_score(
    model: FittedModel,
    wrapped: Callable[..., Any],
    estimator: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    value: Any,
    frame: FrameType | None,
) -> None:
    kind = type(estimator).__name__
    data = _first_argument(args, kwargs)
    call = _describe_call(f"{kind}.score", wrapped, args, kwargs, frame)
    model.log_metric(
        f"{kind}_score", model.name_of_data(data, variable_name(data, frame, "unknown_dataset")), call, value
    )


def _metric(wrapped: Callable[..., Any], _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if is_training():
        return wrapped(*args, **kwargs)
    value = without_autologging(wrapped, *args, **kwargs)
    if _is_measure(value):
        found = (_predictions.find(argument) for argument in [*args, *kwargs.values()])
        prediction = next((entry for entry in found if entry is not None), None)
        if prediction is not None:
            _guarded(prediction.model, _log_metric, prediction, wrapped, args, kwargs, value, inspect.currentframe())
    return value


def _log_metric(
    prediction: Prediction,
    wrapped: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    value: Any,
    frame: FrameType | None,
) -> None:
    call = _describe_call(wrapped.__name__, wrapped, args, kwargs, frame)
    prediction.model.log_metric(wrapped.__name__, prediction.data_name, call, value)


def _active_model(estimator: Any) -> FittedModel | None:
    """Return what is remembered of an estimator, unless this call is a part of another."""
    if is_training():
        return None
    model: FittedModel | None = _models.find(estimator)
    return model


def _guarded(model: FittedModel, function: Callable[..., Any], *args: Any) -> None:
    try:
        function(*args)
    except Exception as error:  # noqa: BLE001 - the user's call goes on
        if not model.is_silent:
            _logger.warning("A metric or data set of run %s was not logged: %s", model.run_id, error)


def _is_measure(value: Any) -> bool:
    return isinstance(value, numbers.Number) and not isinstance(value, bool | complex)


def _first_argument(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[0] if args else next(iter(kwargs.values()), None)


def _numbered(name: str, position: int) -> str:
    return name if position == 0 else f"{name}-{position + 1}"


def variable_name(value: Any, frame: FrameType | None, default: str) -> str:
    """Return the name of the variable that holds a value where the outermost call was made that it was passed to."""
    frame = frame.f_back if frame else None
    while frame is not None:
        code = frame.f_code
        count = code.co_argcount + code.co_kwonlyargcount
        names = code.co_varnames[:count]
        rest = code.co_varnames[count : count + bool(code.co_flags & 4) + bool(code.co_flags & 8)]
        local = frame.f_locals
        passed = [local.get(name) for name in names]
        for name in rest:
            extra = local.get(name)
            passed += list(extra.values()) if isinstance(extra, dict) else list(extra or ())
        if not any(item is value for item in passed):
            return next((name for name, item in local.items() if item is value), default)
        frame = frame.f_back
    return default


def _describe_call(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], frame: FrameType | None
) -> str:
    names = list(inspect.signature(function).parameters)
    given = [*zip(names, args, strict=False), *kwargs.items()]
    return f"{name}({', '.join(f'{key}={_describe(value, frame)}' for key, value in given)})"


def _describe(value: Any, frame: FrameType | None) -> str:
    if isinstance(value, str):
        return repr(value if len(value) <= 32 else f"{value[:32]}...")
    if value is None or isinstance(value, numbers.Number):
        return repr(value)
    return variable_name(value, frame, f"<{type(value).__name__}>")
