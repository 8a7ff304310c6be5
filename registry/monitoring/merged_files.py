"""Merged files: what many small files of a day hold, hour by hour, in one Parquet file that names its sources.

Of observations it has a profile per hour, as the metadata entry ``registry.profiles``, and the samples as rows, whose
column ``part`` is the place of their profile in that list. Of predictions and ground truth it has all rows, with the
columns ``start``, the beginning of their hour, and ``stamp``, when their source was written.
"""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import pandas as pd

from registry.entities.history import canonical_json
from registry.exceptions import InvalidParameterError
from registry.flavors.optional_imports import optional_import
from registry.monitoring.profiles import METADATA_KEY, Profile, merge_profiles, sample_schema
from registry.monitoring.storage import EXTRA, SOURCES_KEY, StoredFile, to_parquet

PROFILES_KEY: Final = b"registry.profiles"
PART: Final = "part"
START: Final = "start"
STAMP: Final = "stamp"
# Of all rows of a window, a check looks at a uniform sample of so many; so no hour needs more.
WINDOW_SAMPLE: Final = 20_000
_MERGED_AT_ONCE: Final = 32
Hour = tuple[int, int]


def merge_observations(files: Sequence[StoredFile]) -> bytes:
    """Return the merged file of files of observations whose profiles have the same columns."""
    arrow = optional_import("pyarrow", EXTRA)
    parts = list(_merge_hours(files))
    samples = [
        pd.DataFrame() if profile.sample is None else profile.sample.assign(**{PART: place})
        for place, (_, profile) in enumerate(parts)
    ]
    rows = pd.concat(samples, ignore_index=True)
    schema = sample_schema(arrow, parts[0][1], rows.drop(columns=PART, errors="ignore"))
    if PART in rows.columns:
        schema = schema.append(arrow.field(PART, arrow.int64()))
    table = arrow.Table.from_pandas(rows[schema.names], schema=schema, preserve_index=False)
    described = [{"start": start, "hours": hours, "profile": profile.to_dict()} for (start, hours), profile in parts]
    profiles = canonical_json({"parts": described}).encode()
    return to_parquet(table, {PROFILES_KEY: profiles, SOURCES_KEY: _sources(files)})


def read_merged_profiles(data: bytes, start: int, end: int) -> list[Profile]:
    """Return the profiles of a merged file whose hours begin in a window.

    Raises:
        InvalidParameterError: The bytes are no such file.
    """
    arrow, parquet = optional_import("pyarrow", EXTRA), optional_import("pyarrow.parquet", EXTRA)
    try:
        table = parquet.read_table(io.BytesIO(data))
        parts = json.loads(table.schema.metadata[PROFILES_KEY])["parts"]
        rows = table.to_pandas() if table.num_columns else None
        profiles = []
        for place, part in enumerate(parts):
            if start <= part["start"] < end:
                sample = None if rows is None else rows[rows[PART] == place].drop(columns=PART).reset_index(drop=True)
                profiles.append(Profile.from_dict(part["profile"], None if sample is None or sample.empty else sample))
        return profiles
    except (arrow.ArrowException, ValueError, OSError, KeyError, TypeError) as error:
        raise InvalidParameterError(f"This is no merged file of profiles: {error!r}.") from error


def merge_rows(files: Sequence[StoredFile]) -> bytes:
    """Return the merged file of files of predictions or ground truth with the same columns."""
    arrow = optional_import("pyarrow", EXTRA)
    order = sorted(files, key=lambda one: (one.start, one.stamp, one.path))
    merged = arrow.concat_tables([read_rows(file) for file in order])
    return to_parquet(merged, {SOURCES_KEY: _sources(files)})


def read_rows(file: StoredFile) -> Any:
    """Return the Arrow table of a file of predictions or ground truth, with the columns ``start`` and ``stamp``.

    Raises:
        InvalidParameterError: The file is damaged.
    """
    arrow = optional_import("pyarrow", EXTRA)
    table = _read_table(file)
    if file.is_merged:
        if not {START, STAMP} <= set(table.column_names):
            raise InvalidParameterError(f"{file.address} is no merged file of rows: it has no {START!r} and {STAMP!r}.")
        return table
    for name, value in ((START, file.start), (STAMP, file.stamp)):
        table = table.append_column(name, arrow.repeat(arrow.scalar(value, arrow.int64()), len(table)))
    return table


def columns_of(file: StoredFile) -> tuple[Any, ...]:
    """Return what files must have in common to be merged: columns with their types, and those of a profile.

    Raises:
        InvalidParameterError: The file is damaged, or a profile of a later format.
    """
    schema = _read_table(file).schema
    described = (schema.metadata or {}).get(METADATA_KEY)
    try:
        profile = Profile(0, ()) if described is None else Profile.from_dict(json.loads(described))
    except ValueError as error:
        raise InvalidParameterError(f"{file.address} is no file of a profile: {error}") from error
    kinds = ((column.role, column.name, column.kind) for column in profile.columns)
    return (*kinds, *((field.name, str(field.type)) for field in schema))


def _read_table(file: StoredFile) -> Any:
    arrow, parquet = optional_import("pyarrow", EXTRA), optional_import("pyarrow.parquet", EXTRA)
    data = file.read()
    try:
        table = parquet.read_table(io.BytesIO(data))
        table.validate(full=True)
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise InvalidParameterError(
            f"{file.address} is no Parquet file that can be read: {error}. Restore the file, or remove it."
        ) from error
    return table


def _merge_hours(files: Iterable[StoredFile]) -> Iterator[tuple[Hour, Profile]]:
    """Yield one profile per hour and bins, in the order of the hours."""
    pending: dict[tuple[Hour, Any], list[Profile]] = {}
    order = sorted(files, key=lambda one: (one.start, one.hours, one.path))
    for place, file in enumerate(order):
        profile = Profile.from_parquet(file.read())
        hour = (file.start, file.hours)
        parts = pending.setdefault((hour, tuple(column.edges for column in profile.columns)), [])
        parts.append(profile)
        if len(parts) == _MERGED_AT_ONCE:
            parts[:] = [_merge(parts)]
        if place + 1 == len(order) or (order[place + 1].start, order[place + 1].hours) != hour:
            for (begun, _), group in pending.items():
                yield begun, _merge(group)
            pending = {}


def _merge(profiles: Sequence[Profile]) -> Profile:
    if len(profiles) == 1:
        return profiles[0]
    merged = merge_profiles(profiles)
    # The rows are in the order of their keys, so the first ones are a uniform sample too.
    return merged if merged.sample is None else replace(merged, sample=merged.sample.head(WINDOW_SAMPLE))


def _sources(files: Iterable[StoredFile]) -> bytes:
    return canonical_json(sorted(file.name for file in files)).encode()
