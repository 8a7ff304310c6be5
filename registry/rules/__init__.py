"""Promotion rules: what must hold before a version may enter a stage, as data and as pure judgement.

Owns the rules, their JSON form and the judging; gathering the facts, refusing and recording are for `store` and
`client`. Invariant: judging the same rules over the same facts gives the same verdicts, with the figures that they
rest on.

A missing or NaN metric fails its rule. A rule that compares with the stage's holder passes when there is no holder.
"""

from registry.rules.evaluation import Facts, Verdict
from registry.rules.promotion import (
    Approvals,
    FlavorIn,
    MetricAtLeast,
    MetricAtMost,
    MetricNotWorse,
    PromotionRule,
    SignatureCompatible,
    SignatureUnchanged,
    TagEquals,
)
from registry.rules.serialization import evaluate, rules_from_json, rules_to_json

__all__ = [
    "Approvals",
    "Facts",
    "FlavorIn",
    "MetricAtLeast",
    "MetricAtMost",
    "MetricNotWorse",
    "PromotionRule",
    "SignatureCompatible",
    "SignatureUnchanged",
    "TagEquals",
    "Verdict",
    "evaluate",
    "rules_from_json",
    "rules_to_json",
]
