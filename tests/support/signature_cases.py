"""Data to infer signatures from and to enforce them on. Imported here and by real mlflow, so it imports neither."""

import datetime
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

_MOMENTS = pd.to_datetime(["2026-01-01T00:00:00", "2026-01-02T03:04:05"])

INFERRED: dict[str, Any] = {
    "doubles": pd.DataFrame({"a": [1.0, 2.5], "b": [0.5, 1.5]}),
    "floats of 32 bits": pd.DataFrame({"a": np.array([1, 2], dtype="float32")}),
    "doubles with a missing value": pd.DataFrame({"a": [1.0, None]}),
    "integers": pd.DataFrame({"a": [1, 2], "b": np.array([1, 2], dtype="int32"), "c": np.array([1, 2], dtype="uint8")}),
    "unsigned of 32 bits": pd.DataFrame({"a": np.array([1, 2], dtype="uint32")}),
    "unsigned of 64 bits": pd.DataFrame({"a": np.array([1, 2], dtype="uint64")}),
    "booleans": pd.DataFrame({"a": [True, False]}),
    "texts": pd.DataFrame({"a": ["x", "y"], "b": pd.Series(["x", None], dtype=object)}),
    "texts of pandas": pd.DataFrame({"a": pd.array(["x", None], dtype="string")}),
    "categories of texts": pd.DataFrame({"a": pd.Categorical(["x", "y"])}),
    "categories of integers": pd.DataFrame({"a": pd.Categorical([1, 2])}),
    "bytes": pd.DataFrame({"a": [b"x", b"y"]}),
    "moments": pd.DataFrame({"a": _MOMENTS, "b": _MOMENTS.tz_localize("UTC")}),
    "dates": pd.DataFrame({"a": [datetime.date(2026, 1, 1), datetime.date(2026, 1, 2)]}),
    "nullable types": pd.DataFrame(
        {"a": pd.array([1, None], dtype="Int64"), "b": pd.array([True, None], dtype="boolean")}
    ),
    "integer column names": pd.DataFrame([[1.0, 2.0], [3.0, 4.0]]),
    "lists": pd.DataFrame({"a": [[1, 2], [3]], "b": [["x"], []]}),
    "dictionaries": pd.DataFrame({"a": [{"k": 1}, {"k": 2, "l": "x"}]}),
    "mixed objects": pd.DataFrame({"a": [1, "x"]}),
    "nothing but missing": pd.DataFrame({"a": [None, None]}),
    "no rows": pd.DataFrame({"a": pd.Series([], dtype="float64"), "b": pd.Series([], dtype=object)}),
    "a named series": pd.Series([1.0, 2.0], name="a"),
    "a series without name": pd.Series([1, 2]),
    "a series with missing values and no name": pd.Series([1.0, None]),
    "a matrix": np.zeros((3, 2)),
    "a vector of integers": np.array([1, 2, 3]),
    "an array of texts": np.array(["x", "yy"]),
    "an image": np.zeros((2, 28, 28, 3), dtype="uint8"),
    "a scalar array": np.array(1.0),
    "arrays by name": {"a": np.zeros((2, 3)), "b": np.array([1, 2])},
    "a sparse matrix": sparse.csr_matrix(np.eye(3)),
    "a sparse matrix by columns": sparse.csc_matrix(np.eye(3, dtype="float32")),
    "a dictionary of scalars": {"a": 1, "b": "x", "c": 1.5, "d": True, "e": None},
    "a dictionary of lists": {"a": [1.0, 2.0], "b": ["x", None]},
    "a nested dictionary": {"a": {"b": [1, 2], "c": {"d": "x"}}},
    "a list of dictionaries": [{"a": 1, "b": "x"}, {"a": 2, "c": [1.0]}],
    "a list of texts": ["x", "y"],
    "a list of numbers": [1, 2],
    "a list of lists": [[1, 2], [3]],
    "a list of different types": [1, "x"],
    "an empty list": [],
    "an empty dictionary": {},
    "a text": "x",
    "an integer": 3,
    "a moment": datetime.datetime(2026, 1, 1),
    "a numpy scalar": np.float32(1.5),
    "an unknown object": object,
}

PARAMS: dict[str, Any] = {
    "scalars": {"a": 1, "b": 1.5, "c": "x", "d": True},
    "lists": {"a": [1, 2], "b": ["x", "y"], "c": np.array([1.5])},
    "a moment": {"a": datetime.datetime(2026, 1, 1, 2, 3)},
    "a dictionary": {"a": {"b": 1, "c": "x"}},
}

_ABC = {"type": "double", "name": "a"}, {"type": "long", "name": "b"}, {"type": "string", "name": "c"}
_COLUMNS = [{**form, "required": True} for form in _ABC]
_ONE = [{"type": "double", "name": "a", "required": True}]


def _one(kind: str) -> list[dict[str, Any]]:
    return [{"type": kind, "name": "a", "required": True}]


def _tensor(dtype: str, shape: list[int]) -> list[dict[str, Any]]:
    return [{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}}]


ENFORCED: dict[str, tuple[list[dict[str, Any]], Any]] = {
    "as it is": (_COLUMNS, pd.DataFrame({"a": [1.0], "b": [2], "c": ["x"]})),
    "other order and more columns": (_COLUMNS, pd.DataFrame({"z": [0], "c": ["x"], "b": [2], "a": [1.0]})),
    "a missing column": (_COLUMNS, pd.DataFrame({"a": [1.0], "b": [2]})),
    "a missing optional column": (
        [*_ONE, {"type": "long", "name": "b", "required": False}],
        pd.DataFrame({"a": [1.0]}),
    ),
    "integers of 32 bits for doubles": (_ONE, pd.DataFrame({"a": np.array([1, 2], dtype="int32")})),
    "floats for doubles": (_ONE, pd.DataFrame({"a": np.array([1.5], dtype="float32")})),
    "zeros and ones for doubles": (_ONE, pd.DataFrame({"a": [0, 1]})),
    "texts for doubles": (_ONE, pd.DataFrame({"a": ["x"]})),
    "digits for doubles": (_ONE, pd.DataFrame({"a": ["1"]})),
    "booleans for doubles": (_ONE, pd.DataFrame({"a": [True]})),
    "objects for doubles": (_ONE, pd.DataFrame({"a": pd.Series([1.5, 2.5], dtype=object)})),
    "doubles for longs": (_one("long"), pd.DataFrame({"a": [1.0, None]})),
    "integers of 32 bits for longs": (_one("long"), pd.DataFrame({"a": np.array([1], dtype="int32")})),
    "longs for integers": (_one("integer"), pd.DataFrame({"a": [1]})),
    "unsigned for longs": (_one("long"), pd.DataFrame({"a": np.array([1], dtype="uint32")})),
    "doubles for floats": (_one("float"), pd.DataFrame({"a": [1.5]})),
    "numbers for texts": (_one("string"), pd.DataFrame({"a": [1]})),
    "mixed objects for texts": (_one("string"), pd.DataFrame({"a": pd.Series([1, "x"], dtype=object)})),
    "moments": (_one("datetime"), pd.DataFrame({"a": _MOMENTS})),
    "texts of moments as objects": (_one("datetime"), pd.DataFrame({"a": pd.Series(["2026-01-01"], dtype=object)})),
    "numbers for moments": (_one("datetime"), pd.DataFrame({"a": [1.5]})),
    "booleans": (_one("boolean"), pd.DataFrame({"a": [True, False]})),
    "numbers for booleans": (_one("boolean"), pd.DataFrame({"a": [1, 0]})),
    "a dictionary of lists": (_COLUMNS, {"a": [1.0, 2.0], "b": [1, 2], "c": ["x", "y"]}),
    "a dictionary of scalars": (_COLUMNS, {"a": 1.0, "b": 1, "c": "x"}),
    "a list of dictionaries": (_COLUMNS, [{"a": 1.0, "b": 1, "c": "x"}]),
    "a matrix for named columns": (_ONE, np.array([[1.0]])),
    "a list for named columns": (_ONE, [1.0]),
    "a named series": (_ONE, pd.Series([1.0], name="a")),
    "a text for an unnamed column": ([{"type": "string", "required": True}], "x"),
    "a list for an unnamed column": ([{"type": "string", "required": True}], ["x", "y"]),
    "too few unnamed columns": ([{"type": "double", "required": True}] * 2, pd.DataFrame([[1.0]])),
    "more unnamed columns": ([{"type": "double", "required": True}], pd.DataFrame([[1.0, 2.0]])),
    "lists in a column": (
        [{"type": "array", "items": {"type": "double"}, "name": "a", "required": True}],
        pd.DataFrame({"a": [[1.0, 2.0], [3.0]]}),
    ),
    "texts in a column of lists of doubles": (
        [{"type": "array", "items": {"type": "double"}, "name": "a", "required": True}],
        pd.DataFrame({"a": [["x"]]}),
    ),
    "a key too many in a dictionary": (
        [{"type": "object", "properties": {"k": {"type": "long", "required": True}}, "name": "a", "required": True}],
        [{"a": {"k": 1, "l": 2}}],
    ),
    "a dictionary that fits": (
        [{"type": "object", "properties": {"k": {"type": "long", "required": True}}, "name": "a", "required": True}],
        [{"a": {"k": 1}}],
    ),
    "anything": ([{"type": "any", "name": "a", "required": False}], pd.DataFrame({"a": [1, 2]})),
    "a matrix": (_tensor("float64", [-1, 2]), np.zeros((3, 2))),
    "a matrix of another type": (_tensor("float64", [-1, 2]), np.zeros((3, 2), dtype="float32")),
    "a matrix of another shape": (_tensor("float64", [-1, 2]), np.zeros((3, 4))),
    "a frame for a matrix": (_tensor("float64", [-1, 2]), pd.DataFrame([[1.0, 2.0]])),
    "a frame of one column for a vector": (_tensor("float64", [-1]), pd.DataFrame({"a": [1.0, 2.0]})),
    "a list for a matrix": (_tensor("float64", [-1, 2]), [[1.0, 2.0]]),
    "a sparse matrix": (_tensor("float64", [-1, 3]), sparse.csr_matrix(np.eye(3))),
}


def plain(value: Any) -> Any:
    """Return a result of enforcement as JSON data: types and values."""
    if isinstance(value, pd.DataFrame):
        cells = [[str(cell) for cell in row] for row in value.to_numpy(dtype=object).tolist()]
        return {
            "columns": [str(name) for name in value.columns],
            "types": [str(t) for t in value.dtypes],
            "cells": cells,
        }
    if sparse.issparse(value):
        value = value.toarray()
    if isinstance(value, np.ndarray):
        return {"type": str(value.dtype), "values": value.tolist()}
    return str(value)
