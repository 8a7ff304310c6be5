"""Fill a database with runs for the benchmark of the page, bypassing the libraries.

``page_fill.py URL RUNS KEYS POINTS COMPARED [mlflow]``: an empty database of this package, or of mlflow.

Experiment 1 gets RUNS runs; each has ten metrics and ten params out of KEYS keys. The newest run of them has all metric
keys and a series ``loss`` of POINTS points. The COMPARED runs before it share twenty metrics of 500 points each. All
runs used one data set (left out for mlflow).
"""

import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

Rows = Iterator[tuple[Any, ...]]
# What is filled happened in the weeks before now, so that "this week" has its part of it.
SPAN: Final = 60 * 86_400_000
START: Final = time.time_ns() // 1_000_000 - SPAN
PER_RUN: Final = 10
SHARED: Final = 20
SHARED_POINTS: Final = 500


def tables(runs: int, keys: int, points: int, compared: int) -> Iterator[tuple[str, str, Rows]]:
    """Return the tables with their columns and rows, parents first."""
    yield (
        "experiments",
        "id, name, artifact_location, lifecycle_stage, creation_time, last_update_time",
        iter([(1, "filled", "/tmp/filled/1", "active", START, START)]),
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
                START + SPAN * n // runs,
                START + SPAN * n // runs + 30_000,
                "active",
            )
            for n in numbers
        ),
    )
    yield (
        "datasets",
        "id, experiment_id, name, digest, source_type, source",
        iter([(1, 1, "rows", "d1", "local", '{"uri": "rows.parquet"}')]),
    )
    yield "dataset_inputs", "run_id, dataset_id, context", ((n, 1, "training") for n in numbers)
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
            (number, run, 1, key, _length(key, points) - 1, START, values.random())
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
            yield number, step, START + step, 1 / (1 + step / 1000) + values.random() / 10


def mlflow_tables(runs: int, keys: int, points: int, compared: int) -> Iterator[tuple[str, str, Rows]]:
    """Return the same rows for the tables of mlflow."""
    series: list[tuple[str, str]] = []
    for name, columns, rows in tables(runs, keys, points, compared):
        if name == "experiments":
            yield name, columns.replace("id, ", "experiment_id, ", 1), rows
        elif name == "runs":
            new = "run_uuid, experiment_id, name, user_id, status, start_time, end_time, lifecycle_stage, artifact_uri"
            yield name, new, ((*row[1:], "/tmp/filled") for row in rows)
        elif name == "latest_metrics":
            kept = list(rows)
            series = [(f"{row[1]:032x}", row[3]) for row in kept]
            new = "run_uuid, key, step, timestamp, value, is_nan"
            yield name, new, ((f"{row[1]:032x}", *row[3:], False) for row in kept)
        elif name == "metrics":
            new = "run_uuid, key, step, timestamp, value, is_nan"
            yield name, new, ((*series[row[0] - 1], *row[1:], False) for row in rows)
        elif "dataset" not in name:
            yield name, columns.replace("run_id", "run_uuid"), ((f"{row[0]:032x}", *row[1:]) for row in rows)


def main() -> None:
    """Fill the database."""
    url, runs, keys, points, compared, *system = sys.argv[1:]
    make = mlflow_tables if system == ["mlflow"] else tables
    filled = make(int(runs), int(keys), int(points), int(compared))
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

    written = set()

    with psycopg.connect(url) as connection:
        for table, columns, rows in filled:
            written.add(table)
            with connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        for table in written & {"experiments", "runs", "latest_metrics", "datasets"}:
            sequence = f"pg_get_serial_sequence('{table}', 'id')"
            connection.execute(f"SELECT setval({sequence}, (SELECT max(id) FROM {table}))")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    main()
