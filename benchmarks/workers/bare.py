"""What any system is measured against outside SQL: the bare library, and what a process takes."""

import os
import resource
from typing import Any

from models import training
from timing import timed


class Bare:
    """XGBoost alone; and the memory of this process, whichever system it is."""

    def __init__(self) -> None:
        self._model: Any = None

    def predict(self, count: int) -> float:
        """The model that the others load, on the same rows, as its own class takes them."""
        table, model = training()
        self._model = self._model or model
        return timed(count, lambda _: self._model.predict(table))

    def peak_memory(self) -> int:
        """Bytes that this process had at most."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if os.uname().sysname == "Darwin" else 1024)
