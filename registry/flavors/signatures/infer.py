"""Infer signatures from examples of input, output and params (MLflow's rules).

Guarantees: the same data give the same signature as in MLflow, so that either package can check the other's models.
"""

import datetime
import logging
import math
import sys
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from registry.entities.param_schema import ParamSchema, ParamSpec
from registry.entities.schema import AnyType, Array, ColSpec, DataType, Object, Property, Schema, TensorSpec
from registry.entities.schema_types import ColumnType, merge_types
from registry.entities.signature import ModelSignature
from registry.exceptions import InvalidParameterError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_logger = logging.getLogger(__name__)


def infer_signature(
    model_input: Any = None, model_output: Any = None, params: Mapping[str, Any] | None = None
) -> ModelSignature:
    """Infer the signature of a model from examples of its input, output and params.

    Data of unknown type get the type ``any``, with a logged warning.

    Args:
        model_input: Data that ``predict`` takes: a DataFrame, Series, ndarray, sparse matrix, list, dict or scalar.
        model_output: Predictions, usually ``model.predict(model_input)``.
        params: Params that ``predict`` takes besides data, by name, with their defaults.

    Returns:
        The signature; its schemas are None for arguments that were not given.

    Raises:
        InvalidParameterError: nothing was given, two columns have the same name, or `params` is not a map of scalars,
            lists and dictionaries.

    Example:
        >>> signature = registry.models.infer_signature(X, model.predict(X))
        >>> signature.inputs
        ['rest_days': double (required), 'rating_gap': double (required)]
    """
    for data in (model_input, model_output):
        if type(data).__name__ == "DataFrame":
            check_unique_columns(data)
    inputs = schema_or_any(model_input, "inputs")
    _warn_of_integers(inputs)
    return ModelSignature(inputs, schema_or_any(model_output, "outputs"), infer_params(params))


def infer_schema(data: Any) -> Schema:
    """Infer the schema of a DataFrame, Series, ndarray, sparse matrix, list, dict or scalar.

    Raises:
        InvalidParameterError: the data have a type that no signature can express.
    """
    import numpy as np
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return _schema_of_frame(data)
    if isinstance(data, pd.Series):
        return Schema([_column(data, data.name)])
    if isinstance(data, np.ndarray):
        return Schema([_tensor(data.dtype, data.shape)])
    if is_sparse(data):
        return Schema([_tensor(data.data.dtype, data.shape)])
    if isinstance(data, dict):
        return _schema_of_dict(data)
    if isinstance(data, list):
        return _schema_of_list(data)
    return Schema([ColSpec(_known(infer_type(data), data))])


def schema_or_any(data: Any, what: str) -> Schema | None:
    """Infer the schema of `data`. If its type is unknown, return ``any`` and log a warning that names `what`."""
    if data is None:
        return None
    try:
        return infer_schema(data)
    except (InvalidParameterError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        _logger.warning(
            "Failed to infer the schema of %s (%s); it is recorded as `any`, which is not checked.", what, error
        )
        return Schema([ColSpec(AnyType())])


def infer_params(params: Mapping[str, Any] | None) -> ParamSchema | None:
    """Infer the schema of params, with the values as defaults; return None for None.

    Raises:
        InvalidParameterError: a value is not a scalar, list of scalars or dictionary.
    """
    if not params:
        return None
    if not isinstance(params, Mapping):
        raise InvalidParameterError(f"Expected parameters to be dict, got {type(params).__name__}")
    return ParamSchema([_param(name, value) for name, value in params.items()])


def is_sparse(data: Any) -> bool:
    """Tell whether `data` is a SciPy sparse matrix by rows or columns, without importing SciPy."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(data)) and data.format in ("csr", "csc")


def is_column_of(column: "pd.Series[Any]", dtype: ColumnType) -> bool:
    """Tell whether `infer_schema` gives a column this type."""
    try:
        return _column_type(column) == dtype
    except InvalidParameterError:
        return False


def check_unique_columns(frame: "pd.DataFrame") -> None:
    """Check that the columns of a frame have different names.

    Raises:
        InvalidParameterError: two columns have the same name.
    """
    if not frame.columns.is_unique:
        doubles = frame.columns[frame.columns.duplicated()].unique().tolist()
        raise InvalidParameterError(
            f"The DataFrame has several columns of the names {doubles[:20]}; rename or drop all but one of each."
        )


def check_column_names(frame: "pd.DataFrame") -> None:
    """Check that the columns of a frame have different names that JSON can hold.

    Raises:
        InvalidParameterError: two columns have the same name, or a name is not text, a number or a tuple of these.
    """
    check_unique_columns(frame)
    odd = [name for name in frame.columns.tolist() if not _is_name(name)]
    if odd:
        raise InvalidParameterError(
            f"The column names {odd[:20]} are neither text nor numbers, so no signature can hold them; rename them, "
            "such as by frame.columns = frame.columns.map(str)."
        )


def _is_name(name: Any) -> bool:
    if isinstance(name, tuple):
        return all(map(_is_name, name))
    return isinstance(name, str | int) or (isinstance(name, float) and math.isfinite(name))


def is_missing(value: Any) -> bool:
    """Tell whether a value stands for a missing one: None, NaN, ``pandas.NA`` or ``NaT``."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def infer_type(data: Any) -> ColumnType | None:
    """Infer the type of a value: a scalar, list (Array), dictionary (Object), or ``any`` for None and empty values.

    Return None for an ndarray without items, whose type is unknown.

    Raises:
        InvalidParameterError: items have different types, or a value has an unknown type.
    """
    import numpy as np

    if is_missing(data) or (isinstance(data, list | dict) and not data):
        return AnyType()
    if isinstance(data, dict):
        return Object([_property(name, value) for name, value in data.items()])
    if isinstance(data, list | np.ndarray):
        return _array_type(data)
    if isinstance(data, datetime.date | np.datetime64):
        return DataType.datetime
    kind = DataType.of_scalar(data)
    if kind is None:
        raise InvalidParameterError(f"Data {data!r} is not one of the supported DataType")
    return kind


def tensor_type_name(dtype: "np.dtype[Any]") -> str:
    """Return the name of a tensor's data type, without the length of texts."""
    return {"U": "str", "S": "bytes"}.get(dtype.char, dtype.name)


def numpy_column_type(dtype: Any) -> DataType:
    """Return the column type of a numpy or pandas data type.

    Raises:
        InvalidParameterError: no column type is wide enough or of that kind.
    """
    kind, size = dtype.kind, dtype.itemsize
    if kind in "iu":
        # An unsigned integer needs a signed type of twice its size.
        needed = size if kind == "i" else size * 2
        if needed <= 8:
            return DataType.integer if needed <= 4 else DataType.long
    elif kind == "f" and size <= 8:
        return DataType.float if size <= 4 else DataType.double
    elif kind in "bUSM":
        return {"b": DataType.boolean, "U": DataType.string, "S": DataType.binary, "M": DataType.datetime}[kind]
    raise InvalidParameterError(f"Unsupported numpy data type '{dtype}', kind '{kind}'")


def _warn_of_integers(inputs: Schema | None) -> None:
    if inputs is None or inputs.is_tensor_spec():
        return
    specs = zip(inputs.input_names(), inputs, strict=True)
    names = [name for name, spec in specs if spec.required and _is_integer(spec.type)]
    if names:
        warnings.warn(
            f"Integer columns {names[:20]} in the signature: Python's integer columns cannot hold missing values, so "
            "input with missing values arrives as floats and is refused by predict. If that can happen, infer the "
            "signature from data with missing values, or make the columns float64.",
            UserWarning,
            stacklevel=3,
        )


def _is_integer(dtype: object) -> bool:
    return dtype in (DataType.integer, DataType.long)


def _tensor(dtype: "np.dtype[Any]", shape: tuple[int, ...], name: str | None = None) -> TensorSpec:
    if not shape:
        raise InvalidParameterError("An array without dimensions has no first dimension that could vary.")
    return TensorSpec(tensor_type_name(dtype), (-1, *shape[1:]), name)


def _schema_of_frame(frame: "pd.DataFrame") -> Schema:
    check_column_names(frame)
    return Schema([_column(frame.iloc[:, position], name) for position, name in enumerate(frame.columns)])


def _column(column: "pd.Series[Any]", name: Any) -> ColSpec:
    required = not bool(column.isna().any())
    return ColSpec(_column_type(column), name, required)


def _column_type(column: "pd.Series[Any]") -> ColumnType:
    dtype = getattr(column.dtype, "subtype", column.dtype) if _is_sparse_column(column) else column.dtype
    if dtype.kind == "O":
        column = column.infer_objects()
        dtype = column.dtype
    if dtype.kind != "O":
        return numpy_column_type(dtype)
    values = infer_type(column.to_list())
    # Without rows, only the column's data type is known.
    return values.dtype if isinstance(values, Array) else DataType.string


def _is_sparse_column(column: "pd.Series[Any]") -> bool:
    import pandas as pd

    return isinstance(column.dtype, pd.SparseDtype)


def _schema_of_dict(data: dict[Any, Any]) -> Schema:
    import numpy as np

    if not all(isinstance(name, str) for name in data):
        raise InvalidParameterError("The dictionary keys are not all strings.")
    if data and all(isinstance(value, np.ndarray) for value in data.values()):
        return Schema([_tensor(value.dtype, value.shape, name) for name, value in data.items()])
    return Schema(
        [ColSpec(_known(infer_type(value), value), name, _is_required(value)) for name, value in data.items()]
    )


def _schema_of_list(data: list[Any]) -> Schema:
    if not data:
        return Schema([ColSpec(DataType.string)])
    if not all(isinstance(item, dict) for item in data):
        items = infer_type(data)
        return Schema([ColSpec(items.dtype if isinstance(items, Array) else _known(None, data))])
    columns: dict[str, list[Any]] = {}
    for row in data:
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    specs = []
    for name, values in columns.items():
        items = infer_type(values)
        required = all(row.get(name) is not None for row in data)
        specs.append(ColSpec(items.dtype if isinstance(items, Array) else _known(None, values), name, required))
    return Schema(specs)


def _is_required(value: Any) -> bool:
    return not any(map(is_missing, value)) if isinstance(value, list) else not is_missing(value)


def _known(dtype: ColumnType | None, data: Any) -> ColumnType:
    if dtype is None:
        raise InvalidParameterError(f"Numpy array must include at least one non-empty item. Invalid input `{data}`.")
    return dtype


def _property(name: Any, value: Any) -> Property:
    dtype = _known(infer_type(value), value)
    return Property(name, dtype, required=not isinstance(dtype, AnyType))


def _array_type(data: Any) -> Array | None:
    result: ColumnType | None = None
    for item in data:
        dtype = infer_type(item)
        if dtype is None:
            continue
        # With missing items, a scalar type stays required and nested types become optional (MLflow's rule).
        result = dtype if result is None else merge_types(result, dtype)
    return None if result is None else Array(result)


def _param(name: str, value: Any) -> ParamSpec:
    import numpy as np

    if isinstance(value, dict):
        nested = infer_type(value)
        if isinstance(nested, Object):
            return ParamSpec(name, nested, value)
    elif isinstance(value, list | tuple | np.ndarray):
        values = np.asarray(value)
        if values.ndim == 1:
            return ParamSpec(name, numpy_column_type(_element_dtype(values)), list(value), (-1,))
    elif isinstance(value, datetime.date | np.datetime64):
        return ParamSpec(name, DataType.datetime, value)
    elif np.isscalar(value):
        return ParamSpec(name, numpy_column_type(np.asarray(value).dtype), value)
    raise InvalidParameterError(
        f"Failed to infer schema for parameter {name!r}: expected a scalar, a 1D list or a dictionary, got {value!r}."
    )


def _element_dtype(values: "np.ndarray[Any, Any]") -> Any:
    import numpy as np

    if values.dtype.kind == "O" and all(isinstance(item, datetime.date) for item in values):
        return np.dtype("datetime64[ns]")
    return values.dtype
