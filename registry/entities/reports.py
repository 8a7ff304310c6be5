"""Results of diagnostics and garbage collection, as values."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum


class CheckStatus(StrEnum):
    """Status of one diagnostic check."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one diagnostic check; ``remedy`` says what to do about it, empty if nothing."""

    area: str
    verdict: CheckStatus
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class GarbageItem:
    """One unreferenced item.

    Attributes:
        kind: ``run``, ``experiment``, ``logged model``, ``upload`` (bytes that never became a model), ``leftover``
            (bytes that an interrupted gc left) or ``check`` (of a monitor).
        since: When it was deleted, begun or made, in milliseconds since the epoch.
        location: Where its bytes are; None if it has none.
        versions: The deleted versions whose files these were.
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
    """A gc plan or, with ``applied``, its outcome; the next gc retries the removals in ``failures``."""

    applied: bool
    items: tuple[GarbageItem, ...]
    failures: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Return the number of bytes of all items."""
        return sum(item.size_bytes for item in self.items)

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of items of each kind."""
        return dict(Counter(item.kind for item in self.items))
