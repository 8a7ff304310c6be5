"""`ShadowComparison`: how the answers of a shadow differ from those of the model that was served, in one server."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from registry.entities.entity import Entity
from registry.entities.evidence import SHADOW, Evidence


@dataclass(frozen=True, slots=True)
class ShadowComparison(Entity):
    """Answers to the same requests, of the served model and of a shadow, since a server has compared them.

    Attributes:
        session: One server's process; its later records replace its earlier ones.
        holder_digest: The digest of the model that was served.
        holder_uri: That model.
        requests: Requests that both have answered.
        rows: Their rows.
        differing_rows: Rows with different predictions.
        difference: The sum of absolute differences over rows; a prediction that is no number differs by 1.
        largest_difference: The largest of them.
        failures: Requests that the shadow failed to answer.
    """

    session: str
    holder_digest: str
    holder_uri: str
    requests: int = 0
    rows: int = 0
    differing_rows: int = 0
    difference: float = 0.0
    largest_difference: float = 0.0
    failures: int = 0

    @property
    def mean_difference(self) -> float:
        """Return the mean difference per row; infinite if no row was compared."""
        return self.difference / self.rows if self.rows else math.inf

    @property
    def text(self) -> str:
        """Return the comparison as a line."""
        failed = f", {self.failures} failed" if self.failures else ""
        if not self.rows:
            return f"{self.requests} requests compared{failed}"
        agreeing = 1 - self.differing_rows / self.rows
        return (
            f"{self.requests} requests, {agreeing:.2%} of {self.rows} rows equal, mean difference "
            f"{self.mean_difference:.6g}, largest {self.largest_difference:.6g}{failed}"
        )

    def plus(self, other: "ShadowComparison") -> "ShadowComparison":
        """Return both together, as one."""
        return ShadowComparison(
            self.session,
            self.holder_digest,
            self.holder_uri,
            self.requests + other.requests,
            self.rows + other.rows,
            self.differing_rows + other.differing_rows,
            self.difference + other.difference,
            max(self.largest_difference, other.largest_difference),
            self.failures + other.failures,
        )

    def to_content(self) -> dict[str, Any]:
        """Return the content of the record of evidence. Floats are text with all their digits."""
        return {
            "session": self.session,
            "holder": {"digest": self.holder_digest, "uri": self.holder_uri},
            "requests": self.requests,
            "rows": self.rows,
            "differing_rows": self.differing_rows,
            "difference": repr(self.difference),
            "largest_difference": repr(self.largest_difference),
            "failures": self.failures,
        }

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> "ShadowComparison | None":
        """Return the comparison in a record of evidence, or None if it is none."""
        try:
            holder = content["holder"]
            return cls(
                str(content["session"]),
                str(holder["digest"]),
                str(holder["uri"]),
                int(content["requests"]),
                int(content["rows"]),
                int(content["differing_rows"]),
                float(content["difference"]),
                float(content["largest_difference"]),
                int(content["failures"]),
            )
        except (KeyError, TypeError, ValueError):
            return None


def total_of(evidence: Iterable[Evidence], holder_digest: str) -> tuple[ShadowComparison, Evidence] | None:
    """Return what all servers have compared with one model, and the newest record; None if there is none."""
    newest: dict[str, tuple[ShadowComparison, Evidence]] = {}
    for record in sorted(evidence, key=lambda record: record.id):
        found = ShadowComparison.from_content(record.content) if record.kind == SHADOW else None
        if found is not None and found.holder_digest == holder_digest:
            newest.pop(found.session, None)
            newest[found.session] = found, record
    if not newest:
        return None
    comparisons = [found for found, _ in newest.values()]
    total = comparisons[0]
    for found in comparisons[1:]:
        total = total.plus(found)
    return total, list(newest.values())[-1][1]
