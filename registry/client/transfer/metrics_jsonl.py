"""Writes and reads metric points as JSON lines: ``["auc",0,1767225600000,"0.875"]``.

The fields are key, step, timestamp (milliseconds since the epoch) and value. Values are ``repr(float)``, so every
double, NaN and infinity survives. Guarantees: memory stays bounded, however long the file is.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Final

from registry.entities import Metric
from registry.exceptions import IntegrityError, InvalidNameError
from registry.store.transfer.model_export import Point
from registry.validation.names import check_key

_BATCH: Final = 5_000
_MAX_LINE: Final = 16_384
_LIMIT: Final = 2**63


def write_points(file: BinaryIO, points: Sequence[Point]) -> None:
    """Append points to a file."""
    lines = (json.dumps([key, step, timestamp, repr(value)]) for key, step, timestamp, value in points)
    file.write("".join(f"{line}\n" for line in lines).encode())


def read_points(pieces: Iterable[bytes]) -> Iterator[list[Metric]]:
    """Yield the points of a file that arrives in chunks, up to _BATCH at a time.

    Raises:
        IntegrityError: A line is not a point.
    """
    batch: list[Metric] = []
    for line in _lines(pieces):
        batch.append(_point(line))
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > _MAX_LINE:
            raise _fault(rest)
        yield from lines
    if rest:
        raise _fault(rest)


def _point(line: bytes) -> Metric:
    try:
        key, step, timestamp, value = json.loads(line)
        metric = Metric(key=check_key(key), value=float(_text(value)), timestamp=_whole(timestamp), step=_whole(step))
    except (InvalidNameError, RecursionError, TypeError, ValueError) as error:
        raise _fault(line) from error
    return metric


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or not -_LIMIT <= value < _LIMIT:
        raise ValueError(value)
    return value


def _fault(line: bytes) -> IntegrityError:
    return IntegrityError(f"The export has a metric point that cannot be read: {line[:200]!r}.")
