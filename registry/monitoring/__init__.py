"""Monitoring: what a model sees in use, held against what it was trained on.

A *reference profile* describes the training data, *observations* are profiles of what was predicted, window by window,
and a *check* compares the two. scipy computes; nothing heavy is imported before the first call.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from registry.monitoring.report import ColumnResult, DriftReport

if TYPE_CHECKING:
    from registry.client import MlflowClient

__all__ = ["ColumnResult", "DriftReport", "check"]


def check(
    name: str,
    *,
    stage: str | None = "Production",
    version: int | None = None,
    window: str = "7d",
    against: str | int = "reference",
    detectors: Sequence[str] | None = None,
    every: str = "1d",
    false_incidents: float = 0.1,
    minimum_rows: int = 100,
    at: datetime | None = None,
    log: bool = True,
    client: "MlflowClient | None" = None,
    **options: Any,
) -> DriftReport:
    """Hold what a model saw in a window against a reference."""
    raise NotImplementedError
