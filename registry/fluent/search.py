"""Module-level search functions. They return all results; the client returns pages."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

from registry.client.tracking.dataframes import check_format
from registry.entities import ViewType
from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.fluent import state
from registry.fluent.experiments import active_experiment_id
from registry.validation.arguments import check_list

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from registry.entities import Experiment, LoggedModel, PagedList, Run
    from registry.entities.model_registry import ModelVersion, RegisteredModel

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
) -> list["Experiment"]:
    """Return the experiments that match a filter.

    Args:
        view_type: ``ViewType.ACTIVE_ONLY`` (the default), ``DELETED_ONLY`` or ``ALL``.
        max_results: The most experiments to return. Default: all.
        filter_string: A filter such as ``"name LIKE 'games%'"``. Default: no filter.
        order_by: Sort keys such as ``["name ASC"]``. Default: creation time, newest first.

    Returns:
        A list of experiments.

    Raises:
        InvalidFilterError: The filter or a sort key cannot be parsed.

    Example:
        >>> [experiment.name for experiment in mlflow.search_experiments(filter_string="name LIKE 'g%'")]
        ['games']
    """
    client = state.client()
    return _collect_pages(
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
) -> list["Run"]: ...


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
    """Return the runs that match a filter as a DataFrame, a list or an Arrow table.

    Args:
        experiment_ids: The ids of the experiments to search in. Default: the active experiment.
        filter_string: A filter such as ``"metrics.auc > 0.75 AND params.max_depth = '4'"``. Default: no filter.
        run_view_type: ``ViewType.ACTIVE_ONLY`` (the default), ``DELETED_ONLY`` or ``ALL``.
        max_results: The most runs to return. Default: 100,000.
        order_by: Sort keys such as ``["metrics.auc DESC"]``. Default: start time, newest first.
        output_format: ``pandas`` (the default), ``list`` or ``arrow``.
        search_all_experiments: Search in all active experiments, if neither ids nor names are given. Default: False.
        experiment_names: Names instead of ids. A name that does not exist is skipped, with a warning.
        columns: The columns of the table, such as ``["run_id", "metrics.f1", "params.*"]``; see
            `MlflowClient.search_runs_frame`. Only these are read. Default: MLflow's columns.

    Returns:
        A DataFrame or Arrow table with a row per run, or a list of runs.

    Raises:
        InvalidFilterError: The filter or a sort key cannot be parsed.
        InvalidParameterError: Ids and names are both given, or the format, a column or the view is unknown.
        MissingDependencyError: ``arrow`` needs the package pyarrow.

    Example:
        >>> columns = ["run_name", "metrics.auc", "params.max_depth"]
        >>> mlflow.search_runs(filter_string="metrics.auc > 0.77", columns=columns).round(2)
          run_name  metrics.auc params.max_depth
        0  depth-4         0.80                4
        1  depth-3         0.78                3
        >>> best = mlflow.search_runs(order_by=["metrics.auc DESC"], max_results=1, output_format="list")
        >>> best[0].info.run_name
        'depth-4'
    """
    if check_format(output_format, "list") == "list" and columns is not None:
        raise InvalidParameterError("columns= is for DataFrames and Arrow tables; a list has whole runs. Leave it out.")
    client = state.client()
    ids = _experiment_ids(experiment_ids, experiment_names, everywhere=search_all_experiments)
    if output_format == "list":
        return _collect_pages(
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
) -> list["RegisteredModel"]:
    """Return the registered models that match a filter.

    Args:
        max_results: The most models to return. Default: all.
        filter_string: A filter such as ``"tags.team = 'analytics'"``. Default: no filter.
        order_by: Sort keys such as ``["last_updated_timestamp DESC"]``. Default: by name.

    Returns:
        A list of models with their tags, aliases and latest versions.

    Raises:
        InvalidFilterError: The filter or a sort key cannot be parsed.

    Example:
        >>> [model.name for model in mlflow.search_registered_models(filter_string="name LIKE 'ch%'")]
        ['churn']
    """
    client = state.client()
    return _collect_pages(
        lambda size, token: client.search_registered_models(filter_string, size, order_by, token), max_results, _PAGE
    )


def search_model_versions(
    max_results: int | None = None, filter_string: str | None = None, order_by: Sequence[str] | None = None
) -> list["ModelVersion"]:
    """Return the model versions that match a filter.

    Args:
        max_results: The most versions to return. Default: all.
        filter_string: A filter such as ``"name = 'churn' AND stage = 'Production'"``; see
            `MlflowClient.search_model_versions`. Default: no filter.
        order_by: Sort keys such as ``["version_number DESC"]``. Default: last update, newest first.

    Returns:
        A list of versions with their tags and aliases.

    Raises:
        InvalidFilterError: The filter or a sort key cannot be parsed.

    Example:
        >>> versions = mlflow.search_model_versions(filter_string="name = 'churn' AND metrics.auc > 0.77")
        >>> sorted(version.version for version in versions)
        [2, 3]
    """
    client = state.client()
    return _collect_pages(
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
) -> list["LoggedModel"]: ...


def search_logged_models(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str | None = None,
    datasets: Sequence[Mapping[str, str]] | None = None,
    max_results: int | None = None,
    order_by: Sequence[Mapping[str, Any]] | None = None,
    output_format: Literal["pandas", "list"] = "pandas",
) -> Any:
    """Return the logged models that match a filter as a DataFrame or a list.

    Args:
        experiment_ids: The ids of the experiments to search in. Default: the active experiment.
        filter_string: A filter such as ``"name = 'model' AND metrics.auc > 0.75"``. Default: no filter.
        datasets: Data sets on which the filter's metrics must have been measured; see
            `MlflowClient.search_logged_models`.
        max_results: The most models to return. Default: all.
        order_by: Sort keys such as ``[{"field_name": "metrics.auc", "ascending": False}]``. Default: creation time,
            newest first.
        output_format: ``pandas`` (the default) or ``list``.

    Returns:
        A DataFrame with a row per logged model, or a list of logged models.

    Raises:
        InvalidFilterError: The filter or a sort key cannot be parsed.
        InvalidParameterError: The format is unknown, or a data set has no name.

    Example:
        >>> order_by = [{"field_name": "metrics.auc", "ascending": False}]
        >>> models = mlflow.search_logged_models(order_by=order_by, output_format="list")
        >>> [model.params["max_depth"] for model in models]
        ['4', '3', '2']
    """
    if output_format not in ("pandas", "list"):
        raise InvalidParameterError(
            f"Unsupported output format: {output_format!r}. Supported string values are 'pandas' or 'list'."
        )
    client = state.client()
    ids = experiment_ids or [active_experiment_id()]
    models = _collect_pages(
        lambda size, token: client.search_logged_models(ids, filter_string, datasets, size, order_by, token),
        max_results,
        _PAGE,
    )
    if output_format == "list":
        return models
    import pandas as pd

    return pd.DataFrame([{**model.to_dictionary(), "status": str(model.status)} for model in models])


def _experiment_ids(
    experiment_ids: Sequence[str] | None, names: Sequence[str] | None, *, everywhere: bool
) -> Sequence[str]:
    if experiment_ids and names:
        raise InvalidParameterError("Only experiment_ids or experiment_names can be used, but not both.")
    if experiment_ids:
        return experiment_ids
    if names:
        return _find_ids([names] if isinstance(names, str) else check_list(names, "experiment_names", str))
    return [experiment.experiment_id for experiment in search_experiments()] if everywhere else [active_experiment_id()]


def _find_ids(names: Sequence[str]) -> list[str]:
    ids = []
    for name in names:
        experiment = state.client().get_experiment_by_name(name)
        if experiment is None:
            _logger.warning("Cannot retrieve experiment by name %s", name)
        else:
            ids.append(experiment.experiment_id)
    return ids


def _collect_pages(page: Callable[[int, str | None], "PagedList[T]"], max_results: int | None, size: int) -> list[T]:
    """Return the results of all pages, or the first `max_results`; ask for pages of `size`."""
    if max_results is not None and not isinstance(max_results, int):
        raise InvalidTypeError(f"max_results must be an integer, got {max_results!r}.")
    collected: list[T] = []
    token: str | None = None
    while True:
        page_size = size if max_results is None else min(size, max_results - len(collected))
        results = page(page_size, token)
        collected += results
        token = results.token
        if token is None or (max_results is not None and len(collected) >= max_results):
            return collected
