"""Tables of runs as DataFrames and Arrow tables.

Guarantees: the same runs give the same columns in the same order: attributes of runs, then metrics, params and tags,
each sorted by key; or the requested columns in the requested order.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from registry.exceptions import InvalidParameterError, MissingDependencyError
from registry.package_name import install_command
from registry.validation.arguments import check_list

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from registry.store.search import RunTable, TableColumns

FORMATS: Final = ("pandas", "arrow")
# MLflow's six columns; the others are optional.
DEFAULT_INFO: Final = ("run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time")
INFO: Final = (*DEFAULT_INFO, "run_name", "user_id", "lifecycle_stage")
TIMES: Final = ("start_time", "end_time")
GROUPS: Final = ("metrics", "params", "tags")
DEFAULT: Final = (*DEFAULT_INFO, "metrics.*", "params.*", "tags.*")


def check_columns(columns: Sequence[str] | None) -> tuple[str, ...]:
    """Return the requested column names without repeats; None stands for MLflow's columns.

    Raises:
        InvalidParameterError: A name is not in `INFO` and has no key after ``metrics.``, ``params.`` or ``tags.``.
        InvalidTypeError: `columns` is not a list of strings.
    """
    if columns is None:
        return DEFAULT
    names = check_list(columns, "columns", str)
    for name in names:
        group, _, key = name.partition(".")
        if name not in INFO and not (group in GROUPS and key):
            raise InvalidParameterError(
                f"Unknown column {name[:60]!r}; there are {', '.join(INFO)}, metrics.<key>, params.<key>, tags.<key>, "
                "and metrics.*, params.*, tags.* for all keys."
            )
    return tuple(dict.fromkeys(names))


def table_columns(names: Sequence[str]) -> "TableColumns":
    """Return the metric, param and tag keys that these columns read."""
    from registry.store.search import TableColumns

    def keys(group: str) -> frozenset[str] | None:
        requested = frozenset(name.partition(".")[2] for name in names if name.startswith(f"{group}."))
        return None if "*" in requested else requested

    return TableColumns(*map(keys, GROUPS))


def check_format(output_format: object, *more: str) -> str:
    """Return the name of a supported output format; `more` are formats besides `FORMATS`.

    Raises:
        InvalidParameterError: The format is unknown.
        MissingDependencyError: The format needs a package that is not installed.
    """
    allowed = (*more, *FORMATS)
    if output_format not in allowed:
        raise InvalidParameterError(
            f"Unsupported output format: {output_format!r}. Supported string values are "
            f"{', '.join(map(repr, allowed))}."
        )
    if output_format == "arrow":
        _pyarrow()
    return str(output_format)


def to_pandas(table: "RunTable", names: Sequence[str]) -> "pd.DataFrame":
    """Return a DataFrame: metrics are float64, NaN if missing; params and tags are text or None; times are in UTC."""
    import pandas as pd

    text = pd.Series([""]).dtype
    data: dict[str, Any] = {}
    for name, values in _columns(table, names):
        if name in TIMES:
            data[name] = _pandas_times(values)
        elif name.startswith("metrics."):
            data[name] = _doubles(values)
        else:
            data[name] = pd.Series(values, dtype=text)
    return pd.DataFrame(data, index=pd.RangeIndex(len(table.rows)), copy=False)


def to_arrow(table: "RunTable", names: Sequence[str]) -> "pa.Table":
    """Return an Arrow table: metrics are doubles, null if missing; params and tags are strings; times are in UTC."""
    import numpy as np

    pa = _pyarrow()
    data: dict[str, Any] = {}
    for name, values in _columns(table, names):
        if name in TIMES:
            data[name] = pa.array(values, pa.timestamp("ms", "UTC"))
        elif name.startswith("metrics."):
            numbers = _doubles(values)
            missing = np.isnan(numbers)
            missing[list(table.nans.get(name.removeprefix("metrics."), ()))] = False
            data[name] = pa.array(numbers, mask=missing)
        else:
            data[name] = pa.array(values, pa.string())
    return pa.table(data)


def _columns(table: "RunTable", names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    keys = {"metrics": table.metrics, "params": table.params, "tags": table.tags}
    for name in names:
        group, _, key = name.partition(".")
        if group not in keys:
            yield name, table.info(name)
            continue
        for each in keys[group] if key == "*" else (key,):
            yield f"{group}.{each}", table.metric(each) if group == "metrics" else table.text(group, each)


def _doubles(values: Any) -> "np.ndarray[Any, np.dtype[np.float64]]":
    import numpy as np

    return np.frombuffer(values, dtype=np.float64) if len(values) else np.empty(0)


def _pandas_times(milliseconds: Sequence[int | None]) -> "pd.DatetimeIndex":
    import numpy as np

    nat = np.iinfo(np.int64).min  # NumPy's NaT
    return utc_times(np.array([nat if value is None else value for value in milliseconds], dtype=np.int64))


def utc_times(milliseconds: "np.ndarray[Any, np.dtype[np.int64]]") -> "pd.DatetimeIndex":
    """Convert milliseconds since the epoch to UTC times, in pandas' default unit if all fit into it."""
    import pandas as pd

    # The default unit is nanoseconds in pandas 2, as in MLflow's frames, and microseconds in pandas 3.
    unit = pd.DatetimeIndex(["1970-01-01"]).unit
    times = pd.DatetimeIndex(milliseconds.view("datetime64[ms]"))
    with contextlib.suppress(pd.errors.OutOfBoundsDatetime):
        times = times.as_unit(unit)
    return times.tz_localize("UTC")


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingDependencyError(f"Arrow tables need the package pyarrow: {install_command('arrow')}.") from error
    return pyarrow
