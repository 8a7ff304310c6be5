"""The URIs under which mlflow reaches a registry, and the errors that it expects.

mlflow chooses a store by the scheme of its tracking URI, so a registry's place has a scheme of its own there:
``registry+sqlite:///registry.db``, ``registry+postgresql://user@host/database`` or ``registry+file:///srv/mlruns``.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2
from mlflow.store.entities.paged_list import PagedList

from registry.client import MlflowClient
from registry.exceptions import RegistryError

PREFIX: Final = "registry+"
MODEL_SCHEME: Final = "registry-model"
"""The scheme of the artifact URIs of logged models and model versions: ``registry-model:/<model id>``."""

P = ParamSpec("P")
R = TypeVar("R")


@functools.lru_cache(maxsize=32)
def open_client(uri: str) -> MlflowClient:
    """Return the client of a registry that mlflow names by ``registry+…``.

    Raises:
        MlflowException: The place cannot hold a registry.
    """
    place = uri.removeprefix(PREFIX)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The variable MLFLOW_")  # mlflow sets them for itself
        return translate_errors(MlflowClient)(place, registry_uri=place)


def current_store_uri(tracking_uri: str | None, registry_uri: str | None) -> str:
    """Return the ``registry+…`` URI that an artifact of a model belongs to: one that is given, else mlflow's own.

    Raises:
        MlflowException: mlflow uses another store.
    """
    for uri in (registry_uri, tracking_uri, mlflow.get_registry_uri(), mlflow.get_tracking_uri()):
        if uri is not None and uri.startswith(PREFIX):
            return uri
    raise MlflowException.invalid_parameter_value(
        f"Models at {MODEL_SCHEME}: URIs are in a registry; set mlflow's tracking URI to it ({PREFIX}sqlite:///… or "
        f"{PREFIX}postgresql://…)."
    )


def translate_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that raises the registry's errors as mlflow's, with the same message and error code."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except RegistryError as error:
            raise MlflowException(error.message, error_code=_code(error)) from error

    return call


def translate_class(cls: type[Any]) -> type[Any]:
    """Let every public method that a class itself defines raise mlflow's errors."""
    for name, member in list(vars(cls).items()):
        if callable(member) and (not name.startswith("_") or name in ("_search_runs", "_search_datasets")):
            setattr(cls, name, translate_errors(member))
    return cls


def refusal(name: str, reason: str) -> Callable[..., Any]:
    """Return a method that raises mlflow's error for what a store does not support."""

    def refuse(_self: Any, *_args: Any, **_kwargs: Any) -> Any:
        raise MlflowException(
            f"{name} is not supported by the registry: {reason}", error_code=databricks_pb2.NOT_IMPLEMENTED
        )

    return refuse


def without_items(_self: Any, *_args: Any, **_kwargs: Any) -> Any:
    """Return an empty page: a method that lists what a registry does not have."""
    return PagedList([], None)


def _code(error: RegistryError) -> Any:
    return databricks_pb2.ErrorCode.Value(error.error_code)
