"""Spark's types for predictions, and predictions as columns of them, by MLflow's rules.

A primitive type takes the leftmost fitting column of the predictions, an array of primitives all fitting columns, a
struct the columns by name.
"""

import logging
import math
from collections.abc import Mapping
from typing import Any, Final

from registry.entities.schema import TensorSpec
from registry.entities.schema_types import AnyType, Array, DataType, Map, Object
from registry.exceptions import InvalidModelError, InvalidParameterError, NotSupportedError
from registry.flavors.mlmodel import Model
from registry.flavors.optional_imports import optional_import

_logger = logging.getLogger(__name__)

_NAMES: Final = {
    DataType.boolean: "BooleanType",
    DataType.integer: "IntegerType",
    DataType.long: "LongType",
    DataType.float: "FloatType",
    DataType.double: "DoubleType",
    DataType.string: "StringType",
    DataType.binary: "BinaryType",
    DataType.datetime: "TimestampType",
}
# By kind of Spark type: the numpy types of the predictions that fit, the type to convert to, and Python's.
_FITTING: Final[Mapping[str, tuple[tuple[str, ...] | None, str, type]]] = {
    "IntegerType": (("int8", "uint8", "int16", "uint16", "int32"), "int32", int),
    "LongType": (("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"), "int64", int),
    "FloatType": (("number",), "float32", float),
    "DoubleType": (("number",), "float64", float),
    "BooleanType": (("bool",), "bool", bool),
    "StringType": (None, "str", str),
}
_ALLOWED: Final = (
    "a primitive type (int, long, float, double, string, boolean), an array of one, or a struct of them such as "
    "'label string, scores array<double>'"
)


def parse_result_type(result_type: Any) -> Any:
    """Return the Spark type of an argument: a ``DataType`` of Spark, or its text such as ``"double"``.

    Raises:
        InvalidParameterError: It is no type, or none that predictions can have.
    """
    types = _types()
    if isinstance(result_type, str):
        try:
            parsed = types.DataType.fromDDL("boolean" if result_type == "bool" else result_type)
        except Exception as error:  # Spark's own parser raises what it likes
            reason = (str(error).strip().splitlines() or [""])[0]
            raise InvalidParameterError(
                f"Invalid 'spark_udf' result type: {result_type!r} ({reason}). Give {_ALLOWED}."
            ) from error
    else:
        parsed = result_type
    if not _is_allowed(parsed):
        raise InvalidParameterError(f"Invalid 'spark_udf' result type: {parsed}. Give {_ALLOWED}.")
    return parsed


def _is_allowed(kind: Any) -> bool:
    match type(kind).__name__:
        case "ArrayType":
            return _is_allowed(kind.elementType)
        case "StructType":
            return all(_is_allowed(field.dataType) for field in kind.fields)
        case "MapType":
            return type(kind.keyType).__name__ == "StringType" and _is_allowed(kind.valueType)
        case name:
            return name in _FITTING


def result_type_of(metadata: Model) -> Any:
    """Return the Spark type of the signature's output; double, with a warning, if there is none."""
    types, schema = _types(), metadata.get_output_schema()
    if schema is None:
        _logger.warning(
            "No 'result_type' provided for spark_udf and the model does not have an output schema. 'result_type' is "
            "set to 'double' type."
        )
        return types.DoubleType()
    if len(schema) == 1:
        return _type_of_spec(schema.inputs[0])
    named = zip(schema.input_names(), schema, strict=True)
    return types.StructType([types.StructField(str(name), _type_of_spec(spec)) for name, spec in named])


def _type_of_spec(spec: Any) -> Any:
    types = _types()
    if not isinstance(spec, TensorSpec):
        return _type_of(spec.type)
    kind = next((kind for kind in _NAMES if kind.to_numpy() == spec.type), None)
    if kind is None or len(spec.shape) not in (1, 2):
        raise NotSupportedError(
            f"The signature's output is a tensor of {spec.type} with the shape {spec.shape}; spark_udf returns tensors "
            "of one or two dimensions. Give a result_type."
        )
    element = getattr(types, _NAMES[kind])()
    # MLflow returns an array for one dimension too, which is that of the rows.
    return types.ArrayType(element)


def _type_of(kind: Any) -> Any:
    types = _types()
    if isinstance(kind, DataType):
        return getattr(types, _NAMES[kind])()
    if isinstance(kind, AnyType):
        return types.VariantType()
    if isinstance(kind, Array):
        return types.ArrayType(_type_of(kind.dtype))
    if isinstance(kind, Map):
        return types.MapType(types.StringType(), _type_of(kind.value_type))
    if isinstance(kind, Object):
        return types.StructType([types.StructField(part.name, _type_of(part.dtype)) for part in kind.properties])
    raise NotSupportedError(
        f"The signature's output has the type {kind!r}, for which Spark has none. Give a result_type."
    )


def to_spark(predictions: Any, kind: Any) -> Any:
    """Return predictions as a pandas Series of a Spark type, or as a DataFrame for a struct.

    Raises:
        InvalidModelError: No column of the predictions fits the type.
    """
    import numpy as np
    import pandas as pd

    frame: Any
    name = type(kind).__name__
    if isinstance(predictions, Mapping):
        predictions = {key: list(values) for key, values in predictions.items()}
    if name == "ArrayType" and type(kind.elementType).__name__ not in _FITTING:
        return pd.Series([_to_python(value, kind) for value in predictions])
    if name == "StructType":
        frame = pd.DataFrame(predictions)
        if missing := [field.name for field in kind.fields if field.name not in frame.columns]:
            raise InvalidModelError(
                f"The result type has the field {missing[0]!r}, but the predictions have {frame.columns.tolist()}. "
                "Give a result_type with their names."
            )
        return pd.DataFrame({field.name: _column(frame[field.name], field.dataType) for field in kind.fields})
    if name == "MapType":
        return pd.Series([_to_python(value, kind) for value in predictions])
    frame = pd.DataFrame([predictions] if np.isscalar(predictions) else predictions)
    element = kind.elementType if name == "ArrayType" else kind
    wanted, target, _ = _FITTING[type(element).__name__]
    fitting = frame if wanted is None else frame.select_dtypes([*wanted])
    if not len(fitting.columns):
        raise InvalidModelError(
            f"The model did not produce any values compatible with the requested type '{element}'. Consider requesting "
            "udf with StringType or Arraytype(StringType)."
        )
    converted = fitting.map(str) if wanted is None else fitting.astype(target)
    if name == "ArrayType":
        return pd.Series(converted.to_numpy().tolist())
    return converted.iloc[:, 0]


def _column(values: Any, kind: Any) -> Any:
    """Return one field of a struct; values that are all missing keep their type."""
    import pandas as pd

    name = type(kind).__name__
    if name in _FITTING and name != "StringType":
        return values if values.isna().all() else values.astype(_FITTING[name][1])
    return pd.Series([_to_python(value, kind) for value in values], dtype=object)


def _to_python(value: Any, kind: Any) -> Any:
    """Return one value as plain Python data of a Spark type; None for a missing one."""
    if _is_missing(value):
        return None
    match type(kind).__name__:
        case "ArrayType":
            return [_to_python(item, kind.elementType) for item in value]
        case "StructType":
            return {field.name: _to_python(value[field.name], field.dataType) for field in kind.fields}
        case "MapType":
            return {str(key): _to_python(item, kind.valueType) for key, item in value.items()}
        case name if name in _FITTING:
            return _FITTING[name][2](value)
        case _:
            return value


def _is_missing(value: Any) -> bool:
    import numpy as np
    import pandas as pd

    is_nan = isinstance(value, float | np.floating) and math.isnan(value)
    return is_nan or value is None or value is pd.NA or value is pd.NaT


def _types() -> Any:
    return optional_import("pyspark.sql.types", "spark")
