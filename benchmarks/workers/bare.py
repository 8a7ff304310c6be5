"""Baselines outside SQL: the bare library, and the memory of a process."""

import os
import resource
from typing import Any

from models import training
from timing import timed


class Bare:
    """XGBoost alone, and the memory of this process, whichever system it runs."""

    def __init__(self) -> None:
        self._model: Any = None

    def predict(self, count: int) -> float:
        """Predict with the model that the others load, on the same rows, by its own class."""
        table, model = training()
        self._model = self._model or model
        return timed(count, lambda _: self._model.predict(table))

    def peak_memory(self) -> int:
        """Return the peak memory of this process in bytes."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if os.uname().sysname == "Darwin" else 1024)
