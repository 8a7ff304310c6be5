"""Data sets made from DataFrames of polars. Guarantees: digest, schema and profile are those of mlflow 3.17."""

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from registry.datasets.recorded import RecordedDataset
from registry.datasets.sources import DatasetSource, choose_source
from registry.entities.schema import Array, ColSpec, DataType, Object, Property, Schema
from registry.exceptions import InvalidParameterError, InvalidTypeError

if TYPE_CHECKING:
    import polars as pl

# By name: polars is imported by whoever has such a frame, never by us.
_TYPES: Final = {
    "Binary": DataType.binary,
    "Boolean": DataType.boolean,
    "Categorical": DataType.string,
    "Date": DataType.datetime,
    "Datetime": DataType.datetime,
    "Enum": DataType.string,
    "Float32": DataType.float,
    "Float64": DataType.double,
    "Int16": DataType.integer,
    "Int32": DataType.integer,
    "Int64": DataType.long,
    "Int8": DataType.integer,
    "String": DataType.string,
    "UInt16": DataType.integer,
    "UInt32": DataType.long,
    "UInt8": DataType.integer,
}
_logger = logging.getLogger(__name__)


class PolarsDataset(RecordedDataset):
    """A polars DataFrame with its identity. The frame is kept, not copied."""

    def __init__(
        self,
        df: "pl.DataFrame",
        source: DatasetSource,
        targets: str | None = None,
        name: str | None = None,
        digest: str | None = None,
        predictions: str | None = None,
    ) -> None:
        if not is_polars_frame(df):
            raise InvalidTypeError(f"A polars DataFrame is expected, got {type(df).__name__}.")
        for role, column in (("targets", targets), ("predictions", predictions)):
            if column is not None and column not in df.columns:
                raise InvalidParameterError(
                    f"DataFrame does not contain specified {role} column: {column!r}. It has {df.columns[:20]}."
                )
        self._df = df
        self._targets = targets
        self._predictions = predictions
        super().__init__(source, name, digest)

    def _compute_digest(self) -> str:
        return str(self._df.hash_rows().sum())

    def _infer_schema(self) -> Schema:
        return Schema(
            [
                ColSpec(_column_type(column.dtype, column.name), column.name, required=column.count() > 0)
                for column in self._df.get_columns()
            ]
        )

    @property
    def df(self) -> "pl.DataFrame":
        """Return the DataFrame."""
        return self._df

    @property
    def targets(self) -> str | None:
        """Return the name of the target column, or None."""
        return self._targets

    @property
    def predictions(self) -> str | None:
        """Return the name of the column of predictions, or None."""
        return self._predictions

    @property
    def profile(self) -> dict[str, int]:
        """Return the numbers of rows and of cells."""
        return {"num_rows": self._df.height, "num_elements": self._df.height * self._df.width}


def from_polars(
    df: "pl.DataFrame",
    source: str | os.PathLike[str] | DatasetSource | None = None,
    targets: str | None = None,
    name: str | None = None,
    digest: str | None = None,
    predictions: str | None = None,
    *,
    context_tags: Mapping[str, str] | None = None,
) -> PolarsDataset:
    """Make a data set from a polars DataFrame; without a `source`, the source is the running program.

    Raises:
        InvalidTypeError: `df` is not a polars DataFrame, or `source` is not text, a path or a source.
        InvalidParameterError: `targets` or `predictions` is not a column.
        InvalidNameError: The name is blank, longer than 500 characters or unprintable.
    """
    return PolarsDataset(df, choose_source(source, context_tags), targets, name, digest, predictions)


def is_polars_frame(data: object) -> bool:
    """Tell whether `data` is a polars DataFrame, without importing polars."""
    kind = type(data)
    return kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "polars"


def _column_type(dtype: Any, name: str) -> Any:
    kind = type(dtype).__name__
    if kind in _TYPES:
        return _TYPES[kind]
    if kind in ("Array", "List"):
        return Array(_column_type(dtype.inner, f"{name}.[]"))
    if kind == "Struct":
        return Object(
            [Property(field.name, _column_type(field.dtype, f"{name}.{field.name}")) for field in dtype.fields]
        )
    raise InvalidParameterError(f"The type {dtype} of the column {name!r} has no counterpart in a schema.")
