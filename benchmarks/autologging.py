"""What autologging costs: a fit without it and with it, by turns, beside MLflow's autologging of the same fit.

Run ``python -m benchmarks.autologging [--rounds N]``. The unit is processor time, which other programs on the machine
change less than the clock. One process measures one autologging: a fit without it, then one with it, and so on; the
overhead is the median of the differences. ``REGISTRY_TEST_MLFLOW_PYTHON`` names the Python of an environment with
mlflow and the same packages; its process and ours run by turns too.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

FITS = {
    "xgboost.train, 300 rounds": """
import numpy as np, xgboost
generator = np.random.default_rng(0)
X = generator.normal(size=(20_000, 20))
y = (X[:, 0] + generator.normal(size=20_000) > 0).astype(int)
train, test = xgboost.DMatrix(X[:15_000], label=y[:15_000]), xgboost.DMatrix(X[15_000:], label=y[15_000:])
settings = {"objective": "binary:logistic", "eval_metric": ["auc", "logloss"], "max_depth": 5, "nthread": 1}
def fit():
    xgboost.train(settings, train, 300, evals=[(train, "train"), (test, "test")], verbose_eval=False)
""",
    "GradientBoostingClassifier": """
import numpy as np
from sklearn.ensemble import GradientBoostingClassifier
generator = np.random.default_rng(0)
X = generator.normal(size=(20_000, 20))
y = (X[:, 0] + generator.normal(size=20_000) > 0).astype(int)
def fit():
    GradientBoostingClassifier(n_estimators=10, random_state=0).fit(X, y)
""",
}
MEASURE = """
import contextlib, json, logging, resource, sys, warnings
warnings.simplefilter("ignore")
package, options, rounds = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
if package == "mlflow":
    import mlflow
    logging.getLogger("mlflow").setLevel(logging.ERROR)
else:
    import registry as mlflow
mlflow.set_tracking_uri("sqlite:///runs.db")
mlflow.set_experiment("benchmark")
{fit}
def processor_time():  # of this process and of those that it started: mlflow starts one to find requirements
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
def measure(is_on):
    mlflow.autolog(disable=not is_on, **options)
    started = processor_time()
    with mlflow.start_run() if is_on else contextlib.nullcontext():
        fit()
        returned = processor_time() - started
    return returned, processor_time() - started
for is_on in (True, False):  # imports, the database's tables and caches, as in a program that logs already
    measure(is_on)
print(json.dumps([[measure(False), measure(True)] for _ in range(rounds)]))
"""
KINDS = {
    "params and metrics": {"log_models": False, "log_datasets": False},
    "all, with the model and figures": {},
}


class Cost(NamedTuple):
    """Seconds of processor time: of the fit alone, and what is added until it returns and until its run has ended."""

    fit: float
    until_return: float
    until_end: float


def measure(python: str, package: str, fit: str, options: dict[str, bool], rounds: int) -> list[Cost]:
    """Return the cost of each round, measured in one new process."""
    with tempfile.TemporaryDirectory() as directory:
        program = MEASURE.replace("{fit}", FITS[fit])
        path = str(Path(__file__).parent.parent) if package == "ours" else ""
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        command = [python, "-c", program, package, json.dumps(options), str(rounds)]
        done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr[-2000:])
        pairs = json.loads(done.stdout.splitlines()[-1])
        return [Cost(off[0], on[0] - off[0], on[1] - off[0]) for off, on in pairs]


def middle(costs: Sequence[Cost]) -> Cost:
    """Return the median of each figure."""
    return Cost(*(median(figures) for figures in zip(*costs, strict=True)))


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="pairs of fits in each of three processes")
    rounds = parser.parse_args().rounds
    packages = {"ours": sys.executable}
    if "REGISTRY_TEST_MLFLOW_PYTHON" in os.environ:
        packages["mlflow"] = os.environ["REGISTRY_TEST_MLFLOW_PYTHON"]
    print("| fit | logged | the fit | " + " | ".join(f"{name}: until fit, run" for name in packages) + " | ratio |")
    print("|---|---|---|" + "---|" * (len(packages) + 1))
    for fit in FITS:
        for kind, options in KINDS.items():
            costs: dict[str, list[Cost]] = {name: [] for name in packages}
            for _ in range(3):
                for name, python in packages.items():
                    costs[name] += measure(python, name, fit, options, rounds)
            medians = {name: middle(found) for name, found in costs.items()}
            cells = [
                f"+{cost.until_return:.3f} s ({cost.until_return / cost.fit:.1%}), "
                f"+{cost.until_end:.3f} s ({cost.until_end / cost.fit:.1%})"
                for cost in medians.values()
            ]
            ratio = f"{medians['ours'].until_end / medians['mlflow'].until_end:.2f}" if "mlflow" in medians else ""
            print(f"| {fit} | {kind} | {medians['ours'].fit:.2f} s | {' | '.join(cells)} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
