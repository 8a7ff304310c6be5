"""How much a heavy test does: all of it by ``pytest -m storm``, a part with ``REGISTRY_STORM=reduced`` (as in CI)."""

import os
from typing import TypeVar

T = TypeVar("T")


def volume(full: T, reduced: T) -> T:
    """The one of the two volumes that this run is to have."""
    return reduced if os.environ.get("REGISTRY_STORM") == "reduced" else full
