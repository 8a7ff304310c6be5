"""Ground truth: true values that become known later, joined by id with the predictions of a window.

If an id occurs more than once, its last prediction and its last true value count.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from registry.client import MlflowClient
from registry.entities.model_registry import ModelVersion
from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.flavors.optional_imports import optional_import
from registry.fluent import state
from registry.monitoring.columns import CATEGORY, NUMBER, Column, Key, read_columns
from registry.monitoring.merged_files import STAMP, START, read_rows
from registry.monitoring.profiles import Profile, ProfileBuilder
from registry.monitoring.references import find_reference
from registry.monitoring.report import INPUT, PREDICTION
from registry.monitoring.storage import (
    EXTRA,
    GROUND_TRUTH,
    HOUR_MS,
    PREDICTIONS,
    StoredFile,
    find_files,
    resolve_version,
    retried,
    to_parquet,
    write_file,
)
from registry.validation.values import now_ms

_ID: Final = "id"


def log_ground_truth(
    model: str | ModelVersion,
    ids: Any,
    targets: Any,
    *,
    timestamp: int | None = None,
    client: MlflowClient | None = None,
) -> None:
    """Record the true values of rows that were predicted before. They are durable when the call returns.

    Args:
        model: Any version of the registered model, or a stage of it: its URI or a `ModelVersion`.
        ids: The ids that `log_inference` was given, as texts or integers.
        targets: One true value per id.
        timestamp: When they became known, in milliseconds since the epoch; not before the predictions. Default: now.
        client: The client of the registry. Default: that of the tracking URI.

    Raises:
        NotFoundError: The URI leads to nothing.
        InvalidParameterError: The numbers of ids and targets differ.
        MissingDependencyError: pyarrow is not installed.

    Example:
        >>> mlflow.monitoring.log_inference("models:/churn/2", X, model.predict(X), ids=range(40))
        >>> mlflow.monitoring.log_ground_truth("models:/churn/2", range(40), y)
    """
    client = state.client() if client is None else client
    resolved, name, version = resolve_version(client, model)
    reference = find_reference(client, resolved.model_id)
    kinds = {} if reference is None else reference.profile.kinds
    columns = read_columns(None, None, targets, kinds=kinds)
    texts = check_ids(ids, len(columns[0].values) if columns else 0)
    moment = now_ms() if timestamp is None else timestamp
    data = _file_of(texts, columns)
    write_file(client, name, GROUND_TRUTH, data, version=version, start=moment // HOUR_MS * HOUR_MS)


def write_predictions(
    client: MlflowClient,
    name: str,
    columns: Sequence[Column],
    ids: Any,
    *,
    version: int,
    start: int,
    hours: int,
    segments: Sequence[str] = (),
) -> None:
    """Store the predictions of rows that have ids, with the inputs that say to which segments a row belongs."""
    in_segments = {(INPUT, name) for name in segments}
    data = _file_of(ids, [column for column in columns if column.role == PREDICTION or column.key in in_segments])
    write_file(client, name, PREDICTIONS, data, version=version, start=start, hours=hours)


@retried
def join_ground_truth(
    client: MlflowClient, name: str, version: int | None, start: int, end: int, like: Profile
) -> Profile | None:
    """Return the profile of the rows of a window whose true values are known by now, or None if there are none.

    It has the kinds of columns, the bins and the segments of `like`.
    """
    until = now_ms() + HOUR_MS
    predicted = _read(find_files(client, name, PREDICTIONS, start, end, version), start, end)
    true = _read(find_files(client, name, GROUND_TRUTH, start, until), start, until)
    if predicted is None or true is None:
        return None
    joined = predicted.merge(true, on=_ID, how="inner", sort=False)
    if joined.empty:
        return None
    columns = [_column(joined, label, like.kinds) for label in joined.columns if label != _ID]
    builder = ProfileBuilder(like=like, sample_rows=0)
    builder.add_columns(columns)
    return builder.finish()


def check_ids(ids: Any, rows: int) -> Any:
    """Return ids as an array of texts.

    Raises:
        InvalidTypeError: An id is neither a text nor an integer.
        InvalidParameterError: There is not one per row, or one is missing.
    """
    try:
        given = list(ids)
    except TypeError:
        raise InvalidTypeError(f"ids must be a sequence of texts or integers, got {type(ids).__name__}.") from None
    if len(given) != rows:
        raise InvalidParameterError(f"There are {rows} rows, but {len(given)} ids; give one per row.")
    for one in given:
        if isinstance(one, bool) or not isinstance(one, str | int | np.integer):
            raise InvalidTypeError(f"An id must be a text or an integer, got {one!r} of type {type(one).__name__}.")
    try:
        texts = [str(one) for one in given]
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        raise InvalidParameterError(f"An id is no Unicode text: {error}.") from error
    return np.array(texts, dtype=object)


def _file_of(ids: Any, columns: Sequence[Column]) -> bytes:
    arrow = optional_import("pyarrow", EXTRA)
    frame = pd.DataFrame({_ID: ids, **{f"{column.role}.{column.name}": column.values for column in columns}})
    types = [(f"{one.role}.{one.name}", arrow.string() if one.kind == CATEGORY else arrow.float64()) for one in columns]
    table = arrow.Table.from_pandas(frame, schema=arrow.schema([(_ID, arrow.string()), *types]), preserve_index=False)
    return to_parquet(table, {})


def _read(files: Iterable[StoredFile], start: int, end: int) -> pd.DataFrame | None:
    """Return the rows of files whose time begins in a window, the last one of each id."""
    parts: list[pd.DataFrame] = []
    for file in files:
        rows = read_rows(file).to_pandas()
        rows = rows[(rows[START] >= start) & (rows[START] < end)]
        if len(rows):
            parts.append(rows)
    if not parts:
        return None
    rows = pd.concat(parts, ignore_index=True).sort_values([START, STAMP])
    return rows.drop_duplicates(_ID, keep="last").drop(columns=[START, STAMP])


def _column(frame: pd.DataFrame, label: str, kinds: dict[Key, str]) -> Column:
    role, _, name = label.partition(".")
    stored = frame[label]
    is_text = not pd.api.types.is_numeric_dtype(stored)
    values = stored.to_numpy(dtype=object) if is_text else stored.to_numpy(dtype=np.float64)
    if is_text:
        values = np.array([None if pd.isna(value) else value for value in values], dtype=object)
    return Column(role, name, kinds.get((role, name), CATEGORY if is_text else NUMBER), values)
