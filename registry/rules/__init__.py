"""Promotion rules: what a version must fulfil to enter a stage, as data and as pure functions.

A missing or NaN metric fails its rule. A rule that compares with the holder of the stage passes if the stage is empty.

Guarantees: evaluating the same rules over the same facts gives the same verdicts, with the figures they rest on.
"""

from registry.rules.evaluation import Facts, Verdict
from registry.rules.incidents import CheckedWithin, NoOpenIncident
from registry.rules.promotion import (
    Approvals,
    BetterThanHolder,
    EvaluatedOn,
    FlavorIn,
    MetricAtLeast,
    MetricAtMost,
    MetricNotWorse,
    PromotionRule,
    ShadowAgreement,
    SignatureCompatible,
    SignatureUnchanged,
    TagEquals,
)
from registry.rules.serialization import evaluate, rules_from_json, rules_to_json

__all__ = [
    "Approvals",
    "BetterThanHolder",
    "CheckedWithin",
    "EvaluatedOn",
    "Facts",
    "FlavorIn",
    "MetricAtLeast",
    "MetricAtMost",
    "MetricNotWorse",
    "NoOpenIncident",
    "PromotionRule",
    "ShadowAgreement",
    "SignatureCompatible",
    "SignatureUnchanged",
    "TagEquals",
    "Verdict",
    "evaluate",
    "rules_from_json",
    "rules_to_json",
]
