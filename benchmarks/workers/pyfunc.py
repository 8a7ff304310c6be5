"""What `benchmarks.pyfunc` runs in the environment of each system: predict frames, and print the times as JSON."""

import importlib
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd

COLUMNS: Final = [f"x{number}" for number in range(20)]
_ROUNDS: Final = 60
_ROUND_SECONDS: Final = 0.01


def frames(rows: int) -> dict[str, pd.DataFrame]:
    """Return frames for a signature of doubles, from the usual one to those that must be converted."""
    generator = np.random.default_rng(1)
    doubles = pd.DataFrame(generator.normal(size=(rows, len(COLUMNS))), columns=COLUMNS)
    values = generator.integers(0, 99, size=(rows, len(COLUMNS)), dtype="int32")  # mlflow takes no int64 for a double
    integers = pd.DataFrame(values, columns=COLUMNS)
    return {
        "doubles": doubles,
        "doubles in another order": doubles[COLUMNS[::-1]],
        "integers": integers,
        "integers in another order": integers[COLUMNS[::-1]],
        "doubles and integers": doubles.assign(**{name: integers[name] for name in COLUMNS[::2]}),
    }


def microseconds(function: Callable[[], Any]) -> float:
    """Return the processor time of a call: the median of the faster half of many short rounds."""
    function()
    began = time.process_time()
    function()
    count = max(1, int(_ROUND_SECONDS / max(time.process_time() - began, 1e-5)))
    rounds = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        for _ in range(count):
            function()
        rounds.append((time.process_time() - began) / count * 1e6)
    return statistics.median(sorted(rounds)[: _ROUNDS // 2])


def main(system: str, directory: str) -> None:
    """Measure one system."""
    warnings.simplefilter("ignore")
    library = importlib.import_module(system)
    loaded = library.pyfunc.load_model(directory)
    found: dict[str, float] = {}
    for rows in (1, 1000):
        for name, frame in frames(rows).items():
            found[f"{rows}, {name}"] = microseconds(lambda frame=frame: loaded.predict(frame))  # type: ignore[misc]
        if system == "registry":
            found |= _without_checks(library, loaded, directory, rows)
    print(json.dumps(found))


def _without_checks(library: Any, loaded: Any, directory: str, rows: int) -> dict[str, float]:
    from registry.flavors.signatures.enforce import enforce_schema

    model = library.xgboost.load_model(directory)
    given = frames(rows)
    array = given["doubles"].to_numpy()
    found = {
        f"{rows}, XGBoost, array": microseconds(lambda: model.predict(array)),
        f"{rows}, XGBoost, frame": microseconds(lambda: model.predict(given["doubles"])),
    }
    schemas = {"": loaded.metadata.get_input_schema()}
    mixed = given["doubles and integers"]
    schemas[" for doubles and integers"] = library.models.infer_signature(mixed).inputs
    for words, schema in schemas.items():
        for name, frame in given.items():
            if name.startswith("integers") or not words:
                key = f"{rows}, checks, {name}{words}"
                found[key] = microseconds(lambda frame=frame, schema=schema: enforce_schema(frame, schema))  # type: ignore[misc]
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
