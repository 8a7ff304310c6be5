"""What autologging costs: the same fit without it, with ours, and with MLflow's if its Python is named.

Run ``python -m benchmarks.autologging [--rounds N]``. Each fit runs in a fresh process, alternately, and the lowest
time of each counts. ``REGISTRY_TEST_MLFLOW_PYTHON`` names the Python of an environment with mlflow.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

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
    "LogisticRegression": """
import numpy as np
from sklearn.linear_model import LogisticRegression
generator = np.random.default_rng(0)
X = generator.normal(size=(60_000, 60))
y = (X[:, 0] + generator.normal(size=60_000) > 0).astype(int)
def fit():
    LogisticRegression(max_iter=2_000, tol=1e-12, solver="newton-cg").fit(X, y)
""",
}
MEASURE = """
import json, sys, time, warnings, logging
warnings.simplefilter("ignore")
mode, options = sys.argv[1], json.loads(sys.argv[2])
if mode != "without":
    if mode == "mlflow":
        import mlflow
        logging.getLogger("mlflow").setLevel(logging.ERROR)
    else:
        import registry as mlflow
    mlflow.set_tracking_uri("sqlite:///runs.db")
    mlflow.set_experiment("benchmark")
    with mlflow.start_run():  # the tables exist and the modules are imported, as in a program that logs already
        mlflow.log_metric("warm", 1.0)
    mlflow.autolog(**options)
{fit}
class Nothing:
    def __enter__(self): return self
    def __exit__(self, *_): return False
times = []
for _ in range(2):  # the first fit imports what it needs
    started = time.perf_counter()
    with mlflow.start_run() if mode != "without" else Nothing():
        fit()
        returned = time.perf_counter() - started
    times.append((returned, time.perf_counter() - started))
print(json.dumps(times[-1]))
"""
KINDS = {"params and metrics": {"log_models": False, "log_datasets": False}, "all, with the model": {}}


def measure(python: str, mode: str, fit: str, options: dict[str, bool]) -> tuple[float, float]:
    """Return the seconds until a fit has returned, and until its run has ended."""
    with tempfile.TemporaryDirectory() as directory:
        program = MEASURE.replace("{fit}", FITS[fit])
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent) if mode != "mlflow" else ""}
        command = [python, "-c", program, mode, json.dumps(options)]
        done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr[-2000:])
        returned, ended = json.loads(done.stdout.splitlines()[-1])
        return returned, ended


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    modes = {"without": sys.executable, "ours": sys.executable}
    if "REGISTRY_TEST_MLFLOW_PYTHON" in os.environ:
        modes["mlflow"] = os.environ["REGISTRY_TEST_MLFLOW_PYTHON"]
    print("| fit | logged | without | " + " | ".join(f"{mode}: fit, run" for mode in list(modes)[1:]) + " |")
    print("|---|---|" + "---|" * len(modes))
    for fit in FITS:
        for kind, options in KINDS.items():
            lowest = {mode: (float("inf"), float("inf")) for mode in modes}
            for _ in range(rounds):
                for mode, python in modes.items():
                    times = measure(python, mode, fit, options)
                    lowest[mode] = tuple(map(min, lowest[mode], times))
            base = lowest["without"][0]
            cells = [f"{base:.2f} s"]
            for mode in list(modes)[1:]:
                fitted, ended = lowest[mode]
                cells.append(f"+{fitted - base:.2f} s ({(fitted / base - 1) * 100:.0f} %), +{ended - base:.2f} s")
            print(f"| {fit} | {kind} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
