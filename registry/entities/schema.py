"""Schemas of a model's input and output, by column or by tensor, and their JSON forms (MLflow's).

Guarantees: a schema has only columns or only tensors, all named or all unnamed, and never changes.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from registry.entities.schema_types import (
    AnyType,
    Array,
    ColumnType,
    DataType,
    Map,
    Object,
    Property,
    SparkMLVector,
    as_type,
    type_from_dict,
    type_to_dict,
)
from registry.exceptions import InvalidParameterError, InvalidTypeError

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "AnyType",
    "Array",
    "ColSpec",
    "DataType",
    "Map",
    "Object",
    "Property",
    "Schema",
    "SparkMLVector",
    "TensorSpec",
]


@dataclass(frozen=True, slots=True)
class ColSpec:
    """One column of a schema.

    Attributes:
        type: A `DataType`, its name such as ``"double"``, or a nested type (`Array`, `Object`, `Map`, `AnyType`).
        name: The column's name; None if columns have no names.
        required: Whether data must have the column.

    Example:
        >>> from registry.types import ColSpec
        >>> ColSpec("double", "rest_days", required=False)
        'rest_days': double (optional)
    """

    type: ColumnType
    name: str | None = None
    required: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", as_type(self.type))

    def __repr__(self) -> str:
        label = "" if self.name is None else f"{self.name!r}: "
        return f"{label}{self.type!r} ({'required' if self.required else 'optional'})"

    def to_dict(self) -> dict[str, Any]:
        """Return MLflow's JSON form."""
        name = {} if self.name is None else {"name": self.name}
        return {**type_to_dict(self.type), **name, "required": self.required}


class TensorSpec:
    """One tensor of a schema.

    Args:
        type: The numpy data type, or its name. Text has no length: ``np.dtype("str")``.
        shape: The length of each dimension; -1 stands for any length.
        name: The tensor's name; None if tensors have no names.

    Raises:
        InvalidTypeError: `type` is no numpy data type, or `shape` is not a list of integers.
        InvalidParameterError: `type` is text of a fixed length.

    Example:
        >>> from registry.types import TensorSpec
        >>> TensorSpec(np.dtype("float32"), (-1, 28, 28), "image")
        'image': Tensor('float32', (-1, 28, 28))
    """

    __slots__ = ("_name", "_shape", "_type_name")

    def __init__(self, type: "np.dtype[Any] | str", shape: Sequence[int], name: str | None = None) -> None:
        type_name = type if isinstance(type, str) else getattr(type, "name", None)
        if not isinstance(type_name, str):
            raise InvalidTypeError(f"Expected `dtype` to be a numpy.dtype, got {type!r}.")
        if type_name.startswith(("str", "bytes")) and type_name not in ("str", "bytes"):
            plain = type_name.rstrip("0123456789")
            raise InvalidParameterError(f'The length of text is no part of a signature; use np.dtype("{plain}").')
        if not isinstance(shape, list | tuple) or not all(_is_length(length) for length in shape):
            raise InvalidTypeError(f"Expected `shape` to be a tuple or list of integers, got {shape!r}.")
        self._type_name = type_name
        self._shape = tuple(int(length) for length in shape)
        self._name = name

    @property
    def type(self) -> "np.dtype[Any]":
        """Return the numpy data type."""
        import numpy as np

        try:
            return np.dtype(self._type_name)
        except TypeError:
            raise InvalidParameterError(f"A signature has the unknown tensor type {self._type_name!r}.") from None

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the length of each dimension, -1 for any."""
        return self._shape

    @property
    def name(self) -> str | None:
        """Return the name, or None."""
        return self._name

    @property
    def required(self) -> bool:
        """Return True: a tensor may never be missing."""
        return True

    def to_dict(self) -> dict[str, Any]:
        """Return MLflow's JSON form."""
        name = {} if self._name is None else {"name": self._name}
        return {**name, "type": "tensor", "tensor-spec": {"dtype": self._type_name, "shape": self._shape}}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TensorSpec) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        label = "" if self._name is None else f"{self._name!r}: "
        return f"{label}Tensor({self._type_name!r}, {self._shape!r})"

    def _key(self) -> tuple[object, ...]:
        return (self._type_name, self._shape, self._name)


InputSpec: TypeAlias = ColSpec | TensorSpec


class Schema:
    """The columns or tensors of a data set, in order.

    Args:
        inputs: Either `ColSpec` or `TensorSpec` items, all with names or all without.

    Raises:
        InvalidTypeError: `inputs` is not a list.
        InvalidParameterError: the items are empty, mixed, or named only in part.

    Example:
        >>> from registry.types import ColSpec, Schema
        >>> schema = Schema([ColSpec("double", "rest_days"), ColSpec("long", "seats", required=False)])
        >>> schema.input_names(), schema.required_input_names()
        (['rest_days', 'seats'], ['rest_days'])
    """

    __slots__ = ("_inputs",)

    def __init__(self, inputs: Sequence[ColSpec] | Sequence[TensorSpec]) -> None:
        if not isinstance(inputs, list | tuple):
            raise InvalidTypeError(f"Inputs of Schema must be a list, got type {type(inputs).__name__}")
        self._inputs: tuple[InputSpec, ...] = tuple(inputs)
        fault = _schema_fault(self._inputs)
        if fault:
            raise InvalidParameterError(fault)

    @property
    def inputs(self) -> list[Any]:
        """Return the columns or tensors, as a new list."""
        return list(self._inputs)

    def is_tensor_spec(self) -> bool:
        """Tell whether this is a schema of tensors."""
        return isinstance(self._inputs[0], TensorSpec)

    def has_input_names(self) -> bool:
        """Tell whether the columns or tensors have names."""
        return self._inputs[0].name is not None

    def input_names(self) -> list[str | int]:
        """Return the names, or the positions if there are no names."""
        return [position if spec.name is None else spec.name for position, spec in enumerate(self._inputs)]

    def required_input_names(self) -> list[str | int]:
        """Return the names (or positions) of required columns or tensors."""
        return [name for name, spec in zip(self.input_names(), self._inputs, strict=True) if spec.required]

    def optional_input_names(self) -> list[str | int]:
        """Return the names (or positions) of optional columns."""
        return [name for name, spec in zip(self.input_names(), self._inputs, strict=True) if not spec.required]

    def input_types(self) -> list[Any]:
        """Return the type of each column or tensor."""
        return [spec.type for spec in self._inputs]

    def input_types_dict(self) -> dict[str, Any]:
        """Return the types by name.

        Raises:
            InvalidParameterError: there are no names.
        """
        return {name: spec.type for name, spec in self.input_dict().items()}

    def input_dict(self) -> dict[str, Any]:
        """Return the columns or tensors by name.

        Raises:
            InvalidParameterError: there are no names.
        """
        if not self.has_input_names():
            raise InvalidParameterError("Cannot get input dict for schema without names.")
        return {str(spec.name): spec for spec in self._inputs}

    def numpy_types(self) -> "list[np.dtype[Any]]":
        """Return the numpy type of each column or tensor."""
        return [spec.type if isinstance(spec, TensorSpec) else _scalar(spec).to_numpy() for spec in self._inputs]

    def pandas_types(self) -> "list[np.dtype[Any]]":
        """Return the data type of each pandas column.

        Raises:
            InvalidParameterError: this is a schema of tensors or has nested types.
        """
        if self.is_tensor_spec():
            raise InvalidParameterError("TensorSpec only supports numpy types, use numpy_types() instead")
        return [_scalar(spec).to_pandas() for spec in self._inputs]

    def to_dict(self) -> list[dict[str, Any]]:
        """Return MLflow's JSON form."""
        return [spec.to_dict() for spec in self._inputs]

    def to_json(self) -> str:
        """Return MLflow's JSON form as text."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, json_str: str) -> "Schema":
        """Read a schema from its JSON text.

        Raises:
            InvalidParameterError: the text is not the JSON form of a schema.
        """
        return cls([_spec_from_dict(form) for form in read_forms(json_str, "schema")])

    def __len__(self) -> int:
        return len(self._inputs)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._inputs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self._inputs == other._inputs

    def __hash__(self) -> int:
        return hash(self._inputs)

    def __repr__(self) -> str:
        return repr(list(self._inputs))


def read_forms(text: object, what: str) -> list[Mapping[str, Any]]:
    """Read a JSON text that is a list of maps.

    Raises:
        InvalidParameterError: the text is something else, or nested too deeply.
    """
    try:
        forms = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError) as error:
        raise InvalidParameterError(f"The {what} of a signature is not JSON: {error}") from None
    if not isinstance(forms, list) or not all(isinstance(form, Mapping) for form in forms):
        raise InvalidParameterError(f"The {what} of a signature must be a JSON list of maps, got {str(forms)[:100]!r}.")
    return forms


def _is_length(value: object) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _schema_fault(inputs: tuple[InputSpec, ...]) -> str | None:
    if not inputs:
        return "Creating Schema with empty inputs is not allowed."
    tensors = sum(isinstance(spec, TensorSpec) for spec in inputs)
    if tensors + sum(isinstance(spec, ColSpec) for spec in inputs) < len(inputs) or 0 < tensors < len(inputs):
        return "Creating Schema needs either ColSpec or TensorSpec items, not a combination or anything else."
    named = sum(spec.name is not None for spec in inputs)
    if 0 < named < len(inputs):
        names = [spec.name for spec in inputs]
        return f"Creating Schema with a combination of named and unnamed inputs is not allowed. Got input names {names}"
    if named == 0 and tensors > 1:
        return "Creating Schema with multiple unnamed TensorSpecs is not supported. Please provide a name for each."
    if named == 0 and not all(spec.required for spec in inputs):
        return "Creating Schema with unnamed optional inputs is not supported. Name all inputs or make all required."
    return None


def _scalar(spec: InputSpec) -> DataType:
    if not isinstance(spec.type, DataType):
        raise InvalidParameterError(f"The column {spec.name!r} has the nested type {spec.type!r}: no numpy type fits.")
    return spec.type


def _name(name: Any) -> Any:
    """Restore a name that was read from JSON: a column with several levels has a tuple as its name, JSON has a list."""
    return tuple(map(_name, name)) if isinstance(name, list) else name


def _spec_from_dict(form: Mapping[str, Any]) -> Any:
    name = _name(form.get("name"))
    if form.get("type") == "tensor":
        tensor = form.get("tensor-spec")
        if not isinstance(tensor, Mapping) or not {"dtype", "shape"} <= tensor.keys():
            raise InvalidParameterError("Missing keys in TensorSpec JSON. Expected to find keys `dtype` and `shape`")
        return TensorSpec(tensor["dtype"], tensor["shape"], name)
    try:
        return ColSpec(type_from_dict(form), name, required=form.get("required", True) is not False)
    except RecursionError:
        raise InvalidParameterError("A type in a signature is nested too deeply.") from None
