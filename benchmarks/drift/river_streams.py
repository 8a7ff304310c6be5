"""Write river's streams as Parquet, in a Python that has river and pyarrow: ``python river_streams.py DIRECTORY …``.

Each stream has rows to train on (day -2), a reference (day -1), and days. In SEA and STAGGER another concept applies
from day 0 on; ConceptDriftStream turns from one concept of SEA to another, half of the rows being new on day 5.
"""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from river.datasets import synth

NO_DRIFT = "no drift"


def streams(seed: int, before: int, rows: int) -> Iterator[tuple[str, str, Any]]:
    """Yield source, kind and stream; `before` rows come before the drift."""
    sea, stagger = synth.SEA(variant=0, seed=seed, noise=0.05), synth.STAGGER(classification_function=0, seed=seed)
    yield "SEA", NO_DRIFT, sea
    yield "STAGGER", NO_DRIFT, stagger
    changed = synth.SEA(variant=3, seed=seed + 1_000, noise=0.05)
    yield "SEA", "sudden", itertools.chain(sea.take(before), changed)
    changed = synth.STAGGER(classification_function=1, seed=seed + 1_000)
    yield "STAGGER", "sudden", itertools.chain(stagger.take(before), changed)
    yield (
        "ConceptDriftStream",
        "gradual",
        synth.ConceptDriftStream(
            synth.SEA(variant=0, seed=seed, noise=0.05),
            synth.SEA(variant=3, seed=seed + 1_000, noise=0.05),
            position=before + 5 * rows,
            width=5 * rows,
            seed=seed,
        ),
    )


def main() -> None:
    """Write a file per stream and month."""
    directory = Path(sys.argv[1])
    months, reference, rows, quiet, sudden, gradual = map(int, sys.argv[2:])
    lengths = {NO_DRIFT: quiet, "sudden": sudden, "gradual": gradual}
    for month in range(months):
        for source, kind, stream in streams(month, 2 * reference, rows):
            days = [*[-2] * reference, *[-1] * reference]
            days += [day for day in range(lengths[kind]) for _ in range(rows)]
            taken = list(itertools.islice(stream, len(days)))
            columns = {str(name): [inputs[name] for inputs, _ in taken] for name in taken[0][0]}
            if source == "STAGGER":
                columns = {name: [str(value) for value in values] for name, values in columns.items()}
            table = pyarrow.table({**columns, "target": [int(target) for _, target in taken], "day": days})
            pyarrow.parquet.write_table(table, directory / f"{source}-{kind}-{month}.stream.parquet")


if __name__ == "__main__":
    main()
