"""Searching: MLflow's module-level functions for it. They return all results; the client has pages."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

from registry.client.tracking.dataframes import check_format
from registry.entities import Experiment, LoggedModel, PagedList, Run, ViewType
from registry.entities.model_registry import ModelVersion, RegisteredModel
from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.fluent import state
from registry.fluent.experiments import active_experiment_id
from registry.validation.arguments import check_list

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

T = TypeVar("T")

MAX_FRAME: Final = 100_000
_PAGE: Final = 1_000
_RUN_PAGE: Final = 10_000
_logger = logging.getLogger("registry")


def search_experiments(
    view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: Sequence[str] | None = None,
) -> list[Experiment]:
    """All experiments that a filter finds, or the first `max_results`; without an order the newest come first.

    Raises:
        InvalidFilterError: the filter or the order is not of the language.
    """
    client = state.client()
    return _all(
        lambda size, token: client.search_experiments(view_type, size, filter_string, order_by, token),
        max_results,
        _PAGE,
    )


@overload
def search_runs(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = MAX_FRAME,
    order_by: Sequence[str] | None = None,
    output_format: Literal["pandas"] = "pandas",
    search_all_experiments: bool = False,
    experiment_names: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> "pd.DataFrame": ...


@overload
def search_runs(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = MAX_FRAME,
    order_by: Sequence[str] | None = None,
    *,
    output_format: Literal["list"],
    search_all_experiments: bool = False,
    experiment_names: Sequence[str] | None = None,
) -> list[Run]: ...


@overload
def search_runs(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = MAX_FRAME,
    order_by: Sequence[str] | None = None,
    *,
    output_format: Literal["arrow"],
    search_all_experiments: bool = False,
    experiment_names: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> "pa.Table": ...


def search_runs(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = MAX_FRAME,
    order_by: Sequence[str] | None = None,
    output_format: Literal["pandas", "list", "arrow"] = "pandas",
    search_all_experiments: bool = False,
    experiment_names: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> Any:
    """The runs of some experiments, by default of the active one, as a DataFrame, a list or an Arrow table.

    Experiments are given by id or by name; a name that does not exist is skipped with a warning.
    `search_all_experiments` means all active ones and counts only without ids and names. `columns` says which columns a
    DataFrame has, such as ``["run_id", "metrics.f1", "params.*"]``; only these are read (see
    `MlflowClient.search_runs_frame` for all that there are).

    Raises:
        InvalidParameterError: ids and names are both given, or there is no such format, column or view.
        InvalidFilterError: the filter or the order is not of the language.
        MissingDependencyError: Arrow is asked for and pyarrow is not installed.
    """
    if check_format(output_format, "list") == "list" and columns is not None:
        raise InvalidParameterError("columns= is for DataFrames and Arrow tables; a list has whole runs. Leave it out.")
    client = state.client()
    ids = _experiment_ids(experiment_ids, experiment_names, everywhere=search_all_experiments)
    if output_format == "list":
        return _all(
            lambda size, token: client.search_runs(ids, filter_string, run_view_type, size, order_by, token),
            max_results,
            _RUN_PAGE,
        )
    return client.search_runs_frame(
        ids,
        filter_string=filter_string,
        run_view_type=run_view_type,
        max_results=max_results,
        order_by=order_by,
        columns=columns,
        output_format=output_format,
    )


def search_registered_models(
    max_results: int | None = None, filter_string: str | None = None, order_by: Sequence[str] | None = None
) -> list[RegisteredModel]:
    """All registered models that a filter finds, or the first `max_results`; without an order by name.

    Raises:
        InvalidFilterError: the filter or the order is not of the language.
    """
    client = state.client()
    return _all(
        lambda size, token: client.search_registered_models(filter_string, size, order_by, token), max_results, _PAGE
    )


def search_model_versions(
    max_results: int | None = None, filter_string: str | None = None, order_by: Sequence[str] | None = None
) -> list[ModelVersion]:
    """All model versions that a filter finds, or the first `max_results`; without an order the last updated come first.

    Raises:
        InvalidFilterError: the filter or the order is not of the language.
    """
    client = state.client()
    return _all(
        lambda size, token: client.search_model_versions(filter_string, size, order_by, token), max_results, _RUN_PAGE
    )


@overload
def search_logged_models(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str | None = None,
    datasets: Sequence[Mapping[str, str]] | None = None,
    max_results: int | None = None,
    order_by: Sequence[Mapping[str, Any]] | None = None,
    output_format: Literal["pandas"] = "pandas",
) -> "pd.DataFrame": ...


@overload
def search_logged_models(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str | None = None,
    datasets: Sequence[Mapping[str, str]] | None = None,
    max_results: int | None = None,
    order_by: Sequence[Mapping[str, Any]] | None = None,
    *,
    output_format: Literal["list"],
) -> list[LoggedModel]: ...


def search_logged_models(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str | None = None,
    datasets: Sequence[Mapping[str, str]] | None = None,
    max_results: int | None = None,
    order_by: Sequence[Mapping[str, Any]] | None = None,
    output_format: Literal["pandas", "list"] = "pandas",
) -> Any:
    """The logged models of some experiments, by default of the active one, as a DataFrame or a list.

    See `MlflowClient.search_logged_models` for `datasets` and `order_by`.

    Raises:
        InvalidParameterError: there is no such format, or a data set has no name.
        InvalidFilterError: the filter or the order is not of the language.
    """
    if output_format not in ("pandas", "list"):
        raise InvalidParameterError(
            f"Unsupported output format: {output_format!r}. Supported string values are 'pandas' or 'list'."
        )
    client = state.client()
    ids = experiment_ids or [active_experiment_id()]
    found = _all(
        lambda size, token: client.search_logged_models(ids, filter_string, datasets, size, order_by, token),
        max_results,
        _PAGE,
    )
    if output_format == "list":
        return found
    import pandas as pd

    return pd.DataFrame([{**model.to_dictionary(), "status": str(model.status)} for model in found])


def _experiment_ids(
    experiment_ids: Sequence[str] | None, names: Sequence[str] | None, *, everywhere: bool
) -> Sequence[str]:
    if experiment_ids and names:
        raise InvalidParameterError("Only experiment_ids or experiment_names can be used, but not both.")
    if experiment_ids:
        return experiment_ids
    if names:
        return _ids_of([names] if isinstance(names, str) else check_list(names, "experiment_names", str))
    return [found.experiment_id for found in search_experiments()] if everywhere else [active_experiment_id()]


def _ids_of(names: Sequence[str]) -> list[str]:
    ids = []
    for name in names:
        found = state.client().get_experiment_by_name(name)
        if found is None:
            _logger.warning("Cannot retrieve experiment by name %s", name)
        else:
            ids.append(found.experiment_id)
    return ids


def _all(page: Callable[[int, str | None], PagedList[T]], max_results: int | None, size: int) -> list[T]:
    """The results of all pages, or of as many as are needed."""
    if max_results is not None and not isinstance(max_results, int):
        raise InvalidTypeError(f"max_results must be an integer, got {max_results!r}.")
    found: list[T] = []
    token: str | None = None
    while True:
        wanted = size if max_results is None else min(size, max_results - len(found))
        results = page(wanted, token)
        found += results
        token = results.token
        if token is None or (max_results is not None and len(found) >= max_results):
            return found
