"""The base of byte stores that are only read: what writes or removes is refused."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import NoReturn

from registry.exceptions import RegistryError


class ReadOnlyBlobStore(ABC):
    """The part of a `BlobStore` that changes files, all of it refused."""

    @property
    def local_directory(self) -> Path | None:
        """Return None: the files are handed out one by one."""
        return None

    @abstractmethod
    def refusal(self) -> RegistryError:
        """Return the error that says why nothing is written or removed."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise self.refusal()

    write = write_once = upload = seal = seal_from = copy_from = delete = purge = _refuse
    stamps = has_same = _refuse  # they serve copies between stores
