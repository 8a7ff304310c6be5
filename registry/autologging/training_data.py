"""What is recorded of training data: the first rows as an example, the signature, and the identity as a data set."""

import copy
import dataclasses
import json
import sys
import weakref
from collections.abc import Callable
from typing import Any, Final

from registry import datasets
from registry.datasets import CodeDatasetSource, RecordedDataset
from registry.datasets.arrays import array_digest
from registry.entities import DatasetInput, InputTag
from registry.entities.signature import ModelSignature
from registry.exceptions import InvalidTypeError
from registry.flavors.signatures.infer import infer_schema, schema_or_any
from registry.fluent.run_context_tags import context_tags

EXAMPLE_ROWS: Final = 5


def first_rows(data: Any) -> Any:
    """Return a copy of the first rows of training data. Training may change the data themselves.

    Raises:
        InvalidTypeError: The data are read from a file, or have no rows that can be taken.
    """
    if isinstance(data, str) or not hasattr(data, "__getitem__"):
        raise InvalidTypeError(f"no example can be taken from data of type {type(data).__name__}")
    return copy.deepcopy(data[:EXAMPLE_ROWS])


class ByIdentity:
    """Values for objects that cannot carry an attribute, as long as the objects live."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[Any], Any]] = {}

    def set(self, key: Any, value: Any) -> None:
        """Keep a value for an object, which must allow weak references."""
        number = id(key)
        self._entries[number] = (weakref.ref(key, lambda _: self._entries.pop(number, None)), value)

    def find(self, key: Any) -> Any:
        """Return the value for an object, or None."""
        reference, value = self._entries.get(id(key), (None, None))
        return value if reference is not None and reference() is key else None


class Examples:
    """The first rows of the data that training data sets are made from: the sets themselves do not give them back.

    `kind` is the name of their class, for the error of one that was made before.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._kept = ByIdentity()
        self._data = ByIdentity()

    def keep(self, wrapped: Callable[..., Any], dataset: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Keep the first rows around the constructor of a data set, for `Patches.wrap`."""
        data = args[0] if args else kwargs.get("data")
        try:
            example = first_rows(data)
        except Exception as error:  # noqa: BLE001 - raised again when an example is needed
            example = error
        result = wrapped(*args, **kwargs)
        self._kept.set(dataset, example)
        reference: Any
        try:
            reference = weakref.ref(data)
        except TypeError:
            reference = InvalidTypeError(
                f"no reference can be made from data of type {type(data).__name__}; make the {self._kind} from a "
                "DataFrame or an array"
            )
        self._data.set(dataset, reference)
        return result

    def data_of(self, dataset: Any) -> Any:
        """Return the data that a data set was made from.

        Raises:
            InvalidTypeError: Nobody else holds them any more, they allow no weak reference, or they were never seen.
        """
        reference = self._data.find(dataset)
        if reference is None:
            raise InvalidTypeError(f"autologging must be enabled before the {self._kind} is made")
        if isinstance(reference, Exception):
            raise reference
        data = reference()
        if data is None:
            raise InvalidTypeError(f"the data that the {self._kind} was made from are gone; keep them in a variable")
        return data

    def of(self, dataset: Any) -> Any:
        """Return the first rows that a data set was made from; raise what prevented them from being kept."""
        example = self._kept.find(dataset)
        if example is None:
            raise InvalidTypeError(f"autologging must be enabled before the {self._kind} is made")
        if isinstance(example, Exception):
            raise example
        return example


def signature_of(example: Any, predict: Callable[[Any], Any]) -> Any:
    """Return the signature of a model, from an example and the model's prediction for it."""
    # Predict from a copy: a model may change its input. Do without the warning of integer columns: nobody asked here.
    answer = predict(copy.deepcopy(example))
    return ModelSignature(schema_or_any(example, "inputs"), schema_or_any(answer, "outputs"))


def describe_data(features: Any, targets: Any = None, *, name: str | None = None, context: str) -> list[DatasetInput]:
    """Describe data that a run used, as MLflow's autologging does. The list is empty for data of another kind."""
    dataset = _dataset(features, targets, name)
    return [] if dataset is None else [DatasetInput(dataset.to_entity(), [InputTag("mlflow.data.context", context)])]


def describe_array(head: Any, rows: int, *, name: str | None, context: str) -> list[DatasetInput]:
    """Describe an array of so many rows by its first rows, which hold all values that the digest covers."""
    digest = array_digest(head, rows=rows)
    dataset = datasets.from_numpy(
        head, CodeDatasetSource(context_tags()), None, name, digest, infer_schema=infer_schema
    )
    size = rows * head.shape[1]
    profile = {
        "features_shape": (rows, head.shape[1]),
        "features_size": size,
        "features_nbytes": size * head.itemsize,
    }
    entity = dataclasses.replace(dataset.to_entity(), profile=json.dumps(profile))
    return [DatasetInput(entity, [InputTag("mlflow.data.context", context)])]


def _dataset(features: Any, targets: Any, name: str | None) -> RecordedDataset | None:
    import numpy as np
    import pandas as pd

    source = CodeDatasetSource(context_tags())
    if isinstance(features, pd.DataFrame):
        return datasets.from_pandas(features, source, name=name, infer_schema=infer_schema)
    if datasets.is_polars_frame(features):
        return datasets.from_polars(features, source, name=name)
    array = dense(features)
    if not isinstance(array, np.ndarray):
        return None
    target_array = None if targets is None else np.asarray(dense(targets))
    return datasets.from_numpy(array, source, target_array, name, infer_schema=infer_schema)


def dense(data: Any) -> Any:
    """Return a sparse matrix as an array, and other data as they are."""
    sparse = sys.modules.get("scipy.sparse")
    return data.toarray() if sparse is not None and sparse.issparse(data) else data
