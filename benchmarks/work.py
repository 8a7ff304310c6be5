"""List the measured works, how often each is measured, and the ratios that docs/benchmarks.md promises.

A work is a method of that name in `workers`; its figure is the time of one operation.
"""

from dataclasses import dataclass
from typing import Final

SQLITE: Final = "sqlite"
WAL: Final = "sqlite, WAL"
POSTGRES: Final = "postgresql"
EVERYWHERE: Final = (SQLITE, WAL, POSTGRES)


@dataclass(frozen=True, slots=True)
class Work:
    """One row of the table; `faster` and `slower` are the promised ratios to MLflow and to the raw floor."""

    name: str
    title: str
    count: int
    quick: int
    faster: dict[str, float]
    slower: float | None = None
    databases: tuple[str, ...] = EVERYWHERE
    against: str | None = None  # the work of MLflow to compare with, if it has another name
    raw: bool = True
    s3: bool = False


def _targets(sqlite: float, wal: float | None = None, postgres: float | None = None) -> dict[str, float]:
    return {SQLITE: sqlite, WAL: wal or sqlite, POSTGRES: postgres or sqlite}


_BOTH: Final = (SQLITE, POSTGRES)
_ANY: Final = (SQLITE,)

WORKS: Final = (
    Work("run", "run with 10 params and 10 metrics, start to end", 60, 20, _targets(3, 8, 5), 2.5),
    Work("log_metric", "log_metric, one at a time", 300, 100, _targets(2.5, 6, 4), 2),
    Work("log_batch", "log_batch, 1,000 points", 10, 4, _targets(15), 2.5),
    Work("log_async", "log_metric, synchronous=False", 20_000, 5_000, _targets(50), against="log_metric", raw=False),
    Work("search", "search_runs, filter and order, top 5", 10, 5, _targets(10), 3, _BOTH),
    Work("frame", "search_runs, 1,000 runs into a DataFrame", 2, 1, _targets(15), 3, _BOTH),
    Work("resolve", "models:/name/Production to a version", 40, 10, _targets(10), 3, _BOTH),
    Work("create_version", "create_model_version of a logged model", 60, 20, _targets(1.5, 3, 2), 3),
    Work("transition", "transition to Production, holder archived", 60, 20, _targets(3), 3),
    Work("register_model", 'register_model("runs:/…")', 40, 10, _targets(5), raw=False),
    Work("load_from_s3", "pyfunc.load_model from S3, second time", 10, 4, _targets(5), None, _ANY, None, False, True),
    Work("predict", "PyFuncModel.predict, 1,000 × 20, against bare xgboost", 100, 30, {}, 2, _ANY),
)
