"""Where data came from: a path or URI, or the program that made them. Nothing is ever loaded from a source."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from registry.entities.dataset import Dataset
from registry.exceptions import InvalidParameterError, InvalidTypeError

MAX_SOURCE: Final = 4_096
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):")
# PostgreSQL cannot store these characters.
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


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


def choose_source(source: object, context_tags: Mapping[str, str] | None) -> DatasetSource:
    """Return a given source, or without one the program that `context_tags` name."""
    return CodeDatasetSource(dict(context_tags or {})) if source is None else _parse_source(source)


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
