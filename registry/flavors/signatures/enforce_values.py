"""Validate columns and values against a column type, with the lossless conversions.

Numbers widen (int32 to int64, float32 to float64), integers become floats if every one is exact, and dates may have any
precision. Guarantees: no value changes; a conversion that would change one raises `SchemaEnforcementError`, which names
the column.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from registry.entities.schema import AnyType, Array, DataType, Map, Object
from registry.entities.schema_types import ColumnType, SparkMLVector
from registry.exceptions import SchemaEnforcementError
from registry.flavors.signatures.infer import is_column_of, is_missing

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# Every integer up to this one has an exact float.
_EXACT: Final = {DataType.float: 2**24, DataType.double: 2**53}
# The pandas types of integer or boolean columns with missing values.
NULLABLE: Final = {DataType.integer: "Int32", DataType.long: "Int64", DataType.boolean: "boolean"}
_MISSING_HINT: Final = (
    " Hint: the type mismatch is likely caused by missing values: integer columns cannot hold them, so the column "
    "became float. Infer the signature from data with missing values, or declare the column as double (float64)."
)


def convert_numbers(
    frame: "pd.DataFrame", dtypes: list[Any], positions: list[int], types: list[ColumnType]
) -> "pd.DataFrame | None":
    """Convert the columns at these positions, all plain numbers, to types of numbers in a few steps.

    Return None for other columns, or if a value would change; then the caller converts column by column, which names
    the column. `dtypes` are those of the frame.
    """
    import numpy as np
    import pandas as pd

    if frame.empty:
        return None
    groups: dict[tuple[Any, Any], list[int]] = {}  # places in the result, by what a column is and what it becomes
    for place, (position, dtype) in enumerate(zip(positions, types, strict=True)):
        groups.setdefault((dtypes[position], dtype), []).append(place)
    if not all(_is_numeric_conversion(source, dtype) for source, dtype in groups):
        return None
    targets, sources = {dtype for _, dtype in groups}, {source for source, _ in groups}
    # The type in which all values come out of the frame at once; doubles hold all that pass the check below.
    common: Any = None if len(sources) == 1 else np.float64
    if len(targets) == 1:
        common = next(iter(targets)).to_numpy()
    is_ordered = positions == list(range(len(dtypes)))
    own = frame if len(positions) == len(dtypes) else frame.take(sorted(positions), axis=1)
    block = own.to_numpy(dtype=common, copy=True)
    if not is_ordered:
        rank = {position: number for number, position in enumerate(sorted(positions))}
        block = block[:, [rank[position] for position in positions]]
    columns: dict[int, np.ndarray[Any, Any]] = {}
    for (source, dtype), places in groups.items():
        part = block if len(groups) == 1 else block[:, places]
        limit = _EXACT.get(dtype, _EXACT[DataType.double] if common == np.float64 else None)
        if source.kind != "f" and limit is not None and ((part >= limit) | (part <= -limit)).any():
            return None
        part = part.astype(dtype.to_numpy(), copy=False)
        columns.update((place, part[:, number]) for number, place in enumerate(places))
    names = frame.columns if is_ordered else frame.columns.take(positions)
    if len(targets) == 1:
        return pd.DataFrame(block.astype(common, copy=False), frame.index, names, copy=False)
    converted = pd.DataFrame({place: columns[place] for place in range(len(positions))}, frame.index, copy=False)
    converted.columns = names
    return converted


def _is_numeric_conversion(source: Any, dtype: Any) -> bool:
    """Tell whether columns of one numpy type may become columns of a type of numbers; integers may have to be exact."""
    import numpy as np

    if not isinstance(source, np.dtype) or source.kind not in "iuf" or not isinstance(dtype, DataType):
        return False
    target = dtype.to_numpy()
    return target.kind in "if" and (_widens(source, target) or (source.kind != "f" and target.kind == "f"))


def enforce_column(name: Any, column: "pd.Series[Any]", dtype: DataType, *, required: bool = True) -> "pd.Series[Any]":
    """Return the column in the type of the signature, unchanged if it has that type already.

    A column that numpy cannot hold in this type (missing integers, time zones, Arrow, sparse, early dates) stays
    unchanged if `infer_signature` would give it the type of the signature.

    Raises:
        SchemaEnforcementError: a value would change.
    """
    import pandas as pd

    try:
        if isinstance(column.dtype, pd.CategoricalDtype):
            # The categories have the type. The column stays categorical, because some models need that.
            enforce_column(name, pd.Series(column.cat.categories), dtype)
            return column
        return _plain_column(name, column, dtype)
    except SchemaEnforcementError:
        if is_column_of(column, dtype):
            return column
        if not required and bool(column.isna().all()):
            nullable: Any = NULLABLE.get(dtype, column.dtype)
            return column.astype(nullable)
        raise


def _plain_column(name: Any, column: "pd.Series[Any]", dtype: DataType) -> "pd.Series[Any]":
    if dtype in (DataType.string, DataType.binary):
        return _text(name, column, dtype)
    if column.dtype == object:
        if dtype is DataType.boolean:
            return column
        column = _as_floats(column, dtype) if dtype in _EXACT else column.infer_objects()
    if column.dtype == dtype.to_pandas():
        return column
    if dtype is DataType.datetime:
        return _moments(name, column)
    return _numbers(name, column, dtype)


def _as_floats(column: "pd.Series[Any]", dtype: DataType) -> "pd.Series[Any]":
    """Convert objects that are numbers or missing to floats: a single row with a null shows no other type."""
    import numpy as np
    import pandas as pd

    inferred = column.infer_objects()
    missing = inferred.isna()
    if inferred.dtype != object or not bool(missing.any()):
        return inferred
    if bool(missing.all()):
        return pd.Series(np.nan, index=column.index, name=column.name, dtype=dtype.to_numpy())
    numbers = inferred[~missing].infer_objects()
    if len(numbers) and numbers.dtype.kind not in "iuf":
        return inferred
    if numbers.dtype.kind in "iu" and not _is_exact(numbers, DataType.double):
        return inferred
    return inferred.where(~missing, np.nan).astype("float64")


def enforce_items(column: "pd.Series[Any]", dtype: ColumnType, *, required: bool) -> "pd.Series[Any]":
    """Validate each list or dictionary of a column against the type.

    Raises:
        SchemaEnforcementError: one of them does not fit.
    """
    import pandas as pd

    if isinstance(dtype, AnyType):
        return column
    values = [enforce_value(value, dtype, required=required) for value in column]
    return pd.Series(values, index=column.index, name=column.name)


def enforce_value(value: Any, dtype: ColumnType, *, required: bool = True) -> Any:
    """Return a value that fits the type; lists and dictionaries are copied.

    Raises:
        SchemaEnforcementError: the value does not fit.
    """
    if isinstance(dtype, AnyType):
        return value
    if not required and _is_void(value):
        return value
    if isinstance(dtype, DataType):
        return _scalar(value, dtype)
    if isinstance(dtype, Array | SparkMLVector):
        return _items(value, dtype.dtype if isinstance(dtype, Array) else DataType.double, required)
    if not isinstance(value, Mapping):
        raise SchemaEnforcementError(f"Expected a dictionary for type {dtype!r}, got {type(value).__name__}.")
    return _map(value, dtype, required) if isinstance(dtype, Map) else _object(value, dtype)


def _is_void(value: Any) -> bool:
    return is_missing(value) or (hasattr(value, "__len__") and not isinstance(value, str | bytes) and len(value) == 0)


def _text(name: Any, column: "pd.Series[Any]", dtype: DataType) -> "pd.Series[Any]":
    import pandas as pd

    kind = "U" if dtype is DataType.string else "S"
    if column.dtype == object or isinstance(column.dtype, pd.StringDtype) or column.dtype.kind == kind:
        return column
    raise _incompatible(name, column, dtype)


def _moments(name: Any, column: "pd.Series[Any]") -> "pd.Series[Any]":
    if (zone := getattr(column.dtype, "tz", None)) is not None:
        raise SchemaEnforcementError(
            f"Column {name} has the time zone {zone}; the signature asks for datetimes without one: "
            "use .dt.tz_convert(None)."
        )
    if column.dtype.kind != "M" and column.dtype != object:
        raise _incompatible(name, column, DataType.datetime)
    try:
        return column.astype("datetime64[ns]")
    except (ValueError, TypeError) as error:
        raise SchemaEnforcementError(
            f"Failed to convert column {name} from type {column.dtype} to datetime: {error}"
        ) from None


def _numbers(name: Any, column: "pd.Series[Any]", dtype: DataType) -> "pd.Series[Any]":
    target = dtype.to_numpy()
    kind = column.dtype.kind
    widens = kind in "iufb" and _widens(column.dtype, target)
    if widens or (kind in "iu" and target.kind == "f" and _is_exact(column, dtype)):
        try:
            return column.astype(target)
        except (ValueError, TypeError) as error:
            raise SchemaEnforcementError(
                f"Failed to convert column {name} from {column.dtype} to {target}: {error}"
            ) from None
    raise _incompatible(name, column, dtype)


def _widens(source: Any, target: "np.dtype[Any]") -> bool:
    size = getattr(source, "itemsize", 0)
    return bool(
        (source.kind == target.kind and size <= target.itemsize)
        or (source.kind == "u" and target.kind == "i" and size < target.itemsize)
    )


def _is_exact(column: "pd.Series[Any]", dtype: DataType) -> bool:
    values = column.dropna()
    limit = _EXACT[dtype]
    return values.empty or (int(values.min()) >= -limit and int(values.max()) <= limit)


def _incompatible(name: Any, column: "pd.Series[Any]", dtype: DataType) -> SchemaEnforcementError:
    lost = column.dtype.kind in "fO" and dtype in (DataType.integer, DataType.long) and bool(column.isna().any())
    return SchemaEnforcementError(
        f"Incompatible input types for column {name}. Can not safely convert {column.dtype} to {dtype}."
        + (_MISSING_HINT if lost else "")
    )


def _scalar(value: Any, dtype: DataType) -> Any:
    import numpy as np
    import pandas as pd

    if not np.isscalar(value) and DataType.of_scalar(value) is not DataType.datetime:
        raise SchemaEnforcementError(f"Expected a scalar of type {dtype}, got {type(value).__name__}.")
    return enforce_column("", pd.Series([value]), dtype).iloc[0]


def _items(value: Any, dtype: ColumnType, required: bool) -> Any:
    import numpy as np
    import pandas as pd

    if not isinstance(value, list | np.ndarray):
        if isinstance(dtype, AnyType) and value is None:
            return value
        raise SchemaEnforcementError(f"Expected data to be list or numpy array, got {type(value).__name__}")
    if len(value) == 0:
        return value
    if isinstance(dtype, DataType):
        array = enforce_column("", pd.Series(value), dtype).to_numpy(dtype=dtype.to_numpy())
        return array.tolist() if isinstance(value, list) else array
    items = [enforce_value(item, dtype, required=required) for item in value]
    return items if isinstance(value, list) else np.array(items)


def _map(value: Mapping[Any, Any], dtype: Map, required: bool) -> dict[str, Any]:
    if not all(isinstance(key, str) for key in value):
        raise SchemaEnforcementError("Expected all keys in the map type data are string type.")
    return {key: enforce_value(item, dtype.value_type, required=required) for key, item in value.items()}


def _object(value: Mapping[Any, Any], dtype: Object) -> dict[str, Any]:
    properties = {item.name: item for item in dtype.properties}
    missing = sorted(item.name for item in dtype.properties if item.required and item.name not in value)
    unknown = sorted(map(str, value.keys() - properties.keys()))
    if missing or unknown:
        raise SchemaEnforcementError(
            f"Missing required properties: {missing}; properties not in the schema: {unknown}."
        )
    fitting = {}
    for key, item in value.items():
        try:
            fitting[key] = enforce_value(item, properties[key].dtype, required=properties[key].required)
        except SchemaEnforcementError as error:
            raise SchemaEnforcementError(f"Failed to enforce schema for key `{key}`: {error}") from None
    return fitting
