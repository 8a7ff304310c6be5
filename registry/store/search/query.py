"""One search: which subjects, filtered and sorted how; the same for all kinds of them.

Building a statement takes longer than running it, so those of the last searches are kept: whoever asks again, or asks
for the next page, has them ready.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from registry.entities import PagedList
from registry.filters import And, Comparison, Node, Not, Or, OrderBy
from registry.store.dialects import AnyRow, AnySelect
from registry.store.search.conditions import condition
from registry.store.search.field_mapping import FieldMap
from registry.store.search.order import segments
from registry.store.search.paging import Pages, decode, encode, query_digest, read_page, sorted_by

T = TypeVar("T")

# Rows of one subject are fetched for this many subjects at a time: below what SQLite binds in one statement.
CHUNK = 1_000
# Statements with more values than this are not kept: they are large, and building them is not what takes the time.
_KEPT_VALUES = 50


@dataclass(frozen=True, slots=True, eq=False)
class SearchSource:
    """What is searched: rows, where their fields are, and the order that ends all orders.

    One is made for each scope (all that the statement depends on) and dialect, and compared by identity.
    """

    statement: AnySelect
    places: FieldMap
    ties: Sequence[tuple[str, bool]]
    scope: Sequence[object]
    dialect: str


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What is asked for: a filter, an order, and how many of them after which token."""

    filter: Node | None = None
    order_by: tuple[OrderBy, ...] = ()
    max_results: int = 1_000
    page_token: object = None


def search(
    connection: Connection,
    searched: SearchSource,
    wanted: SearchRequest,
    read: Callable[[Connection, Iterable[AnyRow]], list[T]],
) -> PagedList[T]:
    """A page of a search; `read` makes entities of its rows."""
    prepare = _prepared if _values(wanted.filter) <= _KEPT_VALUES else _prepared.__wrapped__
    pages = prepare(searched, wanted.filter, wanted.order_by)
    rows, end = read_page(connection, pages, decode(wanted.page_token, pages), wanted.max_results)
    found = [entity for chunk in chunks(rows) for entity in read(connection, chunk)]
    return PagedList(found, None if end is None else encode(end, pages))


@functools.lru_cache(maxsize=256)
def _prepared(searched: SearchSource, filter_: Node | None, order_by: tuple[OrderBy, ...]) -> Pages:
    queries = []
    for segment in segments(order_by, searched.places, searched.ties):
        statement = searched.statement
        if filter_ is not None:
            places = searched.places.seen_from(segment.inner[0]) if segment.inner else searched.places
            statement = statement.where(condition(filter_, places, searched.dialect))
        queries.append((segment, sorted_by(segment.of(statement), segment.terms)))
    return Pages(query_digest(*searched.scope, filter_, *order_by), queries)


def _values(node: Node | None) -> int:
    match node:
        case And() | Or():
            return sum(map(_values, node.items))
        case Not():
            return _values(node.item)
        case Comparison(value=tuple(values)):
            return len(values)
    return 1


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items, so many at a time."""
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))
