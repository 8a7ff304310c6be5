"""Schema of the params that ``predict`` takes besides data: types, shapes, defaults, and their JSON forms (MLflow's).

Guarantees: a default fits its type.
"""

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from registry.entities.schema import read_forms
from registry.entities.schema_types import Array, ColumnType, DataType, Map, Object, type_from_dict, type_to_dict
from registry.exceptions import InvalidParameterError, InvalidTypeError

# The other types that a value of a type may have: only conversions that lose no digits.
_WIDENING: Final[Mapping[DataType, tuple[DataType, ...]]] = {
    DataType.long: (DataType.integer,),
    DataType.float: (DataType.integer, DataType.long),
    DataType.double: (DataType.integer, DataType.long, DataType.float),
}


class ParamSpec:
    """One param of a model.

    Args:
        name: The param's name.
        dtype: A scalar `DataType` other than binary, its name, or an `Object`.
        default: The value that is used if the caller gives none; it must fit the type.
        shape: None for a scalar or dictionary, ``(-1,)`` for a list.

    Raises:
        InvalidTypeError: the type or shape is none of these.
        InvalidParameterError: the default does not fit.

    Example:
        >>> from registry.types import ParamSpec
        >>> ParamSpec("temperature", "double", 0.7)
        'temperature': double (default: 0.7)
    """

    __slots__ = ("_default", "_dtype", "_name", "_shape")

    def __init__(
        self, name: str, dtype: DataType | Object | str, default: Any, shape: Sequence[int] | None = None
    ) -> None:
        self._name = str(name)
        self._dtype = _param_type(name, dtype)
        if shape is not None and not isinstance(shape, list | tuple):
            raise InvalidTypeError(f"The shape of the param {self._name!r} must be None or (-1,), got {shape!r}.")
        self._shape = None if shape is None else tuple(shape)
        self._default = default
        self._default = self.check(default)

    @property
    def name(self) -> str:
        """Return the name."""
        return self._name

    @property
    def dtype(self) -> DataType | Object:
        """Return the type of the value or, with a shape, of its items."""
        return self._dtype

    @property
    def default(self) -> Any:
        """Return the value that is used if the caller gives none."""
        return self._default

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Return None for a scalar or dictionary, ``(-1,)`` for a list."""
        return self._shape

    def check(self, value: Any) -> Any:
        """Return the value in its built-in type.

        Raises:
            InvalidParameterError: the value does not fit the type or shape.
        """
        if self._shape is None:
            if isinstance(self._dtype, DataType):
                return self._scalar(self._dtype, value)
            _check_nested(self._dtype, value, repr(self))
            return value
        if self._shape != (-1,) or not isinstance(self._dtype, DataType):
            raise InvalidParameterError(
                f"Shape must be None for scalar or dictionary value, or (-1,) for 1D array value for {self!r}."
            )
        values = value.tolist() if hasattr(value, "ndim") and value.ndim == 1 else value
        if not isinstance(values, list | tuple):
            raise InvalidParameterError(f"Value must be a 1D array with shape (-1,) for param {self!r}, got {value!r}.")
        return [self._scalar(self._dtype, item) for item in values]

    def _scalar(self, dtype: DataType, value: Any) -> Any:
        try:
            return scalar_param(value, dtype)
        except (ValueError, TypeError, OverflowError) as error:
            raise InvalidParameterError(f"Failed to validate type and shape for {self!r}, error: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """Return MLflow's JSON form."""
        default = self._default
        if self._dtype is DataType.datetime:
            default = [item.isoformat() for item in default] if self._shape else default and default.isoformat()
        return {"name": self._name, "default": default, "shape": self._shape, **type_to_dict(self._dtype)}

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> "ParamSpec":
        """Read a param from its JSON form.

        Raises:
            InvalidParameterError: keys are missing or the default does not fit.
        """
        kind = form.get("type") or form.get("dtype")
        if not {"name", "default"} <= form.keys() or kind is None:
            raise InvalidParameterError(
                "Missing keys in ParamSpec JSON. Expected to find keys `name`, `type` (or `dtype`) and `default`. "
                f"Received keys: {sorted(map(str, form))}"
            )
        dtype = type_from_dict({**form, "type": kind})
        return cls(str(form["name"]), dtype, form["default"], form.get("shape"))  # type: ignore[arg-type]  # _param_type checks it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ParamSpec) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self._name, self._dtype, self._shape))

    def __repr__(self) -> str:
        shape = f" (shape: {self._shape})" if self._shape is not None else ""
        return f"{self._name!r}: {self._dtype!r} (default: {self._default}){shape}"


class ParamSchema:
    """The params of a model; each name occurs once.

    Args:
        params: The params, in order.

    Raises:
        InvalidTypeError: `params` is not a list of `ParamSpec`.
        InvalidParameterError: two params have the same name.

    Example:
        >>> from registry.types import ParamSchema, ParamSpec
        >>> ParamSchema([ParamSpec("temperature", "double", 0.7)]).to_dict()
        [{'name': 'temperature', 'default': 0.7, 'shape': None, 'type': 'double'}]
    """

    __slots__ = ("_params",)

    def __init__(self, params: Sequence[ParamSpec]) -> None:
        if not isinstance(params, list | tuple) or not all(isinstance(item, ParamSpec) for item in params):
            raise InvalidTypeError(f"ParamSchema takes a list of ParamSpec, got {params!r}.")
        names = [item.name for item in params]
        doubles = sorted({name for name in names if names.count(name) > 1})
        if doubles:
            raise InvalidParameterError(f"Duplicated parameters found in schema: {doubles}")
        self._params = tuple(params)

    @property
    def params(self) -> list[ParamSpec]:
        """Return the params, as a new list."""
        return list(self._params)

    def to_dict(self) -> list[dict[str, Any]]:
        """Return MLflow's JSON form."""
        return [item.to_dict() for item in self._params]

    def to_json(self) -> str:
        """Return MLflow's JSON form as text."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, json_str: str) -> "ParamSchema":
        """Read a param schema from its JSON text.

        Raises:
            InvalidParameterError: the text is not the JSON form of a param schema.
        """
        return cls([ParamSpec.from_dict(form) for form in read_forms(json_str, "param schema")])

    def __len__(self) -> int:
        return len(self._params)

    def __iter__(self) -> Iterator[ParamSpec]:
        return iter(self._params)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ParamSchema) and self._params == other._params

    def __hash__(self) -> int:
        return hash(self._params)

    def __repr__(self) -> str:
        return repr(list(self._params))


def scalar_param(value: Any, dtype: DataType) -> Any:
    """Convert a scalar to its built-in type. Ints widen to floats; texts of dates become dates.

    Raises:
        InvalidParameterError: the conversion would change the value.
    """
    if value is None:
        return None
    if dtype is DataType.datetime:
        return _moment(value)
    actual = DataType.of_scalar(value)
    if DataType.check_type(dtype, value) or actual in _WIDENING.get(dtype, ()):
        return dtype.to_python()(value)
    raise InvalidParameterError(f"Can not safely convert `{type(value)}` to `{dtype}` for value `{value}`")


def _moment(value: Any) -> datetime.date:
    if isinstance(value, datetime.datetime):
        return value.to_pydatetime() if hasattr(value, "to_pydatetime") else value
    if isinstance(value, datetime.date):
        return value
    if isinstance(value, str):
        is_date = len(value) == len("2026-01-31")
        return datetime.date.fromisoformat(value) if is_date else datetime.datetime.fromisoformat(value)
    moment = value.astype("datetime64[us]").item() if hasattr(value, "astype") else None
    if not isinstance(moment, datetime.date):
        raise InvalidParameterError(f"Failed to convert value `{value}` from type `{type(value)}` to `datetime`")
    return moment


def _param_type(name: object, dtype: object) -> DataType | Object:
    kind = DataType.__members__.get(dtype) if isinstance(dtype, str) else dtype
    if not isinstance(kind, DataType | Object):
        names = ", ".join(member.name for member in DataType if member is not DataType.binary)
        raise InvalidTypeError(
            f"Unsupported type {dtype!r} of param {name!r}; use a DataType, an Object or one of {names}."
        )
    if kind is DataType.binary:
        raise InvalidParameterError(
            f"Binary type is not supported for parameters; ParamSpec {name!r} has dtype 'binary'."
        )
    return kind


def _check_nested(dtype: ColumnType, value: Any, spec: str) -> None:
    if isinstance(dtype, Object):
        _check_keys(dtype, value, spec)
        for item in dtype.properties:
            if item.name in value and not (value[item.name] is None and not item.required):
                _check_nested(item.dtype, value[item.name], spec)
    elif isinstance(dtype, Array | Map):
        items = value.values() if isinstance(dtype, Map) and isinstance(value, dict) else value
        if not isinstance(value, dict if isinstance(dtype, Map) else list):
            raise InvalidParameterError(f"Failed to validate {spec}: {value!r} is not of type {dtype!r}.")
        for entry in items:
            _check_nested(dtype.value_type if isinstance(dtype, Map) else dtype.dtype, entry, spec)
    elif isinstance(dtype, DataType):
        scalar_param(value, dtype)


def _check_keys(dtype: Object, value: Any, spec: str) -> None:
    if not isinstance(value, dict):
        raise InvalidParameterError(f"Failed to validate {spec}: expected a dictionary, got {type(value).__name__}.")
    known = {item.name for item in dtype.properties}
    missing = sorted(item.name for item in dtype.properties if item.required and item.name not in value)
    unknown = sorted(map(str, value.keys() - known))
    if missing or unknown:
        raise InvalidParameterError(f"Failed to validate {spec}: missing keys {missing}, unknown keys {unknown}.")
