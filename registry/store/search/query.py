"""The search itself, shared by all kinds of entities: filter, sort, read one page.

Building a statement takes longer than running it. The statements of recent searches are cached, so a repeated search or
the next page reuses them.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection

from registry.entities import PagedList
from registry.filters import And, Comparison, Node, Not, Or, OrderBy
from registry.store.dialects import AnyRow, AnySelect
from registry.store.driver_sql import end_with_next
from registry.store.search.conditions import compile_condition
from registry.store.search.field_mapping import FieldMap
from registry.store.search.order import segments
from registry.store.search.paging import (
    Cursor,
    PagedQuery,
    decode_token,
    encode_token,
    query_digest,
    read_page,
    sort_and_limit,
)

T = TypeVar("T")

# Entities are read for this many subjects at a time, below SQLite's limit of bound values.
CHUNK = 1_000
# Statements with more values are not cached: they are large, and building them is a small part of their cost.
_MAX_CACHED_VALUES = 50


@dataclass(frozen=True, slots=True, eq=False)
class SearchSource:
    """The rows of a search, the mapping of their fields, and the tie breakers of their order.

    There is one object per scope (everything that the statement depends on) and dialect; it is compared by identity.
    """

    statement: AnySelect
    fields: FieldMap
    tie_breakers: Sequence[tuple[str, bool]]
    scope: Sequence[object]
    dialect: str


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A request for one page: filter, order, page size and page token."""

    filter: Node | None = None
    order_by: tuple[OrderBy, ...] = ()
    max_results: int = 1_000
    page_token: object = None


def search(
    connection: Connection,
    source: SearchSource,
    request: SearchRequest,
    read: Callable[[Connection, Iterable[AnyRow]], list[T]],
) -> PagedList[T]:
    """Return one page of a search; `read` turns rows into entities, in one round trip."""
    rows, token = search_rows(connection, source, request)
    entities: list[T] = []
    for start in range(0, len(rows), CHUNK):
        if start + CHUNK >= len(rows):
            end_with_next(connection)
        entities += read(connection, rows[start : start + CHUNK])
    return PagedList(entities, token)


def search_rows(
    connection: Connection,
    source: SearchSource,
    request: SearchRequest,
    find_bound: Callable[[Cursor | None], ColumnElement[bool] | None] | None = None,
) -> tuple[list[AnyRow], str | None]:
    """Return the rows of one page of a search, and the token of the next page.

    `find_bound` may return a condition that all rows of the page after a position meet, to read fewer.
    """
    prepare = _prepare if _count_values(request.filter) <= _MAX_CACHED_VALUES else _prepare.__wrapped__
    pages = prepare(source, request.filter, request.order_by)
    cursor = decode_token(request.page_token, pages)
    bound = find_bound(cursor) if find_bound is not None else None
    rows, end = read_page(connection, pages, cursor, request.max_results, bound)
    return rows, None if end is None else encode_token(end, pages)


@functools.lru_cache(maxsize=256)
def _prepare(source: SearchSource, filter_: Node | None, order_by: tuple[OrderBy, ...]) -> PagedQuery:
    queries = []
    for segment in segments(order_by, source.fields, source.tie_breakers):
        statement = source.statement
        if filter_ is not None:
            fields = source.fields.based_on(segment.inner[0]) if segment.inner else source.fields
            statement = statement.where(compile_condition(filter_, fields, source.dialect))
        queries.append((segment, sort_and_limit(segment.narrow(statement), segment.terms)))
    return PagedQuery(query_digest(*source.scope, filter_, *order_by), queries)


def _count_values(node: Node | None) -> int:
    match node:
        case And() | Or():
            return sum(map(_count_values, node.items))
        case Not():
            return _count_values(node.item)
        case Comparison(value=tuple(values)):
            return len(values)
    return 1
