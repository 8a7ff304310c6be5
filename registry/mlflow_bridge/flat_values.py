"""Turn nested values of other trackers into what runs have here: params as text, and histories of numbers."""

import json
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from registry.store.transfer.outside_runs import Series
from registry.validation.names import MAX_PARAM_VALUE, MAX_RUN_TAG_VALUE

_TYPE: Final = "_type"
"""The key by which W&B and trackio mark images, tables and the like."""
_NUMBERS: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class Histories:
    """The metric histories of one run, collected row by row."""

    def __init__(self) -> None:
        self._columns: dict[str, tuple[array[int], array[int], array[float]]] = {}
        self.left_out: Counter[str] = Counter()
        self.last_step = 0

    def add_row(self, values: Mapping[str, Any], step: int, timestamp: int, *, moves_step: bool = True) -> None:
        """Add what was logged at one step; nested keys are joined by dots, and what is no number is counted."""
        flat, media = without_media(values)
        self.left_out.update(media)
        for key, value in flat.items():
            number = _NUMBERS.get(value) if isinstance(value, str) else value
            if isinstance(number, int | float):
                self.add(key, step, timestamp, number)
            elif value is not None:
                self.left_out[key] += 1
        if moves_step:
            self.last_step = max(self.last_step, step)

    def add(self, key: str, step: int, timestamp: int, value: float) -> None:
        """Add one point."""
        steps, timestamps, values = self._columns.setdefault(key, (array("q"), array("q"), array("d")))
        steps.append(step)
        timestamps.append(timestamp)
        values.append(float(value))

    def last(self, key: str) -> float | None:
        """Return the last value of a history, or None if there is none."""
        columns = self._columns.get(key)
        return None if columns is None else columns[2][-1]

    def series(self) -> list[Series]:
        """Return the histories, sorted by key."""
        return [Series(key, *self._columns[key]) for key in sorted(self._columns)]


def flatten(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings; their keys are joined by dots."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def without_media(values: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """Return flat values without those of images, tables and the like, and the keys of these."""
    flat = dict(flatten(values))
    media = {key.removesuffix(f".{_TYPE}") for key in flat if key.endswith(f".{_TYPE}")}
    kept = {key: value for key, value in flat.items() if not any(key.startswith(f"{one}.") for one in media)}
    return kept, media


def params_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return a configuration as params, as MLflow writes values as text; lists become JSON."""
    return {key: _text(value) for key, value in flatten(config)}


def _text(value: Any) -> str:
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def too_long(owner: str, params: dict[str, str], tags: dict[str, str]) -> list[str]:
    """Remove params and tags whose values are too long to be kept; return a sentence about each."""
    problems = []
    for what, pairs, longest in (("param", params, MAX_PARAM_VALUE), ("tag", tags, MAX_RUN_TAG_VALUE)):
        for key in [key for key, value in pairs.items() if len(value) > longest]:
            problems.append(
                f"The {what} {key!r} of {owner} was left out: it has {len(pairs.pop(key))} characters, at most "
                f"{longest} are kept."
            )
    return problems
