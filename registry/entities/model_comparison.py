"""The difference of two models' metrics on one data set, which evidence of the kind ``comparison`` holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from registry.entities.entity import Entity

HIGHER: Final = "higher"
LOWER: Final = "lower"


@dataclass(frozen=True, slots=True)
class ComparedModel(Entity):
    """One of two models that were compared.

    Attributes:
        uri: How the caller named it.
        digest: The digest of the logged model, which identifies it whatever version or stage it has; None outside a
            registry.
        value: Its metric on the data set.
    """

    uri: str
    digest: str | None
    value: float


@dataclass(frozen=True, slots=True)
class PairedDifference(Entity):
    """The difference of a metric between a challenger and a reference, and what chance explains of it.

    Attributes:
        metric: The metric.
        better: ``higher`` or ``lower``: which values are better.
        challenger: The model that wants to be better.
        reference: The model that it is compared with.
        difference: The challenger's value minus the reference's.
        low: The lower end of the bootstrap interval of the difference.
        high: The upper end.
        confidence: The level of the interval, such as 0.95.
        resamples: How often the rows were drawn anew.
        seed: The seed of the draws: the same call gives the same interval.
        rows: The number of rows of the data set.

    Example:
        >>> from registry.entities import ComparedModel, PairedDifference
        >>> new, old = ComparedModel("models:/n/2", None, 0.92), ComparedModel("models:/n/1", None, 0.9)
        >>> difference = PairedDifference("f1_score", "higher", new, old, 0.02, 0.005, 0.035, 0.95, 9999, 0, 500)
        >>> difference.is_better
        True
    """

    metric: str
    better: str
    challenger: ComparedModel
    reference: ComparedModel
    difference: float
    low: float
    high: float
    confidence: float
    resamples: int
    seed: int
    rows: int

    @property
    def is_better(self) -> bool:
        """Tell whether the challenger is better by more than chance explains: zero lies outside the interval."""
        return self.low > 0 if self.better == HIGHER else self.high < 0

    @property
    def text(self) -> str:
        """Return the difference with its interval and level, all digits kept."""
        return f"{self.difference!r} [{self.low!r}, {self.high!r}] with confidence {self.confidence!r}"

    def to_content(self) -> dict[str, Any]:
        """Return the content of the evidence; numbers that may be NaN are text."""
        models = {
            role: {"uri": model.uri, "digest": model.digest, "value": repr(model.value)}
            for role, model in (("challenger", self.challenger), ("reference", self.reference))
        }
        figures = {name: repr(getattr(self, name)) for name in ("difference", "low", "high", "confidence")}
        counts = {name: getattr(self, name) for name in ("resamples", "seed", "rows")}
        return {"metric": self.metric, "better": self.better, **models, **figures, **counts}

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> "PairedDifference | None":
        """Parse the content of evidence; None for content that `to_content` does not write."""
        try:
            challenger, reference = (
                ComparedModel(str(content[role]["uri"]), content[role]["digest"], float(content[role]["value"]))
                for role in ("challenger", "reference")
            )
            return cls(
                metric=str(content["metric"]),
                better=str(content["better"]),
                challenger=challenger,
                reference=reference,
                difference=float(content["difference"]),
                low=float(content["low"]),
                high=float(content["high"]),
                confidence=float(content["confidence"]),
                resamples=int(content["resamples"]),
                seed=int(content["seed"]),
                rows=int(content["rows"]),
            )
        except (LookupError, TypeError, ValueError, OverflowError):
            return None
