"""From order_by clauses, such as ``metrics.f1 DESC``, to the fields that they order by."""

import functools
from collections.abc import Sequence
from typing import Final

from registry.exceptions import InvalidFilterError, InvalidTypeError
from registry.filters.faults import FaultError, showing, syntax_tree
from registry.filters.fields import attribute_of, resolve_field
from registry.filters.nodes import OrderBy
from registry.filters.subjects import Subject

MAX_CLAUSE: Final = 1_000
MAX_CLAUSES: Final = 20


def parse_order_by(order_by: Sequence[str] | None, subject: Subject) -> tuple[OrderBy, ...]:
    """The keys of an ordering, most significant first; ascending unless DESC is said.

    Raises:
        InvalidFilterError: a clause does not parse, names a field that the subject does not have or that has many
            values, or names a field twice.
        InvalidTypeError: `order_by` is not a list of texts.
    """
    if order_by is None:
        return ()
    if isinstance(order_by, str) or not isinstance(order_by, Sequence):
        raise InvalidTypeError(f"order_by must be a list of clauses, such as ['metrics.f1 DESC'], got {order_by!r}.")
    if len(order_by) > MAX_CLAUSES:
        raise InvalidFilterError(f"order_by may have {MAX_CLAUSES} clauses; this one has {len(order_by)}.")
    keys = tuple(_clause(_checked(clause), subject) for clause in order_by)
    fields = [key.field for key in keys]
    twice = next((field for field in fields if fields.count(field) > 1), None)
    if twice is not None:
        raise InvalidFilterError(f"`order_by` contains duplicate fields: {twice} is named more than once.")
    return keys


def _checked(clause: object) -> str:
    if not isinstance(clause, str):
        raise InvalidTypeError(f"A clause of order_by must be a string, got {type(clause).__name__}: {clause!r}.")
    if len(clause) > MAX_CLAUSE:
        raise InvalidFilterError(f"A clause of order_by may have {MAX_CLAUSE} characters; this one has {len(clause)}.")
    return clause


@functools.lru_cache(maxsize=256)
def _clause(clause: str, subject: Subject) -> OrderBy:
    with showing(clause, "order_by clause"):
        token, *direction = syntax_tree(clause, "order").children
        if not isinstance(token, str):
            raise FaultError("a field is expected", 0)
        field = resolve_field(token, subject)
        if attribute_of(field, subject).plural:
            raise FaultError(f"{field} can have many values and gives no order", token.start_pos or 0)
        return OrderBy(field, ascending=not direction or str(direction[0]).upper() == "ASC")
