"""Lists that come in pages, and the listing of files."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class PagedList(list[T], Generic[T]):
    """A list with the opaque token of the next page; None at the end (MLflow's PagedList)."""

    def __init__(self, items: Iterable[T] = (), token: str | None = None) -> None:
        super().__init__(items)
        self.token = token

    def to_list(self) -> list[T]:
        """The items as a plain list."""
        return list(self)


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file or directory of an artifact listing; ``file_size`` is in bytes, None for a directory."""

    path: str
    is_dir: bool
    file_size: int | None

    def to_dictionary(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)
