"""Pages of a listing, judged before they are believed.

Guarantee: every key that leaves here begins with the prefix that was asked for, has a size, and a listing ends.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from registry.blobs.s3.bucket import Bucket
from registry.blobs.s3.errors import malformed

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

MAX_PAGES: Final = 10_000
"""Pages of one listing, of up to 1,000 keys each: a server that never says the last would fill the memory."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object that a listing names: its key, its size in bytes and its ETag, ``""`` if the listing has none."""

    key: str
    size: int
    etag: str


def pages(
    bucket: Bucket,
    operation: Literal["list_objects_v2", "list_multipart_uploads", "list_parts"],
    *,
    is_end: "Callable[[ClientError], bool]" = lambda _: False,
    **parameters: Any,
) -> Iterator[Mapping[str, Any]]:
    """Yield the pages of a listing of a bucket; a refusal that `is_end` ends it.

    Raises:
        StorageError: it has more than `MAX_PAGES`, or is no listing.
    """
    from botocore.exceptions import ClientError

    where = str(parameters.get("Prefix") or parameters.get("Key") or "")
    with bucket.errors(where):
        paginator: Any = bucket.client.get_paginator(operation)  # the stubs know no union of operations
        try:
            for number, page in enumerate(paginator.paginate(Bucket=bucket.name, **parameters)):
                if number == MAX_PAGES:
                    raise malformed(bucket.uri(where), f"a listing of more than {MAX_PAGES:,} pages")
                yield page
        except ClientError as error:
            if not is_end(error):
                raise


def objects(bucket: Bucket, prefix: str, page: Mapping[str, Any]) -> Iterator[Listed]:
    """Yield the objects of a page of ``list_objects_v2``.

    Raises:
        StorageError: one has no key, a key with another prefix, or no size.
    """
    for found in page.get("Contents", ()):
        key, size = checked_key(bucket, prefix, found.get("Key")), found.get("Size")
        if size is None or size < 0:
            raise malformed(bucket.uri(key), f"the size {size} in a listing")
        yield Listed(key, size, found.get("ETag", ""))


def all_objects(bucket: Bucket, prefix: str) -> Iterator[Listed]:
    """Yield every object whose key begins with `prefix`."""
    for page in pages(bucket, "list_objects_v2", Prefix=prefix):
        yield from objects(bucket, prefix, page)


def checked_key(bucket: Bucket, prefix: str, key: str | None) -> str:
    """Return a key from a listing of `prefix`.

    Raises:
        StorageError: it is missing, or begins with something else.
    """
    if key is None or not key.startswith(prefix):
        raise malformed(bucket.uri(prefix), f"the key {key!r} in a listing of what is below")
    return key
