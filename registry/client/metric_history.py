"""Whole series at once: the points of a metric from arrays, for loading data rather than logging it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from registry.client.base import ClientBase
from registry.client.values import now_ms
from registry.entities.naming import check_key, check_run_id
from registry.exceptions import InvalidParameterError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers: TypeAlias = Sequence[float] | NDArray[Any]

_FITS: Final = 2.0**63


class MetricHistoryMethods(ClientBase):
    """What a client does with whole series."""

    def log_metric_history(
        self, run_id: str, key: str, steps: "Numbers", values: "Numbers", timestamps: "Numbers | None" = None
    ) -> None:
        """Append points to a metric, as many as there are values: all or none, durable when it returns.

        Args:
            run_id: an active run.
            key: the metric.
            steps: shape (n,), whole numbers of 64 bits.
            values: shape (n,), numbers; NaN and infinities are kept.
            timestamps: shape (n,), milliseconds since the epoch; now for all by default.

        Raises:
            InvalidParameterError: the shapes differ, or an array has something else than such numbers.
            RunNotFoundError: no such run.
        """
        numbers = _array(values, "values", whole=False)
        whole_steps = _array(steps, "steps", whole=True)
        given = [now_ms()] * len(numbers) if timestamps is None else _array(timestamps, "timestamps", whole=True)
        if not len(whole_steps) == len(given) == len(numbers):
            raise InvalidParameterError(
                f"The arrays of metric {key!r} differ in length: {len(whole_steps)} steps, {len(numbers)} values, "
                f"{len(given)} timestamps."
            )
        if timestamps is not None and given and min(given) < 0:
            raise InvalidParameterError(f"The timestamp {min(given)} of metric {key!r} is negative.")
        checked = check_run_id(run_id), check_key(key, "name")
        self.backend.runs.log_history(*checked, steps=whole_steps, timestamps=given, values=numbers)


def _array(given: "Numbers", what: str, *, whole: bool) -> list[Any]:
    """Python numbers, which drivers take faster than NumPy's."""
    import numpy as np

    try:
        array = np.asarray(given)
        if array.size == 0 and array.ndim == 1:
            return []
        if array.ndim != 1 or array.dtype.kind not in ("iuf" if whole else "iufb"):
            raise InvalidParameterError(f"{what} must be a one-dimensional array of numbers, got {_short(array)}.")
        return _whole(array, what) if whole else list(array.astype(np.float64).tolist())
    except (TypeError, ValueError) as error:
        raise InvalidParameterError(f"{what} cannot be read as an array of numbers: {error}.") from None


def _whole(array: "NDArray[Any]", what: str) -> list[int]:
    import numpy as np

    if array.dtype.kind == "f" and not bool(np.all(array == np.trunc(array))):
        raise InvalidParameterError(f"{what} must be whole numbers, got {_short(array)}.")
    if array.dtype.kind != "i" and not bool(np.all(np.abs(array.astype(np.float64)) < _FITS)):
        raise InvalidParameterError(f"{what} must fit into 64 bits, got {_short(array)}.")
    return list(array.astype(np.int64).tolist())


def _short(array: "np.ndarray[Any, Any]") -> str:
    return f"shape {array.shape}, type {array.dtype}"
