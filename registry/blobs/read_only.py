"""The base of byte stores that are only read: what writes or removes is refused."""

from pathlib import Path
from typing import NoReturn

from registry.exceptions import RegistryError


class ReadOnlyBlobStore:
    """The part of a `BlobStore` that changes files, all of it refused."""

    @property
    def local_directory(self) -> Path | None:
        """Return None: the files are handed out one by one."""
        return None

    def refusal(self) -> RegistryError:
        """Return the error that says why nothing is written or removed."""
        raise NotImplementedError

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise self.refusal()

    write = write_once = upload = seal = seal_from = delete = purge = _refuse
