"""Fill a database with runs, bypassing the libraries: ``bulk.py URL registry|mlflow FIRST COUNT``.

Runs FIRST to FIRST + COUNT go to a new experiment with the id COUNT. Each has five metrics, five params and three tags,
or twenty, twenty and eight if COUNT is 20,000.
"""

import random
import sqlite3
import sys
from collections.abc import Iterator
from typing import Any

Rows = Iterator[tuple[Any, ...]]
WIDE = 20_000


def tables(system: str, first: int, count: int) -> Iterator[tuple[str, str, Rows]]:
    """Return the tables with their columns and rows, parents first."""
    metrics, params, tags = (20, 20, 8) if count == WIDE else (5, 5, 3)
    keys = range(first, first + count)
    ours = system == "registry"
    run = (lambda key: key) if ours else (lambda key: f"{key:032x}")
    owner, point = ("run_id", "") if ours else ("run_uuid", ", is_nan")
    numbers = random.Random(first)
    names = "id, name, artifact_location" if ours else "experiment_id, name, artifact_location"
    yield (
        "experiments",
        f"{names}, lifecycle_stage, creation_time, last_update_time",
        iter([(count, f"bulk {count}", f"/bulk/{count}", "active", 0, 0)]),
    )
    if ours:
        columns = "id, run_id, experiment_id, name, user_id, status, start_time, end_time, lifecycle_stage"
        rows = ((k, f"{k:032x}", count, f"run {k}", "bulk", "FINISHED", k, k + 9, "active") for k in keys)
    else:
        columns = "run_uuid, experiment_id, name, user_id, status, start_time, end_time, lifecycle_stage, artifact_uri"
        rows = ((f"{k:032x}", count, f"run {k}", "bulk", "FINISHED", k, k + 9, "active", f"/bulk/{k}") for k in keys)
    yield "runs", columns, rows
    texts = f"{owner}, key, value"
    yield "params", texts, ((run(k), f"p{n}", str((k + n) % 10)) for k in keys for n in range(params))
    yield "tags", texts, ((run(k), f"t{n}", str((k + n) % 7)) for k in keys for n in range(tags))
    latest = ((k, n, numbers.random()) for k in keys for n in range(metrics))
    if ours:
        yield (
            "latest_metrics",
            "id, run_id, experiment_id, key, step, timestamp, value",
            ((100 * k + n, k, count, f"m{n}", 0, k, value) for k, n, value in latest),
        )
    else:
        yield (
            "latest_metrics",
            f"{owner}, key, step, timestamp, value{point}",
            ((run(k), f"m{n}", 0, k, value, False) for k, n, value in latest),
        )


def main() -> None:
    """Fill the database."""
    url, system, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    if url.startswith("sqlite"):
        _fill_sqlite(url.removeprefix("sqlite:///").partition("?")[0], system, first, count)
    else:
        _fill_postgres(url, system, first, count)


def _fill_sqlite(path: str, system: str, first: int, count: int) -> None:
    connection = sqlite3.connect(path)
    for table, columns, rows in tables(system, first, count):
        places = ", ".join("?" * len(columns.split(", ")))
        connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places})", rows)
    connection.commit()
    connection.close()


def _fill_postgres(url: str, system: str, first: int, count: int) -> None:
    import psycopg

    url = url.replace("+psycopg2", "")  # SQLAlchemy's name
    with psycopg.connect(url) as connection:
        for table, columns, rows in tables(system, first, count):
            with connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        if system == "registry":  # the sequence must skip the ids inserted here
            for table in ("experiments", "runs", "latest_metrics"):
                sequence = f"pg_get_serial_sequence('{table}', 'id')"
                connection.execute(f"SELECT setval({sequence}, (SELECT max(id) FROM {table}))")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")


if __name__ == "__main__":
    main()
