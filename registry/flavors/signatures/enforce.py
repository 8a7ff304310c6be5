"""Validate `predict` input against the signature, and convert it if no value changes.

Handles columns and params; `enforce_tensors` handles tensors, `enforce_values` single values. Guarantees: the result
has the columns and types of the signature, in its order. The caller's data are never written to; if nothing has to
change, they are returned as they are.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from registry.entities.param_schema import ParamSchema
from registry.entities.schema import AnyType, Array, DataType, Object, Schema
from registry.exceptions import InvalidParameterError, InvalidTypeError, SchemaEnforcementError
from registry.flavors.signatures.enforce_tensors import enforce_tensors
from registry.flavors.signatures.enforce_values import convert_numbers, enforce_column, enforce_items

if TYPE_CHECKING:
    import pandas as pd

_logger = logging.getLogger(__name__)


def enforce_schema(data: Any, schema: Schema) -> Any:
    """Return data that fit `schema`: a DataFrame for columns, arrays for tensors.

    Raises:
        SchemaEnforcementError: the data do not fit; the message names the columns or types that differ.
    """
    import pandas as pd

    if not isinstance(schema, Schema):
        raise InvalidTypeError(f"A schema is expected, such as that of infer_signature, got {type(schema).__name__}.")
    if isinstance(data, pd.DataFrame) and _fits_already(data, schema):
        return data
    try:
        if schema.is_tensor_spec():
            return enforce_tensors(data, schema)
        return _enforce_columns(_as_frame(data, schema), schema)
    except (SchemaEnforcementError, TypeError, ValueError, OverflowError) as error:
        raise SchemaEnforcementError(
            f"Failed to enforce schema of data of type {type(data).__name__} with schema {str(schema)[:2000]}. "
            f"Error: {error}"
        ) from error


def enforce_params(params: Mapping[str, Any] | None, schema: ParamSchema | None) -> dict[str, Any]:
    """Return params that fit `schema`, with its defaults. Params that it does not name are ignored, and logged.

    Raises:
        SchemaEnforcementError: a param has the wrong type or shape.
    """
    if params is not None and not isinstance(params, Mapping):
        raise SchemaEnforcementError(f"Parameters must be a dictionary. Got type '{type(params).__name__}'.")
    named = {str(name): value for name, value in (params or {}).items()}
    specs = {spec.name: spec for spec in schema} if schema else {}
    unknown = sorted(named.keys() - specs.keys())
    if unknown:
        _logger.warning(
            "Unrecognized params %s are ignored for inference. Supported params are: %s. To enable them, log the model "
            "with a signature that has them (infer_signature(..., params=...)).",
            unknown,
            sorted(specs),
        )
    try:
        return {name: spec.check(named[name]) if name in named else spec.default for name, spec in specs.items()}
    except InvalidParameterError as error:
        raise SchemaEnforcementError(f"Invalid parameters found: {error}") from error


def _fits_already(frame: "pd.DataFrame", schema: Schema) -> bool:
    """Tell whether no column must be renamed, reordered, dropped or converted. A fast path: this is the usual case."""
    specs = schema.inputs
    if schema.is_tensor_spec() or len(frame.columns) != len(specs):
        return False
    if schema.has_input_names() and frame.columns.tolist() != [spec.name for spec in specs]:
        return False
    return _types_fit(frame.dtypes.tolist(), [spec.type for spec in specs])


def _types_fit(dtypes: list[Any], types: list[Any]) -> bool:
    return all(isinstance(kind, DataType) and dtype in _NATIVE[kind] for dtype, kind in zip(dtypes, types, strict=True))


def _take(frame: "pd.DataFrame", positions: list[int]) -> "pd.DataFrame":
    """Return the columns at these positions; `take` is several times faster than selecting by name."""
    return frame if positions == list(range(len(frame.columns))) else frame.take(positions, axis=1)


# Names of pandas types that need no conversion; a data type compares equal to its name.
_NATIVE: Final = {
    DataType.boolean: ("bool",),
    DataType.integer: ("int32",),
    DataType.long: ("int64",),
    DataType.float: ("float32",),
    DataType.double: ("float64",),
    DataType.string: ("object", "str", "string"),
    DataType.binary: ("object",),
    DataType.datetime: ("datetime64[ns]",),
}


def _as_frame(data: Any, schema: Schema) -> "pd.DataFrame":
    import numpy as np
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, pd.Series | list | np.ndarray):
        return pd.DataFrame(data)
    if isinstance(data, dict):
        return _frame_of_dict(data, schema)
    if np.isscalar(data):
        return pd.DataFrame([data])
    raise SchemaEnforcementError(f"Expected input to be DataFrame. Found: {type(data).__name__}")


def _frame_of_dict(data: dict[str, Any], schema: Schema) -> "pd.DataFrame":
    """Make a frame of a dictionary: one row if it has scalars or nested columns, else one column per key."""
    import numpy as np
    import pandas as pd

    nested = any(isinstance(spec.type, Array | Object) for spec in schema)
    single = all(
        value is None
        or np.isscalar(value)
        or (isinstance(value, list) and all(isinstance(item, str) for item in value))
        for value in data.values()
    )
    zero_dimensional = all(isinstance(value, np.ndarray) and value.shape == () for value in data.values())
    if nested or single or zero_dimensional:
        return pd.DataFrame([data])
    return pd.DataFrame(
        {
            name: value.tolist() if isinstance(value, np.ndarray) and value.ndim > 1 else value
            for name, value in data.items()
        }
    )


def _enforce_columns(frame: "pd.DataFrame", schema: Schema) -> "pd.DataFrame":
    import pandas as pd

    specs = schema.inputs
    if _is_anything(specs):
        return frame
    if schema.has_input_names():
        positions, specs = _positions(frame, schema)
    else:
        if len(frame.columns) < len(specs):
            raise SchemaEnforcementError(
                f"Model inference is missing inputs. The model signature declares {len(specs)} inputs but the provided "
                f"value only has {len(frame.columns)} inputs. The inputs have no names, so only their count is checked."
            )
        positions = list(range(len(specs)))
    types = [spec.type for spec in specs]
    dtypes: list[Any] = frame.dtypes.tolist()
    if _types_fit([dtypes[position] for position in positions], types):
        return _take(frame, positions)
    block = convert_numbers(frame, dtypes, positions, types)
    if block is not None:
        return block
    ordered = _take(frame, positions)
    fitting = {}
    for position, spec in enumerate(specs):
        column = ordered.iloc[:, position]
        if isinstance(spec.type, DataType):
            fitting[position] = enforce_column(column.name, column, spec.type, required=spec.required)
        else:
            fitting[position] = enforce_items(column, spec.type, required=spec.required)
    enforced = pd.DataFrame(fitting, index=frame.index, copy=False)
    enforced.columns = ordered.columns
    return enforced


def _is_anything(specs: list[Any]) -> bool:
    """Tell whether a schema is the one that is recorded for data of unknown type."""
    return len(specs) == 1 and specs[0].name is None and isinstance(specs[0].type, AnyType)


def _positions(frame: "pd.DataFrame", schema: Schema) -> tuple[list[int], list[Any]]:
    """Return the positions of the signature's columns in a frame, and the specs of those that the frame has."""
    names: list[Any] = frame.columns.tolist()
    places = {name: position for position, name in enumerate(names)}
    missing = [name for name in schema.required_input_names() if name not in places]
    known = set(schema.input_names())
    extra = [name for name in names if name not in known] if len(names) > len(known) or missing else []
    if missing:
        note = f" Note that there were extra inputs: {extra[:20]}." if extra else ""
        raise SchemaEnforcementError(f"Model is missing inputs {missing[:20]}.{note}")
    if extra:
        _logger.debug("Inputs that the signature does not name are dropped: %s", extra)
    if len(places) < len(names):
        for name in known:
            if names.count(name) > 1:
                raise SchemaEnforcementError(
                    f"The input has several columns of the name {name!r}; rename or drop all but one."
                )
    specs = [spec for spec in schema if spec.name in places]
    return [places[spec.name] for spec in specs], specs
