"""Measure `pyfunc` predictions of frames beside mlflow and bare XGBoost: ``python -m benchmarks.pyfunc``.

100 trees of depth 6 of XGBoost, a signature of 20 columns of doubles; one thread. The figures are processor time, of
the faster half of many short rounds, so that they change little with what else the machine does.
"""

import argparse
import json
import os
import subprocess
import tempfile

from benchmarks.environments import CHECKOUT, add_options, interpreters
from benchmarks.machine import facts

_WORKERS = CHECKOUT / "benchmarks" / "workers"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pyfunc", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    pythons = interpreters(parser.parse_args())
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(prefix="registry-pyfunc-") as directory:
        print("\n".join(f"{name}: {fact}" for name, fact in facts("–").items()), end="\n\n")
        subprocess.run([pythons["registry"], _WORKERS / "serving.py", "prepare", directory], check=True)
        found = {}
        for system in ("registry", "mlflow"):
            done = subprocess.run(
                [pythons[system], _WORKERS / "pyfunc.py", system, f"{directory}/model"],
                capture_output=True,
                text=True,
                env=environment,
            )
            if done.returncode:
                raise SystemExit(done.stderr)
            found[system] = json.loads(done.stdout)
    print("| rows, input | registry, µs | mlflow, µs | ratio |\n|---|---|---|---|")
    for name, taken in found["registry"].items():
        beside = found["mlflow"].get(name)
        print(f"| {name} | {taken:.0f} | " + (f"{beside:.0f} | {beside / taken:.1f} |" if beside else "– | – |"))


if __name__ == "__main__":
    main()
