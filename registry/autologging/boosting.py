"""What integrations share: the arguments of a call, example and reference of a model, and fits of wrappers."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from registry.autologging import post_training
from registry.autologging.options import Options
from registry.autologging.training import Training
from registry.autologging.training_data import first_rows, signature_of
from registry.monitoring.reference_option import training_reference


def arguments(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[str, Any]:
    """Return the arguments of a call by name, with the defaults of those that were not given."""
    bound = inspect.signature(function).bind_partial(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def example_and_signature(
    training: Training, find_example: Callable[[], Any], find_signature: Callable[[Any], Any]
) -> dict[str, Any]:
    """Return the options `input_example` and `signature` of a model, as far as they are wanted and can be had."""
    options = training.options
    described: dict[str, Any] = {"signature": False}
    if not (options.log_input_examples or options.log_model_signatures):
        return described
    example = training.attempt("the model has no input example and no signature", find_example)
    if example is None:
        return described
    if options.log_input_examples:
        described["input_example"] = example
    if options.log_model_signatures:
        found = training.attempt("the model has no signature", find_signature, example)
        described["signature"] = False if found is None else found
    return described


def reference_files(
    training: Training, find_data: Callable[[], tuple[Any, Any]], predict: Callable[[Any], Any] | None
) -> dict[str, Any]:
    """Return the option `added_files` with the profile of the training data, if it is wanted and can be made."""
    if not training.options.log_reference:
        return {}

    def make() -> dict[str, bytes]:
        features, targets = find_data()
        return training_reference(features, targets, predict)

    files = training.attempt("the model has no reference for drift", make)
    return {} if files is None else {"added_files": files}


def fit_wrapper(
    integration: str,
    options: Options,
    wrapped: Callable[..., Any],
    estimator: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Fit a scikit-learn wrapper. Its own call of `train` logs all but the model."""
    call = f"{type(estimator).__name__}.fit"
    training = Training.begin(integration, options, call, estimator, inner=integration)
    if training is None:
        return wrapped(*args, **kwargs)
    with training:
        if not training.has_run:
            return wrapped(*args, **kwargs)
        features = args[0] if args else kwargs.get("X")
        targets = args[1] if len(args) > 1 else kwargs.get("y")
        example = training.attempt("the model has no input example and no signature", first_rows, features)
        result = wrapped(*args, **kwargs)
        if options.log_models:
            data = (features, targets)
            training.attempt("the model was not logged", _log_wrapper, training, estimator, example, data)
        post_training.remember_estimator(estimator, training)
    return result


def _log_wrapper(training: Training, estimator: Any, example: Any, data: tuple[Any, Any]) -> None:
    described: dict[str, Any] = {"signature": False}
    if example is not None:
        described = example_and_signature(training, lambda: example, lambda rows: signature_of(rows, estimator.predict))
    if training.integration == "xgboost":
        described["model_format"] = training.options.model_format
    described |= reference_files(training, lambda: data, estimator.predict)
    training.log_model(training.integration, estimator, metric_keys=_round_keys(estimator), **described)


def _round_keys(estimator: Any) -> list[str]:
    """Return the names of the metrics that `train` has logged for a wrapper."""
    results = vars(estimator).get("evals_result_") or vars(estimator).get("_evals_result") or {}
    rounds = [f"{data}-{metric}".replace("@", "_at_") for data, metrics in results.items() for metric in metrics]
    return [*rounds, "stopped_iteration", "best_iteration"]
