"""The facts that rules are evaluated on, and the verdict of a rule."""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from registry.entities.evidence import METRIC, Evidence, newest_first
from registry.entities.signature import ModelSignature
from registry.exceptions import InvalidParameterError

if TYPE_CHECKING:
    from registry.rules.promotion import PromotionRule


@dataclass(frozen=True, slots=True)
class Facts:
    """A version at the moment of evaluation.

    ``metrics`` are the latest values of its run. ``signature`` is the JSON text of `ModelSignature.to_json`, None for a
    model without one. ``approvers`` have approved it for the stage in question, and ``registered_by`` has registered
    it; both are actors, or both are session users of the database. ``digest`` is that of its logged model, and
    ``evidence`` what was measured on it. ``incidents`` are those of the model that are not closed, as number, cause and
    status; ``last_check`` is the newest check of the version, and ``now_ms`` the time of the database.
    """

    version: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    signature: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    flavors: Collection[str] = frozenset()
    approvers: Collection[str] = frozenset()
    registered_by: str | None = None
    name: str = ""
    digest: str | None = None
    evidence: tuple[Evidence, ...] = ()
    incidents: tuple[tuple[int, str, str], ...] = ()
    last_check: Evidence | None = None
    now_ms: int = 0

    def metric(self, key: str) -> float | None:
        """Return the latest value of a metric, or None if it is missing or NaN."""
        value = self.metrics.get(key)
        return None if value is None or math.isnan(value) else value

    def shown_metric(self, key: str) -> str:
        """Format the latest value of a metric with all its digits, or as ``NaN``, ``inf`` or ``missing``."""
        value = self.metrics.get(key)
        if value is None:
            return "missing"
        return "NaN" if math.isnan(value) else repr(float(value))

    def newest_metric(self, metric: str, dataset: str) -> Evidence | None:
        """Return the newest figure of a metric on a data set, or None."""
        return next(newest_first(self.evidence, METRIC, dataset, metric=metric), None)

    def parsed_signature(self) -> ModelSignature | None:
        """Parse the signature.

        Raises:
            InvalidParameterError: The text is not a signature.
        """
        if self.signature is None:
            return None
        try:
            form = json.loads(self.signature)
        except (ValueError, RecursionError) as error:
            raise InvalidParameterError(f"the signature of version {self.version} is not JSON: {error}") from error
        return ModelSignature.from_dict(form)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one rule for one version; ``expected`` and ``actual`` are the figures as text.

    ``evidence`` is the record that the rule was judged on; the event repeats it, and `verify` looks for it again.
    """

    rule: "PromotionRule"
    passed: bool
    expected: str
    actual: str
    evidence: Evidence | None = None

    @property
    def text(self) -> str:
        """Return one line with the rule, what it expects and what it found."""
        return f"{self.rule!r} {'passed' if self.passed else 'failed'}: expected {self.expected}, actual {self.actual}"

    def to_dict(self) -> dict[str, Any]:
        """Return the form stored in an event. All figures are text, so canonical JSON can hold NaN."""
        form = {"rule": repr(self.rule), "passed": self.passed, "expected": self.expected, "actual": self.actual}
        return form if self.evidence is None else {**form, "evidence": self.evidence.to_event()}
