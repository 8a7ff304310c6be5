"""The promotion rules on what was logged, evaluated and approved: values that judge a candidate against the holder.

Guarantees: every rule is valid, whether made by its constructor or from JSON, and immutable.
"""

import dataclasses
import math
import shlex
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, StrictStr

from registry.entities.evidence import COMPARISON, METRIC, newest_first
from registry.entities.model_comparison import PairedDifference
from registry.entities.shadow_comparison import total_of
from registry.exceptions import RegistryError
from registry.rules.compatibility import incompatibilities
from registry.rules.declaration import DatasetName, Key, rule
from registry.rules.evaluation import Facts, Verdict
from registry.rules.incidents import CheckedWithin, NoOpenIncident
from registry.validation.names import MAX_MODEL_TAG_VALUE


@rule
class MetricAtLeast:
    """A rule: a metric is at least `value`: the run's latest value, or the newest measured on a data set.

    A missing or NaN metric fails.

    Args:
        metric: Metric name.
        value: Lowest value that passes.
        dataset: The data set on which `evaluate` measured the model: its name, or ``sha256:`` and the digest of its
            content. Default: the latest value that the version's run logged.

    Raises:
        InvalidParameterError: A name is invalid, or `value` is not a finite number.

    Example:
        >>> client.set_promotion_rules("churn", "Production", [registry.MetricAtLeast("auc", 0.9)])
        >>> client.check_promotion("churn", 2, "Production")[0].text
        "MetricAtLeast(metric='auc', value=0.9) failed: expected auc >= 0.9, actual 0.78"
    """

    metric: Key
    value: float
    dataset: DatasetName | None = None
    kind: Literal["metric_at_least"] = dataclasses.field(default="metric_at_least", kw_only=True, repr=False)

    def __repr__(self) -> str:
        """Return the rule as it is written."""
        dataset = "" if self.dataset is None else f", dataset={self.dataset!r}"
        return f"MetricAtLeast(metric={self.metric!r}, value={self.value!r}{dataset})"

    def judge(self, candidate: Facts, _holder: Facts | None) -> Verdict:
        """Evaluate the rule; the holder does not matter."""
        expected = f"{self.metric} >= {self.value!r}"
        if self.dataset is not None:
            return _judge_on(self, candidate, self.dataset, expected, lambda value: value >= self.value)
        found = candidate.metric(self.metric)
        return Verdict(self, found is not None and found >= self.value, expected, candidate.shown_metric(self.metric))


@rule
class MetricAtMost:
    """A rule: a metric is at most `value`: the run's latest value, or the newest measured on a data set.

    A missing or NaN metric fails.

    Args:
        metric: Metric name.
        value: Highest value that passes.
        dataset: The data set on which `evaluate` measured the model: its name, or ``sha256:`` and the digest of its
            content. Default: the latest value that the version's run logged.

    Raises:
        InvalidParameterError: A name is invalid, or `value` is not a finite number.

    Example:
        >>> client.set_promotion_rules("churn", "Production", [registry.MetricAtMost("logloss", 0.45)])
        >>> client.check_promotion("churn", 1, "Production")[0].text
        "MetricAtMost(metric='logloss', value=0.45) failed: expected logloss <= 0.45, actual 0.5"
    """

    metric: Key
    value: float
    dataset: DatasetName | None = None
    kind: Literal["metric_at_most"] = dataclasses.field(default="metric_at_most", kw_only=True, repr=False)

    def __repr__(self) -> str:
        """Return the rule as it is written."""
        dataset = "" if self.dataset is None else f", dataset={self.dataset!r}"
        return f"MetricAtMost(metric={self.metric!r}, value={self.value!r}{dataset})"

    def judge(self, candidate: Facts, _holder: Facts | None) -> Verdict:
        """Evaluate the rule; the holder does not matter."""
        expected = f"{self.metric} <= {self.value!r}"
        if self.dataset is not None:
            return _judge_on(self, candidate, self.dataset, expected, lambda value: value <= self.value)
        found = candidate.metric(self.metric)
        return Verdict(self, found is not None and found <= self.value, expected, candidate.shown_metric(self.metric))


@rule
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


@rule
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


@rule
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


@rule
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


@rule
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


@rule
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


@rule
class EvaluatedOn:
    """A rule: the model was evaluated on a data set, with whatever result.

    Args:
        dataset: The name that the evaluation gave the data set, or ``sha256:`` and the digest of its content.

    Raises:
        InvalidParameterError: `dataset` is blank, too long or a malformed digest.

    Example:
        >>> client.set_promotion_rules("churn", "Production", [registry.EvaluatedOn("holdout")])
        >>> client.check_promotion("churn", 3, "Production")[0].passed
        False
        >>> holdout = mlflow.data.from_pandas(X.assign(won=y), targets="won", name="holdout")
        >>> _ = mlflow.evaluate("models:/churn/3", holdout, model_type="classifier", evaluators="classifier")
        >>> client.check_promotion("churn", 3, "Production")[0].passed
        True
    """

    dataset: DatasetName
    kind: Literal["evaluated_on"] = dataclasses.field(default="evaluated_on", kw_only=True, repr=False)

    def judge(self, candidate: Facts, _holder: Facts | None) -> Verdict:
        """Evaluate the rule; the holder does not matter."""
        found = next(newest_first(candidate.evidence, METRIC, self.dataset), None)
        expected = f"an evaluation on {self.dataset!r}"
        if found is None:
            return Verdict(self, passed=False, expected=expected, actual=_not_evaluated(candidate, self.dataset))
        shown = f"{found.content['metric']} {found.content['value']}"
        return Verdict(self, passed=True, expected=expected, actual=f"evaluated ({shown})", evidence=found)


@rule
class BetterThanHolder:
    """A rule: the model is better than that of the version in the stage, by more than chance explains.

    `compare_models` stores the evidence: both models on one data set, with a bootstrap interval of the difference. The
    rule passes if that interval lies on the better side of zero. It passes if the stage is empty. It fails if the
    newest comparison is with another model than the one that holds the stage now.

    Args:
        metric: Metric name, such as ``f1_score``.
        dataset: The name of the data set of the comparison, or ``sha256:`` and the digest of its content.
        confidence: The least confidence level of the interval, between 0 and 1. The interval has two sides: at 0.95, a
            model that is no better passes in 2.5 % of the cases.

    Raises:
        InvalidParameterError: A name is invalid, or `confidence` is not between 0 and 1.

    Example:
        >>> client.set_promotion_rules("churn", "Production", [registry.BetterThanHolder("f1_score", "holdout")])
        >>> verdict = client.check_promotion("churn", 3, "Production")[0]
        >>> verdict.passed, verdict.expected
        (False, "f1_score on 'holdout' better than that of version 2, with confidence 0.95")
        >>> print(verdict.actual)
        no comparison with version 2; make one: registry models compare models:/churn/3 models:/churn/2 DATA --targets
        TARGET --metric f1_score --confidence 0.95 --name holdout
    """

    metric: Key
    dataset: DatasetName
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    kind: Literal["better_than_holder"] = dataclasses.field(default="better_than_holder", kw_only=True, repr=False)

    def judge(self, candidate: Facts, holder: Facts | None) -> Verdict:
        """Evaluate the rule on the newest comparison with the holder's model."""
        what = f"{self.metric} on {self.dataset!r}"
        if holder is None:
            return Verdict(self, passed=True, expected=f"{what} better than that of no holder", actual="any")
        expected = f"{what} better than that of version {holder.version}, with confidence {self.confidence!r}"
        records = [
            (record, difference)
            for record in newest_first(candidate.evidence, COMPARISON, self.dataset, metric=self.metric)
            if (difference := PairedDifference.from_content(record.content)) is not None
            and difference.challenger.digest == candidate.digest
        ]
        for record, difference in records:
            if difference.reference.digest == holder.digest:
                if difference.confidence >= self.confidence:
                    return Verdict(self, difference.is_better, expected, difference.text, record)
                actual = f"{difference.text}; make it surer: {self._command(candidate, holder)}"
                return Verdict(self, passed=False, expected=expected, actual=actual, evidence=record)
        actual = f"no comparison with version {holder.version}"
        if records:
            actual += f", only with {records[0][1].reference.uri}, whose model does not hold the stage"
        actual += f"; make one: {self._command(candidate, holder)}"
        return Verdict(self, passed=False, expected=expected, actual=actual)

    def _command(self, candidate: Facts, holder: Facts) -> str:
        name = "" if self.dataset.startswith("sha256:") else f" --name {shlex.quote(self.dataset)}"
        uris = " ".join(shlex.quote(f"models:/{candidate.name}/{facts.version}") for facts in (candidate, holder))
        return (
            f"registry models compare {uris} DATA --targets TARGET --metric {shlex.quote(self.metric)} "
            f"--confidence {self.confidence!r}{name}"
        )


@rule
class ShadowAgreement:
    """A rule: as a shadow, the model has answered enough requests like the model in the stage.

    ``registry models serve --shadow`` stores the evidence. The rule passes if the stage is empty. It fails if the
    shadow failed to answer a request. What was compared with another model than that in the stage now does not count.

    Args:
        min_requests: The least number of requests that both have answered, from 1.
        max_difference: The largest mean absolute difference of a prediction, 0 or more. Predictions that are no numbers
            differ by 0 or 1, so that it is the share of rows that differ.

    Raises:
        InvalidParameterError: A number is out of range.

    Example:
        >>> client.set_promotion_rules("churn", "Production", [registry.ShadowAgreement(1000, max_difference=0.01)])
        >>> verdict = client.check_promotion("churn", 3, "Production")[0]
        >>> verdict.passed, verdict.expected
        (False, 'at least 1000 requests like version 2, mean difference <= 0.01, none failed')
    """

    min_requests: Annotated[int, Field(ge=1)]
    max_difference: Annotated[float, Field(ge=0)]
    kind: Literal["shadow_agreement"] = dataclasses.field(default="shadow_agreement", kw_only=True, repr=False)

    def judge(self, candidate: Facts, holder: Facts | None) -> Verdict:
        """Evaluate the rule on what all servers have compared with the holder's model."""
        if holder is None:
            return Verdict(self, passed=True, expected="requests like those of no holder", actual="any")
        expected = (
            f"at least {self.min_requests} requests like version {holder.version}, mean difference <= "
            f"{self.max_difference!r}, none failed"
        )
        found = total_of(candidate.evidence, holder.digest or "")
        if found is None:
            uris = [shlex.quote(f"{candidate.name}/{facts.version}") for facts in (holder, candidate)]
            actual = f"never a shadow of it; make it one: registry models serve {uris[0]} --shadow {uris[1]}"
            return Verdict(self, passed=False, expected=expected, actual=actual)
        total, record = found
        is_enough = total.requests >= self.min_requests and not total.failures
        return Verdict(self, is_enough and total.mean_difference <= self.max_difference, expected, total.text, record)


PromotionRule: TypeAlias = (
    MetricAtLeast
    | MetricAtMost
    | MetricNotWorse
    | SignatureUnchanged
    | SignatureCompatible
    | TagEquals
    | FlavorIn
    | Approvals
    | EvaluatedOn
    | BetterThanHolder
    | ShadowAgreement
    | NoOpenIncident
    | CheckedWithin
)


def _judge_on(
    judged: MetricAtLeast | MetricAtMost, candidate: Facts, dataset: str, expected: str, holds: Callable[[float], bool]
) -> Verdict:
    """Judge the newest figure that was measured on a data set."""
    found = candidate.newest_metric(judged.metric, dataset)
    expected = f"{expected} on {dataset!r}"
    if found is None:
        return Verdict(judged, passed=False, expected=expected, actual=_not_evaluated(candidate, dataset))
    value = float(found.content["value"])  # a comparison with NaN is False
    return Verdict(judged, holds(value), expected, "NaN" if math.isnan(value) else repr(value), found)


def _not_evaluated(candidate: Facts, dataset: str) -> str:
    """Return that a model was not evaluated on a data set, and the command that does so."""
    name = "" if dataset.startswith("sha256:") else f" --name {shlex.quote(dataset)}"
    uri = shlex.quote(f"models:/{candidate.name}/{candidate.version}")
    return f"missing; measure it: registry models evaluate {uri} DATA --targets TARGET{name}"


def _difference(candidate: Facts, holder: Facts) -> str:
    new, old = candidate.parsed_signature(), holder.parsed_signature()
    if new is None or old is None:
        return "no signature" if new is None else "a signature where the holder has none"
    parts = [part for part in ("inputs", "outputs", "params") if getattr(new, part) != getattr(old, part)]
    return f"different {' and '.join(parts)}"
