"""Data sets made from arrays of NumPy. Guarantees: digest, schema and profile are those of mlflow 3.17."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, Union

from registry.datasets.recorded import RecordedDataset
from registry.datasets.sources import DatasetSource, choose_source
from registry.entities.schema import Schema
from registry.exceptions import InvalidTypeError

if TYPE_CHECKING:
    import numpy as np

# An array, or arrays by name.
Arrays: TypeAlias = Union["np.ndarray[Any, Any]", "Mapping[str, np.ndarray[Any, Any]]"]

_DIGESTED_VALUES: Final = 10_000


@dataclass(frozen=True, slots=True)
class TensorDatasetSchema:
    """The schemas of features and targets, as tensors (MLflow's TensorDatasetSchema)."""

    features: Schema
    targets: Schema | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return MLflow's JSON form."""
        targets = None if self.targets is None else self.targets.to_json()
        return {"mlflow_tensorspec": {"features": self.features.to_json(), "targets": targets}}


class NumpyDataset(RecordedDataset):
    """Arrays of features and of targets with their identity. The arrays are kept, not copied."""

    def __init__(
        self,
        features: Arrays,
        source: DatasetSource,
        targets: Arrays | None = None,
        name: str | None = None,
        digest: str | None = None,
        *,
        infer_schema: Callable[[Any], Schema] | None = None,
    ) -> None:
        _check_arrays(features, "features")
        if targets is not None:
            _check_arrays(targets, "targets")
        self._features = features
        self._targets = targets
        self._schema_inference = infer_schema
        super().__init__(source, name, digest)

    def _compute_digest(self) -> str:
        return array_digest(self._features, self._targets)

    def _infer_schema(self) -> TensorDatasetSchema | None:
        if self._schema_inference is None:
            return None
        targets = None if self._targets is None else self._schema_inference(self._targets)
        return TensorDatasetSchema(self._schema_inference(self._features), targets)

    def _schema_document(self) -> dict[str, Any]:
        document: dict[str, Any] = self.schema.to_dict()
        return document

    @property
    def features(self) -> Arrays:
        """Return the features."""
        return self._features

    @property
    def targets(self) -> Arrays | None:
        """Return the targets, or None."""
        return self._targets

    @property
    def profile(self) -> dict[str, Any]:
        """Return the shapes, the numbers of values and the bytes of features and targets."""
        return {
            f"{role}_{attribute}": _each(arrays, attribute)
            for role, arrays in (("features", self._features), ("targets", self._targets))
            if arrays is not None
            for attribute in ("shape", "size", "nbytes")
        }


def from_numpy(
    features: Arrays,
    source: str | os.PathLike[str] | DatasetSource | None = None,
    targets: Arrays | None = None,
    name: str | None = None,
    digest: str | None = None,
    *,
    context_tags: Mapping[str, str] | None = None,
    infer_schema: Callable[[Any], Schema] | None = None,
) -> NumpyDataset:
    """Make a data set from arrays; without a `source`, the source is the program that `context_tags` name.

    Raises:
        InvalidTypeError: Features or targets are not arrays, or `source` is not text, a path or a source.
        InvalidNameError: The name is blank, longer than 500 characters or unprintable.
    """
    return NumpyDataset(features, choose_source(source, context_tags), targets, name, digest, infer_schema=infer_schema)


def array_digest(features: Arrays, targets: Arrays | None = None, *, rows: int | None = None) -> str:
    """Return MLflow's digest of arrays: 8 hexadecimal digits.

    It covers the shape of each array and its first 10,000 values, unless they are of a type that cannot be hashed.
    `rows` is the length of an array of which only the first rows are given.
    """
    import numpy as np
    import pandas as pd

    md5 = hashlib.md5(usedforsecurity=False)
    for array in [*_arrays(features), *_arrays(targets)]:
        head = np.asarray(array.flat[:_DIGESTED_VALUES])
        try:
            md5.update(pd.util.hash_array(head).tobytes())
        except TypeError:
            md5.update(np.int64(head.size).tobytes())
        for length in array.shape if rows is None else (rows, *array.shape[1:]):
            md5.update(np.int64(length).tobytes())
    return md5.hexdigest()[:8]


def _arrays(arrays: Arrays | None) -> "Iterator[np.ndarray[Any, Any]]":
    if isinstance(arrays, Mapping):
        yield from (arrays[name] for name in sorted(arrays))
    elif arrays is not None:
        yield arrays


def _each(arrays: Arrays, attribute: str) -> Any:
    if isinstance(arrays, Mapping):
        return {name: getattr(array, attribute) for name, array in arrays.items()}
    return getattr(arrays, attribute)


def _check_arrays(arrays: object, role: str) -> None:
    import numpy as np

    values = arrays.values() if isinstance(arrays, Mapping) else [arrays]
    for value in values:
        if not isinstance(value, np.ndarray):
            raise InvalidTypeError(
                f"{role} must be a NumPy array or a mapping from names to arrays, got {type(value).__name__}."
            )
