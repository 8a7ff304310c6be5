"""Calls inside of a training that must not be logged: joblib's threads, and cross-validation."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, Final

from registry.autologging.patching import Patches
from registry.autologging.training import is_training, without_autologging

# Functions of `sklearn.model_selection` that fit many times for one answer. MLflow's list.
_VALIDATION: Final = (
    "cross_validate",
    "cross_val_predict",
    "cross_val_score",
    "learning_curve",
    "permutation_test_score",
    "validation_curve",
)
# What these call for each fit: a function that was imported before `autolog` is no wrapper, but calls these.
_WORKERS: Final = ("_fit_and_score", "_fit_and_predict", "_incremental_fit_estimator", "_permutation_test_score")


def patch_validation(patches: Patches, module: Any) -> None:
    """Log nothing inside of cross-validation."""
    for name in _VALIDATION:
        patches.wrap(module, name, _suspend)
    for name in _WORKERS:
        patches.wrap(module._validation, name, _suspend)


def patch_joblib(patches: Patches, module: Any) -> None:
    """Let the threads that joblib starts inside of a training know that they are inside."""
    patches.wrap(module.Parallel, "__call__", _call_parallel)


def _suspend(wrapped: Callable[..., Any], _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return without_autologging(wrapped, *args, **kwargs)


def _call_parallel(wrapped: Callable[..., Any], parallel: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    # Other processes have no autologging, and need no wrapper that they would have to import.
    if is_training() and args and getattr(parallel._backend, "supports_sharedmem", False):
        args = (_nested(args[0]), *args[1:])
    return wrapped(*args, **kwargs)


def _nested(tasks: Iterable[Any]) -> Any:
    marked = ((functools.partial(without_autologging, function), args, kwargs) for function, args, kwargs in tasks)
    return list(marked) if hasattr(tasks, "__len__") else marked
