"""Lists with a token of the next page, and entries of file listings."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class PagedList(list[T], Generic[T]):
    """A list with the token of the next page (MLflow's PagedList).

    Attributes:
        token: The opaque text to pass as ``page_token`` for the next page, or None on the last page.
    """

    def __init__(self, items: Iterable[T] = (), token: str | None = None) -> None:
        super().__init__(items)
        self.token = token

    def to_list(self) -> list[T]:
        """Return the items as a plain list."""
        return list(self)


def all_pages(page: Callable[[str | None], PagedList[T]]) -> Iterator[T]:
    """Yield the items of all pages of a search; `page` returns the one of a token, the first one of None."""
    token: str | None = None
    while True:
        items = page(token)
        yield from items
        token = items.token
        if not token:
            return


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file or directory of an artifact listing.

    Attributes:
        path: The path relative to the artifact root.
        is_dir: Whether it is a directory.
        file_size: The size in bytes, or None for a directory.
    """

    path: str
    is_dir: bool
    file_size: int | None

    def to_dictionary(self) -> dict[str, Any]:
        """Return the fields as a dictionary."""
        return asdict(self)
