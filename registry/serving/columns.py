"""Columns of a signature from JSON values, text or tensors: strict, and without a row's values in an error.

Guarantees: a text or ``true`` is no number, an integer that the column's type cannot hold exactly is refused, and NaN
stands only where ``null`` did.
"""

import base64
import binascii
import re
import struct
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from registry.entities.schema import DataType
from registry.serving.request_errors import RequestError, bad_input

if TYPE_CHECKING:
    import pandas as pd

# Up to here every integer has an exact float.
_EXACT: Final = {DataType.float: 2**24, DataType.double: 2**53}
_BOUNDS: Final = {DataType.integer: 2**31, DataType.long: 2**63}
_NULLABLE: Final = {DataType.integer: "Int32", DataType.long: "Int64", DataType.boolean: "boolean"}
_LISTS: Final[dict[DataType, Any]] = {
    DataType.double: list[int | float | None],
    DataType.float: list[int | float | None],
    DataType.integer: list[int | None],
    DataType.long: list[int | None],
    DataType.boolean: list[bool | None],
    DataType.string: list[str | None],
    DataType.datetime: list[str | None],
    DataType.binary: list[str | None],
}
_WORDS: Final = {
    DataType.double: "a number",
    DataType.float: "a number",
    DataType.integer: "an integer",
    DataType.long: "an integer",
    DataType.boolean: "true or false",
    DataType.string: "a text",
    DataType.datetime: "an ISO date",
    DataType.binary: "a base64 text",
}
_PLACE: Final = re.compile(r"\$((?:\[\d+\])+)")
NUMBER_ROWS: Final = msgspec.json.Decoder(list[list[int | float | None]])
"""Decodes rows of numbers; everything else in them is refused."""


def number_block(rows: Sequence[Sequence[int | float | None]], width: int) -> "np.ndarray[Any, Any]":
    """Return rows of numbers as doubles; ``null`` becomes NaN."""
    try:
        block = np.array(rows, dtype=np.float64)
    except OverflowError:
        raise _inexact("a row", DataType.double) from None
    except ValueError:
        raise ragged(width) from None
    if block.ndim != 2 or block.shape[1] != width:
        raise ragged(width)
    if (np.abs(block) >= _EXACT[DataType.double]).any():
        for row in rows:
            _check_exact(row, "a row", DataType.double)
    return block


def find_exact_block(rows: Sequence[Sequence[float | None]], width: int) -> "np.ndarray[Any, Any] | None":
    """Return rows of numbers as doubles; None if their widths differ or a number may have been an inexact integer."""
    if {*map(len, rows)} != {width}:
        return None
    values = np.empty((len(rows), width))
    try:
        struct.pack_into(f"{values.size}d", values.data, 0, *chain.from_iterable(rows))  # twice as fast as np.array
    except struct.error:  # there are nulls
        values = np.array(rows, dtype=np.float64)
    return None if (np.abs(values) >= _EXACT[DataType.double]).any() else values


def ragged(width: int) -> RequestError:
    """Return the error for rows of different lengths, or not of the length of the columns."""
    return bad_input(f"Each row must be a list of {width} values, one per column.")


def column(name: str, values: list[Any], dtype: DataType, *, required: bool) -> Any:
    """Return JSON values as a column of a type: an array, or a pandas array where integers or truths are missing."""
    try:
        values = msgspec.convert(values, _LISTS[dtype])
    except msgspec.ValidationError as error:
        integers = _as_integers(values) if dtype in _BOUNDS else None
        if integers is None:
            raise bad_input(f"Column {name!r} expects {_WORDS[dtype]}{describe_place(error)}.") from None
        values = integers
    try:
        return _convert(name, values, dtype, required)
    except (ValueError, OverflowError, TypeError):
        raise bad_input(f"Column {name!r} expects {_WORDS[dtype]} in every row; one is out of range.") from None


def _as_integers(values: list[Any]) -> list[int | None] | None:
    """Return numbers that are all whole as integers, as pandas writes 2.0 for 2 beside a missing value; else None."""
    limit = _EXACT[DataType.double]
    for value in values:
        is_whole = type(value) is float and value.is_integer() and abs(value) <= limit
        if not (is_whole or value is None or type(value) is int):
            return None
    return [None if value is None else int(value) for value in values]


def describe_place(error: msgspec.ValidationError) -> str:
    """Return where a value of the wrong type stands, and which type it has: never the value."""
    text = str(error)
    place, kind = _PLACE.search(text), re.search(r"got `(\w+)`", text)
    got = f", got {kind[1]}" if kind else ""
    return f"{got} in row {place[1].strip('[]').split('][')[0]}" if place else got


def _convert(name: str, values: list[Any], dtype: DataType, required: bool) -> Any:
    import pandas as pd

    if dtype in _EXACT:
        _check_exact(values, f"Column {name!r}", dtype)
        doubles = np.array(values, dtype=np.float64)
        return doubles if dtype is DataType.double else single_precision(doubles, f"Column {name!r}")
    if dtype is DataType.string:
        return np.array(values, dtype=object)
    if dtype is DataType.datetime:
        return _moments(values)
    if dtype is DataType.binary:
        return np.fromiter((None if text is None else _bytes(name, text) for text in values), object, len(values))
    if None in values:
        if required:
            raise bad_input(f"Column {name!r} expects {_WORDS[dtype]} in every row, got null.")
        nullable: Any = _NULLABLE[dtype]
        return pd.array(values, dtype=nullable)
    if dtype in _BOUNDS and not (-_BOUNDS[dtype] <= min(values) and max(values) < _BOUNDS[dtype]):
        raise OverflowError
    return np.array(values, dtype=dtype.to_numpy())


def single_precision(doubles: "np.ndarray[Any, Any]", what: str) -> "np.ndarray[Any, Any]":
    """Return doubles as 32-bit floats; one that is too large for them is refused."""
    with np.errstate(over="ignore"):
        singles = doubles.astype(np.float32)
    if (np.isinf(singles) & np.isfinite(doubles)).any():
        raise bad_input(f"{what} has a number beyond the range of 32-bit floats.")
    return singles


def _check_exact(values: Sequence[Any], what: str, dtype: DataType) -> None:
    limit = _EXACT[dtype]
    for value in values:
        if type(value) is int and not -limit <= value <= limit:
            raise _inexact(what, dtype)


def _inexact(what: str, dtype: DataType) -> RequestError:
    return bad_input(
        f"{what[0].upper()}{what[1:]} has an integer beyond ±{_EXACT[dtype]}, which {dtype} cannot hold exactly."
    )


def _moments(values: list[str | None]) -> "np.ndarray[Any, Any]":
    import pandas as pd

    moments = pd.to_datetime(pd.Series(values, dtype=object), format="ISO8601", utc=True)
    array: np.ndarray[Any, Any] = moments.dt.tz_convert(None).astype("datetime64[ns]").to_numpy()
    return array


def _bytes(name: str, text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise bad_input(f"Column {name!r} expects base64 text.") from None


def text_column(name: str, texts: "pd.Series[Any]", dtype: DataType, *, required: bool) -> Any:
    """Return a column of CSV fields in a type; an empty field is a missing value, but an empty text stays one."""
    if dtype in (DataType.string, DataType.datetime, DataType.binary):
        missing = dtype is not DataType.string
        return column(name, [None if missing and not text else text for text in texts], dtype, required=required)
    return column(name, [_parsed(name, text, dtype) for text in texts], dtype, required=required)


_CSV_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?)")
_CSV_MISSING: Final = frozenset({"", "NA", "NaN", "nan", "null", "NULL"})
_CSV_TRUTH: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def _parsed(name: str, text: str, dtype: DataType) -> Any:
    if text in _CSV_MISSING:
        return None
    if dtype is DataType.boolean and text in _CSV_TRUTH:
        return _CSV_TRUTH[text]
    if dtype is not DataType.boolean and len(text) < 400 and _CSV_NUMBER.fullmatch(text):
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    raise bad_input(f"Column {name!r} expects {_WORDS[dtype]} in every row.")


def tensor_column(name: str, values: "np.ndarray[Any, Any]", dtype: DataType) -> Any:
    """Return a tensor as a column of a type, widened where no value changes."""
    kind, target = values.dtype.kind, dtype.to_numpy()
    if dtype in (DataType.string, DataType.binary):
        if kind == "O":
            return values if dtype is DataType.binary else _texts(name, values)
    elif dtype is DataType.datetime:
        if kind == "O":
            return column(name, _texts(name, values).tolist(), dtype, required=True)
    elif kind == target.kind and values.dtype.itemsize <= target.itemsize:
        return values.astype(target, copy=False)
    elif kind == "u" and target.kind == "i" and values.dtype.itemsize < target.itemsize:
        return values.astype(target)
    elif kind in "iu" and dtype in _EXACT:
        limit = _EXACT[dtype]
        if values.size and (int(values.min()) < -limit or int(values.max()) > limit):
            raise _inexact(f"Column {name!r}", dtype)
        return values.astype(target)
    raise bad_input(f"Column {name!r} expects {_WORDS[dtype]}; a tensor of {values.dtype} cannot be one.")


def _texts(name: str, values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    try:
        texts = [value.decode("utf-8") if isinstance(value, bytes) else value for value in values.tolist()]
    except UnicodeDecodeError:
        raise bad_input(f"Column {name!r} expects text in UTF-8.") from None
    return np.array(texts, dtype=object)
