"""Table files in two formats: JSON in pandas' split orientation, and Parquet.

Guarantees: appending leaves existing rows as they are: text is never parsed as a number or a date, and numbers keep all
digits.
"""

import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Self

from registry.client.artifacts.json_yaml import decode_text, to_plain
from registry.exceptions import InvalidParameterError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SplitTable:
    """A table as ``{"columns": […], "data": [[…], …]}``, pandas' ``orient="split", index=False``."""

    names: tuple[Any, ...]
    rows: list[list[Any]]

    @classmethod
    def of(cls, frame: "pd.DataFrame") -> Self:
        """Convert a DataFrame; times become ISO text, missing values and infinities null, as in pandas."""
        cells = [[to_plain(cell, _cell) for cell in frame.iloc[:, place].tolist()] for place in range(frame.shape[1])]
        rows = [list(row) for row in zip(*cells, strict=True)]
        return cls(tuple(to_plain(name, _cell) for name in frame.columns), rows)

    @classmethod
    def parse(cls, data: bytes, path: str) -> Self:
        """Parse a JSON file."""
        try:
            document = json.loads(decode_text(data, path))
            names, rows = document["columns"], document["data"]
            is_named = isinstance(names, list) and len(set(names)) == len(names)
            if is_named and all(len(row) == len(names) for row in rows):
                return cls(tuple(names), [list(row) for row in rows])
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise _not_a_table(path, "JSON in split orientation") from error
        raise _not_a_table(path, "JSON in split orientation")

    @property
    def columns(self) -> list[Any]:
        """Return the names of the columns."""
        return list(self.names)

    def append(self, others: Sequence[Self]) -> Self:
        """Return the rows of this table, then those of the others."""
        names = tuple(dict.fromkeys(name for table in (self, *others) for name in table.names))
        rows = [row for table in (self, *others) for row in table._rows_of(names)]
        return type(self)(names, rows)

    def with_column(self, name: str, value: Any) -> Self:
        """Return the table with one more column that holds one value."""
        return type(self)((*self.names, name), [[*row, value] for row in self.rows])

    def dump(self) -> bytes:
        """Return the JSON text.

        Raises:
            InvalidParameterError: An int has more digits than Python writes.
        """
        try:
            return json.dumps({"columns": list(self.names), "data": self.rows}, separators=(",", ":")).encode()
        except ValueError as error:
            raise InvalidParameterError(f"The table cannot be written as JSON: {error}.") from error

    def frame(self) -> "pd.DataFrame":
        """Return the table as a DataFrame; text stays text, whatever it looks like."""
        import pandas

        return pandas.DataFrame(self.rows, columns=list(self.names))

    def _rows_of(self, names: tuple[Any, ...]) -> list[list[Any]]:
        if names == self.names:
            return self.rows
        places = {name: place for place, name in enumerate(self.names)}
        order = [places.get(name) for name in names]
        return [[None if place is None else row[place] for place in order] for row in self.rows]


@dataclass(frozen=True)
class ParquetTable:
    """A Parquet file; pyarrow is imported on first use."""

    table: Any

    @classmethod
    def of(cls, frame: "pd.DataFrame") -> Self:
        """Convert a DataFrame.

        Raises:
            InvalidParameterError: A column mixes types.
            MissingDependencyError: pyarrow is not installed.
        """
        from registry.flavors.optional_imports import optional_import

        arrow = optional_import("pyarrow", "arrow")
        try:
            return cls(arrow.Table.from_pandas(frame, preserve_index=False))
        except (arrow.ArrowException, ValueError, TypeError) as error:
            raise InvalidParameterError(f"The table cannot be stored as Parquet: {error}") from error

    @classmethod
    def parse(cls, data: bytes, path: str) -> Self:
        """Parse a Parquet file."""
        from registry.flavors.optional_imports import optional_import

        arrow, parquet = optional_import("pyarrow", "arrow"), optional_import("pyarrow.parquet", "arrow")
        try:
            return cls(parquet.read_table(io.BytesIO(data)))
        except (arrow.ArrowException, OSError, ValueError) as error:
            raise _not_a_table(path, "Parquet") from error

    @property
    def columns(self) -> list[Any]:
        """Return the names of the columns."""
        return list(self.table.column_names)

    def append(self, others: Sequence[Self]) -> Self:
        """Return the rows of this table, then those of the others; numeric types are widened if needed.

        Raises:
            InvalidParameterError: A column has incompatible types.
        """
        from registry.flavors.optional_imports import optional_import

        arrow = optional_import("pyarrow", "arrow")
        # pandas' metadata of one table may be wrong for the joined table.
        tables = [table.table.replace_schema_metadata(None) for table in (self, *others)]
        try:
            return type(self)(arrow.concat_tables(tables, promote_options="permissive"))
        except arrow.ArrowException as error:
            raise InvalidParameterError(f"The rows do not fit the existing table: {error}") from error

    def with_column(self, name: str, value: Any) -> Self:
        """Return the table with one more column that holds one value."""
        from registry.flavors.optional_imports import optional_import

        arrow = optional_import("pyarrow", "arrow")
        return type(self)(self.table.append_column(name, arrow.array([value] * self.table.num_rows)))

    def dump(self) -> bytes:
        """Return the bytes of the Parquet file."""
        from registry.flavors.optional_imports import optional_import

        parquet = optional_import("pyarrow.parquet", "arrow")
        buffer = io.BytesIO()
        parquet.write_table(self.table, buffer)
        return buffer.getvalue()

    def frame(self) -> "pd.DataFrame":
        """Return the table as a DataFrame."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame


def table_format(path: str) -> type[SplitTable] | type[ParquetTable]:
    """Return the format that the ending of a path names.

    Raises:
        InvalidParameterError: It is neither ``.json`` nor ``.parquet``.
    """
    suffix = PurePosixPath(path).suffix
    if suffix == ".json":
        return SplitTable
    if suffix == ".parquet":
        return ParquetTable
    raise InvalidParameterError(f"Invalid table file {path!r}: its name must end in '.json' or '.parquet'.")


def _cell(value: Any) -> Any:
    import pandas

    if value is pandas.NA or value is pandas.NaT:
        return None
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    written = getattr(value, "isoformat", None)
    return written() if callable(written) else str(value)


def _not_a_table(path: str, form: str) -> InvalidParameterError:
    return InvalidParameterError(f"The file {path!r} is not a table ({form}); log the table under another name.")
