"""Models of which each version says who it is, so that an answer shows which version gave it."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

import registry

ROWS = pd.DataFrame({"x": [0.0, 1.0, 2.0]})


def constant(value: float) -> LinearRegression:
    """A model that answers `value` for every row."""
    return LinearRegression().fit(ROWS, np.full(len(ROWS), value))


def log_constant(value: float, *, columns: str = "x", example: bool = True, signature: bool = True) -> int:
    """Register a version of ``churn`` that answers `value` for every row; return its number."""
    rows = ROWS.rename(columns={"x": columns})
    model = LinearRegression().fit(rows, np.full(len(rows), value))
    info = registry.sklearn.log_model(
        model,
        name="model",
        signature=registry.models.infer_signature(rows, model.predict(rows)) if signature else False,
        input_example=rows.head(1) if example else None,
        registered_model_name="churn",
    )
    return int(info.registered_model_version or 0)


def promote(version: int, stage: str = "Production") -> None:
    """Move a version of ``churn`` into a stage."""
    registry.MlflowClient().transition_model_version_stage("churn", version, stage)


def answer(followed: Any) -> float:
    """Return what a followed model answers, which must be one value for all rows."""
    values = {round(float(value), 6) for value in followed.predict(ROWS)}
    assert len(values) == 1
    return values.pop()


def eventually(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never came to hold"
        time.sleep(0.01)


def damage(location: str) -> None:
    """Change a byte of the model file in a sealed directory."""
    file = next(path for path in Path(location).rglob("*.skops"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)


class Callers:
    """Threads that call a model until they are stopped; `answers` are the values, `errors` what was raised."""

    def __init__(self, call: Callable[[], float], threads: int = 3) -> None:
        self.answers: list[float] = []
        self.errors: list[Exception] = []
        self._call = call
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.answers.append(self._call())
            except Exception as error:
                self.errors.append(error)
