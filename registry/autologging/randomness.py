"""Keep our own work from drawing a training script's random numbers."""

import contextlib
import random
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def preserved_random_states(*objects: Any) -> Iterator[None]:
    """Reset the global random states, and those that estimators hold as parameters, to what they are now.

    Some methods that only read draw a number: `get_params` of XGBoost's wrappers does so from their `random_state`.
    """
    before = _states(objects)
    try:
        yield
    finally:
        for generator, state in before:
            if not _equal(_state(generator), state):
                _set_state(generator, state)


def _states(objects: tuple[Any, ...]) -> list[tuple[Any, Any]]:
    generators: list[Any] = [random]
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        generators.append(numpy.random)
        seen: set[int] = set()
        for value in objects:
            _collect(value, generators, seen, numpy.random)
    return [(generator, _state(generator)) for generator in generators]


def _collect(value: Any, generators: list[Any], seen: set[int], numpy_random: Any) -> None:
    """Add the generators among the attributes of an estimator, and of the estimators that it holds."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, numpy_random.RandomState | numpy_random.Generator):
        generators.append(value)
    elif isinstance(value, list | tuple):
        for item in value[:1_000]:
            _collect(item, generators, seen, numpy_random)
    elif isinstance(value, dict):
        for item in list(value.values())[:1_000]:
            _collect(item, generators, seen, numpy_random)
    elif hasattr(value, "get_params") and not isinstance(value, type):
        for item in list(getattr(value, "__dict__", {}).values()):
            _collect(item, generators, seen, numpy_random)


def _state(generator: Any) -> Any:
    if generator is random:
        return random.getstate()
    return generator.get_state() if hasattr(generator, "get_state") else generator.bit_generator.state


def _set_state(generator: Any, state: Any) -> None:
    if generator is random:
        random.setstate(state)
    elif hasattr(generator, "set_state"):
        generator.set_state(state)
    else:
        generator.bit_generator.state = state


def _equal(first: Any, second: Any) -> bool:
    # States hold arrays, whose comparison has no truth value.
    return repr(first) == repr(second) if isinstance(first, dict) else _key(first) == _key(second)


def _key(state: Any) -> Any:
    return tuple(part.tobytes() if hasattr(part, "tobytes") else part for part in state)
