"""Pages by key: where a page ended, as an opaque token, and the condition for what comes after.

A token holds the rank and the sort values of the last subject of its page, and a digest of the query. Invariant: while
others insert and delete, no subject that stays is skipped or repeated; a token of another query, or a damaged one, is
an error and never a wrong page.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, asc, desc, false, literal_column, or_

from registry.exceptions import InvalidParameterError
from registry.store.search.order import Segment, Term
from registry.store.search.values import bound
from registry.store.statements import AnyRow, AnySelect

_MAX_TOKEN: Final = 200_000
SortValue = str | int | float | None


@dataclass(frozen=True, slots=True)
class Cursor:
    """The rank and the sort values of a subject."""

    rank: int
    values: tuple[SortValue, ...]


def query_digest(*parts: object) -> str:
    """What tells a query from others; the size of the page is no part of it."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:24]


def encode(cursor: Cursor, digest: str) -> str:
    """The token of a place in a query."""
    text = json.dumps({"query": digest, "rank": cursor.rank, "after": cursor.values}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def decode(token: object, digest: str, segments: Sequence[Segment]) -> Cursor | None:
    """The place that a token of this query stands for; None for None and the empty text, which mean the beginning.

    Raises:
        InvalidParameterError: the token is of another query, or no token at all.
    """
    if token is None or token in ("", b""):
        return None
    content = _content(token)
    if content.get("query") != digest:
        raise InvalidParameterError(
            "The page token belongs to another query. Use a token with the filter, order_by and experiments that it "
            "was returned for, or leave it out to begin anew."
        )
    rank, values = content.get("rank"), content.get("after")
    segment = next((one for one in segments if one.rank == rank), None)
    if segment is None or not isinstance(values, list) or not _fit(segment.terms, values):
        raise _invalid(token)
    return Cursor(segment.rank, tuple(values))


def read_page(
    fetch: "Fetch", statement: AnySelect, segments: Sequence[Segment], cursor: Cursor | None, size: int
) -> tuple[list[AnyRow], Cursor | None]:
    """The rows of a page, and its end if there is more after it."""
    found: list[tuple[Segment, AnyRow]] = []
    for segment in segments:
        if cursor is not None and segment.rank < cursor.rank:
            continue
        query = sorted_by(segment.of(statement), segment.terms).limit(size + 1 - len(found))
        if cursor is not None and segment.rank == cursor.rank:
            query = query.where(_after(segment.terms, cursor.values))
        found += [(segment, row) for row in fetch(query)]
        if len(found) > size:
            break
    rows = [row for _, row in found[:size]]
    return rows, _end(*found[size - 1]) if len(found) > size > 0 else None


def sorted_by(statement: AnySelect, terms: Sequence[Term]) -> AnySelect:
    """A statement sorted by terms, whose values come with each row as ``sort_0``, ``sort_1`` …"""
    columns = [term.value.label(f"sort_{position}") for position, term in enumerate(terms)]
    order = [asc(term.value) if term.ascending else desc(term.value) for term in terms]
    return statement.add_columns(*columns).order_by(*order)


def _end(segment: Segment, row: AnyRow) -> Cursor:
    return Cursor(segment.rank, tuple(row._mapping[f"sort_{n}"] for n in range(len(segment.terms))))


def _after(terms: Sequence[Term], values: Sequence[SortValue]) -> ColumnElement[bool]:
    """Whether a row comes after these values: ``a > 1 OR (a = 1 AND b > 2)`` and so on."""
    ways: list[ColumnElement[bool]] = []
    same: list[ColumnElement[bool]] = []
    for term, value in zip(terms, values, strict=True):
        if value is None:
            same.append(term.value.is_(None))
            continue
        ways.append(and_(*same, term.value > bound(value) if term.ascending else term.value < bound(value)))
        same.append(term.value == bound(value))
    return and_(_not_before(terms[0], values[0]), or_(false(), *ways))


def _not_before(term: Term, value: SortValue) -> ColumnElement[bool]:
    # Says nothing new, but is a range of the leading column, which an index can start from.
    if value is None:
        return term.value.is_(None)
    return term.value >= bound(value) if term.ascending else term.value <= bound(value)


def _content(token: object) -> dict[str, Any]:
    text = token.encode("ascii", "replace") if isinstance(token, str) else token
    if not isinstance(text, bytes) or len(text) > _MAX_TOKEN:
        raise _invalid(token)
    try:
        content = json.loads(base64.b64decode(text, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _invalid(token) from None
    if not isinstance(content, dict):
        raise _invalid(token)
    return content


def _fit(terms: Sequence[Term], values: Sequence[object]) -> bool:
    """Whether these can be the sort values of a row, by their number and types."""
    return len(terms) == len(values) and all(map(_fits, terms, values))


def _fits(term: Term, value: object) -> bool:
    wanted = term.value.type.python_type
    if value is None:
        return True
    if wanted is str:
        return isinstance(value, str) and "\0" not in value and value.isprintable() | (value == _storable(value))
    return type(value) in (int, float) and (isinstance(value, float) or abs(value) < 2**63)


def _storable(text: str) -> str:
    return text.encode("utf-8", "ignore").decode()


def _invalid(token: object) -> InvalidParameterError:
    shown = repr(token)
    return InvalidParameterError(
        f"Invalid page token: {shown[:40]}{'…' if len(shown) > 40 else ''}. Use the `token` of the page before, "
        "unchanged, or leave it out to begin anew."
    )
