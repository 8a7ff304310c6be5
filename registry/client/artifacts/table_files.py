"""The two forms of a table file: JSON in pandas' split orientation, and Parquet.

Owns what a cell becomes, and how rows are appended. Invariant: appending leaves the rows that are there as they are: no
text is taken for a number or a date, and no digit of a number is lost.
"""

import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol, Self

from registry.client.artifacts.json_yaml import decode, plain
from registry.exceptions import InvalidParameterError
from registry.flavors.optional_imports import optional_import

if TYPE_CHECKING:
    import pandas as pd


class TableFile(Protocol):
    """A table as it is in a file."""

    @classmethod
    def of(cls, frame: "pd.DataFrame") -> Self:
        """The table of a data frame, without its index."""

    @classmethod
    def parse(cls, data: bytes, path: str) -> Self:
        """The table that a file holds.

        Raises:
            InvalidParameterError: the file is no table of this form.
        """

    @property
    def columns(self) -> list[Any]:
        """The names of the columns."""

    def append(self, others: Sequence[Self]) -> Self:
        """The rows of this table and then of the others; columns that one lacks are empty there."""

    def with_column(self, name: str, value: Any) -> Self:
        """The table with one more column, of one value."""

    def dump(self) -> bytes:
        """The bytes of the file."""

    def frame(self) -> "pd.DataFrame":
        """The table as a data frame."""


@dataclass(frozen=True)
class SplitTable:
    """``{"columns": […], "data": [[…], …]}``, as pandas writes with ``orient="split", index=False``."""

    names: tuple[Any, ...]
    rows: list[list[Any]]

    @classmethod
    def of(cls, frame: "pd.DataFrame") -> Self:
        """The table of a data frame; times become ISO text, missing values and infinities null, as pandas has it."""
        cells = [[plain(cell, _cell) for cell in frame.iloc[:, place].tolist()] for place in range(frame.shape[1])]
        rows = [list(row) for row in zip(*cells, strict=True)]
        return cls(tuple(plain(name, _cell) for name in frame.columns), rows)

    @classmethod
    def parse(cls, data: bytes, path: str) -> Self:
        """The table that a JSON file holds."""
        try:
            found = json.loads(decode(data, path))
            names, rows = found["columns"], found["data"]
            if isinstance(names, list) and all(len(row) == len(names) for row in rows):
                return cls(tuple(names), [list(row) for row in rows])
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise _not_a_table(path, "JSON in split orientation") from error
        raise _not_a_table(path, "JSON in split orientation")

    @property
    def columns(self) -> list[Any]:
        """The names of the columns."""
        return list(self.names)

    def append(self, others: Sequence[Self]) -> Self:
        """The rows of this table and then of the others."""
        names = tuple(dict.fromkeys(name for table in (self, *others) for name in table.names))
        rows = [row for table in (self, *others) for row in table._rows_of(names)]
        return type(self)(names, rows)

    def with_column(self, name: str, value: Any) -> Self:
        """The table with one more column, of one value."""
        return type(self)((*self.names, name), [[*row, value] for row in self.rows])

    def dump(self) -> bytes:
        """The JSON text."""
        return json.dumps({"columns": list(self.names), "data": self.rows}, separators=(",", ":")).encode()

    def frame(self) -> "pd.DataFrame":
        """The table as a data frame; text stays text, whatever it looks like."""
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
        """The table of a data frame.

        Raises:
            InvalidParameterError: a column mixes types.
            MissingDependencyError: pyarrow is not installed.
        """
        arrow = optional_import("pyarrow", "arrow")
        try:
            return cls(arrow.Table.from_pandas(frame, preserve_index=False))
        except (arrow.ArrowException, ValueError, TypeError) as error:
            raise InvalidParameterError(f"The table cannot be stored as Parquet: {error}") from error

    @classmethod
    def parse(cls, data: bytes, path: str) -> Self:
        """The table that a Parquet file holds."""
        arrow, parquet = optional_import("pyarrow", "arrow"), optional_import("pyarrow.parquet", "arrow")
        try:
            return cls(parquet.read_table(io.BytesIO(data)))
        except (arrow.ArrowException, OSError, ValueError) as error:
            raise _not_a_table(path, "Parquet") from error

    @property
    def columns(self) -> list[Any]:
        """The names of the columns."""
        return list(self.table.column_names)

    def append(self, others: Sequence[Self]) -> Self:
        """The rows of this table and then of the others; numbers are widened where they must be.

        Raises:
            InvalidParameterError: a column has types that do not go together.
        """
        arrow = optional_import("pyarrow", "arrow")
        # What pandas noted about one of the tables need not be true of all of them.
        tables = [table.table.replace_schema_metadata(None) for table in (self, *others)]
        try:
            return type(self)(arrow.concat_tables(tables, promote_options="permissive"))
        except arrow.ArrowException as error:
            raise InvalidParameterError(f"The rows do not fit the table that is there: {error}") from error

    def with_column(self, name: str, value: Any) -> Self:
        """The table with one more column, of one value."""
        arrow = optional_import("pyarrow", "arrow")
        return type(self)(self.table.append_column(name, arrow.array([value] * self.table.num_rows)))

    def dump(self) -> bytes:
        """The bytes of the Parquet file."""
        parquet = optional_import("pyarrow.parquet", "arrow")
        buffer = io.BytesIO()
        parquet.write_table(self.table, buffer)
        return buffer.getvalue()

    def frame(self) -> "pd.DataFrame":
        """The table as a data frame."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame


def table_form(path: str) -> type[SplitTable] | type[ParquetTable]:
    """The form that the ending of a path names.

    Raises:
        InvalidParameterError: it is neither ``.json`` nor ``.parquet``.
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
