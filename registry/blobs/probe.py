"""Trying out a place for bytes: can files be written, read back, kept from being replaced, and removed?

The invariant: what is tried lies under a fresh name, and is removed again.
"""

import secrets

from registry.blobs.role import BlobStore
from registry.exceptions import IntegrityError, PathExistsError

_DATA = b"written by registry doctor"


def try_out(store: BlobStore) -> bool:
    """Whether a store that can be written, read and deleted from also refuses to replace a file that is there.

    Raises:
        StorageError, UnavailableError: it cannot be used; the message says why.
        IntegrityError: what was read is not what was written.
    """
    path = f"registry-doctor-{secrets.token_hex(8)}"
    store.write(path, _DATA)
    try:
        if store.read(path) != _DATA:
            raise IntegrityError(f"{store.root}/{path} was read back with other bytes than were written.")
        try:
            store.write_once(path, _DATA)
        except PathExistsError:
            return True
        return False
    finally:
        store.delete([path])
