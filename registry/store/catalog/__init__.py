"""The registry in SQL: registered models, versions, stages, aliases and their history.

Every transaction that changes anything about a model locks the model's row first (`ledger`), so there is one lock order
and no deadlock; stages, aliases and the history chain move under that lock.
"""

from registry.store.catalog.arrivals import Arrival, ArrivalStore, ArrivingModel
from registry.store.catalog.audit import AuditStore
from registry.store.catalog.chronicle import ChronicleStore
from registry.store.catalog.departures import Departure, DepartureStore
from registry.store.catalog.gates import GateStore
from registry.store.catalog.holders import HolderStore
from registry.store.catalog.models import ModelStore
from registry.store.catalog.resolver import Resolver
from registry.store.catalog.versions import NewVersion, VersionStore

__all__ = [
    "Arrival",
    "ArrivalStore",
    "ArrivingModel",
    "AuditStore",
    "ChronicleStore",
    "Departure",
    "DepartureStore",
    "GateStore",
    "HolderStore",
    "ModelStore",
    "NewVersion",
    "Resolver",
    "VersionStore",
]
