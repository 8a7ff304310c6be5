"""`Profile`: a compact description of rows, and the Parquet file that holds it.

A profile is built in one pass and bounded memory, also from more rows than fit. The file's rows are the sample; its
metadata entry ``registry.profile`` is the rest as JSON. docs/guides/drift.md describes both.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from registry.entities.history import canonical_json
from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.flavors.optional_imports import optional_import
from registry.monitoring.column_profiles import ColumnBuilder, ColumnProfile, column_from, merge_columns
from registry.monitoring.columns import CATEGORY, NO_RULES, NUMBER, Column, Key, PrivacyRules, as_rows, read_columns
from registry.monitoring.correlations import Correlation, correlate
from registry.monitoring.performance import Performance, PerformanceCounter
from registry.monitoring.report import INPUT
from registry.monitoring.sketches import RowSample, merge_samples
from registry.monitoring.storage import EXTRA, to_parquet
from registry.validation.arguments import check_list
from registry.validation.paths import check_local_path

FORMAT: Final = 1
SAMPLE_ROWS: Final = 5_000
METADATA_KEY: Final = b"registry.profile"
MAX_SEGMENTS: Final = 50
_BATCH: Final = 100_000


@dataclass(frozen=True, slots=True)
class Profile:
    """A compact description of rows: of a model's training data, or of what it saw in a window of time.

    Attributes:
        rows: The number of rows.
        columns: One profile per column.
        performance: How good the predictions are, if targets were given with them.
        sample: A uniform sample of the rows: columns named ``role.name``, and ``sample_key``. None if there is none.
        segments: The predictions, targets and performance of parts of the rows, by column and value, such as
            ``("venue", "home")``; `get_segment` gives them their sample.
        correlations: How the inputs that are numbers go together, if that was asked for.

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
    segments: Mapping[tuple[str, str], "Profile"] = field(default_factory=dict)
    correlations: tuple[Correlation, ...] = ()

    @property
    def kinds(self) -> dict[Key, str]:
        """Return the kind of each column, by role and name."""
        return {column.key: column.kind for column in self.columns}

    @property
    def segment_columns(self) -> tuple[str, ...]:
        """Return the columns whose values are segments."""
        return tuple(dict.fromkeys(column for column, _ in self.segments))

    def get_segment(self, column: str, value: str) -> "Profile":
        """Return the profile of the rows that have one value of a segment column, with their part of the sample.

        Raises:
            InvalidParameterError: There is no such segment.
        """
        segment, label = self.segments.get((column, value)), f"{INPUT}.{column}"
        if segment is None:
            known = ", ".join(self.segment_columns) or "none"
            raise InvalidParameterError(f"The profile has no segment {column}={value}; it has segments of {known}.")
        if self.sample is None or label not in self.sample.columns:
            return segment
        return replace(segment, sample=self.sample[self.sample[label] == value])

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
            "segments": [
                {"column": column, "value": value, "profile": segment.to_dict()}
                for (column, value), segment in self.segments.items()
            ],
            "correlations": [asdict(correlation) for correlation in self.correlations],
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
            columns = tuple(column_from(column) for column in values["columns"])
            performance = None if values["performance"] is None else Performance(**values["performance"])
            segments = {
                (one["column"], one["value"]): cls.from_dict(one["profile"]) for one in values.get("segments", ())
            }
            correlations = tuple(Correlation(**correlation) for correlation in values.get("correlations", ()))
            return cls(int(values["rows"]), columns, performance, sample, segments, correlations)
        except (TypeError, KeyError, ValueError) as error:
            raise InvalidParameterError(f"This is no profile: {error!r}.") from error

    def to_parquet(self) -> bytes:
        """Return the Parquet file of the profile.

        Raises:
            MissingDependencyError: pyarrow is not installed.
        """
        arrow = optional_import("pyarrow", EXTRA)
        sample = pd.DataFrame() if self.sample is None else self.sample
        schema = sample_schema(arrow, self, sample)
        # One thread: what waits is written while the interpreter ends, which starts none any more.
        table = arrow.Table.from_pandas(sample, schema=schema, preserve_index=False, nthreads=1)
        return to_parquet(table, {METADATA_KEY: canonical_json(self.to_dict()).encode()})

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

    With `like`, columns have the kinds and the histogram bins of that profile, so that the counts can be compared, and
    the segments are those of that profile.
    """

    def __init__(
        self,
        *,
        like: Profile | None = None,
        sample_rows: int = SAMPLE_ROWS,
        rules: PrivacyRules = NO_RULES,
        seed: int | None = None,
        segments: Sequence[str] | None = None,
        correlations: bool = False,
    ) -> None:
        self._like = {} if like is None else {column.key: column for column in like.columns}
        self._kinds = {} if like is None else like.kinds
        self._rules = rules
        self._builders: dict[Key, ColumnBuilder] = {}
        self._performance = PerformanceCounter()
        self._sample_rows = sample_rows
        self._correlates = correlations
        self._sample = RowSample(max(sample_rows, SAMPLE_ROWS) if correlations else sample_rows, seed)
        self._known_segments = None if like is None or segments is not None else like.segments
        self._segment_columns = like.segment_columns if like is not None and segments is None else tuple(segments or ())
        self._segments: dict[tuple[str, str], ProfileBuilder] = {}
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
                self._builders[column.key] = ColumnBuilder(column.kind, self._like.get(column.key))
                self._kinds[column.key] = column.kind
            self._builders[column.key].add(column.values)
        self._performance.add(columns)
        self._add_to_segments(columns)
        rows = as_rows(columns)
        self._sample.add(rows if timestamps is None else rows.assign(timestamp=timestamps.astype(np.float64)))
        self.rows += len(columns[0].values) if columns else 0

    def finish(self) -> Profile:
        """Return the profile of what was added."""
        columns = tuple(builder.finish(role, name) for (role, name), builder in self._builders.items())
        segments = {key: builder.finish() for key, builder in sorted(self._segments.items())}
        sample, correlations = self._sample.result(), tuple[Correlation, ...]()
        if self._correlates and sample is not None:
            names = [column.name for column in columns if column.role == INPUT and column.kind == NUMBER]
            correlations = correlate(sample, names)
            sample = sample.head(self._sample_rows) if self._sample_rows else None
        return Profile(self.rows, columns, self._performance.result(), sample, segments, correlations)

    def _add_to_segments(self, columns: Sequence[Column]) -> None:
        answers = [column for column in columns if column.role != INPUT]
        for name in self._segment_columns:
            column = next((column for column in columns if column.key == (INPUT, name)), None)
            if column is None and self._known_segments is not None:
                continue
            if column is None or column.kind != CATEGORY or not answers:
                raise InvalidParameterError(_why_no_segments(name, column))
            codes, values = pd.factorize(column.values)
            for code, value in enumerate(values):
                builder = self._segment(name, value)
                if builder is not None:
                    rows = np.flatnonzero(codes == code)
                    builder.add_columns([replace(answer, values=answer.values[rows]) for answer in answers])

    def _segment(self, name: str, value: str) -> "ProfileBuilder | None":
        """Return the builder of a segment, or None if the profile that this one is like does not have it."""
        key = (name, value)
        if key not in self._segments:
            if self._known_segments is not None and key not in self._known_segments:
                return None
            if sum(column == name for column, _ in self._segments) == MAX_SEGMENTS:
                raise InvalidParameterError(
                    f"The segment column {name!r} has more than {MAX_SEGMENTS} different values. Choose a coarser one."
                )
            self._segments[key] = ProfileBuilder(like=(self._known_segments or {}).get(key), sample_rows=0)
        return self._segments[key]


def _why_no_segments(name: str, column: Column | None) -> str:
    if column is None:
        return f"The segment column {name!r} is not among the inputs."
    if column.kind != CATEGORY:
        return (
            f"The segment column {name!r} holds values of the kind {column.kind!r}; segments are categories. Add a "
            f"column of classes to the inputs, such as pandas.cut(data[{name!r}], 4).astype(str)."
        )
    return "Segments compare predictions, targets and performance. Give predictions or targets."


def make_profile(
    data: Any,
    predictions: Any = None,
    targets: Any = None,
    *,
    sample_rows: int = SAMPLE_ROWS,
    rules: PrivacyRules = NO_RULES,
    seed: int = 0,
    segments: Sequence[str] = (),
    correlations: bool = False,
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
        segments: Columns of categories; predictions, targets and performance are profiled for each of their values
            too, at most 50 of a column. Checks then compare them value by value.
        correlations: Whether to add the rank correlations of the first 20 inputs that are numbers. Checks then tell
            which pair of columns changed together.

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
    builder = ProfileBuilder(
        sample_rows=sample_rows,
        rules=rules,
        seed=seed,
        segments=check_list(segments, "segments", str),
        correlations=correlations,
    )
    for batch in _batches(data):
        builder.add(*_split(batch, predictions, targets))
    return builder.finish()


def merge_profiles(profiles: Sequence[Profile]) -> Profile:
    """Return the profile of the rows of several profiles together. Histograms are added where the bins are the same.

    Quantiles and correlations are not kept: those of parts cannot be merged exactly.
    """
    keys = dict.fromkeys(column.key for profile in profiles for column in profile.columns)
    columns = []
    for role, name in keys:
        parts = [part for profile in profiles if (part := profile.find(role, name)) is not None]
        columns.append(merge_columns([part for part in parts if part.kind == parts[0].kind]))
    sample = merge_samples([(one.sample, one.rows) for one in profiles if one.sample is not None])
    if any(one.sample is None and one.rows for one in profiles):
        sample = None  # rows of some parts alone would be no uniform sample
    performance = Performance.merge([one.performance for one in profiles if one.performance is not None])
    segments = {
        key: merge_profiles([one.segments[key] for one in profiles if key in one.segments])
        for key in sorted({key for one in profiles for key in one.segments})
    }
    return Profile(sum(one.rows for one in profiles), tuple(columns), performance, sample, segments)


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


def sample_schema(arrow: Any, profile: Profile, sample: pd.DataFrame) -> Any:
    """Return the types of the sample's columns: a column of missing values alone has no type of its own."""
    kinds = {f"{column.role}.{column.name}": column.kind for column in profile.columns}
    types = [(name, arrow.string() if kinds.get(str(name)) == CATEGORY else arrow.float64()) for name in sample.columns]
    return arrow.schema(types)
