"""Validate tensors against a signature: data type and shape must agree; -1 stands for any length.

Guarantees: arrays are checked, never converted. Columns of a DataFrame are first turned into arrays, because pandas
keeps neither the shape nor the type of the values in its cells.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from registry.entities.schema import Schema, TensorSpec
from registry.exceptions import SchemaEnforcementError
from registry.flavors.signatures.infer import is_sparse, tensor_type_name

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def enforce_tensors(data: Any, schema: Schema) -> Any:
    """Return the array that fits `schema`, or the dictionary of arrays if tensors have names.

    Raises:
        SchemaEnforcementError: the data do not fit.
    """
    import pandas as pd

    if isinstance(data, pd.Series):
        data = pd.DataFrame(data)
    if schema.has_input_names():
        return _named(data, schema)
    return _unnamed(data, schema.inputs[0])


def _named(data: Any, schema: Schema) -> dict[str, Any]:
    import numpy as np
    import pandas as pd

    names = schema.input_names()
    if isinstance(data, np.ndarray) and len(names) == 1:
        data = {names[0]: data}
    if not isinstance(data, Mapping | pd.DataFrame):
        raise SchemaEnforcementError(
            "The signature has named tensors, which need a dictionary of numpy arrays or a DataFrame, but an input "
            f"of type {type(data).__name__} was found."
        )
    missing = [name for name in names if name not in data]
    if missing:
        raise SchemaEnforcementError(f"Model is missing inputs {missing}.")
    return {spec.name: _named_tensor(data[spec.name], spec) for spec in schema}


def _named_tensor(values: Any, spec: TensorSpec) -> Any:
    import numpy as np
    import pandas as pd

    if isinstance(values, pd.Series):
        return _from_column(values, spec)
    if isinstance(values, np.ndarray):
        return _checked(values, values.dtype, spec)
    raise SchemaEnforcementError(f"The input {spec.name!r} must be a numpy array, got {type(values).__name__}.")


def _unnamed(data: Any, spec: TensorSpec) -> Any:
    import numpy as np
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        if data.empty:
            raise SchemaEnforcementError("Input DataFrame is empty.")
        if len(data.columns) == 1:
            return _from_column(data.iloc[:, 0], spec)
        values = data.to_numpy()
        return _checked(values, values.dtype, spec)
    if isinstance(data, np.ndarray):
        return _checked(data, data.dtype, spec)
    if is_sparse(data):
        return _checked(data, data.data.dtype, spec)
    raise SchemaEnforcementError(
        f"The signature has a tensor without a name, which needs a numpy array, but {type(data).__name__} was found."
    )


def _checked(values: Any, dtype: "np.dtype[Any]", spec: TensorSpec) -> Any:
    expected, actual = spec.shape, values.shape
    is_ragged = dtype.kind == "O" and len(actual) == 1 and -1 in expected[1:]
    if is_ragged or (expected == (-1,) and spec.type.kind == "O"):
        return values
    if len(expected) != len(actual) or any(want not in (-1, has) for want, has in zip(expected, actual, strict=True)):
        raise SchemaEnforcementError(f"Shape of input {actual} does not match expected shape {expected}.")
    if tensor_type_name(dtype) != tensor_type_name(spec.type):
        raise SchemaEnforcementError(f"dtype of input {dtype} does not match expected dtype {spec.type}")
    return values


def _from_column(column: "pd.Series[Any]", spec: TensorSpec) -> Any:
    import numpy as np

    shape = spec.shape
    if not shape or shape[0] != -1 or -1 in shape[1:]:
        raise SchemaEnforcementError(
            "For a DataFrame the first dimension must be variable and the others fixed, but the signature's shape of "
            f"{spec.name or 'the unnamed input'} is {shape}."
        )
    cells = column.tolist()
    first = cells[0] if cells else None
    if first is None or np.isscalar(first):
        if shape not in ((-1,), (-1, 1)):
            raise SchemaEnforcementError(
                f"The column {column.name!r} has scalar values, which need the shape (-1,) or (-1, 1), got {shape}."
            )
        return column.to_numpy(dtype=spec.type).reshape(shape)
    try:
        stacked = np.vstack([np.asarray(cell).reshape(1, -1) for cell in cells]).reshape(shape)
    except ValueError:
        raise SchemaEnforcementError(f"The values in column {column.name!r} cannot be shaped to {shape}.") from None
    if len(stacked) != len(column):
        raise SchemaEnforcementError(f"The values in column {column.name!r} cannot be shaped to {shape}.")
    # A list has no type of its own. An array has one, which must agree.
    typed = stacked.astype(spec.type) if isinstance(first, list) else stacked
    return _checked(typed, typed.dtype, spec)
