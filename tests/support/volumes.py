"""Volume of heavy tests: full with ``pytest -m storm``, smaller with ``REGISTRY_STORM=reduced`` (as in CI)."""

import os
from typing import TypeVar

T = TypeVar("T")


def volume(full: T, reduced: T) -> T:
    """Return the volume of this run."""
    return reduced if os.environ.get("REGISTRY_STORM") == "reduced" else full
