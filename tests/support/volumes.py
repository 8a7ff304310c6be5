"""The volume of a heavy test: all of it by ``pytest -m storm``, a part with ``REGISTRY_STORM=reduced`` (as in CI)."""

import os
from typing import TypeVar

T = TypeVar("T")


def volume(full: T, reduced: T) -> T:
    """Return the volume for this run, one of the two."""
    return reduced if os.environ.get("REGISTRY_STORM") == "reduced" else full
