"""Print which days alibi-detect calls drift, in a Python that has it: ``python alibi_verdicts.py FILE …``.

Each test has its defaults: p-values below 0.05, Bonferroni's correction over the columns. `ClassifierDrift` must be
given a classifier: scikit-learn's histogram gradient boosting, which takes missing values. MMD, LSDD and the learned
kernels need PyTorch, TensorFlow or KeOps, and are left out.
"""

import json
import sys
import warnings

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")

from alibi_detect.cd import ChiSquareDrift, ClassifierDrift, KSDrift, TabularDrift  # noqa: E402
from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: E402


def main() -> None:
    """Print a line of JSON per file: the days of alarms by test."""
    for path in sys.argv[1:]:
        frame = pd.read_parquet(path)
        days = frame.pop("day").to_numpy()
        is_category = [name in ("prediction", "target") or frame[name].dtype.kind not in "fi" for name in frame]
        codes = [
            pd.factorize(frame[name], sort=True)[0] if is_text else frame[name]
            for name, is_text in zip(frame, is_category, strict=True)
        ]
        rows = np.column_stack(codes).astype(np.float32)
        categories, numbers = np.flatnonzero(is_category), np.flatnonzero(~np.array(is_category))
        known = rows[days == -1]
        everything = np.arange(rows.shape[1])
        model = HistGradientBoostingClassifier(max_iter=40, max_depth=3, random_state=0)
        tests = {
            "TabularDrift": (
                TabularDrift(known, categories_per_feature=dict.fromkeys(categories.tolist())),
                everything,
            ),
            "ChiSquareDrift": (ChiSquareDrift(known[:, categories]), categories),
            "ClassifierDrift": (ClassifierDrift(known, model, backend="sklearn", seed=0), everything),
        }
        if len(numbers):
            tests["KSDrift"] = KSDrift(known[:, numbers]), numbers
        alarms: dict[str, list[int]] = {name: [] for name in tests}
        for day in range(days.max() + 1):
            window = rows[days == day]
            for name, (test, columns) in tests.items():
                if test.predict(window[:, columns])["data"]["is_drift"]:
                    alarms[name].append(day)
        print(json.dumps(alarms), flush=True)


if __name__ == "__main__":
    main()
