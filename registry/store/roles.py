"""The three roles of a PostgreSQL database, and which one a refused change needs.

What each may do is said in `grants`; here is only what an error message must know.
"""

import re
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a database user is for; each may do what the one before it may."""

    READER = "reader"
    WRITER = "writer"
    PROMOTER = "promoter"


# A reader fails earlier, at the row of the model that every change locks first.
_FOR_PROMOTERS: Final = frozenset({"model_versions", "model_aliases", "promotion_rules", "stage_periods"})
# No role may change these; see `grants`.
_FOR_OWNERS: Final = frozenset({"artifact_roots", "removals"})
_DENIED: Final = re.compile(r"permission denied for (?:table|sequence) (?P<name>\w+)")


def advice(message: str) -> str:
    """Which role would be allowed to, by PostgreSQL's message; empty if it says nothing of the kind."""
    denied = _DENIED.fullmatch(message)
    if denied is None:
        return ""
    if denied["name"] in _FOR_OWNERS:
        return " It needs the 'owner' of the database, as gc, adopting and upgrading do."
    if denied["name"] in _FOR_PROMOTERS:
        needed = f"the role '{Role.PROMOTER}'"
    elif denied["name"] == "experiments":
        needed = f"the role '{Role.WRITER}' (the 'owner' of the database to relocate)"
    elif denied["name"] == "registered_models":
        needed = f"the role '{Role.WRITER}' ('{Role.PROMOTER}' to rename or delete a model)"
    else:
        needed = f"the role '{Role.WRITER}'"
    return f" It needs {needed}; 'registry db grants' prints what the owner of the database runs to give it."
