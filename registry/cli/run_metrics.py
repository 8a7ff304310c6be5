"""``registry runs metrics``: the curves of metrics."""

from dataclasses import dataclass
from typing import Annotated, Final

import typer

from registry.cli import output
from registry.cli.formatting import moment
from registry.cli.options import RunTarget, open_client
from registry.cli.output import Column
from registry.cli.runs import app
from registry.cli.targets import find_run


@dataclass(frozen=True, slots=True)
class Point:
    """A value of a metric at a step; `timestamp` is in milliseconds since the epoch."""

    key: str
    step: int
    timestamp: int
    value: float


@app.command(
    "metrics",
    examples=[
        "registry runs metrics 3f2a loss",
        "registry runs metrics 3f2a loss auc --csv --max-points 500 > curve.csv",
    ],
)
def metrics(
    run: RunTarget,
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY...]", help="Metrics; by default all of the run.")
    ] = None,
    max_points: Annotated[
        int | None,
        typer.Option(
            "--max-points",
            metavar="N",
            min=15,
            help="At most so many points of each, chosen so that a plot looks the same. By default all.",
        ),
    ] = None,
) -> None:
    """Show all values of metrics in the order of their steps."""
    from registry.exceptions import NotFoundError

    client = open_client()
    found = find_run(client, run)
    for key in keys or ():
        if key not in found.data.metrics:
            from registry.validation.names import nearest

            close = nearest(key, found.data.metrics)
            raise NotFoundError(f"The run {found.info.run_id} has no metric {key!r}.{close}")
    frame = client.get_metric_history_frame(found.info.run_id, keys or None, max_points=max_points)
    milliseconds = frame["timestamp"].astype("int64" if frame.empty else "datetime64[ms, UTC]").astype("int64")
    columns = (frame["key"], frame["step"], milliseconds, frame["value"])
    points = [Point(str(k), int(s), int(t), float(v)) for k, s, t, v in zip(*columns, strict=True)]
    output.listing(points, _COLUMNS, nothing="No metrics.", ids=lambda point: point.value)


_COLUMNS: Final[tuple[Column[Point], ...]] = (
    Column("metric", lambda point: point.key, whole=True),
    Column("step", lambda point: point.step, whole=True, right=True),
    Column("value", lambda point: point.value, whole=True, right=True),
    Column("time (UTC)", lambda point: moment(point.timestamp), whole=True, leaves=1),
)
