"""Two threads that take steps in a given order, so that every order of two short histories can be tried.

A step is what happens between two calls of `pause`; tests put `pause` before the calls whose order matters. A thread
that waits for a lock of the other is noticed by its silence, and the other goes on.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

_current = threading.local()


class Actor:
    """A thread that runs one function, a step at a time."""

    def __init__(self, work: Callable[[], Any], *, patience: float | None = None) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self.steps = 0
        self._work = work
        self._patience = patience
        self._go = threading.Semaphore(0)
        self._paused = threading.Semaphore(0)
        self._done = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def step(self) -> None:
        """Run it to its next pause, its end, or until it blocks."""
        if self._done:
            return
        self._go.release()
        self._paused.acquire(timeout=self._patience)

    def finish(self) -> None:
        """Run it to its end."""
        while not self._done:
            self._go.release()
            self._paused.acquire(timeout=self._patience)
        self._thread.join()

    def pause(self) -> None:
        """Wait for the next turn; called in its thread."""
        self.steps += 1
        self._paused.release()
        self._go.acquire()

    def _run(self) -> None:
        _current.actor = self
        self._go.acquire()
        try:
            self.result = self._work()
        except Exception as error:
            self.error = error
        self._done = True
        self._paused.release()


def pause() -> None:
    """End a step, if this thread is an actor."""
    actor = getattr(_current, "actor", None)
    if actor is not None:
        actor.pause()


def paused_before(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that it pauses first."""

    def call(*arguments: Any, **options: Any) -> Any:
        pause()
        return function(*arguments, **options)

    return call


def within_a_step(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that it runs without pauses."""

    def call(*arguments: Any, **options: Any) -> Any:
        actor, _current.actor = getattr(_current, "actor", None), None
        try:
            return function(*arguments, **options)
        finally:
            _current.actor = actor

    return call


def orders(first: int, second: int) -> Iterator[tuple[bool, ...]]:
    """Yield every order of the steps of two actors; True is a step of the first."""
    length = first + second
    for chosen in combinations(range(length), first):
        yield tuple(position in chosen for position in range(length))


def interleave(
    first: Callable[[], Any], second: Callable[[], Any], order: Sequence[bool], *, patience: float | None = None
) -> tuple[Actor, Actor]:
    """Run two functions in an order of steps, and then to their ends."""
    actors = Actor(first, patience=patience), Actor(second, patience=patience)
    for actor in actors:
        actor.step()  # up to its first pause
    for is_first in order:
        actors[0 if is_first else 1].step()
    if patience is None:
        for actor in actors:
            actor.finish()
        return actors
    # Either may wait for the other.
    threads = [threading.Thread(target=actor.finish) for actor in actors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return actors
