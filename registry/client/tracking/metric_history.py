"""Client methods that write and read whole metric histories as arrays and DataFrames."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from registry.client.base import ClientBase
from registry.client.tracking.dataframes import utc_times
from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.validation.names import check_key, check_run_id
from registry.validation.values import now_ms

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from registry.store.tracking.metrics.sample import Series, Steps

    Numbers: TypeAlias = Sequence[float] | NDArray[Any]

_FITS: Final = 2.0**63


class MetricHistoryMethods(ClientBase):
    """Client methods for whole metric histories."""

    def log_metric_history(
        self, run_id: str, key: str, steps: "Numbers", values: "Numbers", timestamps: "Numbers | None" = None
    ) -> None:
        """Append many points to one metric in one transaction.

        Use it to load data that is at hand as arrays. All points are durable when the call returns, or none is written.

        Args:
            run_id: The run's id.
            key: The metric's key.
            steps: Shape (n,), integers of 64 bits.
            values: Shape (n,), numbers. NaN and infinities are kept.
            timestamps: Shape (n,), milliseconds since the epoch. Default: now, for all points.

        Raises:
            InvalidParameterError: The lengths differ, or an array is not one-dimensional or has other values.
            RunNotFoundError: No run has this id.

        Example:
            >>> client.log_metric_history(run_id, "loss", steps=np.arange(3), values=[0.9, 0.5, 0.4])
            >>> [point.value for point in client.get_metric_history(run_id, "loss")]
            [0.9, 0.5, 0.4]
        """
        numbers = _to_numbers(values, "values", whole=False)
        whole_steps = _to_numbers(steps, "steps", whole=True)
        times = [now_ms()] * len(numbers) if timestamps is None else _to_numbers(timestamps, "timestamps", whole=True)
        if not len(whole_steps) == len(times) == len(numbers):
            raise InvalidParameterError(
                f"The arrays of metric {key!r} differ in length: {len(whole_steps)} steps, {len(numbers)} values, "
                f"{len(times)} timestamps."
            )
        if timestamps is not None and times and min(times) < 0:
            raise InvalidParameterError(f"The timestamp {min(times)} of metric {key!r} is negative.")
        checked = check_run_id(run_id), check_key(key, "name")
        self.backend.runs.log_history(*checked, steps=whole_steps, timestamps=times, values=numbers)

    def get_metric_history_frame(
        self,
        run_ids: str | Iterable[str],
        keys: str | Iterable[str] | None = None,
        *,
        max_points: int | None = None,
        steps: tuple[int, int] | None = None,
    ) -> "pd.DataFrame":
        """Return the points of metrics of one or many runs as one DataFrame.

        Args:
            run_ids: One run id, or several.
            keys: One metric key, or several. Default: all metrics of these runs.
            max_points: The most points per series, at least 15. None (the default) returns all. A longer series is
                sampled by the database so that a plot looks the same: steps are cut into intervals of equal width (the
                time, if all points have one step), and the minimum, the maximum and one NaN of each are kept, with the
                first and the last step.
            steps: The first and the last step to return. Default: all. With `max_points`, the sample is of these
                steps, so it is finer.

        Returns:
            A DataFrame with a row per point and the columns ``run_id``, ``key``, ``step`` (int64), ``timestamp`` (UTC)
            and ``value`` (float64). Rows are in the order of `run_ids` and `keys` (by name if `keys` is left out), then
            by step, timestamp and value. A metric that a run does not have adds no rows.

        Raises:
            RunNotFoundError: A run does not exist.
            InvalidParameterError: `max_points` is not an integer of at least 15, or `steps` is not a pair of integers.

        Example:
            >>> frame = client.get_metric_history_frame(run_ids, "auc")
            >>> frame.groupby("run_id", sort=False)["value"].max().round(2).tolist()
            [0.76, 0.78, 0.8]
        """
        from registry.store.tracking.metrics.sample import LEAST_SAMPLE

        checked = [check_run_id(run_id) for run_id in _to_list(run_ids, "run_ids")]
        names = None if keys is None else [check_key(key, "name") for key in _to_list(keys, "keys")]
        if max_points is not None and (type(max_points) is not int or max_points < LEAST_SAMPLE):
            raise InvalidParameterError(
                f"max_points must be a whole number of at least {LEAST_SAMPLE}, got {max_points!r}; None gives all."
            )
        return _to_frame(self.backend.series.read(checked, names, max_points, _check_steps(steps)))


def _check_steps(steps: object) -> "Steps":
    from registry.store.tracking.metrics.sample import ALL_STEPS

    if steps is None:
        return ALL_STEPS
    if isinstance(steps, tuple) and len(steps) == 2:
        first, last = steps
        if type(first) is int and type(last) is int and max(-first, last) < _FITS:
            return first, last
    raise InvalidParameterError(f"steps must be the first and the last step, such as (0, 99), got {steps!r}.")


def _to_list(texts: str | Iterable[str], what: str) -> list[str]:
    if isinstance(texts, str):
        return [texts]
    if not isinstance(texts, Iterable):
        raise InvalidTypeError(f"{what} must be a text or a list of texts, got {texts!r}.")
    return list(dict.fromkeys(texts))


def _to_frame(histories: Sequence["Series"]) -> "pd.DataFrame":
    import numpy as np
    import pandas as pd

    lengths = [len(series.steps) for series in histories]

    def texts(values: list[str]) -> "pd.Series[str]":
        return pd.Series(np.repeat(np.array(values, dtype=object), lengths), dtype=pd.Series([""]).dtype)

    def numbers(arrays: list[Any], dtype: Any) -> "NDArray[Any]":
        return np.concatenate([np.empty(0, dtype), *(np.frombuffer(array, dtype) for array in arrays)])

    return pd.DataFrame(
        {
            "run_id": texts([series.run_id for series in histories]),
            "key": texts([series.key for series in histories]),
            "step": numbers([series.steps for series in histories], np.int64),
            "timestamp": utc_times(numbers([series.timestamps for series in histories], np.int64)),
            "value": numbers([series.values for series in histories], np.float64),
        }
    )


def _to_numbers(numbers: "Numbers", what: str, *, whole: bool) -> list[Any]:
    """Return plain Python numbers: drivers bind them faster than NumPy's."""
    import numpy as np

    try:
        array = np.asarray(numbers)
        if array.size == 0 and array.ndim == 1:
            return []
        if array.ndim != 1 or array.dtype.kind not in ("iuf" if whole else "iufb"):
            raise InvalidParameterError(f"{what} must be a one-dimensional array of numbers, got {_describe(array)}.")
        return _to_integers(array, what) if whole else list(array.astype(np.float64).tolist())
    except (TypeError, ValueError) as error:
        raise InvalidParameterError(f"{what} cannot be read as an array of numbers: {error}.") from None


def _to_integers(array: "NDArray[Any]", what: str) -> list[int]:
    import numpy as np

    if array.dtype.kind == "f" and not bool(np.all(array == np.trunc(array))):
        raise InvalidParameterError(f"{what} must be whole numbers, got {_describe(array)}.")
    if array.dtype.kind != "i" and not bool(np.all(np.abs(array.astype(np.float64)) < _FITS)):
        raise InvalidParameterError(f"{what} must fit into 64 bits, got {_describe(array)}.")
    return list(array.astype(np.int64).tolist())


def _describe(array: "np.ndarray[Any, Any]") -> str:
    return f"shape {array.shape}, type {array.dtype}"
