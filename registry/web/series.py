"""Sampled series as JSON, for the charts.

Guarantees: no answer has more points than the chart has pixels, whatever the series holds. A series that takes long to
sample comes as a sketch first, and the chart asks again for the extremes.
"""

import math
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from registry.client import MlflowClient
from registry.exceptions import InvalidParameterError
from registry.store.tracking.metrics.sample import ALL_STEPS, LEAST_SAMPLE, Series, Steps
from registry.validation.names import check_key, check_run_id
from registry.web.pages import client_of, number_of

MAX_RUNS: Final = 200
MAX_KEYS: Final = 20
MAX_WIDTH: Final = 4_000
# All points of an answer: what a browser draws in a moment, and a quarter of a megabyte of JSON.
MAX_POINTS: Final = 10_000
SKETCH_OVER: Final = 100_000
_MAX_DIGITS: Final = 19


def list_series(request: Request) -> Response:
    """Return series of runs; ``points`` is the width of the chart, ``low`` and ``high`` the steps that it shows.

    Times are sent if they are asked for by ``times=1``: they are a third of the answer.
    """
    query = request.query_params
    run_ids, keys = list(dict.fromkeys(query.getlist("run"))), list(dict.fromkeys(query.getlist("key")))
    if not 0 < len(run_ids) <= MAX_RUNS or not 0 < len(keys) <= MAX_KEYS:
        raise InvalidParameterError(f"Name 1 to {MAX_RUNS} runs (run=…) and 1 to {MAX_KEYS} metrics (key=…).")
    width = number_of(request, "points", 500, at_most=MAX_WIDTH)
    series = read_series(
        client_of(request), run_ids, keys, width, _steps(request), is_exact=query.get("exact", "") == "1"
    )
    has_times = query.get("times", "") == "1"
    return JSONResponse({"series": [_as_json(one, has_times=has_times) for one in series]})


def read_series(
    client: MlflowClient,
    run_ids: Sequence[str],
    keys: Sequence[str],
    width: int,
    steps: Steps = ALL_STEPS,
    *,
    is_exact: bool = False,
) -> list[Series]:
    """Read series with at most `width` points each, fewer if there are many series.

    Raises:
        RunNotFoundError: A run does not exist.
    """
    checked = [check_run_id(run_id) for run_id in run_ids]
    names = [check_key(key, "key") for key in keys]
    points = max(LEAST_SAMPLE, min(width, MAX_POINTS // (len(checked) * len(names))))
    return client.backend.series.read(checked, names, points, steps, None if is_exact else SKETCH_OVER)


def _steps(request: Request) -> Steps:
    low, high = (_step(request, name, default) for name, default in zip(("low", "high"), ALL_STEPS, strict=True))
    return low, high


def _step(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _MAX_DIGITS:
        raise InvalidParameterError(f"The parameter {name!r} of the address must be a step, not {text[:40]!r}.")
    return min(max(int(text), ALL_STEPS[0]), ALL_STEPS[1])


def _as_json(series: Series, *, has_times: bool) -> dict[str, Any]:
    return {
        "run": series.run_id,
        "key": series.key,
        "steps": list(series.steps),
        "times": list(series.timestamps) if has_times else None,
        "values": list(finite(series.values)),
        "sketch": series.is_sketch,
    }


def finite(values: "array[float]") -> Iterable[float | None]:
    """Yield the values; None for NaN and infinities, which are gaps in a chart."""
    return (value if math.isfinite(value) else None for value in values)


routes: Final = [Route("/series.json", list_series)]
