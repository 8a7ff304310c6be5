"""The three roles of a PostgreSQL database, and the role that a refused change needs. Their rights are in `grants`."""

import re
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """Role of a database user; each includes the rights of the one before."""

    READER = "reader"
    WRITER = "writer"
    PROMOTER = "promoter"


# A reader fails earlier: every change of a model locks its row in registered_models first.
_FOR_PROMOTERS: Final = frozenset(
    {"model_versions", "model_aliases", "promotion_rules", "stage_periods", "monitor_guards"}
)
# No role may change these; see `grants`.
_FOR_OWNERS: Final = frozenset({"artifact_roots", "removals", "tombstones", "trusted_pages"})
_DENIED: Final = re.compile(r"permission denied for (?:table|sequence) (?P<name>\w+)")


def advice(message: str) -> str:
    """Return advice on the role that a denied statement needs; empty for any other message of PostgreSQL."""
    denied = _DENIED.fullmatch(message)
    if denied is None:
        return ""
    if denied["name"] in _FOR_OWNERS:
        return " It needs the 'owner' of the database, as gc, adopting and upgrading do."
    if denied["name"] in _FOR_PROMOTERS:
        role = f"the role '{Role.PROMOTER}'"
    elif denied["name"] == "experiments":
        role = f"the role '{Role.WRITER}' (the 'owner' of the database to relocate)"
    elif denied["name"] == "registered_models":
        role = f"the role '{Role.WRITER}' ('{Role.PROMOTER}' to rename or delete a model)"
    else:
        role = f"the role '{Role.WRITER}'"
    return f" It needs {role}; 'registry db grants' prints the SQL with which the owner of the database grants it."
