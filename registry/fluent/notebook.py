"""Variables per thread and task that last across the cells of a notebook.

IPython runs a cell with a top-level ``await`` in a task of its own and discards the task's context. Values set in such
a cell are therefore kept here, and set again in the context of the next cell. Threads, and tasks that a cell starts,
stay separate, as with any context variable.
"""

import asyncio
import sys
import threading
from contextvars import ContextVar
from typing import Any, ClassVar, Generic, TypeVar

T = TypeVar("T")


class CellVariable(Generic[T]):
    """A context variable whose value outlives the notebook cell that set it."""

    _all: ClassVar[list["CellVariable[Any]"]] = []

    def __init__(self, name: str, default: T) -> None:
        self._variable: ContextVar[T] = ContextVar(name, default=default)
        self._kept = default
        self._all.append(self)

    def get(self) -> T:
        """Return the value in this thread or task."""
        return self._variable.get()

    def set(self, value: T) -> None:
        """Set the value in this thread or task, and for later cells if a cell sets it."""
        self._variable.set(value)
        if _cell is not None and _cell.is_running():
            self._kept = value

    @classmethod
    def restore(cls) -> None:
        """Set all variables in the current context to the values that earlier cells left."""
        for variable in cls._all:
            variable._variable.set(variable._kept)


class _Cell:
    """The running cell: the main thread, in the task in which the cell began (None outside of any task)."""

    def __init__(self) -> None:
        self._task = _current_task()

    def is_running(self) -> bool:
        return threading.current_thread() is threading.main_thread() and _current_task() is self._task


def restore_cell_variables() -> None:
    """Set the values that cells left in the current context. Do nothing outside of a notebook."""
    if _cell is not None:
        CellVariable.restore()


def _current_task() -> "asyncio.Task[Any] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop runs
        return None


def _begin_cell() -> None:
    global _cell
    _cell = _Cell()
    CellVariable.restore()


def _watch_cells() -> _Cell | None:
    """Register a callback for each new cell of a notebook or IPython terminal; return the running cell."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None:
        return None
    shell.events.register("pre_execute", _begin_cell)
    return _Cell()


_cell: _Cell | None = _watch_cells()
