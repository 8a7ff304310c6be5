"""One column of every kind that pandas users have, with and without missing values."""

import datetime
import decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

_MOMENTS = pd.DatetimeIndex(["2026-01-01T00:00:00", "2026-03-29T01:30:00", "2026-12-31T23:59:59"])
_ARROW: dict[str, tuple[pa.DataType, list[Any]]] = {
    "int64": (pa.int64(), [1, 2, 3]),
    "int8": (pa.int8(), [1, 2, 3]),
    "uint32": (pa.uint32(), [1, 2, 3]),
    "uint64": (pa.uint64(), [1, 2, 2**63]),
    "float": (pa.float32(), [1.5, 2.5, 3.5]),
    "double": (pa.float64(), [1.5, 2.5, 3.5]),
    "bool": (pa.bool_(), [True, False, True]),
    "string": (pa.string(), ["x", "y", "z"]),
    "large_string": (pa.large_string(), ["x", "y", "z"]),
    "binary": (pa.binary(), [b"x", b"y", b"z"]),
    "date": (pa.date32(), [datetime.date(2026, 1, day) for day in (1, 2, 3)]),
    "timestamp": (pa.timestamp("us"), list(_MOMENTS.to_pydatetime())),
    "zoned timestamp": (pa.timestamp("us", tz="UTC"), list(_MOMENTS.to_pydatetime())),
    "duration": (pa.duration("s"), [datetime.timedelta(seconds=second) for second in (1, 2, 3)]),
    "time": (pa.time64("us"), [datetime.time(1), datetime.time(2), datetime.time(3)]),
    "decimal": (pa.decimal128(5, 2), [decimal.Decimal("1.50")] * 3),
    "list": (pa.list_(pa.int64()), [[1], [2, 3], []]),
    "struct": (pa.struct([("a", pa.int64())]), [{"a": 1}, {"a": 2}, {"a": 3}]),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), ["x", "y", "x"]),
}
_NUMPY = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"]
_MASKED = ["Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64", "boolean"]
_OBJECTS: dict[str, list[Any]] = {
    "texts": ["x", "y", "z"],
    "texts and None": ["x", None, "z"],
    "integers and None": [1, None, 3],
    "floats and None": [1.5, None, 3.5],
    "booleans": [True, False, True],
    "booleans and None": [True, None, False],
    "nothing": [None, None, None],
    "NA": [pd.NA, pd.NA, 1],
    "mixed": [1, "x", 2.5],
    "bytes": [b"x", b"y", b"z"],
    "dates": [datetime.date(2026, 1, 1), datetime.date(1, 1, 1), datetime.date(9999, 12, 31)],
    "zones": [pd.Timestamp("2026-01-01", tz="UTC"), pd.Timestamp("2026-01-01", tz="Asia/Tokyo"), None],
    "decimals": [decimal.Decimal("1.5")] * 3,
    "huge integers": [2**70, 1, 2],
    "lists": [[1, 2], [3], []],
    "lists of different types": [[1], ["x"], [2.5]],
    "arrays": [np.array([1.0, 2.0])] * 3,
    "dictionaries": [{"a": 1}, {"a": 2, "b": "x"}, {"b": "y"}],
    "dictionaries with None": [{"a": 1}, None, {"a": None}],
    "sets": [{1}, {2}, {3}],
    "classes": [object, int, str],
    "complex": [1j, 2j, 3j],
    "NaN and text": [float("nan"), "x", "y"],
    "numpy scalars": [np.int64(1), np.int64(2), np.float32(1.5)],
}
_CATEGORIES: dict[str, Any] = {
    "texts": pd.Categorical(["x", "y", "x"]),
    "texts and None": pd.Categorical(["x", None, "x"]),
    "more categories": pd.Categorical(["x", "y", "x"], categories=["x", "y", "z"]),
    "integers": pd.Categorical([1, 2, 1]),
    "small integers": pd.Categorical(np.array([1, 2, 1], dtype="int8")),
    "integers and None": pd.Categorical([1, None, 1]),
    "floats": pd.Categorical([1.5, 2.5, 1.5]),
    "booleans": pd.Categorical([True, False, True]),
    "moments": pd.Categorical(_MOMENTS),
    "mixed": pd.Categorical([1, "x", 1]),
    "intervals": pd.cut([1, 2, 3], 2),
    "none": pd.Categorical([None, None, None]),
    "ordered": pd.Categorical(["x", "y", "x"], ordered=True),
}
KINDS: dict[str, pd.Series] = {
    **{name: pd.Series([1, 2, 3], dtype=name) for name in _NUMPY},
    "uint64 that long cannot hold": pd.Series([2**63, 2, 3], dtype="uint64"),
    "float64 with NaN": pd.Series([1.5, None, 3.5]),
    "complex128": pd.Series([1j, 2j, 3j]),
    "bool": pd.Series([True, False, True]),
    **{name: pd.Series([1, 0, 1], dtype=name) for name in _MASKED},
    **{f"{name} with NA": pd.Series([1, None, 1], dtype=name) for name in _MASKED},
    "str": pd.Series(["x", "y", "z"]),
    "string": pd.Series(["x", None, "z"], dtype="string"),
    "string of Python": pd.Series(["x", None, "z"], dtype="string[python]"),
    "string of Arrow": pd.Series(["x", None, "z"], dtype="string[pyarrow]"),
    **{f"datetime64[{unit}]": pd.Series(_MOMENTS).astype(f"datetime64[{unit}]") for unit in ("s", "ms", "us", "ns")},
    "datetime64 out of bounds": pd.Series(np.array(["0001-01-01", "9999-01-01", "NaT"], dtype="datetime64[s]")),
    "datetime64 with NaT": pd.Series(_MOMENTS).where([True, False, True]),
    **{f"zone {zone}": pd.Series(_MOMENTS.tz_localize(zone)) for zone in ("UTC", "Asia/Tokyo")},
    "zone with NaT": pd.Series(_MOMENTS.tz_localize("UTC")).where([True, False, True]),
    "zone with a change of the clock": pd.Series(_MOMENTS.tz_localize("UTC").tz_convert("Europe/Berlin")),
    "timedelta64": pd.Series(pd.to_timedelta([1, 2, 3], unit="s")),
    "period": pd.Series(pd.period_range("2026-01", periods=3, freq="M")),
    "interval": pd.Series(pd.interval_range(0, 3)),
    **{
        f"Sparse[{dtype}]": pd.Series(pd.arrays.SparseArray(np.array([1, 0, 1], dtype=dtype)))
        for dtype in ("int64", "int32", "float64", "float32", "bool", "uint64")
    },
    "Sparse with NaN": pd.Series(pd.arrays.SparseArray([1.5, np.nan, np.nan])),
    "Sparse datetime": pd.Series(pd.arrays.SparseArray(_MOMENTS.to_numpy())),
    **{f"object: {name}": pd.Series(values, dtype=object) for name, values in _OBJECTS.items()},
    **{f"category: {name}": pd.Series(values) for name, values in _CATEGORIES.items()},
    **{f"Arrow {name}": pd.Series(values, dtype=pd.ArrowDtype(kind)) for name, (kind, values) in _ARROW.items()},
    **{
        f"Arrow {name} with null": pd.Series([values[0], None, values[2]], dtype=pd.ArrowDtype(kind))
        for name, (kind, values) in _ARROW.items()
    },
}
# Ways to name columns, as functions of a frame of two columns.
NAMES: dict[str, Any] = {
    "texts": ["a", "b"],
    "integers": [0, 1],
    "other integers": [7, 3],
    "numpy integers": pd.Index(np.array([7, 3], dtype="int32")),
    "floats": [0.5, 1.5],
    "booleans": [True, False],
    "levels": pd.MultiIndex.from_tuples([("a", "x"), ("b", 1)], names=["first", "second"]),
    "mixed": ["a", 1],
    "moments": pd.date_range("2026-01-01", periods=2),
    "None": [None, "b"],
    "NaN": [float("nan"), "b"],
    "categories": pd.CategoricalIndex(["a", "b"]),
    "periods": pd.period_range("2026-01", periods=2, freq="M"),
    "empty": ["", " "],
    "strange": ["a\nb", 'q"uote'],
    "tuples of moments": [("a", pd.Timestamp("2026-01-01")), ("b", pd.Timestamp("2026-01-02"))],
    "bytes": [b"a", b"b"],
}
