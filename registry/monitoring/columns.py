"""Data as columns of few kinds: what `predict` takes and gives, made comparable.

A number is a float, a category is a text. Missing are None, NaN and infinity. Columns that hold personal data are left
out or hashed here, before anything looks at the values.
"""

import fnmatch
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd

from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.monitoring.report import INPUT, PREDICTION, TARGET
from registry.settings import current_settings
from registry.validation.arguments import check_list

NUMBER: Final = "number"
CATEGORY: Final = "category"
TIME: Final = "time"
# Predictions and targets of integers with at most so many different values are classes.
_MOST_CLASSES: Final = 20
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PrivacyRules:
    """Which columns are never written, and which only as a keyed hash. Patterns are those of shells: ``*_email``.

    Attributes:
        exclude: Patterns of columns that are left out.
        hash: Patterns of columns whose values are replaced by the first 16 digits of their HMAC-SHA-256.
        key: The secret of the hash. Without one, whoever can guess a value can check the guess.

    Example:
        >>> from registry.monitoring import PrivacyRules
        >>> PrivacyRules(exclude=["name", "*_email"], hash=["player_id"], key="secret").exclude
        ('name', '*_email')
    """

    exclude: Sequence[str] = ()
    hash: Sequence[str] = ()
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "exclude", tuple(check_list(self.exclude, "exclude", str)))
        object.__setattr__(self, "hash", tuple(check_list(self.hash, "hash", str)))

    def excludes(self, column: str) -> bool:
        """Tell whether a column is left out."""
        return any(fnmatch.fnmatchcase(column, pattern) for pattern in self.exclude)

    def hashes(self, column: str) -> bool:
        """Tell whether the values of a column are hashed."""
        return any(fnmatch.fnmatchcase(column, pattern) for pattern in self.hash)

    def digest(self, text: str) -> str:
        """Return the hash of one value."""
        key = self.key.encode("utf-8", "surrogatepass")
        return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:16]


NO_RULES: Final = PrivacyRules()


def default_rules() -> PrivacyRules:
    """Return the rules of ``REGISTRY_MONITORING_EXCLUDE``, ``…_HASH`` and ``…_HASH_KEY``."""
    settings = current_settings()
    exclude, hashed = (
        [pattern.strip() for pattern in text.split(",") if pattern.strip()]
        for text in (settings.monitoring_exclude, settings.monitoring_hash)
    )
    return PrivacyRules(exclude, hashed, settings.monitoring_hash_key)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: floats with NaN for missing, or an array of texts with None for missing."""

    role: str
    name: str
    kind: str
    values: Any

    @property
    def key(self) -> Key:
        """Return what identifies the column in a profile."""
        return self.role, self.name


def read_columns(
    inputs: Any,
    predictions: Any = None,
    targets: Any = None,
    *,
    rules: PrivacyRules = NO_RULES,
    kinds: Mapping[Key, str] | None = None,
    names: Sequence[str] | None = None,
) -> list[Column]:
    """Return the columns of inputs, predictions and targets; all have as many rows.

    Args:
        inputs: A DataFrame of pandas or Polars, an Arrow table, a 2-D array, or a mapping of columns.
        predictions: The same, or one value per row.
        targets: The same, or one value per row.
        rules: Columns to leave out or hash.
        kinds: The kinds of known columns by role and name; others are inferred.
        names: The names of the columns of inputs that have none.

    Raises:
        InvalidTypeError: The data has another form.
        InvalidParameterError: The numbers of rows differ, or a name occurs twice.
    """
    columns: list[Column] = []
    rows: int | None = None
    for role, data in ((INPUT, inputs), (PREDICTION, predictions), (TARGET, targets)):
        if data is None:
            continue
        frame = _frame(data, role, names)
        if rows is not None and len(frame) != rows:
            raise InvalidParameterError(f"There are {rows} rows, but {len(frame)} of the {role}; give one per row.")
        rows = len(frame)
        columns += [
            _column(role, str(name), frame.iloc[:, position], rules, (kinds or {}).get((role, str(name))))
            for position, name in enumerate(frame.columns)
            if not rules.excludes(str(name))
        ]
    return columns


def as_rows(columns: Sequence[Column]) -> pd.DataFrame:
    """Return columns as a DataFrame whose names are ``role.name``."""
    return pd.DataFrame({f"{column.role}.{column.name}": column.values for column in columns})


def _frame(data: Any, role: str, names: Sequence[str] | None) -> pd.DataFrame:
    frame = _to_pandas(data, role, names)
    labels = [str(name) for name in frame.columns]
    if len(set(labels)) < len(labels):
        twice = next(name for name in labels if labels.count(name) > 1)
        raise InvalidParameterError(f"The column {twice!r} occurs twice among the columns of {role}; rename one.")
    for label in labels:
        try:
            label.encode()
        except UnicodeEncodeError as error:
            raise InvalidParameterError(f"The name of the column {label!r} is no Unicode text: {error}.") from error
    return frame


def _to_pandas(data: Any, role: str, names: Sequence[str] | None) -> pd.DataFrame:
    if hasattr(data, "to_pandas"):  # Arrow and Polars
        data = data.to_pandas()
    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, pd.Series):
        return data.to_frame(role)
    if isinstance(data, Mapping):
        try:
            return pd.DataFrame(dict(data))
        except ValueError as error:
            raise InvalidParameterError(f"The columns of {role} must have the same length: {error}.") from error
    if hasattr(data, "toarray"):  # sparse matrices of scipy
        data = data.toarray()
    if not isinstance(data, np.ndarray | list | tuple):
        raise InvalidTypeError(
            f"The {role} data must be a DataFrame, an Arrow table, an array, a list or a mapping of columns, got "
            f"{type(data).__name__}."
        )
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise InvalidParameterError(f"The rows of {role} must have the same length: {error}.") from error
    if array.ndim == 1:
        return pd.DataFrame({role: array})
    if array.ndim != 2:
        raise InvalidParameterError(f"The {role} data must have one or two dimensions; it has {array.ndim}.")
    labels = list(names) if role == INPUT and names is not None else [f"{role}_{i}" for i in range(array.shape[1])]
    if len(labels) != array.shape[1]:
        raise InvalidParameterError(f"The {role} data has {array.shape[1]} columns, and there are {len(labels)} names.")
    return pd.DataFrame(array, columns=labels)


def _column(role: str, name: str, series: "pd.Series[Any]", rules: PrivacyRules, kind: str | None) -> Column:
    if rules.hashes(name):
        return Column(role, name, CATEGORY, _as_texts(series, rules.digest))
    kind = kind or _infer_kind(role, series)
    if kind == CATEGORY:
        return Column(role, name, kind, _as_texts(series))
    if kind == TIME:
        return Column(role, name, kind, _as_milliseconds(series))
    numbers = pd.to_numeric(series, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return Column(role, name, kind, np.where(np.isfinite(numbers), numbers, np.nan))


def _infer_kind(role: str, series: "pd.Series[Any]") -> str:
    types = pd.api.types
    if types.is_datetime64_any_dtype(series):
        return TIME
    if types.is_bool_dtype(series) or not types.is_numeric_dtype(series) or types.is_complex_dtype(series):
        return CATEGORY
    if role != INPUT and types.is_integer_dtype(series) and series.nunique() <= _MOST_CLASSES:
        return CATEGORY
    return NUMBER


def _as_milliseconds(series: "pd.Series[Any]") -> Any:
    moments = pd.to_datetime(series, errors="coerce", utc=True)
    numbers = moments.astype("datetime64[ms, UTC]").astype("int64").to_numpy(dtype=np.float64)
    return np.where(moments.isna(), np.nan, numbers)


def _as_texts(series: "pd.Series[Any]", convert: Any = None) -> Any:
    try:
        codes, labels = pd.factorize(series)
    except TypeError:  # values that cannot be hashed, such as lists
        codes, labels = pd.factorize(series.map(str))
    texts = [_text(label) for label in labels]
    known = np.array([*(texts if convert is None else map(convert, texts)), None], dtype=object)
    return known[codes]


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))  # 1.0: an integer in a column that has missing values
    return str(value).encode("utf-8", "backslashreplace").decode()
