"""Data for `models predict`, and its predictions: CSV, Parquet or JSON.

CSV and JSON do not say whether a number is 32 or 64 bits wide or a text is a date; the model's signature does. Values
never change: a number that the signature's type cannot hold stays as it is, and `predict` refuses it.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from registry.cli.data_files import check_fields
from registry.entities.schema import DataType, Schema
from registry.exceptions import InvalidParameterError, MissingDependencyError, SchemaEnforcementError, StorageError
from registry.package_name import install_command

if TYPE_CHECKING:
    import pandas as pd


class FileFormat(StrEnum):
    """A format of tables."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"


_SUFFIXES: Final = {".csv": FileFormat.CSV, ".parquet": FileFormat.PARQUET, ".json": FileFormat.JSON}
# What an empty field of a number is. Texts keep theirs: NA may be Namibia.
_MISSING: Final = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>"]
_INTEGERS: Final = (DataType.integer, DataType.long)
_NULLABLE: Final[dict[DataType, Any]] = {
    DataType.integer: "Int32",
    DataType.long: "Int64",
    DataType.boolean: "boolean",
}
_TABLES: Final = ("dataframe_split", "dataframe_records")


def format_of(file: str) -> FileFormat | None:
    """Return the format that a file's name ends with, or None."""
    return _SUFFIXES.get(Path(file).suffix.lower())


def read_data(path: Path, kind: FileFormat, schema: Schema | None) -> tuple[Any, Mapping[str, Any] | None]:
    """Return the data in a file and, from JSON, the params beside them.

    JSON has the forms of MLflow's scoring protocol (``dataframe_split``, ``dataframe_records``, ``instances``,
    ``inputs``), or is a list of records.

    Raises:
        SchemaEnforcementError: The content is not of this format.
        StorageError: The file cannot be read.
    """
    try:
        if kind is FileFormat.CSV:
            return fit_types(_read_csv(path, schema), schema), None
        if kind is FileFormat.PARQUET:
            return _read_parquet(path), None
        return _read_json(path, schema)
    except OSError as error:
        raise StorageError(f"The input {str(path)!r} cannot be read: {error.strerror or error}.") from error
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        if isinstance(error, SchemaEnforcementError | InvalidParameterError):
            raise
        raise SchemaEnforcementError(f"The input {str(path)!r} cannot be read as {kind}: {error}.") from error


def _read_csv(path: Path, schema: Schema | None) -> "pd.DataFrame":
    import pandas as pd

    check_fields(path)
    kinds = _scalar_types(schema)
    texts = [name for name, dtype in kinds.items() if dtype is DataType.string]
    header = pd.read_csv(path, nrows=0).columns
    missing = {name: [] if name in texts else _MISSING for name in header}
    # Since pandas 3.1, numbers are read exactly by default, and the option that asks for it is deprecated.
    major, minor = map(int, pd.__version__.split(".")[:2])
    exact: dict[str, Any] = {} if (major, minor) >= (3, 1) else {"float_precision": "round_trip"}
    frame: pd.DataFrame = pd.read_csv(
        path,
        dtype=dict.fromkeys(texts, object),
        na_values=missing,
        keep_default_na=False,
        **exact,
    )
    return frame


def _read_parquet(path: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except ImportError:
        raise MissingDependencyError(f"Parquet needs pyarrow: {install_command('arrow')}.") from None


def _read_json(path: Path, schema: Schema | None) -> tuple[Any, Mapping[str, Any] | None]:
    import pandas as pd

    content = json.loads(path.read_text(encoding="utf-8"))
    params = content.get("params") if isinstance(content, dict) else None
    if isinstance(content, list):
        content = {"dataframe_records" if content and isinstance(content[0], dict) else "instances": content}
    elif isinstance(content, dict) and {"columns", "data"} <= content.keys():
        content = {"dataframe_split": content}
    named = [name for name in (*_TABLES, "instances", "inputs") if isinstance(content, dict) and name in content]
    if len(named) != 1:
        raise SchemaEnforcementError(
            "The JSON input needs exactly one of dataframe_split, dataframe_records, instances and inputs, or is a "
            "list of records."
        )
    data = content[named[0]]
    if named[0] == "dataframe_split":
        frame = pd.DataFrame(data["data"], columns=data.get("columns"), index=data.get("index"))
    elif named[0] == "dataframe_records":
        frame = pd.DataFrame.from_records(data)
    elif schema is not None and schema.is_tensor_spec():
        return _arrays(data), params
    else:
        frame = pd.DataFrame(data)
    return fit_types(frame, schema), params


def _arrays(data: Any) -> Any:
    import numpy as np

    return {name: np.array(value) for name, value in data.items()} if isinstance(data, dict) else np.array(data)


def _scalar_types(schema: Schema | None) -> dict[str, DataType]:
    if schema is None or schema.is_tensor_spec() or not schema.has_input_names():
        return {}
    return {str(spec.name): spec.type for spec in schema.inputs if isinstance(spec.type, DataType)}


def fit_types(frame: "pd.DataFrame", schema: Schema | None) -> "pd.DataFrame":
    """Give numbers and times that were text the type of the signature, where it can hold each of them.

    The frame is changed and returned.
    """
    import numpy as np
    import pandas as pd

    optional = set() if schema is None else {str(name) for name in schema.optional_input_names()}
    for name, dtype in _scalar_types(schema).items():
        if name not in frame:
            continue
        column = frame[name]
        if column.ndim != 1:
            continue  # several columns of this name, which `predict` refuses
        if dtype in _NULLABLE and name in optional and column.isna().any():
            frame[name] = _nullable(column, dtype)
            continue
        if dtype in _INTEGERS and column.dtype == "float64" and _are_whole(column):
            column = frame[name] = column.astype("int64")
        if dtype is DataType.datetime and pd.api.types.is_string_dtype(column):
            frame[name] = pd.to_datetime(column, format="ISO8601")
        elif dtype is DataType.integer and column.dtype == "int64" and column.between(-(2**31), 2**31 - 1).all():
            frame[name] = column.astype("int32")
        elif dtype is DataType.float and column.dtype == "float64":
            with np.errstate(over="ignore"):
                narrow = column.astype("float32")
            if np.isinf(narrow).sum() == np.isinf(column).sum():
                frame[name] = narrow
    return frame


def _are_whole(column: "pd.Series[float]") -> bool:
    """Tell whether all numbers are integers that a float holds exactly, as pandas writes 2.0 for 2 beside NaN."""
    return bool(((column % 1 == 0) & (column.abs() <= 2**53)).all())


def _nullable(column: "pd.Series[Any]", dtype: DataType) -> "pd.Series[Any]":
    """Return integers or truths, some of which are missing, in pandas' type for that; others stay, and are refused."""
    try:
        return column.astype(_NULLABLE[dtype])
    except (TypeError, ValueError):
        return column


def write_predictions(predictions: Any, file: BinaryIO | Path, kind: FileFormat) -> None:
    """Write predictions: a column each, or MLflow's JSON object ``{"predictions": …}``, where NaN is null.

    Raises:
        InvalidParameterError: The predictions are no table, and JSON was not asked for; or Parquet cannot hold them.
        StorageError: The file cannot be written.
    """
    if kind is FileFormat.JSON:
        from registry.serving.outputs import plain  # imports the client, which --help and completion do not need

        text = json.dumps({"predictions": plain(predictions)}, allow_nan=False) + "\n"
        _write(file, text.encode())
        return
    try:
        frame = _as_frame(predictions)
    except ValueError as error:  # columns of different lengths, or lists in lists
        raise InvalidParameterError(f"The predictions are no table: {error}. Write JSON.") from error
    if kind is FileFormat.CSV:
        _write(file, frame.to_csv(index=False).encode())
        return
    try:
        frame.to_parquet(file, index=False)
    except ImportError:
        raise MissingDependencyError(f"Parquet needs pyarrow: {install_command('arrow')}.") from None
    except OSError as error:
        raise StorageError(f"The predictions cannot be written: {error.strerror or error}.") from error
    # pyarrow's for a column of several types or a number beyond 64 bits, pandas' for two columns of one name.
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidParameterError(f"Parquet cannot hold the predictions: {error}. Write CSV or JSON.") from error


def _write(file: BinaryIO | Path, content: bytes) -> None:
    try:
        if isinstance(file, Path):
            file.write_bytes(content)
        else:
            file.write(content)
    except OSError as error:
        raise StorageError(f"The predictions cannot be written: {error.strerror or error}.") from error


def _as_frame(predictions: Any) -> "pd.DataFrame":
    import numpy as np
    import pandas as pd

    if isinstance(predictions, pd.DataFrame):
        return predictions.rename(columns=str)
    if isinstance(predictions, pd.Series):
        return predictions.to_frame(str(predictions.name or "prediction"))
    if isinstance(predictions, Mapping):
        return pd.DataFrame(dict(predictions))
    values = np.asarray(predictions)
    if values.ndim == 1:
        return pd.DataFrame({"prediction": values})
    if values.ndim == 2:
        return pd.DataFrame(values, columns=[f"prediction_{number}" for number in range(values.shape[1])])
    raise InvalidParameterError(f"Predictions with {values.ndim} dimensions are no table; write JSON.")
