"""The rules: each a validated value that can judge the facts of a candidate against those of the stage's holder.

Invariant: a rule that exists is well formed, whether it came from its constructor or from JSON, and never changes.
"""

import dataclasses
import functools
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, cast, dataclass_transform

from pydantic import AfterValidator, ConfigDict, Field, StrictStr, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

from registry.exceptions import InvalidParameterError, RegistryError
from registry.rules.compatibility import incompatibilities
from registry.rules.evaluation import Facts, Verdict
from registry.validation.names import MAX_MODEL_TAG_VALUE, check_key

_R = TypeVar("_R")

Key: TypeAlias = Annotated[str, AfterValidator(check_key)]


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def _rule(cls: type[_R]) -> type[_R]:
    """A frozen pydantic dataclass whose constructor raises this package's error, naming the rule and the field."""
    config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    made: Any = pydantic_dataclass(frozen=True, config=config)(cls)
    construct = made.__init__

    @functools.wraps(construct)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            construct(self, *args, **kwargs)
        except ValidationError as error:
            raise InvalidParameterError(_faults(made, error)) from error

    made.__init__ = init
    return cast("type[_R]", made)


def _faults(cls: Any, error: ValidationError) -> str:
    names = [field.name for field in dataclasses.fields(cls) if not field.kw_only]
    return f"{cls.__name__}: " + "; ".join(
        f"{_name(names, fault['loc'])}: {fault['msg']}, got {fault['input']!r:.60}" for fault in error.errors()
    )


def _name(names: list[str], location: tuple[int | str, ...]) -> str:
    first = location[0] if location else ""
    return names[first] if isinstance(first, int) and first < len(names) else str(first)


@_rule
class MetricAtLeast:
    """The run's latest value of a metric is at least `value`."""

    metric: Key
    value: float
    kind: Literal["metric_at_least"] = dataclasses.field(default="metric_at_least", kw_only=True, repr=False)

    def judge(self, candidate: Facts, _holder: Facts | None) -> Verdict:
        """Whether the candidate's metric is high enough."""
        found = candidate.metric(self.metric)
        passed = found is not None and found >= self.value
        return Verdict(self, passed, f"{self.metric} >= {self.value!r}", candidate.shown_metric(self.metric))


@_rule
class MetricAtMost:
    """The run's latest value of a metric is at most `value`."""

    metric: Key
    value: float
    kind: Literal["metric_at_most"] = dataclasses.field(default="metric_at_most", kw_only=True, repr=False)

    def judge(self, candidate: Facts, _holder: Facts | None) -> Verdict:
        """Whether the candidate's metric is low enough."""
        found = candidate.metric(self.metric)
        passed = found is not None and found <= self.value
        return Verdict(self, passed, f"{self.metric} <= {self.value!r}", candidate.shown_metric(self.metric))


@_rule
class MetricNotWorse:
    """The run's latest value of a metric is not worse than the holder's by more than `tolerance`.

    A holder without the metric cannot be compared with: the rule fails.
    """

    metric: Key
    higher_is_better: bool = True
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    kind: Literal["metric_not_worse"] = dataclasses.field(default="metric_not_worse", kw_only=True, repr=False)

    def judge(self, candidate: Facts, holder: Facts | None) -> Verdict:
        """Whether the candidate's metric is good enough."""
        found, shown = candidate.metric(self.metric), candidate.shown_metric(self.metric)
        if holder is None:
            return Verdict(self, passed=True, expected=f"{self.metric} of no holder", actual=shown)
        best = holder.metric(self.metric)
        bound = holder.shown_metric(self.metric) + self._tolerated()
        expected = f"{self.metric} {'>=' if self.higher_is_better else '<='} {bound} (version {holder.version})"
        if found is None or best is None:
            return Verdict(self, passed=False, expected=expected, actual=shown)
        return Verdict(self, self._within(found, best), expected, shown)

    def _within(self, found: float, best: float) -> bool:
        # In decimal, as people read the figures: 0.80 is not worse than 0.81 by more than 0.01.
        gain = Decimal(repr(float(found))) - Decimal(repr(float(best))) if found != best else Decimal(0)
        return (gain if self.higher_is_better else -gain) >= -Decimal(repr(self.tolerance))

    def _tolerated(self) -> str:
        if not self.tolerance:
            return ""
        return f" {'-' if self.higher_is_better else '+'} {self.tolerance!r}"


@_rule
class SignatureUnchanged:
    """The signature equals the holder's."""

    kind: Literal["signature_unchanged"] = dataclasses.field(default="signature_unchanged", kw_only=True, repr=False)

    def judge(self, candidate: Facts, holder: Facts | None) -> Verdict:
        """Whether both signatures are equal, column by column."""
        if holder is None:
            return Verdict(self, passed=True, expected="the signature of no holder", actual="any")
        expected = f"the signature of version {holder.version}"
        try:
            same = candidate.parsed_signature() == holder.parsed_signature()
        except RegistryError as error:
            return Verdict(self, passed=False, expected=expected, actual=f"unreadable: {error}")
        return Verdict(self, same, expected, "equal" if same else _difference(candidate, holder))


@_rule
class SignatureCompatible:
    """Who can call the holder can call the candidate and gets at least the same outputs."""

    kind: Literal["signature_compatible"] = dataclasses.field(default="signature_compatible", kw_only=True, repr=False)

    def judge(self, candidate: Facts, holder: Facts | None) -> Verdict:
        """Whether the candidate accepts what the holder accepts; a holder without a signature promises nothing."""
        if holder is None:
            return Verdict(self, passed=True, expected="compatible with no holder", actual="any")
        expected = f"compatible with version {holder.version}"
        try:
            new, old = candidate.parsed_signature(), holder.parsed_signature()
        except RegistryError as error:
            return Verdict(self, passed=False, expected=expected, actual=f"unreadable: {error}")
        if old is None:
            return Verdict(self, passed=True, expected=expected, actual="compatible")
        faults = ["there is no signature"] if new is None else incompatibilities(old, new)
        return Verdict(self, not faults, expected, "; ".join(faults) or "compatible")


@_rule
class TagEquals:
    """The version has a tag of this value."""

    key: Key
    value: Annotated[str, Field(max_length=MAX_MODEL_TAG_VALUE)]
    kind: Literal["tag_equals"] = dataclasses.field(default="tag_equals", kw_only=True, repr=False)

    def judge(self, candidate: Facts, _holder: Facts | None) -> Verdict:
        """Whether the candidate's tag has the value."""
        found = candidate.tags.get(self.key)
        actual = "missing" if found is None else f"{found!r:.200}"
        return Verdict(self, found == self.value, f"tag {self.key} = {self.value!r:.200}", actual)


@_rule
class FlavorIn:
    """The model has at least one of these flavors."""

    flavors: Annotated[Sequence[StrictStr], Field(min_length=1, max_length=50), AfterValidator(tuple)]
    kind: Literal["flavor_in"] = dataclasses.field(default="flavor_in", kw_only=True, repr=False)

    def judge(self, candidate: Facts, _holder: Facts | None) -> Verdict:
        """Whether one of the candidate's flavors is listed."""
        passed = not set(self.flavors).isdisjoint(candidate.flavors)
        actual = ", ".join(sorted(candidate.flavors)) or "none"
        return Verdict(self, passed, f"a flavor of {', '.join(self.flavors)}", actual)


@_rule
class Approvals:
    """At least `n` have approved the version for this stage, not counting who registered it."""

    n: Annotated[int, Field(ge=1, le=100)]
    kind: Literal["approvals"] = dataclasses.field(default="approvals", kw_only=True, repr=False)

    def judge(self, candidate: Facts, _holder: Facts | None) -> Verdict:
        """Whether enough others have approved the candidate."""
        approvers = sorted(set(candidate.approvers) - {candidate.registered_by})
        listed = f" ({', '.join(approvers)})" if approvers else ""
        noun = "approval" if self.n == 1 else "approvals"
        return Verdict(self, len(approvers) >= self.n, f"{self.n} {noun}", f"{len(approvers)}{listed}")


PromotionRule: TypeAlias = (
    MetricAtLeast
    | MetricAtMost
    | MetricNotWorse
    | SignatureUnchanged
    | SignatureCompatible
    | TagEquals
    | FlavorIn
    | Approvals
)


def _difference(candidate: Facts, holder: Facts) -> str:
    new, old = candidate.parsed_signature(), holder.parsed_signature()
    if new is None or old is None:
        return "no signature" if new is None else "a signature where the holder has none"
    parts = [part for part in ("inputs", "outputs", "params") if getattr(new, part) != getattr(old, part)]
    return f"different {' and '.join(parts)}"
