"""One search: which subjects, filtered and sorted how; the same for all kinds of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from registry.entities import PagedList
from registry.filters import Node, OrderBy
from registry.store.search.conditions import condition
from registry.store.search.order import segments
from registry.store.search.paging import decode, encode, query_digest, read_page
from registry.store.search.places import Places
from registry.store.statements import AnyRow, AnySelect

T = TypeVar("T")

# Rows of one subject are fetched for this many subjects at a time: below what SQLite binds in one statement.
CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: a filter, an order, and how many of them after which token."""

    filter: Node | None = None
    order_by: tuple[OrderBy, ...] = ()
    max_results: int = 1_000
    page_token: object = None


def search(
    connection: Connection,
    wanted: Wanted,
    statement: AnySelect,
    places: Places,
    *,
    ties: Sequence[tuple[str, bool]],
    scope: Sequence[object],
    read: Callable[[Connection, Iterable[AnyRow]], list[T]],
) -> PagedList[T]:
    """A page of a search; `scope` is all that the statement depends on, and `read` makes entities of its rows."""
    if wanted.filter is not None:
        statement = statement.where(condition(wanted.filter, places, connection.dialect.name))
    ordered = segments(wanted.order_by, places, ties)
    digest = query_digest(*scope, wanted.filter, *wanted.order_by)
    cursor = decode(wanted.page_token, digest, ordered)
    rows, end = read_page(connection, statement, ordered, cursor, wanted.max_results)
    found = [entity for chunk in chunks(rows) for entity in read(connection, chunk)]
    return PagedList(found, None if end is None else encode(end, digest))


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items, so many at a time."""
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))
