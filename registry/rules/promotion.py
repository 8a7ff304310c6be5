"""The promotion rules: validated values that evaluate a candidate against the holder of the stage.

Guarantees: every rule is valid, whether made by its constructor or from JSON, and immutable.
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
    """Make a frozen pydantic dataclass whose constructor raises our error, which names the rule and the field."""
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
    """A rule: the run's latest value of a metric is at least `value`.

    A missing or NaN metric fails.

    Args:
        metric: Metric name.
        value: Lowest value that passes.

    Raises:
        InvalidParameterError: The name is invalid, or `value` is not a finite number.

    Example:
        >>> client.set_promotion_rules("churn", "Production", [registry.MetricAtLeast("auc", 0.9)])
        >>> client.check_promotion("churn", 2, "Production")[0].text
        "MetricAtLeast(metric='auc', value=0.9) failed: expected auc >= 0.9, actual 0.78"
    """

    metric: Key
    value: float
    kind: Literal["metric_at_least"] = dataclasses.field(default="metric_at_least", kw_only=True, repr=False)

    def judge(self, candidate: Facts, _holder: Facts | None) -> Verdict:
        """Evaluate the rule; the holder does not matter."""
        found = candidate.metric(self.metric)
        passed = found is not None and found >= self.value
        return Verdict(self, passed, f"{self.metric} >= {self.value!r}", candidate.shown_metric(self.metric))


@_rule
class MetricAtMost:
    """A rule: the run's latest value of a metric is at most `value`.

    A missing or NaN metric fails.

    Args:
        metric: Metric name.
        value: Highest value that passes.

    Raises:
        InvalidParameterError: The name is invalid, or `value` is not a finite number.

    Example:
        >>> client.set_promotion_rules("churn", "Production", [registry.MetricAtMost("logloss", 0.45)])
        >>> client.check_promotion("churn", 1, "Production")[0].text
        "MetricAtMost(metric='logloss', value=0.45) failed: expected logloss <= 0.45, actual 0.5"
    """

    metric: Key
    value: float
    kind: Literal["metric_at_most"] = dataclasses.field(default="metric_at_most", kw_only=True, repr=False)

    def judge(self, candidate: Facts, _holder: Facts | None) -> Verdict:
        """Evaluate the rule; the holder does not matter."""
        found = candidate.metric(self.metric)
        passed = found is not None and found <= self.value
        return Verdict(self, passed, f"{self.metric} <= {self.value!r}", candidate.shown_metric(self.metric))


@_rule
class MetricNotWorse:
    """A rule: the run's latest value of a metric is not worse than the holder's by more than `tolerance`.

    It passes if the stage is empty, and fails if the holder lacks the metric.

    Args:
        metric: Metric name.
        higher_is_better: False for metrics such as a loss.
        tolerance: Accepted loss, in the metric's unit, 0 or more.

    Raises:
        InvalidParameterError: The name is invalid, or `tolerance` is negative.

    Example:
        >>> client.set_promotion_rules("churn", "Production", [registry.MetricNotWorse("auc", tolerance=0.01)])
        >>> verdict = client.check_promotion("churn", 1, "Production")[0]
        >>> verdict.passed, verdict.expected, verdict.actual
        (False, 'auc >= 0.78 - 0.01 (version 2)', '0.76')
    """

    metric: Key
    higher_is_better: bool = True
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    kind: Literal["metric_not_worse"] = dataclasses.field(default="metric_not_worse", kw_only=True, repr=False)

    def judge(self, candidate: Facts, holder: Facts | None) -> Verdict:
        """Evaluate the rule against the holder's metric."""
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
    """A rule: the signature equals the holder's, column by column. It passes if the stage is empty.

    Example:
        >>> client.set_promotion_rules("churn", "Production", [registry.SignatureUnchanged()])
        >>> client.check_promotion("churn", 3, "Production")[0].text
        'SignatureUnchanged() passed: expected the signature of version 2, actual equal'
    """

    kind: Literal["signature_unchanged"] = dataclasses.field(default="signature_unchanged", kw_only=True, repr=False)

    def judge(self, candidate: Facts, holder: Facts | None) -> Verdict:
        """Evaluate the rule against the holder's signature."""
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
    """A rule: callers of the holder can call the version, and get at least the same outputs.

    It passes if the stage is empty, or if the holder has no signature.

    Example:
        >>> client.set_promotion_rules("churn", "Production", [registry.SignatureCompatible()])
        >>> client.check_promotion("churn", 3, "Production")[0].text
        'SignatureCompatible() passed: expected compatible with version 2, actual compatible'
    """

    kind: Literal["signature_compatible"] = dataclasses.field(default="signature_compatible", kw_only=True, repr=False)

    def judge(self, candidate: Facts, holder: Facts | None) -> Verdict:
        """Evaluate the rule against the holder's signature."""
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
    """A rule: the version has a tag with this value.

    Args:
        key: Tag name.
        value: Value as text, at most 100,000 characters.

    Raises:
        InvalidParameterError: The key is invalid, or `value` is not a text of that length.

    Example:
        >>> client.set_promotion_rules("churn", "Production", [registry.TagEquals("validated", "yes")])
        >>> client.check_promotion("churn", 3, "Production")[0].actual
        'missing'
        >>> client.set_model_version_tag("churn", 3, "validated", "yes")
        >>> client.check_promotion("churn", 3, "Production")[0].passed
        True
    """

    key: Key
    value: Annotated[str, Field(max_length=MAX_MODEL_TAG_VALUE)]
    kind: Literal["tag_equals"] = dataclasses.field(default="tag_equals", kw_only=True, repr=False)

    def judge(self, candidate: Facts, _holder: Facts | None) -> Verdict:
        """Evaluate the rule; the holder does not matter."""
        found = candidate.tags.get(self.key)
        actual = "missing" if found is None else f"{found!r:.200}"
        return Verdict(self, found == self.value, f"tag {self.key} = {self.value!r:.200}", actual)


@_rule
class FlavorIn:
    """A rule: the model has at least one of these flavors.

    Args:
        flavors: 1 to 50 flavor names.

    Raises:
        InvalidParameterError: `flavors` is not a list of 1 to 50 texts.

    Example:
        >>> client.set_promotion_rules("churn", "Production", [registry.FlavorIn(["sklearn"])])
        >>> client.check_promotion("churn", 3, "Production")[0].text
        "FlavorIn(flavors=('sklearn',)) failed: expected a flavor of sklearn, actual python_function, xgboost"
    """

    flavors: Annotated[Sequence[StrictStr], Field(min_length=1, max_length=50), AfterValidator(tuple)]
    kind: Literal["flavor_in"] = dataclasses.field(default="flavor_in", kw_only=True, repr=False)

    def judge(self, candidate: Facts, _holder: Facts | None) -> Verdict:
        """Evaluate the rule; the holder does not matter."""
        passed = not set(self.flavors).isdisjoint(candidate.flavors)
        actual = ", ".join(sorted(candidate.flavors)) or "none"
        return Verdict(self, passed, f"a flavor of {', '.join(self.flavors)}", actual)


@_rule
class Approvals:
    """A rule: at least `n` persons other than the one who registered the version have approved it for the stage.

    Args:
        n: Number of approvals, 1 to 100.

    Raises:
        InvalidParameterError: `n` is not a whole number from 1 to 100.

    Example:
        >>> client.set_promotion_rules("churn", "Production", [registry.Approvals(2)])
        >>> client.approve("churn", 3, "Production")
        >>> client.check_promotion("churn", 3, "Production")[0].passed
        False
    """

    n: Annotated[int, Field(ge=1, le=100)]
    kind: Literal["approvals"] = dataclasses.field(default="approvals", kw_only=True, repr=False)

    def judge(self, candidate: Facts, _holder: Facts | None) -> Verdict:
        """Evaluate the rule; the holder does not matter."""
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
