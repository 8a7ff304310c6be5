"""Data sets made from DataFrames of pandas. Guarantees: digest and profile are those of mlflow 3.17."""

import hashlib
import os
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from registry.datasets.recorded import RecordedDataset
from registry.datasets.sources import DatasetSource, choose_source
from registry.entities.evidence import EvaluatedDataset, check_dataset_name
from registry.entities.schema import Schema
from registry.exceptions import InvalidParameterError, InvalidTypeError

if TYPE_CHECKING:
    import pandas as pd

SchemaInference: TypeAlias = Callable[[Any], Schema]

_DIGESTED_ROWS: Final = 10_000


class PandasDataset(RecordedDataset):
    """A DataFrame with its identity. The frame is kept, not copied."""

    def __init__(
        self,
        df: "pd.DataFrame",
        source: DatasetSource,
        targets: str | None = None,
        name: str | None = None,
        digest: str | None = None,
        predictions: str | None = None,
        *,
        infer_schema: SchemaInference | None = None,
    ) -> None:
        _check_frame(df)
        for role, column in (("targets", targets), ("predictions", predictions)):
            _check_column(df, role, column)
        self._df = df
        self._targets = targets
        self._predictions = predictions
        self._schema_inference = infer_schema
        super().__init__(source, name, digest)

    def _compute_digest(self) -> str:
        return frame_digest(self._df)

    def _infer_schema(self) -> Schema | None:
        return None if self._schema_inference is None else self._schema_inference(self._df)

    @property
    def df(self) -> "pd.DataFrame":
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
        return {"num_rows": len(self._df), "num_elements": int(self._df.size)}

    def to_evaluated(self) -> EvaluatedDataset:
        """Return the identity that an evaluation stores, with the digest of every row and column.

        Raises:
            InvalidParameterError: The name begins with ``sha256:``, or the data cannot be digested.
        """
        entity = self.to_entity()
        name = check_dataset_name(self.name)
        return EvaluatedDataset(name, self.digest, self.sha256, entity.schema, len(self._df))

    @cached_property
    def sha256(self) -> str:
        """Return the SHA-256 (hex) of every row and column; see `content_digest`."""
        return content_digest(self._df)


def from_pandas(
    df: "pd.DataFrame",
    source: str | os.PathLike[str] | DatasetSource | None = None,
    targets: str | None = None,
    name: str | None = None,
    digest: str | None = None,
    predictions: str | None = None,
    *,
    context_tags: Mapping[str, str] | None = None,
    infer_schema: SchemaInference | None = None,
) -> PandasDataset:
    """Make a data set from a DataFrame; without a `source`, the source is the program that `context_tags` name.

    Raises:
        InvalidTypeError: `df` is not a DataFrame, or `source` is not text, a path or a source.
        InvalidParameterError: `targets` or `predictions` is not a column, or the frame's index cannot be hashed.
        InvalidNameError: The name is blank, longer than 500 characters or unprintable.
    """
    resolved = choose_source(source, context_tags)
    return PandasDataset(df, resolved, targets, name, digest, predictions, infer_schema=infer_schema)


def frame_digest(df: "pd.DataFrame") -> str:
    """Return MLflow's digest of a DataFrame: 8 hexadecimal digits.

    It covers the names of all columns, the number of rows, and from the first 10,000 rows the index, numeric columns,
    and text columns without gaps. Other values, such as times or booleans, do not change it.

    Raises:
        InvalidParameterError: The index has values that cannot be hashed.
    """
    import numpy as np
    import pandas as pd

    head = df.head(_DIGESTED_ROWS)
    text = df.columns[[_is_text(df.iloc[:, position]) for position in range(df.shape[1])]]
    numbers = head.select_dtypes(include=[np.number]).columns
    try:
        rows = pd.util.hash_pandas_object(head[_union(text, numbers)]).to_numpy()
    except (TypeError, ValueError) as error:
        raise InvalidParameterError(f"The DataFrame cannot be digested ({error}); give digest='…' yourself.") from error
    md5 = hashlib.md5(usedforsecurity=False)
    md5.update(rows.tobytes())
    md5.update(np.int64(len(df)).tobytes())
    for column in df.columns:
        md5.update(str(column).encode())
    return md5.hexdigest()[:8]


def content_digest(df: "pd.DataFrame") -> str:
    """Return the SHA-256 (hex) of a DataFrame: the names of its columns, and every value in its order.

    Unlike `frame_digest` it covers all rows, times and booleans. The index does not count. Whole numbers and the same
    numbers as floats differ.

    Raises:
        InvalidParameterError: A column has values that cannot be hashed, such as lists.
    """
    import pandas as pd

    digest = hashlib.sha256(f"{len(df)} {df.shape[1]}".encode())
    for position, name in enumerate(df.columns):
        label = str(name).encode(errors="surrogatepass")
        digest.update(f" {len(label)} ".encode() + label)
        try:
            hashes = pd.util.hash_pandas_object(df.iloc[:, position], index=False, categorize=False).to_numpy()
        except (TypeError, ValueError) as error:
            raise InvalidParameterError(
                f"The column {name!r} cannot be digested ({error}). Leave it out, or make its values plain numbers or "
                "texts."
            ) from error
        digest.update(hashes.astype("<u8").tobytes())
    return digest.hexdigest()


def _is_text(column: "pd.Series[Any]") -> bool:
    """Tell whether every value is exactly a str, or the column has no rows."""
    if column.dtype.kind in "biufcmM":
        return len(column) == 0
    return all(type(value) is str for value in column)


def _union(text: "pd.Index[Any]", numbers: "pd.Index[Any]") -> "pd.Index[Any]":
    """Return the union, sorted if possible: pandas does not sort a union with an empty index, and order is digested."""
    if text.empty or numbers.empty:
        return text.append(numbers)
    try:
        return text.union(numbers, sort=True)
    except TypeError:
        return text.union(numbers, sort=False)


def _check_frame(df: object) -> None:
    import pandas as pd

    if not isinstance(df, pd.DataFrame):
        raise InvalidTypeError(f"A pandas DataFrame is expected, got {type(df).__name__}.")


def _check_column(df: "pd.DataFrame", role: str, column: str | None) -> None:
    if column is not None and column not in df.columns:
        raise InvalidParameterError(
            f"The specified pandas DataFrame does not contain the specified {role} column {column!r}. "
            f"It has {[*map(str, df.columns[:20])]}."
        )
