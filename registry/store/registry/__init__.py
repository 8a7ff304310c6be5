"""Registered models in SQL: versions, stages, aliases, rules and history.

Each transaction that changes a model locks the model's row first (`history_writer`). One lock order means no deadlocks.
Stages, aliases and the history chain change under that lock.
"""

from registry.store.registry.clock_repair import ClockRepairStore
from registry.store.registry.history_queries import HistoryStore
from registry.store.registry.overview import OverviewStore
from registry.store.registry.promotion_rules import PromotionRuleStore
from registry.store.registry.registered_models import ModelStore
from registry.store.registry.resolver import Resolver
from registry.store.registry.signing import SigningStore
from registry.store.registry.stages import StageStore
from registry.store.registry.verify_history import VerificationStore
from registry.store.registry.versions import NewVersion, VersionStore

__all__ = [
    "ClockRepairStore",
    "HistoryStore",
    "ModelStore",
    "NewVersion",
    "OverviewStore",
    "PromotionRuleStore",
    "Resolver",
    "SigningStore",
    "StageStore",
    "VerificationStore",
    "VersionStore",
]
