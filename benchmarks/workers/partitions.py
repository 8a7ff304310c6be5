"""Compare one table of points with a partitioned one: ``partitions.py URL POINTS``, in an empty database."""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

PARTITIONS = 10
PER_SERIES = 1_000
ROUNDS = 30
COLUMNS = 'series_id bigint NOT NULL, step bigint NOT NULL, "timestamp" bigint NOT NULL, value double precision'


def main(url: str, points: int) -> None:
    """Fill both tables, and print one line per work."""
    import psycopg

    series = points // PER_SERIES
    rows: dict[str, list[str]] = {}
    with psycopg.connect(url, autocommit=True) as connection:
        create(connection, series // PARTITIONS)
        for table in ("plain", "parted"):
            for work, figure in figures(connection, table, series):
                rows.setdefault(work, []).append(figure)
    print(f"| {points:,} points | one table | {PARTITIONS} partitions |\n|---|---|---|")
    for work, cells in rows.items():
        print(f"| {work} | {' | '.join(cells)} |")


def create(connection: Any, width: int) -> None:
    """Create both tables with the index of ``metrics``; each partition has `width` series, the last one the rest."""
    connection.execute(f"CREATE TABLE plain ({COLUMNS})")
    connection.execute(f"CREATE TABLE parted ({COLUMNS}) PARTITION BY RANGE (series_id)")
    for number in range(PARTITIONS):
        bounds = f"FROM ({number * width}) TO ({(number + 1) * width})"
        connection.execute(f"CREATE TABLE parted_{number} PARTITION OF parted FOR VALUES {bounds}")
    rest = f"FROM ({PARTITIONS * width}) TO (MAXVALUE)"
    connection.execute(f"CREATE TABLE parted_rest PARTITION OF parted FOR VALUES {rest}")
    for table in ("plain", "parted"):
        connection.execute(f"CREATE INDEX ON {table} (series_id, step)")


def figures(connection: Any, table: str, series: int) -> Iterator[tuple[str, str]]:
    """Yield what was done and how long it took, each on what the one before has left."""

    def seconds(statement: str) -> float:
        start = time.perf_counter()
        cursor = connection.execute(statement)
        if cursor.description:
            cursor.fetchall()
        return time.perf_counter() - start

    def median(statement: Callable[[int], str]) -> str:
        return f"{statistics.median(seconds(statement(number)) for number in range(ROUNDS)) * 1e3:.2f} ms"

    size = f"""
        SELECT coalesce((SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('{table}')),
                        pg_total_relation_size('{table}'))
    """
    fill = f"""
        INSERT INTO {table} SELECT series, step, step, random()
        FROM generate_series(0, {series - 1}) AS series, generate_series(1, {PER_SERIES}) AS step
    """
    new, width, middle = series + 1, series // PARTITIONS, series // 2
    batch = "FROM generate_series(1, 1000) AS step"
    yield "fill, series after series", f"{seconds(fill):.1f} s"
    yield "VACUUM ANALYZE", f"{seconds(f'VACUUM ANALYZE {table}'):.1f} s"
    yield "size with index", f"{connection.execute(size).fetchone()[0] / 2**20:,.0f} MiB"
    yield (
        "write 1,000 points of a new series",
        median(lambda number: f"INSERT INTO {table} SELECT {new + number}, step, step, 0.5 {batch}"),
    )
    yield "write one point", median(lambda number: f"INSERT INTO {table} VALUES ({new + number}, 2000, 0, 0.5)")
    yield (
        "read a series of 1,000 points",
        median(
            lambda number: (
                f"SELECT step, value FROM {table} WHERE series_id = {number * series // ROUNDS} ORDER BY step"
            )
        ),
    )
    yield (
        "purge a run of 10 series",
        median(
            lambda number: (
                f"DELETE FROM {table} WHERE series_id >= {middle + 10 * number} "
                f"AND series_id < {middle + 10 * number + 10}"
            )
        ),
    )
    oldest = f"DELETE FROM plain WHERE series_id < {width}" if table == "plain" else "DROP TABLE parted_0"
    yield "purge the oldest tenth", f"{seconds(oldest):.2f} s"
    yield "VACUUM after it", f"{seconds(f'VACUUM {table}'):.2f} s"
    yield "size with index after it", f"{connection.execute(size).fetchone()[0] / 2**20:,.0f} MiB"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
