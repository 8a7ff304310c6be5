"""The registry in SQL: registered models, versions, stages, aliases and their history.

Every transaction that changes anything about a model locks the model's row first (`ledger`), so there is one lock order
and no deadlock; stages, aliases and the history chain move under that lock.
"""

from registry.store.catalog.clock_repair import ClockRepairStore
from registry.store.catalog.signing import SigningStore
from registry.store.registry.history_queries import HistoryStore
from registry.store.registry.models import ModelStore
from registry.store.registry.promotion_rules import PromotionRuleStore
from registry.store.registry.resolver import Resolver
from registry.store.registry.stages import StageStore
from registry.store.registry.verify_history import VerificationStore
from registry.store.registry.versions import NewVersion, VersionStore
from registry.store.transfer.model_export import ExportedModel, ModelExportStore
from registry.store.transfer.model_import import ImportedLoggedModel, ImportedModel, ModelImportStore

__all__ = [
    "ImportedModel",
    "ModelImportStore",
    "ImportedLoggedModel",
    "VerificationStore",
    "HistoryStore",
    "ClockRepairStore",
    "ExportedModel",
    "ModelExportStore",
    "PromotionRuleStore",
    "StageStore",
    "ModelStore",
    "NewVersion",
    "Resolver",
    "SigningStore",
    "VersionStore",
]
