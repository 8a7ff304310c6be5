"""Data sets as values: the identity of a DataFrame that a run used, and its source.

A data set is a record: nothing is ever loaded from a source. Callers pass the function that infers a schema and the
tags of the calling program, so that nothing here reads files or looks at the process. Guarantees: digest, source and
profile are those of mlflow 3.17 for the same DataFrame.
"""

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from registry.entities.dataset import Dataset
from registry.entities.evidence import EvaluatedDataset, check_dataset_name
from registry.entities.schema import Schema
from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.validation.names import check_text

if TYPE_CHECKING:
    import pandas as pd

SchemaInference: TypeAlias = Callable[["pd.DataFrame"], Schema]

MAX_NAME: Final = 500
MAX_DIGEST: Final = 36
MAX_SOURCE: Final = 4_096
_DIGESTED_ROWS: Final = 10_000
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):")
# PostgreSQL cannot store these characters.
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UriDatasetSource:
    """A local path or a URI of any scheme that data came from, as it was given."""

    uri: str

    @property
    def source_type(self) -> str:
        """Return ``local``, ``http`` or the URI's scheme in lower case."""
        scheme = _SCHEME.match(self.uri)
        name = scheme[1].lower() if scheme else "file"
        return {"file": "local", "https": "http"}.get(name, name)

    def to_dict(self) -> dict[str, Any]:
        """Return MLflow's JSON form as a dict."""
        return {"url" if self.source_type == "http" else "uri": self.uri}

    def to_json(self) -> str:
        """Return MLflow's JSON form as text."""
        return json.dumps(self.to_dict())


@dataclass(frozen=True, slots=True)
class CodeDatasetSource:
    """The program that made the data, named by its tags (``mlflow.user``, ``mlflow.source.name``, …)."""

    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def source_type(self) -> str:
        """Return ``code``."""
        return "code"

    def to_dict(self) -> dict[str, Any]:
        """Return MLflow's JSON form as a dict."""
        return {"tags": dict(self.tags)}

    def to_json(self) -> str:
        """Return MLflow's JSON form as text."""
        return json.dumps(self.to_dict())


DatasetSource: TypeAlias = UriDatasetSource | CodeDatasetSource


def source_of(dataset: Dataset) -> DatasetSource:
    """Return the source of a data set that was read from the store.

    Raises:
        InvalidParameterError: The stored source has a form that `DatasetSource` lacks.
    """
    if not isinstance(dataset, Dataset):
        raise InvalidTypeError(f"A data set of a run is expected, got a value of type {type(dataset).__name__}.")
    try:
        form = json.loads(dataset.source)
    except (ValueError, RecursionError) as error:
        raise InvalidParameterError(f"The source of data set {dataset.name!r} is not JSON: {error}") from error
    if isinstance(form, dict) and dataset.source_type == "code" and isinstance(form.get("tags"), dict):
        return CodeDatasetSource(form["tags"])
    uri = form.get("uri", form.get("url")) if isinstance(form, dict) else None
    if isinstance(uri, str):
        return UriDatasetSource(uri)
    raise InvalidParameterError(
        f"The source of data set {dataset.name!r} has the type {dataset.source_type!r} and neither uri, url nor tags."
    )


class PandasDataset:
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
        self._source = source
        self._targets = targets
        self._predictions = predictions
        self._infer_schema = infer_schema
        self._name = "dataset" if name is None else check_text(name, "name of the data set", MAX_NAME)
        self._digest = frame_digest(df) if digest is None else check_text(digest, "digest", MAX_DIGEST)

    @property
    def df(self) -> "pd.DataFrame":
        """Return the DataFrame."""
        return self._df

    @property
    def source(self) -> DatasetSource:
        """Return the source of the data."""
        return self._source

    @property
    def targets(self) -> str | None:
        """Return the name of the target column, or None."""
        return self._targets

    @property
    def predictions(self) -> str | None:
        """Return the name of the column of predictions, or None."""
        return self._predictions

    @property
    def name(self) -> str:
        """Return the name; ``dataset`` if none was given."""
        return self._name

    @property
    def digest(self) -> str:
        """Return the digest: 8 hexadecimal digits, unless another was given."""
        return self._digest

    @property
    def profile(self) -> dict[str, int]:
        """Return the numbers of rows and of cells."""
        return {"num_rows": len(self._df), "num_elements": int(self._df.size)}

    @cached_property
    def schema(self) -> Schema | None:
        """Return the columns and their types, or None if they cannot be inferred."""
        if self._infer_schema is None:
            return None
        try:
            return self._infer_schema(self._df)
        except (InvalidParameterError, TypeError, ValueError) as error:
            _logger.debug("No schema for data set %r: %s", self.name, error)
            return None

    def to_entity(self) -> Dataset:
        """Return the stored form of the data set: everything but the data."""
        return Dataset(
            name=self.name,
            digest=self.digest,
            source_type=self.source.source_type,
            source=self.source.to_json(),
            # Column names may be numbers, dates or tuples.
            schema=json.dumps({"mlflow_colspec": self.schema.to_dict()}, default=str) if self.schema else None,
            profile=json.dumps(self.profile),
        )

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

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of the stored data set by name; schema, source and profile are JSON texts."""
        return self.to_entity().to_dictionary()

    def to_json(self) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict())

    # MLflow's name, which its scripts and plugins call.
    _to_mlflow_entity = to_entity


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
    resolved = CodeDatasetSource(dict(context_tags or {})) if source is None else _parse_source(source)
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


def _parse_source(source: object) -> DatasetSource:
    if isinstance(source, UriDatasetSource | CodeDatasetSource):
        return source
    if not isinstance(source, str | os.PathLike):
        raise InvalidTypeError(
            f"A source is a path, a URI or a DatasetSource, got {type(source).__name__}: {source!r}."
        )
    text = str(os.fspath(source))
    if not text.strip() or len(text) > MAX_SOURCE or _UNSTORABLE.search(text):
        raise InvalidParameterError(
            f"The source {text[:60]!r} must have 1 to {MAX_SOURCE} characters, no NUL and no half of a surrogate pair."
        )
    return UriDatasetSource(text)


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
