"""Observations: profiles of what a version was asked and what it answered, in files of an hour.

Guarantees: when `log_inference` returns, its rows are durable; a crash loses at most the call that was under way. Many
processes may write at once.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import numpy as np
import pandas as pd

from registry.client import MlflowClient
from registry.entities.model_registry import ModelVersion, ResolvedModel
from registry.entities.times import check_duration
from registry.exceptions import InvalidParameterError
from registry.flavors import PyFuncModel
from registry.fluent import state
from registry.monitoring.columns import Column, Key, PrivacyRules, default_rules, read_columns
from registry.monitoring.ground_truth import check_ids, write_predictions
from registry.monitoring.merged_files import WINDOW_SAMPLE, read_merged_profiles
from registry.monitoring.profiles import Profile, ProfileBuilder, digest_of_file, merge_profiles
from registry.monitoring.references import find_reference
from registry.monitoring.report import INPUT
from registry.monitoring.storage import (
    DAY_MS,
    HOUR_MS,
    OBSERVATIONS,
    delete_days,
    find_files,
    registered_version,
    resolve_version,
    retried,
    write_file,
)
from registry.settings import current_settings
from registry.validation.values import now_ms

# Rows of a call that spans more hours are put together by day, so that a backfill makes no files by the thousand.
_MOST_HOURS: Final = 48
_MERGED_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class Window:
    """What a version saw in a window of time: its profile, and the SHA-256 over the digests of its files."""

    profile: Profile
    sha256: str


@dataclass(frozen=True, slots=True)
class Call:
    """One call of ``predict``, or several put together: a row of inputs per prediction."""

    inputs: Any
    predictions: Any
    ids: Any = None
    timestamps: Any = None


def log_inference(
    model: str | ModelVersion | PyFuncModel,
    inputs: Any,
    predictions: Any,
    *,
    ids: Any = None,
    timestamps: Any = None,
    rules: PrivacyRules | None = None,
    sample_rows: int | None = None,
    client: MlflowClient | None = None,
) -> None:
    """Record what a version was asked and what it answered. The rows are durable when the call returns.

    A profile of the rows is stored, and a uniform sample of them. With `ids`, the predictions of all rows are stored
    too, so that `log_ground_truth` can join the true values later.

    Args:
        model: The version that answered: its URI, a `ModelVersion`, or the model that `load_model` returned.
        inputs: The inputs as for ``predict``, a row per prediction.
        predictions: What was predicted for them.
        ids: One id per row, as texts or integers. Default: none, and no ground truth can be joined.
        timestamps: When each row was predicted: times of pandas, or milliseconds since the epoch. Default: now.
        rules: Columns to leave out or hash. Default: ``REGISTRY_MONITORING_EXCLUDE`` and ``…_HASH``.
        sample_rows: The rows of the sample per file. Default: ``REGISTRY_MONITORING_SAMPLE_ROWS``, else 5,000.
        client: The client of the registry. Default: that of the tracking URI.

    Raises:
        NotFoundError: The URI leads to nothing.
        InvalidParameterError: It names no version, or the numbers of rows differ.
        InvalidTypeError: The data has another form.
        MissingDependencyError: pyarrow is not installed.
        StorageError: The files cannot be written.

    Example:
        >>> mlflow.monitoring.log_inference("models:/churn/Production", X, model.predict(X), ids=range(40))
        >>> mlflow.monitoring.log_ground_truth("models:/churn/Production", range(40), y)
    """
    client = state.client() if client is None else client
    resolved = observed_model(client, model)
    rows = current_settings().monitoring_sample_rows if sample_rows is None else sample_rows
    if type(rows) is not int or rows < 0:
        raise InvalidParameterError(f"sample_rows must be an integer of 0 or more, got {sample_rows!r}.")
    call = Call(inputs, predictions, ids, timestamps)
    observe(client, resolved, [call], default_rules() if rules is None else rules, rows)


def delete_observations(name: str, older_than: str | timedelta, *, client: MlflowClient | None = None) -> int:
    """Delete what was observed of a model, in whole days (UTC); `gc` removes the files after its own retention.

    Args:
        name: The registered model.
        older_than: What to keep, such as ``90d``: days that ended before that are deleted.
        client: The client of the registry. Default: that of the tracking URI.

    Returns:
        How many runs were deleted: each holds the observations, predictions or ground truth of one day.

    Raises:
        InvalidParameterError: `older_than` is no duration.

    Example:
        >>> mlflow.monitoring.delete_observations("churn", "90d")
        0
    """
    client = state.client() if client is None else client
    kept = check_duration(older_than, "older_than")
    return delete_days(client, name, now_ms() - kept // timedelta(milliseconds=1))


def observed_model(client: MlflowClient, model: Any) -> ResolvedModel:
    """Return the version that a URI, a `ModelVersion` or a loaded model stands for."""
    known = getattr(model, "resolved_model", None)
    if isinstance(known, ResolvedModel):
        return known
    if isinstance(model, PyFuncModel):
        return _version_of(client, model)
    return resolve_version(client, model)[0]


def observe(
    client: MlflowClient,
    resolved: ResolvedModel,
    calls: Sequence[Call],
    rules: PrivacyRules,
    sample_rows: int,
) -> None:
    """Store calls of a version."""
    name, version = registered_version(resolved, resolved.name)
    reference = find_reference(client, resolved.model_id)
    like = None if reference is None else reference.profile
    kinds = {} if like is None else like.kinds
    segments = () if like is None else like.segment_columns
    buckets: dict[tuple[int, int, frozenset[Key]], ProfileBuilder] = {}
    for call in calls:
        columns = read_columns(call.inputs, call.predictions, rules=rules, kinds=kinds, names=_names(call.inputs, like))
        keys = frozenset(column.key for column in columns)
        kinds |= {column.key: column.kind for column in columns}
        rows = len(columns[0].values) if columns else 0
        moments = _moments(call.timestamps, rows)
        texts = None if call.ids is None else check_ids(call.ids, rows)
        for start, hours, chosen in _buckets(moments):
            part = columns if chosen is None else [_take(column, chosen) for column in columns]
            if texts is not None:
                write_predictions(
                    client,
                    name,
                    part,
                    texts if chosen is None else texts[chosen],
                    version=version,
                    start=start,
                    hours=hours,
                    segments=segments,
                )
            builder = buckets.setdefault((start, hours, keys), ProfileBuilder(like=like, sample_rows=sample_rows))
            builder.add_columns(part, moments if chosen is None else moments[chosen])
    for (start, hours, _), builder in buckets.items():
        data = builder.finish().to_parquet()
        write_file(client, name, OBSERVATIONS, data, version=version, start=start, hours=hours)


@retried
def read_window(client: MlflowClient, name: str, version: int | None, start: int, end: int) -> Window:
    """Return what a version saw in a window of whole hours, or what any version saw if None is given."""
    merged, pending = Profile(0, ()), list[Profile]()
    digest = hashlib.sha256()
    for file in find_files(client, name, OBSERVATIONS, start, end, version):
        data = file.read()
        digest.update(f"{digest_of_file(data)}\n".encode())
        pending += read_merged_profiles(data, start, end) if file.is_merged else [Profile.from_parquet(data)]
        if len(pending) >= _MERGED_AT_ONCE:
            merged, pending = _merge([merged, *pending]), []
    return Window(_merge([merged, *pending]), digest.hexdigest())


def _merge(profiles: Sequence[Profile]) -> Profile:
    merged = merge_profiles([profile for profile in profiles if profile.rows])
    return merged if merged.sample is None else replace(merged, sample=merged.sample.head(WINDOW_SAMPLE))


def _version_of(client: MlflowClient, model: PyFuncModel) -> ResolvedModel:
    """Return the version of a loaded model, which knows only its logged model."""
    versions = [] if model.model_id is None else client.search_model_versions(f"model_id = '{model.model_id}'")
    if len(versions) != 1:
        raise InvalidParameterError(
            f"The loaded model {model.model_id!r} has {len(versions)} registered versions, so it is not known which "
            "one answered. Give the version's URI, or load it with load_model(uri, monitor=True)."
        )
    return client.resolve(f"models:/{versions[0].name}/{versions[0].version}")


def _names(inputs: Any, like: Profile | None) -> list[str] | None:
    """Return names for an array's columns: those of the reference, if it has as many."""
    known = [] if like is None else [column.name for column in like.columns if column.role == INPUT]
    shape: Any = getattr(inputs, "shape", ())
    return known if len(shape) == 2 and len(known) == shape[1] else None


def _moments(timestamps: Any, rows: int) -> Any:
    if timestamps is None or type(timestamps) is int:
        return np.full(rows, now_ms() if timestamps is None else timestamps, dtype=np.int64)
    try:
        given = pd.Series(timestamps if np.ndim(timestamps) else [timestamps] * rows)
        if pd.api.types.is_numeric_dtype(given):
            moments = given.to_numpy(dtype=np.int64)
        else:
            converted = pd.to_datetime(given, utc=True, format="ISO8601")
            moments = converted.astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    except (ValueError, TypeError) as error:
        raise InvalidParameterError(f"timestamps must be times or milliseconds since the epoch: {error}.") from error
    if len(moments) != rows:
        raise InvalidParameterError(f"There are {rows} rows, but {len(moments)} timestamps; give one per row.")
    if rows and not 0 <= moments.min() <= moments.max() < 253_402_300_800_000:
        raise InvalidParameterError("timestamps must be times of the years 1970 to 9999, none of them missing.")
    return moments


def _buckets(moments: Any) -> Iterator[tuple[int, int, Any]]:
    """Yield start, hours and the positions of the rows of each hour or day; None stands for all rows."""
    if not len(moments):
        return
    is_long = moments.max() // HOUR_MS - moments.min() // HOUR_MS >= _MOST_HOURS
    length, hours = (DAY_MS, 24) if is_long else (HOUR_MS, 1)
    starts = moments // length * length
    different = np.unique(starts)
    for start in different.tolist():
        yield start, hours, None if len(different) == 1 else np.flatnonzero(starts == start)


def _take(column: Column, positions: Any) -> Column:
    return replace(column, values=column.values[positions])
