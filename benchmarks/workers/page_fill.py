"""Fill a database for the benchmark of the page, bypassing the library: ``page_fill.py URL RUNS KEYS POINTS COMPARED``.

Experiment 1 gets RUNS runs; each has ten metrics and ten params out of KEYS keys. The newest run of them has all metric
keys and a series ``loss`` of POINTS points. The COMPARED runs before it share twenty metrics of 500 points each.
"""

import random
import sqlite3
import sys
from collections.abc import Iterator
from typing import Any, Final

Rows = Iterator[tuple[Any, ...]]
NOW: Final = 1_750_000_000_000
PER_RUN: Final = 10
SHARED: Final = 20
SHARED_POINTS: Final = 500


def tables(runs: int, keys: int, points: int, compared: int) -> Iterator[tuple[str, str, Rows]]:
    """Return the tables with their columns and rows, parents first."""
    yield (
        "experiments",
        "id, name, artifact_location, lifecycle_stage, creation_time, last_update_time",
        iter([(1, "filled", "/tmp/filled/1", "active", NOW, NOW)]),
    )
    columns = "id, run_id, experiment_id, name, user_id, status, start_time, end_time, lifecycle_stage"
    numbers = range(1, runs + 1)
    statuses = ("FINISHED",) * 8 + ("FAILED", "RUNNING")
    yield (
        "runs",
        columns,
        (
            (
                n,
                f"{n:032x}",
                1,
                f"run-{n}",
                "bulk",
                statuses[n % 10],
                NOW + 60_000 * n,
                NOW + 60_000 * n + 30_000,
                "active",
            )
            for n in numbers
        ),
    )
    half = max(keys // 2, PER_RUN)
    yield (
        "params",
        "run_id, key, value",
        ((n, f"param_{(n * 7 + k) % half:03d}", str((n + k) % 12)) for n in numbers for k in range(PER_RUN)),
    )
    yield (
        "tags",
        "run_id, key, value",
        (
            (n, key, value)
            for n in numbers
            for key, value in (("mlflow.runName", f"run-{n}"), ("mlflow.user", "bulk"), ("team", f"t{n % 7}"))
        ),
    )
    series = list(_series(runs, half, compared))
    values = random.Random(1)
    yield (
        "latest_metrics",
        "id, run_id, experiment_id, key, step, timestamp, value",
        (
            (number, run, 1, key, _length(key, points) - 1, NOW, values.random())
            for number, (run, key) in enumerate(series, 1)
        ),
    )
    yield "metrics", "series_id, step, timestamp, value", _points(series, points)


def _series(runs: int, half: int, compared: int) -> Iterator[tuple[int, str]]:
    last = runs
    for run in range(1, runs + 1):
        if run == last:
            yield from ((run, f"metric_{key:03d}") for key in range(half))
            yield run, "loss"
        elif run >= last - compared:
            yield from ((run, f"shared_{key:02d}") for key in range(SHARED))
        else:
            yield from ((run, f"metric_{(run * 3 + key) % half:03d}") for key in range(PER_RUN))


def _length(key: str, points: int) -> int:
    return points if key == "loss" else SHARED_POINTS if key.startswith("shared") else 1


def _points(series: list[tuple[int, str]], points: int) -> Rows:
    values = random.Random(2)
    for number, (_, key) in enumerate(series, 1):
        for step in range(_length(key, points)):
            yield number, step, NOW + step, 1 / (1 + step / 1000) + values.random() / 10


def main() -> None:
    """Fill the database."""
    url, *sizes = sys.argv[1:]
    filled = tables(*map(int, sizes))
    if url.startswith("sqlite"):
        _fill_sqlite(url.removeprefix("sqlite:///").partition("?")[0], filled)
    else:
        _fill_postgres(url, filled)


def _fill_sqlite(path: str, filled: Iterator[tuple[str, str, Rows]]) -> None:
    connection = sqlite3.connect(path)
    for table, columns, rows in filled:
        places = ", ".join("?" * len(columns.split(", ")))
        connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places})", rows)
    connection.commit()
    connection.close()


def _fill_postgres(url: str, filled: Iterator[tuple[str, str, Rows]]) -> None:
    import psycopg

    with psycopg.connect(url) as connection:
        for table, columns, rows in filled:
            with connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        for table in ("experiments", "runs", "latest_metrics"):
            sequence = f"pg_get_serial_sequence('{table}', 'id')"
            connection.execute(f"SELECT setval({sequence}, (SELECT max(id) FROM {table}))")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    main()
