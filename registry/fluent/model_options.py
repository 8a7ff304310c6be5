"""The keyword arguments that `save_model` and `log_model` of every flavor share."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypedDict, TypeVar, cast

from registry.entities.signature import ModelSignature

F = TypeVar("F", bound=Callable[..., Any])


class EnvironmentOptions(TypedDict, total=False):
    """Options that are stored beside the files of any model."""

    pip_requirements: Any
    extra_pip_requirements: Any
    metadata: Mapping[str, Any] | None


class SaveOptions(EnvironmentOptions, total=False):
    """Options of every flavor's `save_model`."""

    signature: ModelSignature | Literal[False] | None
    input_example: Any


class LogOptions(EnvironmentOptions, total=False):
    """Options of every flavor's `log_model`."""

    await_registration_for: int | None
    name: str | None
    params: Mapping[str, Any] | None
    tags: Mapping[str, Any] | None
    model_type: str | None
    step: int
    reference: Any
    model_id: str | None


class FileOptions(TypedDict, total=False):
    """Options of flavors whose models may have more files."""

    extra_files: Sequence[str | Path] | None


class SaveFilesOptions(SaveOptions, FileOptions, total=False):
    """`SaveOptions` with `FileOptions`."""


class LogFilesOptions(LogOptions, FileOptions, total=False):
    """`LogOptions` with `FileOptions`."""


_DEFAULTS: Final = {"await_registration_for": 300, "step": 0}


def takes(options: type[Any], *, others: str | None = None) -> Callable[[F], F]:
    """Show a function's ``**options`` as the keyword arguments of a TypedDict, and refuse all others.

    Args:
        options: The TypedDict whose keys the function takes.
        others: The name of the ``**kwargs`` that the function shows, if it takes other keywords too.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        head = [parameter for parameter in signature.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
        shared = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS.get(key), annotation=annotation)
            for key, annotation in inspect.get_annotations(options).items()
        ]
        rest = [inspect.Parameter(others, inspect.Parameter.VAR_KEYWORD)] if others else []
        documented = signature.replace(parameters=[*head, *shared, *rest])

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not others and (unknown := kwargs.keys() - documented.parameters.keys()):
                raise TypeError(f"{function.__name__}() got an unexpected keyword argument {min(unknown)!r}")
            return function(*args, **kwargs)

        call.__signature__ = documented  # type: ignore[attr-defined]  # what inspect.signature reads
        return cast(F, call)

    return decorate
