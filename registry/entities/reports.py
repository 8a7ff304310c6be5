"""The results of diagnostics (`registry doctor`) and of garbage collection."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum


class CheckStatus(StrEnum):
    """The status of one diagnostic check."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one diagnostic check.

    Attributes:
        area: The part that was checked, such as ``"settings"``.
        verdict: OK, WARN or FAIL.
        text: What was found.
        remedy: What to do about it; empty if nothing needs to be done.
    """

    area: str
    verdict: CheckStatus
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class GarbageItem:
    """An unreferenced object that gc may remove.

    Attributes:
        kind: ``run``, ``experiment``, ``logged model``, ``upload`` (files that never became a model) or ``leftover``
            (files that an interrupted gc left).
        id: The id of the object.
        name: The name of the object.
        since: When it was deleted or, for an upload, started; milliseconds since the epoch.
        location: The path or URI of its files, or None if it has none.
        size_bytes: The total size of its files.
        versions: The deleted versions that referred to these files.
    """

    kind: str
    id: str
    name: str
    since: int
    location: str | None
    size_bytes: int
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GarbageReport:
    """The plan of a garbage collection, or its result.

    Attributes:
        applied: Whether the items were removed; False for a plan.
        items: The unreferenced objects.
        failures: Removals that failed; the next gc tries them again.
    """

    applied: bool
    items: tuple[GarbageItem, ...]
    failures: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """The total size of all items in bytes."""
        return sum(item.size_bytes for item in self.items)

    @property
    def counts(self) -> dict[str, int]:
        """The number of items by kind."""
        return dict(Counter(item.kind for item in self.items))
