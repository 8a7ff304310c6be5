"""`Profile`: a compact description of rows, and the Parquet file that holds it.

A profile is built in one pass and bounded memory, also from more rows than fit. The file's rows are the sample; its
metadata entry ``registry.profile`` is the rest as JSON. docs/guides/drift.md describes both.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from registry.entities.history import canonical_json
from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.flavors.optional_imports import optional_import
from registry.monitoring.columns import CATEGORY, NO_RULES, Column, Key, PrivacyRules, as_rows, read_columns
from registry.monitoring.performance import Performance, PerformanceCounter
from registry.monitoring.sketches import CategoryCounts, QuantileSketch, RowSample, merge_samples
from registry.monitoring.storage import EXTRA
from registry.validation.paths import check_local_path

FORMAT: Final = 1
SAMPLE_ROWS: Final = 5_000
METADATA_KEY: Final = b"registry.profile"
BINS: Final = 10
MAX_KEPT_CATEGORIES: Final = 1_000
_SHARES: Final = tuple(i / 100 for i in range(101))
_BATCH: Final = 100_000


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What is known of one column.

    Attributes:
        name: The column.
        role: ``input``, ``prediction`` or ``target``.
        kind: ``number``, ``category`` or ``time`` (milliseconds since the epoch).
        count: The number of rows, with those where the value is missing.
        missing: How many values are missing: None, NaN or infinite.
        minimum: The least number.
        maximum: The greatest number.
        mean: The mean of the numbers.
        std: Their standard deviation.
        quantiles: The 0 %, 1 % … 100 % quantiles of the numbers.
        edges: The inner edges of the histogram's bins; a number on an edge belongs to the bin above.
        counts: The numbers in each bin, one more than there are edges.
        categories: How often each of the most frequent categories occurs.
        other: How often others occur.
        singletons: How many categories occur once.
    """

    name: str
    role: str
    kind: str
    count: int
    missing: int
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    categories: Mapping[str, int] | None = None
    other: int = 0
    singletons: int = 0

    @property
    def key(self) -> Key:
        """Return role and name."""
        return self.role, self.name

    @property
    def present(self) -> int:
        """Return how many values are not missing."""
        return self.count - self.missing


@dataclass(frozen=True, slots=True)
class Profile:
    """A compact description of rows: of a model's training data, or of what it saw in a window of time.

    Attributes:
        rows: The number of rows.
        columns: One profile per column.
        performance: How good the predictions are, if targets were given with them.
        sample: A uniform sample of the rows: columns named ``role.name``, and ``sample_key``. None if there is none.

    Example:
        >>> from registry.monitoring import make_profile
        >>> profile = make_profile(X, predictions=model.predict(X), targets=y)
        >>> profile.rows, [(column.role, column.name) for column in profile.columns][:2]
        (40, [('input', 'rest_days'), ('input', 'rating_gap')])
        >>> profile.get("input", "rest_days").missing, len(profile.sample)
        (0, 40)
    """

    rows: int
    columns: tuple[ColumnProfile, ...]
    performance: Performance | None = None
    sample: pd.DataFrame | None = None

    def find(self, role: str, name: str) -> ColumnProfile | None:
        """Return the profile of a column, or None."""
        return next((column for column in self.columns if column.key == (role, name)), None)

    def get(self, role: str, name: str) -> ColumnProfile:
        """Return the profile of a column.

        Raises:
            InvalidParameterError: There is no such column.
        """
        column = self.find(role, name)
        if column is None:
            known = ", ".join(f"{one.role} {one.name}" for one in self.columns)
            raise InvalidParameterError(f"The profile has no {role} column {name!r}; it has {known or 'none'}.")
        return column

    def values(self, role: str, name: str) -> Any:
        """Return the sampled values of a column without the missing ones, or None without a sample of it."""
        label = f"{role}.{name}"
        if self.sample is None or label not in self.sample.columns:
            return None
        values = self.sample[label].to_numpy()
        return values[~pd.isna(values)]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the sample as values that JSON can hold."""
        performance = None if self.performance is None else asdict(self.performance)
        return {
            "format": FORMAT,
            "rows": self.rows,
            "columns": [asdict(column) for column in self.columns],
            "performance": performance,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], sample: pd.DataFrame | None = None) -> "Profile":
        """Return the profile that `to_dict` gave, with a sample.

        Raises:
            InvalidParameterError: The values are not those of a profile, or of a later format.
        """
        if not isinstance(values, Mapping) or values.get("format") != FORMAT:
            raise InvalidParameterError(f"This is no profile of format {FORMAT}; read it with a newer registry.")
        try:
            columns = tuple(_column_from(column) for column in values["columns"])
            performance = None if values["performance"] is None else Performance(**values["performance"])
            return cls(int(values["rows"]), columns, performance, sample)
        except (TypeError, KeyError, ValueError) as error:
            raise InvalidParameterError(f"This is no profile: {error!r}.") from error

    def to_parquet(self) -> bytes:
        """Return the Parquet file of the profile.

        Raises:
            MissingDependencyError: pyarrow is not installed.
        """
        arrow, parquet = optional_import("pyarrow", EXTRA), optional_import("pyarrow.parquet", EXTRA)
        sample = pd.DataFrame() if self.sample is None else self.sample
        table = arrow.Table.from_pandas(sample, schema=sample_schema(arrow, self, sample), preserve_index=False)
        table = table.replace_schema_metadata({METADATA_KEY: canonical_json(self.to_dict()).encode()})
        buffer = io.BytesIO()
        parquet.write_table(table, buffer, compression="zstd")
        return buffer.getvalue()

    @classmethod
    def from_parquet(cls, data: bytes) -> "Profile":
        """Return the profile in the bytes of a Parquet file.

        Raises:
            InvalidParameterError: The bytes are no such file.
            MissingDependencyError: pyarrow is not installed.
        """
        arrow, parquet = optional_import("pyarrow", EXTRA), optional_import("pyarrow.parquet", EXTRA)
        try:
            table = parquet.read_table(io.BytesIO(data))
            text = (table.schema.metadata or {}).get(METADATA_KEY)
            sample = table.to_pandas() if table.num_columns else None
            values = json.loads(text) if text is not None else {}
        except (arrow.ArrowException, ValueError, OSError) as error:
            raise InvalidParameterError(f"This is no Parquet file of a profile: {error}.") from error
        return cls.from_dict(values, sample)

    def __repr__(self) -> str:
        sampled = 0 if self.sample is None else len(self.sample)
        return f"Profile({self.rows} rows, {len(self.columns)} columns, {sampled} sampled rows)"


class ProfileBuilder:
    """Builds a profile from batches of rows.

    With `like`, columns have the kinds and the histogram bins of that profile, so that the counts can be compared.
    """

    def __init__(
        self,
        *,
        like: Profile | None = None,
        sample_rows: int = SAMPLE_ROWS,
        rules: PrivacyRules = NO_RULES,
        seed: int | None = None,
    ) -> None:
        self._like = {} if like is None else {column.key: column for column in like.columns}
        self._kinds = {key: column.kind for key, column in self._like.items()}
        self._rules = rules
        self._builders: dict[Key, _ColumnBuilder] = {}
        self._performance = PerformanceCounter()
        self._sample = RowSample(sample_rows, seed)
        self.rows = 0

    def add(
        self, inputs: Any, predictions: Any = None, targets: Any = None, names: Sequence[str] | None = None
    ) -> list[Column]:
        """Add rows; return them as columns.

        Raises:
            InvalidTypeError: The data has another form.
            InvalidParameterError: The columns or their number of rows do not fit.
        """
        columns = read_columns(inputs, predictions, targets, rules=self._rules, kinds=self._kinds, names=names)
        self.add_columns(columns)
        return columns

    def add_columns(self, columns: Sequence[Column], timestamps: Any = None) -> None:
        """Add rows that `read_columns` gave; their timestamps, in milliseconds, go into the sample."""
        if self.rows and {column.key for column in columns} != self._builders.keys():
            raise InvalidParameterError("All batches of a profile must have the same columns.")
        for column in columns:
            if column.key not in self._builders:
                self._builders[column.key] = _ColumnBuilder(column.kind, self._like.get(column.key))
                self._kinds[column.key] = column.kind
            self._builders[column.key].add(column.values)
        self._performance.add(columns)
        rows = as_rows(columns)
        self._sample.add(rows if timestamps is None else rows.assign(timestamp=timestamps.astype(np.float64)))
        self.rows += len(columns[0].values) if columns else 0

    def finish(self) -> Profile:
        """Return the profile of what was added."""
        columns = tuple(builder.finish(role, name) for (role, name), builder in self._builders.items())
        return Profile(self.rows, columns, self._performance.result(), self._sample.result())


class _ColumnBuilder:
    """Builds the profile of one column."""

    def __init__(self, kind: str, like: ColumnProfile | None) -> None:
        self._kind = kind
        self._edges = np.array(like.edges) if like is not None and like.kind == kind and like.counts else None
        self._counts = np.zeros(0 if self._edges is None else len(self._edges) + 1, dtype=np.int64)
        self._sketch = QuantileSketch()
        self._categories = CategoryCounts()
        self._count = self._missing = 0
        self._mean = self._squares = 0.0
        self._minimum, self._maximum = np.inf, -np.inf

    def add(self, values: Any) -> None:
        self._count += len(values)
        present = values[~pd.isna(values)]
        self._missing += len(values) - len(present)
        if not len(present):
            return
        if self._kind == CATEGORY:
            codes, labels = pd.factorize(present)
            self._categories.add(dict(zip(labels, np.bincount(codes).tolist(), strict=True)))
            return
        # Chan's update of mean and sum of squares: stable, and independent of the size of the batches.
        before = self._count - self._missing - len(present)
        mean = float(present.mean())
        delta, total = mean - self._mean, before + len(present)
        self._squares += float(((present - mean) ** 2).sum()) + delta**2 * before * len(present) / total
        self._mean += delta * len(present) / total
        self._minimum, self._maximum = min(self._minimum, present.min()), max(self._maximum, present.max())
        self._sketch.add(present)
        if self._edges is not None:
            places = np.searchsorted(self._edges, present, side="right")
            self._counts += np.bincount(places, minlength=len(self._counts))

    def finish(self, role: str, name: str) -> ColumnProfile:
        profile = ColumnProfile(name, role, self._kind, self._count, self._missing)
        if self._kind == CATEGORY:
            counts, other = self._categories.result(MAX_KEPT_CATEGORIES)
            return replace(profile, categories=counts, other=other, singletons=self._categories.singletons)
        if not profile.present:
            return profile
        if self._edges is None:
            self._edges = np.unique(self._sketch.quantiles([i / BINS for i in range(1, BINS)]))
            self._counts = self._sketch.histogram(self._edges)
        quantiles = self._sketch.quantiles(_SHARES)
        quantiles[0], quantiles[-1] = self._minimum, self._maximum
        return replace(
            profile,
            minimum=float(self._minimum),
            maximum=float(self._maximum),
            mean=_finite_or_none(self._mean),
            std=_finite_or_none(np.sqrt(self._squares / profile.present)),
            quantiles=tuple(quantiles.tolist()),
            edges=tuple(self._edges.tolist()),
            counts=tuple(self._counts.tolist()),
        )


def make_profile(
    data: Any,
    predictions: Any = None,
    targets: Any = None,
    *,
    sample_rows: int = SAMPLE_ROWS,
    rules: PrivacyRules = NO_RULES,
    seed: int = 0,
) -> Profile:
    """Make a profile of rows, in one pass and bounded memory.

    Args:
        data: The inputs: a DataFrame of pandas or Polars, an Arrow table, a 2-D array, the path of a Parquet file, or
            an iterator of such batches. For a file or an iterator, `predictions` and `targets` name columns.
        predictions: The predictions, one per row, or the name of their column in `data`.
        targets: The true values, likewise.
        sample_rows: The number of rows of the sample; 0 stores none, and what needs rows is then unavailable.
        rules: Columns to leave out or hash.
        seed: The seed of the sample: the same call gives the same profile.

    Returns:
        The profile; give it to ``log_model(reference=…)`` or `set_reference`.

    Raises:
        InvalidTypeError: The data has another form.
        InvalidParameterError: The numbers of rows differ, or a column does not exist.
        MissingDependencyError: pyarrow is needed and not installed.

    Example:
        >>> from registry.monitoring import make_profile
        >>> profile = make_profile(X.assign(won=y), targets="won", sample_rows=10)
        >>> profile.get("target", "won").categories, len(profile.sample)
        ({'0': 22, '1': 18}, 10)
    """
    if type(sample_rows) is not int or sample_rows < 0:
        raise InvalidParameterError(f"sample_rows must be an integer of 0 or more, got {sample_rows!r}.")
    builder = ProfileBuilder(sample_rows=sample_rows, rules=rules, seed=seed)
    for batch in _batches(data):
        builder.add(*_split(batch, predictions, targets))
    return builder.finish()


def merge_profiles(profiles: Sequence[Profile]) -> Profile:
    """Return the profile of the rows of several profiles together. Histograms are added where the bins are the same.

    Quantiles are not kept: those of parts cannot be merged exactly.
    """
    keys = dict.fromkeys(column.key for profile in profiles for column in profile.columns)
    columns = []
    for role, name in keys:
        parts = [part for profile in profiles if (part := profile.find(role, name)) is not None]
        columns.append(_merge_columns([part for part in parts if part.kind == parts[0].kind]))
    sample = merge_samples([(one.sample, one.rows) for one in profiles if one.sample is not None])
    if any(one.sample is None and one.rows for one in profiles):
        sample = None  # rows of some parts alone would be no uniform sample
    performance = Performance.merge([one.performance for one in profiles if one.performance is not None])
    return Profile(sum(one.rows for one in profiles), tuple(columns), performance, sample)


def _merge_columns(parts: Sequence[ColumnProfile]) -> ColumnProfile:
    first = parts[0]
    merged = ColumnProfile(
        first.name, first.role, first.kind, sum(part.count for part in parts), sum(part.missing for part in parts)
    )
    if first.kind == CATEGORY:
        counts = CategoryCounts()
        for part in parts:
            counts.add(part.categories or {})
        kept, other = counts.result(MAX_KEPT_CATEGORIES)
        other += sum(part.other for part in parts)
        return replace(merged, categories=kept, other=other, singletons=counts.singletons)
    filled = [part for part in parts if part.present]
    if not filled:
        return merged
    merged = replace(
        merged,
        minimum=min(part.minimum for part in filled if part.minimum is not None),
        maximum=max(part.maximum for part in filled if part.maximum is not None),
    )
    if any(part.edges != filled[0].edges for part in filled):
        return merged
    counts_per_bin = np.sum([part.counts for part in filled], axis=0).tolist()
    return replace(merged, edges=filled[0].edges, counts=tuple(counts_per_bin))


def digest_of_file(data: bytes) -> str:
    """Return the SHA-256 of a file's bytes (hex)."""
    return hashlib.sha256(data).hexdigest()


def _batches(data: Any) -> Iterator[Any]:
    if isinstance(data, str | Path):
        path = check_local_path(data)
        parquet = optional_import("pyarrow.parquet", EXTRA)
        arrow = optional_import("pyarrow", EXTRA)
        try:
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=_BATCH):
                    yield batch.to_pandas()
        except (arrow.ArrowException, OSError) as error:
            raise InvalidParameterError(f"The file {str(data)!r} cannot be read as Parquet: {error}.") from error
    elif isinstance(data, Iterator):
        yield from data
    else:
        yield data


def _split(batch: Any, predictions: Any, targets: Any) -> tuple[Any, Any, Any]:
    """Take the columns out of a batch that `predictions` and `targets` name."""
    taken = [name for name in (predictions, targets) if isinstance(name, str)]
    if not taken:
        return batch, predictions, targets
    frame = batch.to_pandas() if hasattr(batch, "to_pandas") else batch
    if not isinstance(frame, pd.DataFrame):
        raise InvalidTypeError("If predictions or targets name a column, the data must have named columns.")
    missing = [name for name in taken if name not in frame.columns]
    if missing:
        raise InvalidParameterError(f"The data has no column {missing[0]!r}; it has {', '.join(map(str, frame))}.")
    parts = [frame[[given]] if isinstance(given, str) else given for given in (predictions, targets)]
    return frame.drop(columns=taken), parts[0], parts[1]


def _column_from(values: Mapping[str, Any]) -> ColumnProfile:
    known = {field.name for field in fields(ColumnProfile)}
    tuples = {key: tuple(values[key]) for key in ("quantiles", "edges", "counts")}
    return ColumnProfile(**{key: value for key, value in values.items() if key in known} | tuples)


def _finite_or_none(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def sample_schema(arrow: Any, profile: Profile, sample: pd.DataFrame) -> Any:
    """Return the types of the sample's columns: a column of missing values alone has no type of its own."""
    kinds = {f"{column.role}.{column.name}": column.kind for column in profile.columns}
    types = [(name, arrow.string() if kinds.get(str(name)) == CATEGORY else arrow.float64()) for name in sample.columns]
    return arrow.schema(types)
