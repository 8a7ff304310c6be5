"""Evidence on a logged model: figures that were measured on a data set, which promotion rules look at.

A new kind of evidence needs a name for its ``kind`` and keys for its ``content``, no new table.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from registry.entities.entity import Entity
from registry.exceptions import InvalidParameterError
from registry.validation.names import check_text

# A metric of a logged model on a data set; its content has `metric` and `value`.
METRIC: Final = "metric"
# The difference of two models' metrics on a data set; see `evaluation.comparison`.
COMPARISON: Final = "comparison"
# How a shadow answered beside the served model; see `entities.shadow_comparison`.
SHADOW: Final = "shadow"

MAX_DATASET: Final = 500
_DIGEST_PREFIX: Final = "sha256:"
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def check_dataset(text: object) -> str:
    """Return how a rule names a data set: by its name, or as ``sha256:`` and the 64 digits of its content.

    Raises:
        InvalidNameError: The text is blank, too long or unprintable.
        InvalidParameterError: It begins with ``sha256:`` and goes on otherwise.
    """
    name = check_text(text, "dataset", MAX_DATASET)
    if name.startswith(_DIGEST_PREFIX) and not _DIGEST.fullmatch(name):
        raise InvalidParameterError(f"The digest {name!r} must have 64 lower-case hexadecimal digits after 'sha256:'.")
    return name


def check_dataset_name(text: object) -> str:
    """Return the name of a data set; it may not look like a digest.

    Raises:
        InvalidNameError: The text is blank, too long or unprintable.
        InvalidParameterError: It begins with ``sha256:``, as the digests in rules do.
    """
    name = check_text(text, "name of the data set", MAX_DATASET)
    if name.startswith(_DIGEST_PREFIX):
        raise InvalidParameterError(f"The data set is named {name!r}, which would be a digest in a rule. Rename it.")
    return name


@dataclass(frozen=True, slots=True)
class EvaluatedDataset(Entity):
    """The identity of a data set on which a model was evaluated.

    Attributes:
        name: The name that the evaluation gave it.
        digest: MLflow's short digest, which covers the first 10,000 rows.
        sha256: The SHA-256 of all rows and columns (hex); None for a metric that was logged by hand.
        schema: The columns and their types as JSON, or None.
        rows: The number of rows, or None for a metric that was logged by hand.
    """

    name: str | None
    digest: str | None
    sha256: str | None = None
    schema: str | None = None
    rows: int | None = None

    def matches(self, dataset: str) -> bool:
        """Tell whether a rule's ``dataset``, a name or ``sha256:…``, means this data set."""
        if dataset.startswith(_DIGEST_PREFIX):
            return self.sha256 == dataset.removeprefix(_DIGEST_PREFIX)
        return self.name == dataset


@dataclass(frozen=True, slots=True)
class Evidence(Entity):
    """One record of evidence on a logged model.

    Attributes:
        id: The record's number; greater is newer within a kind.
        kind: ``metric``, ``comparison``, or a kind of another part of the library.
        model_id: The logged model.
        dataset: The data set, or None.
        content: The figures. Numbers are text with all their digits, so that NaN can be kept.
        timestamp: When it was recorded, in milliseconds since the epoch, UTC.
        run_id: The run that measured it, or None.

    Example:
        >>> from registry.entities import Evidence
        >>> Evidence(1, "metric", "m-1", None, {"metric": "f1_score", "value": "0.91"}, 0).content["value"]
        '0.91'
    """

    id: int
    kind: str
    model_id: str
    dataset: EvaluatedDataset | None
    content: Mapping[str, Any] = field(default_factory=dict)
    timestamp: int = 0
    run_id: str | None = None

    def to_event(self) -> dict[str, Any]:
        """Return the form that an event stores when a rule was judged on it; `verify` compares it with the record."""
        dataset = self.dataset
        return {
            "id": self.id,
            "kind": self.kind,
            "model_id": self.model_id,
            "dataset": dataset and {"name": dataset.name, "digest": dataset.digest, "sha256": dataset.sha256},
            "content": dict(self.content),
            "timestamp": self.timestamp,
        }

    def to_dictionary(self) -> dict[str, Any]:
        """Return all fields as nested dictionaries."""
        dataset = self.dataset
        fields = {} if dataset is None else {"schema": dataset.schema, "rows": dataset.rows}
        event = self.to_event()
        return {**event, "dataset": event["dataset"] and {**event["dataset"], **fields}, "run_id": self.run_id}


def newest_first(evidence: "tuple[Evidence, ...]", kind: str, dataset: str, **content: str) -> Iterator[Evidence]:
    """Yield the records of a kind on a data set whose content has these values, newest first."""
    fitting = (
        record
        for record in evidence
        if record.kind == kind
        and record.dataset is not None
        and record.dataset.matches(dataset)
        and all(record.content.get(key) == value for key, value in content.items())
    )
    yield from sorted(fitting, key=lambda record: record.id, reverse=True)
