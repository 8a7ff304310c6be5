"""Save and read input examples, as JSON beside the model in MLflow's layout.

Owns ``input_example.json`` and ``serving_input_example.json``. Guarantees: an example is read back as the type that was
saved (DataFrame, ndarray, sparse matrix, or JSON data).
"""

import base64
import datetime
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from registry.entities.schema import DataType, Schema
from registry.exceptions import InvalidModelError, InvalidParameterError, RegistryError
from registry.flavors.mlmodel import Model, inside
from registry.flavors.optional_imports import optional_import
from registry.flavors.signatures.enforce_values import NULLABLE
from registry.flavors.signatures.infer import check_column_names, is_sparse

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FILE_NAME: Final = "input_example.json"
SERVING_FILE_NAME: Final = "serving_input_example.json"
_MAX_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True)
class InputExample:
    """An input example to save: the data and, if given as a tuple ``(data, params)``, the params."""

    data: Any
    params: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, example: Any) -> "InputExample":
        """Make an example of data, or of a pair of data and a dictionary of params."""
        if isinstance(example, tuple) and len(example) == 2 and isinstance(example[1], dict):
            return cls(example[0], example[1])
        return cls(example)

    def save(self, directory: Path) -> dict[str, Any]:
        """Write both files. Return the entry ``saved_input_example_info`` of the MLmodel file.

        Raises:
            InvalidParameterError: the data cannot be written as JSON.
        """
        try:
            info, content, serving = _forms(self.data)
            if self.params:
                info["params"] = "true"
                content = {"data": content, "params": self.params}
                serving = {**serving, "params": self.params}
            (directory / FILE_NAME).write_text(json.dumps(content, default=_plain), encoding="utf-8")
            (directory / SERVING_FILE_NAME).write_text(json.dumps(serving, default=_plain, indent=2), encoding="utf-8")
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidParameterError(f"The input example cannot be written as JSON: {error}") from None
        return {"artifact_path": FILE_NAME, "serving_input_path": SERVING_FILE_NAME, **info}


@dataclass(frozen=True)
class StoredExample:
    """A saved example. Its text is read when the model is loaded, and parsed on use."""

    info: Mapping[str, Any]
    text: str
    schema: Schema | None = None

    @classmethod
    def find(cls, model: Model, directory: Path) -> "StoredExample | None":
        """Return the example in a model directory, or None if the model was saved without one.

        Raises:
            InvalidModelError: the MLmodel file names a file outside the directory, or one that is too large.
            ArtifactNotFoundError: the file is missing.
        """
        info = model.saved_input_example_info
        if not isinstance(info, Mapping):
            return None
        file = inside(directory, info.get("artifact_path"), "saved_input_example_info")
        if file.stat().st_size > _MAX_BYTES:
            raise InvalidModelError(f"The input example {str(file)!r} is larger than {_MAX_BYTES} bytes.")
        return cls(info, file.read_text(encoding="utf-8"), model.get_input_schema())

    def read(self) -> Any:
        """Return the data.

        Raises:
            InvalidModelError: the file does not hold an example of the type that the MLmodel file names.
        """
        kind = self.info.get("type")
        try:
            content = self._content()
            data = content["data"] if self.info.get("params") else content
            return _READERS[str(kind)](data, self.schema)
        except RegistryError:
            raise
        except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise InvalidModelError(f"The input example of type {kind!r} cannot be read: {error!r}") from error

    def read_params(self) -> Any:
        """Return the params that were saved with the data, or None."""
        return self._content().get("params") if self.info.get("params") else None

    def _content(self) -> Any:
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError) as error:
            raise InvalidModelError(f"The input example is not JSON: {error}") from None


def _forms(data: Any) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """Return the info, the content of the example file and the content of the serving file."""
    import numpy as np
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        check_column_names(data)
        split = _split(data)
        orient = "split" if "columns" in split else "values"
        return {"type": "dataframe", "pandas_orient": orient}, split, {"dataframe_split": split}
    if isinstance(data, np.ndarray):
        values = _without_nan(data)
        return {"type": "ndarray"}, values, {"inputs": values}
    if isinstance(data, dict) and any(isinstance(value, np.ndarray) for value in data.values()):
        if not all(isinstance(value, np.ndarray) for value in data.values()):
            raise InvalidParameterError("An input example that is a dictionary has either only numpy arrays or none.")
        arrays = {name: _without_nan(value) for name, value in data.items()}
        return {"type": "ndarray"}, arrays, {"inputs": arrays}
    if is_sparse(data):
        parts = {"data": _without_nan(data.data), "indices": data.indices, "indptr": data.indptr, "shape": data.shape}
        return {"type": f"sparse_matrix_{data.format}"}, parts, {"inputs": data.toarray()}
    if isinstance(data, dict | list | datetime.datetime) or np.isscalar(data):
        return {"type": "json_object"}, data, {"inputs": data}
    raise InvalidParameterError(
        "Expected an input example of type DataFrame, ndarray, dictionary, list, sparse matrix or scalar, "
        f"but got {type(data).__name__!r}."
    )


def _split(frame: "pd.DataFrame") -> dict[str, Any]:
    import pandas as pd

    # Convert cell by cell: astype(object) keeps some types of pandas, such as Sparse.
    columns = [
        [None if missing else value for value, missing in zip(column.tolist(), pd.isna(column), strict=True)]
        for column in (frame.iloc[:, position] for position in range(frame.shape[1]))
    ]
    rows = [list(row) for row in zip(*columns, strict=True)]
    split: dict[str, Any] = {"columns": frame.columns.tolist(), "data": rows}
    if split["columns"] == list(range(len(frame.columns))):
        del split["columns"]
    return split


def _without_nan(values: "np.ndarray[Any, Any]") -> Any:
    import numpy as np

    if values.dtype.kind != "f":
        return values.tolist()
    plain = values.astype(object)
    plain[np.isnan(values)] = None
    return plain.tolist()


def _plain(value: Any) -> Any:
    """Convert a value that json cannot write to a JSON value."""
    if isinstance(value, bytes | bytearray):
        return base64.encodebytes(value).decode("ascii")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a value of type {type(value).__name__} has no JSON form")


def _read_frame(content: Any, schema: Schema | None) -> "pd.DataFrame":
    import pandas as pd

    from_split = isinstance(content, Mapping)
    columns = content.get("columns") if from_split else None
    if columns and all(isinstance(name, list) for name in columns):
        columns = pd.MultiIndex.from_tuples([tuple(name) for name in columns])
    frame = pd.DataFrame(content["data"] if from_split else content, columns=columns)
    if schema is None or schema.is_tensor_spec() or not schema.has_input_names():
        return frame
    types = {spec.name: spec.type for spec in schema}
    typed = {
        position: _as_column(frame.iloc[:, position], types[name]) if name in types else frame.iloc[:, position]
        for position, name in enumerate(frame.columns)
    }
    return pd.DataFrame(typed, index=frame.index).set_axis(frame.columns, axis=1)


def _as_column(column: Any, dtype: Any) -> Any:
    """Convert a column of JSON values to its type; return it unchanged if the type cannot hold a value."""
    try:
        if dtype is DataType.binary:
            return column.map(lambda text: base64.decodebytes(text.encode("ascii")) if isinstance(text, str) else text)
        if dtype is DataType.datetime:
            return _as_moments(column)
        if dtype in NULLABLE and bool(column.isna().any()):
            return column.astype(NULLABLE[dtype])
        if isinstance(dtype, DataType) and dtype is not DataType.string:
            return column.astype(dtype.to_pandas())
    except (TypeError, ValueError, OverflowError):
        return column
    return column


def _as_moments(column: Any) -> Any:
    import pandas as pd

    try:
        moments = pd.to_datetime(column, format="ISO8601")
    except ValueError:  # several offsets from UTC
        moments = pd.to_datetime(column, format="ISO8601", utc=True)
    if moments.dt.tz is not None:
        return moments
    try:
        return moments.astype("datetime64[ns]")
    except ValueError:  # too early or too late for nanoseconds
        return moments


def _read_array(content: Any, schema: Schema | None) -> Any:
    import numpy as np

    if isinstance(content, Mapping):
        types = schema.input_types_dict() if schema and schema.is_tensor_spec() and schema.has_input_names() else {}
        return {name: np.array(value, dtype=types.get(name)) for name, value in content.items()}
    dtype = schema.input_types()[0] if schema and schema.is_tensor_spec() and not schema.has_input_names() else None
    return np.array(content, dtype=dtype)


def _read_sparse(kind: str) -> Callable[[Any, Schema | None], Any]:
    def read(content: Any, schema: Schema | None) -> Any:
        sparse = optional_import("scipy.sparse", "sklearn")
        del schema
        parts = (content["data"], content["indices"], content["indptr"])
        matrix = sparse.csr_matrix if kind == "csr" else sparse.csc_matrix
        return matrix(parts, shape=tuple(content["shape"]))

    return read


_READERS: Final[dict[str, Callable[[Any, Schema | None], Any]]] = {
    "dataframe": _read_frame,
    "ndarray": _read_array,
    "json_object": lambda content, _schema: content,
    "sparse_matrix_csr": _read_sparse("csr"),
    "sparse_matrix_csc": _read_sparse("csc"),
}
