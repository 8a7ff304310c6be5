"""Types of a signature's columns: scalars, and the nested types of JSON data.

Holds their JSON forms (MLflow's) and the merge of two inferred types. `flavors.signatures` infers types from data and
checks data. Guarantees: a type never changes; reading a JSON form gives a type or raises `InvalidParameterError`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from registry.exceptions import InvalidParameterError, InvalidTypeError

if TYPE_CHECKING:
    import numpy as np


class DataType(Enum):
    """A scalar type, with MLflow's numbers and names.

    Example:
        >>> from registry.types import DataType
        >>> DataType.double.to_numpy(), DataType.double.to_python()
        (dtype('float64'), <class 'float'>)
    """

    boolean = 1
    integer = 2
    long = 3
    float = 4
    double = 5
    string = 6
    binary = 7
    datetime = 8

    def __repr__(self) -> str:
        return self.name

    def __str__(self) -> str:
        return self.name

    def to_numpy(self) -> "np.dtype[Any]":
        """Return the equivalent numpy data type."""
        import numpy as np

        return np.dtype(_NUMPY_NAMES[self])

    def to_pandas(self) -> "np.dtype[Any]":
        """Return the data type of a pandas column of this type; ``object`` for text and bytes."""
        import numpy as np

        return np.dtype(object) if self in (DataType.string, DataType.binary) else self.to_numpy()

    def to_python(self) -> type:
        """Return the equivalent built-in type."""
        return _PYTHON_TYPES[self]

    @classmethod
    def all_types(cls) -> list["DataType"]:
        """Return all eight scalar types."""
        return list(cls)

    @classmethod
    def of_scalar(cls, value: object) -> "DataType | None":
        """Return the type of a Python or numpy scalar, or None for any other value."""
        return _SCALAR_TYPES.get(_type_name(value))

    @classmethod
    def check_type(cls, data_type: "DataType", value: object) -> bool:
        """Tell whether a Python or numpy scalar has this type without conversion."""
        if type(value) is int:
            return data_type in (DataType.integer, DataType.long)
        if type(value) is float:
            return data_type in (DataType.float, DataType.double)
        return cls.of_scalar(value) is data_type


_NUMPY_NAMES: Final[dict[DataType, str]] = {
    DataType.boolean: "bool",
    DataType.integer: "int32",
    DataType.long: "int64",
    DataType.float: "float32",
    DataType.double: "float64",
    DataType.string: "str",
    DataType.binary: "bytes",
    DataType.datetime: "datetime64[ns]",
}
_PYTHON_TYPES: Final[dict[DataType, type]] = {
    DataType.boolean: bool,
    DataType.integer: int,
    DataType.long: int,
    DataType.float: float,
    DataType.double: float,
    DataType.string: str,
    DataType.binary: bytes,
    DataType.datetime: date,
}
# Compare by name, so that checking a scalar needs no numpy. `numpy.bool` is numpy 2's name of `numpy.bool_`.
_SCALAR_TYPES: Final[dict[str, DataType]] = {
    "builtins.bool": DataType.boolean,
    "numpy.bool": DataType.boolean,
    "numpy.bool_": DataType.boolean,
    "builtins.int": DataType.long,
    "numpy.int64": DataType.long,
    "numpy.int32": DataType.integer,
    "builtins.float": DataType.double,
    "numpy.float64": DataType.double,
    "numpy.float32": DataType.float,
    "builtins.str": DataType.string,
    "numpy.str_": DataType.string,
    "builtins.object": DataType.string,
    "builtins.bytes": DataType.binary,
    "builtins.bytearray": DataType.binary,
    "numpy.bytes_": DataType.binary,
    "datetime.date": DataType.datetime,
    "datetime.datetime": DataType.datetime,
    "numpy.datetime64": DataType.datetime,
    "pandas.Timestamp": DataType.datetime,
    "pandas._libs.tslibs.timestamps.Timestamp": DataType.datetime,
}


def _type_name(value: object) -> str:
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


@dataclass(frozen=True, slots=True)
class AnyType:
    """The type of data whose type is unknown; such data are not checked."""

    def __repr__(self) -> str:
        return "Any"

    def to_dict(self) -> dict[str, Any]:
        """Return MLflow's JSON form."""
        return {"type": "any"}


@dataclass(frozen=True, slots=True)
class Array:
    """A list whose items have one type.

    Example:
        >>> from registry.types.schema import Array, ColSpec
        >>> ColSpec(Array("string"), "players")
        'players': Array(string) (required)
    """

    dtype: "ColumnType"

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", as_type(self.dtype))

    def __repr__(self) -> str:
        return f"Array({self.dtype!r})"

    def to_dict(self) -> dict[str, Any]:
        """Return MLflow's JSON form."""
        return {"type": "array", "items": type_to_dict(self.dtype)}


@dataclass(frozen=True, slots=True)
class SparkMLVector:
    """Spark's vector of doubles, kept so that such a signature survives reading and writing."""

    def __repr__(self) -> str:
        return "SparkML vector"

    def to_dict(self) -> dict[str, Any]:
        """Return MLflow's JSON form."""
        return {"type": "sparkml_vector"}


@dataclass(frozen=True, slots=True)
class Map:
    """A dictionary with string keys whose values have one type."""

    value_type: "ColumnType"

    def __post_init__(self) -> None:
        object.__setattr__(self, "value_type", as_type(self.value_type))

    def __repr__(self) -> str:
        return f"Map(str -> {self.value_type!r})"

    def to_dict(self) -> dict[str, Any]:
        """Return MLflow's JSON form."""
        return {"type": "map", "values": type_to_dict(self.value_type)}


@dataclass(frozen=True, slots=True)
class Property:
    """One key of an `Object`."""

    name: str
    dtype: "ColumnType"
    required: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise InvalidTypeError(f"Expected name to be a string, got type {type(self.name).__name__}")
        object.__setattr__(self, "dtype", as_type(self.dtype))

    def __repr__(self) -> str:
        return f"{self.name}: {self.dtype!r} ({'required' if self.required else 'optional'})"

    def to_dict(self) -> dict[str, Any]:
        """Return MLflow's JSON form: a map with one key, the name."""
        return {self.name: {**type_to_dict(self.dtype), "required": self.required}}


@dataclass(frozen=True, slots=True)
class Object:
    """A dictionary with known keys, sorted by name.

    Example:
        >>> from registry.types.schema import Object, Property
        >>> Object([Property("team", "string"), Property("seats", "long", required=False)])
        {seats: long (optional), team: string (required)}
    """

    properties: Sequence[Property]

    def __post_init__(self) -> None:
        properties = self.properties
        if not isinstance(properties, list | tuple) or not all(isinstance(item, Property) for item in properties):
            raise InvalidTypeError(f"Expected properties to be a list of Property, got {properties!r}.")
        if not properties:
            raise InvalidParameterError("Creating Object with empty properties is not allowed.")
        names = [item.name for item in properties]
        doubles = sorted({name for name in names if names.count(name) > 1})
        if doubles:
            raise InvalidParameterError(f"Found duplicated property names: `{', '.join(doubles)}`")
        object.__setattr__(self, "properties", tuple(sorted(properties, key=lambda item: item.name)))

    def __repr__(self) -> str:
        return "{" + ", ".join(map(repr, self.properties)) + "}"

    def to_dict(self) -> dict[str, Any]:
        """Return MLflow's JSON form."""
        properties = {name: form for item in self.properties for name, form in item.to_dict().items()}
        return {"type": "object", "properties": properties}


ColumnType: TypeAlias = DataType | Array | Object | Map | AnyType | SparkMLVector


def as_type(value: object) -> ColumnType:
    """Return a type unchanged, or the scalar type that a name stands for.

    Raises:
        InvalidTypeError: `value` is neither a type nor the name of one.
    """
    if isinstance(value, str) and value in DataType.__members__:
        return DataType[value]
    if isinstance(value, DataType | Array | Object | Map | AnyType | SparkMLVector):
        return value
    names = ", ".join(DataType.__members__)
    raise InvalidTypeError(
        f"Unsupported type {value!r}; expected a DataType, Array, Object, Map, AnyType or one of {names}."
    )


def type_to_dict(dtype: ColumnType) -> dict[str, Any]:
    """Return MLflow's JSON form of a type."""
    return {"type": dtype.name} if isinstance(dtype, DataType) else dtype.to_dict()


def type_from_dict(form: object) -> ColumnType:
    """Read a type from its JSON form.

    Raises:
        InvalidParameterError: the form is not that of a type.
    """
    if not isinstance(form, Mapping) or "type" not in form:
        raise InvalidParameterError(f"Expected a map with the key `type` in a signature, got {form!r}.")
    kind = form["type"]
    if kind == "array":
        return Array(type_from_dict(form.get("items")))
    if kind == "map":
        return Map(type_from_dict(form.get("values")))
    if kind == "object":
        return _object_from_dict(form.get("properties"))
    if kind == "any":
        return AnyType()
    if kind == "sparkml_vector":
        return SparkMLVector()
    return as_type(kind)


def _object_from_dict(properties: object) -> Object:
    if not isinstance(properties, Mapping):
        raise InvalidParameterError("Expected properties of an Object to be a map of names to types.")
    return Object(
        [
            Property(name, type_from_dict(form), required=form.get("required", True) is not False)
            for name, form in properties.items()
        ]
    )


def merge_types(first: ColumnType, second: ColumnType) -> ColumnType:
    """Merge two types into one that fits the data of both.

    A key that only one of them has becomes optional. An unknown type gives way to the other one.

    Raises:
        InvalidParameterError: no such type exists.
    """
    if isinstance(first, AnyType):
        first, second = second, first
    if isinstance(second, AnyType):
        return _optional(first)
    if isinstance(first, Array) and isinstance(second, Array):
        return Array(merge_types(first.dtype, second.dtype))
    if isinstance(first, Map) and isinstance(second, Map):
        return Map(merge_types(first.value_type, second.value_type))
    if isinstance(first, Object) and isinstance(second, Object):
        return _merge_objects(first, second)
    if first == second:
        return first
    raise InvalidParameterError(f"The types {first!r} and {second!r} are incompatible.")


def _optional(dtype: ColumnType) -> ColumnType:
    if isinstance(dtype, Object):
        return Object([Property(item.name, item.dtype, required=False) for item in dtype.properties])
    return dtype


def _merge_objects(first: Object, second: Object) -> Object:
    left = {item.name: item for item in first.properties}
    right = {item.name: item for item in second.properties}
    merged = []
    for name in sorted(left.keys() | right.keys()):
        if name in left and name in right:
            required = left[name].required and right[name].required
            merged.append(Property(name, merge_types(left[name].dtype, right[name].dtype), required))
        else:
            merged.append(Property(name, (left.get(name) or right[name]).dtype, required=False))
    return Object(merged)
