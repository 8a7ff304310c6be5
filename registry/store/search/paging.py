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

from sqlalchemy import BigInteger, ColumnElement, Connection, Label, and_, asc, bindparam, desc, false, or_

from registry.exceptions import InvalidParameterError
from registry.store.dialects import AnyRow, AnySelect
from registry.store.long_lists import bound
from registry.store.search.order import Segment, Term

_MAX_TOKEN: Final = 200_000
_SIZE: Final = "page_size"
SortValue = str | int | float | None


@dataclass(frozen=True, slots=True)
class Pages:
    """A query in its segments, each with its sorted statement; `digest` tells it from others."""

    digest: str
    segments: Sequence[tuple[Segment, AnySelect]]


@dataclass(frozen=True, slots=True)
class Cursor:
    """The rank and the sort values of a subject."""

    rank: int
    values: tuple[SortValue, ...]


def query_digest(*parts: object) -> str:
    """What tells a query from others; the size of the page is no part of it."""
    return _digest("\0".join(map(str, parts)))


def encode(cursor: Cursor, pages: Pages) -> str:
    """The token of a place in a query."""
    place = [cursor.rank, *cursor.values]
    text = json.dumps({"after": place, "check": _check(place, pages.digest)}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def decode(token: object, pages: Pages) -> Cursor | None:
    """The place that a token of a query stands for; None for None and the empty text, which mean the beginning.

    Raises:
        InvalidParameterError: the token is of another query, or no token at all.
    """
    if token is None or token in ("", b""):
        return None
    content = _content(token)
    place = content.get("after")
    if isinstance(place, list) and place and content.get("check") == _check(place, pages.digest):
        sizes = {segment.rank: len(segment.terms) for segment, _ in pages.segments}
        if sizes.get(place[0]) == len(place) - 1:
            return Cursor(place[0], tuple(place[1:]))
    raise InvalidParameterError(
        "The page token is damaged or belongs to another query. Use a token unchanged, with the filter, order_by and "
        "experiments that it was returned for, or leave it out to begin anew."
    )


def read_page(
    connection: Connection, pages: Pages, cursor: Cursor | None, size: int
) -> tuple[list[AnyRow], Cursor | None]:
    """The rows of a page, and its end if there is more after it."""
    found: list[tuple[Segment, AnyRow]] = []
    for segment, query in pages.segments:
        if cursor is not None and segment.rank < cursor.rank:
            continue
        if cursor is not None and segment.rank == cursor.rank:
            query = query.where(_after(segment.terms, cursor.values))
        found += [(segment, row) for row in connection.execute(query, {_SIZE: size + 1 - len(found)})]
        if len(found) > size:
            break
    rows = [row for _, row in found[:size]]
    return rows, _end(*found[size - 1]) if len(found) > size > 0 else None


def sorted_by(statement: AnySelect, terms: Sequence[Term]) -> AnySelect:
    """A statement sorted by terms, whose values come with each row as ``sort_0``, ``sort_1`` …, up to a size."""
    columns: list[Label[Any]] = [term.value.label(f"sort_{position}") for position, term in enumerate(terms)]
    order = [asc(term.value) if term.ascending else desc(term.value) for term in terms]
    return statement.add_columns(*columns).order_by(*order).limit(bindparam(_SIZE, type_=BigInteger()))


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
    try:
        if isinstance(text, bytes) and len(text) <= _MAX_TOKEN:
            content = json.loads(base64.b64decode(text, altchars=b"-_", validate=True))
            if isinstance(content, dict):
                return content
    except (binascii.Error, ValueError, RecursionError):
        pass
    shown = repr(token)
    raise InvalidParameterError(
        f"Invalid page token: {shown[:40]}{'…' if len(shown) > 40 else ''}. Use the `token` of the page before, "
        "unchanged, or leave it out to begin anew."
    )


def _check(place: Sequence[object], query: str) -> str:
    return _digest(query + json.dumps(place))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
