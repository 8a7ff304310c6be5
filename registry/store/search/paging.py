"""Keyset paging with opaque page tokens.

A token holds the rank and the sort values of the last subject of its page, and a digest of the query. Guarantees: no
subject is skipped or repeated while others are inserted or deleted; a damaged token, or one of another query, is an
error, never a wrong page.
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
from registry.store.long_lists import bind_value
from registry.store.search.order import Segment, Term

_MAX_TOKEN: Final = 200_000
_SIZE: Final = "page_size"
SortValue = str | int | float | None


@dataclass(frozen=True, slots=True)
class PagedQuery:
    """A query as segments, each with its sorted statement; `digest` identifies the query."""

    digest: str
    segments: Sequence[tuple[Segment, AnySelect]]


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of a subject in the order: its rank and its sort values."""

    rank: int
    values: tuple[SortValue, ...]


def query_digest(*parts: object) -> str:
    """Return a digest that identifies a query; the page size is not part of it."""
    return _digest("\0".join(map(str, parts)))


def encode_token(cursor: Cursor, pages: PagedQuery) -> str:
    """Return the page token of a position in a query."""
    position = [cursor.rank, *cursor.values]
    text = json.dumps({"after": position, "check": _checksum(position, pages.digest)}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def decode_token(token: object, pages: PagedQuery) -> Cursor | None:
    """Return the position that a page token names; None for a missing or empty token, which is the beginning.

    Raises:
        InvalidParameterError: the token is damaged or belongs to another query.
    """
    if token is None or token in ("", b""):
        return None
    content = _read_token(token)
    position = content.get("after")
    if isinstance(position, list) and position and content.get("check") == _checksum(position, pages.digest):
        sizes = {segment.rank: len(segment.terms) for segment, _ in pages.segments}
        if sizes.get(position[0]) == len(position) - 1:
            return Cursor(position[0], tuple(position[1:]))
    raise InvalidParameterError(
        "The page token is damaged or belongs to another query. Use a token unchanged, with the filter, order_by and "
        "experiments that it was returned for, or leave it out to begin anew."
    )


def read_page(
    connection: Connection,
    pages: PagedQuery,
    cursor: Cursor | None,
    size: int,
    bound: ColumnElement[bool] | None = None,
) -> tuple[list[AnyRow], Cursor | None]:
    """Read the rows of a page, and its end if another page follows; all of them meet the condition `bound`."""
    fetched: list[tuple[Segment, AnyRow]] = []
    for segment, query in pages.segments:
        if cursor is not None and segment.rank < cursor.rank:
            continue
        if cursor is not None and segment.rank == cursor.rank:
            query = query.where(_is_after(segment.terms, cursor.values))
        if bound is not None:
            query = query.where(bound)
        fetched += [(segment, row) for row in connection.execute(query, {_SIZE: size + 1 - len(fetched)}).all()]
        if len(fetched) > size:
            break
    rows = [row for _, row in fetched[:size]]
    return rows, _cursor_at(*fetched[size - 1]) if len(fetched) > size > 0 else None


def sort_and_limit(statement: AnySelect, terms: Sequence[Term]) -> AnySelect:
    """Sort a statement by terms, add their values to each row as ``sort_0``, ``sort_1`` …, and limit its rows."""
    columns: list[Label[Any]] = [term.value.label(f"sort_{position}") for position, term in enumerate(terms)]
    order = [asc(term.value) if term.ascending else desc(term.value) for term in terms]
    return statement.add_columns(*columns).order_by(*order).limit(bindparam(_SIZE, type_=BigInteger()))


def _cursor_at(segment: Segment, row: AnyRow) -> Cursor:
    return Cursor(segment.rank, tuple(row._mapping[f"sort_{n}"] for n in range(len(segment.terms))))


def _is_after(terms: Sequence[Term], values: Sequence[SortValue]) -> ColumnElement[bool]:
    """Test whether a row sorts after these values: ``a > 1 OR (a = 1 AND b > 2)`` and so on."""
    alternatives: list[ColumnElement[bool]] = []
    same: list[ColumnElement[bool]] = []
    for term, value in zip(terms, values, strict=True):
        if value is None:
            same.append(term.value.is_(None))
            continue
        alternatives.append(
            and_(*same, term.value > bind_value(value) if term.ascending else term.value < bind_value(value))
        )
        same.append(term.value == bind_value(value))
    return and_(_not_before(terms[0], values[0]), or_(false(), *alternatives))


def _not_before(term: Term, value: SortValue) -> ColumnElement[bool]:
    # Redundant, but a range of the leading column: an index scan can start there.
    if value is None:
        return term.value.is_(None)
    return term.value >= bind_value(value) if term.ascending else term.value <= bind_value(value)


def _read_token(token: object) -> dict[str, Any]:
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


def _checksum(position: Sequence[object], query: str) -> str:
    return _digest(query + json.dumps(position))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
