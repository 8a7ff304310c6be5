"""Deletes objects and aborts unfinished uploads.

Unlike listing, this accepts every key: objects below a prefix are removed whatever their name. Guarantees: only the
given key and keys below it are touched.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from registry.blobs.s3.bucket import Bucket
from registry.blobs.s3.errors import error_code, printable, status_code
from registry.blobs.s3.listing_pages import Listed, all_objects, checked_key, pages
from registry.blobs.s3.truncated_responses import require_field
from registry.exceptions import StorageError

_BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class _Unfinished:
    """A multipart upload that was neither completed nor aborted."""

    key: str
    upload_id: str


def delete_keys(bucket: Bucket, keys: Iterable[str]) -> None:
    """Delete objects. Missing ones are ignored."""
    left = iter(keys)
    while batch := list(islice(left, _BATCH)):
        _delete_batch(bucket, batch)


def remove_keys(bucket: Bucket, key: str) -> None:
    """Delete the object at `key` and all below it, and abort unfinished uploads there."""
    for upload in list(_unfinished(bucket, key)):
        _abort(bucket, upload)
    delete_keys(bucket, [found.key for found in _objects(bucket, key)])


def total_key_size(bucket: Bucket, key: str) -> int:
    """Return the bytes of the object at `key` and of all below it, with the parts of unfinished uploads."""
    whole = sum(found.size for found in _objects(bucket, key))
    return whole + sum(_total_part_size(bucket, upload) for upload in _unfinished(bucket, key))


def _objects(bucket: Bucket, key: str) -> Iterator[Listed]:
    return (found for found in all_objects(bucket, key) if _is_at(found.key, key))


def _unfinished(bucket: Bucket, key: str) -> Iterator[_Unfinished]:
    # A server that cannot list them keeps them to itself; a rule of the bucket has to end them there.
    for page in pages(
        bucket, "list_multipart_uploads", is_end=lambda error: status_code(error) in (405, 501), Prefix=key
    ):
        for found in page.get("Uploads", ()):
            at = checked_key(bucket, key, found.get("Key"))
            if _is_at(at, key):
                yield _Unfinished(at, require_field(found, "UploadId", bucket, at))


def _is_at(found: str, key: str) -> bool:
    """Tell whether a key is the given one or below it: ``a/b`` is not above ``a/bc``."""
    return found == key or found.startswith(f"{key}/")


def _total_part_size(bucket: Bucket, upload: _Unfinished) -> int:
    named = {"Key": upload.key, "UploadId": upload.upload_id}
    found = pages(bucket, "list_parts", is_end=lambda error: error_code(error) == "NoSuchUpload", **named)
    return sum(require_field(part, "Size", bucket, upload.key) for page in found for part in page.get("Parts", ()))


def _abort(bucket: Bucket, upload: _Unfinished) -> None:
    from botocore.exceptions import ClientError

    with bucket.errors(upload.key):
        try:
            bucket.client.abort_multipart_upload(**_named(bucket, upload))
        except ClientError as error:
            if error_code(error) != "NoSuchUpload":
                raise


def _named(bucket: Bucket, upload: _Unfinished) -> dict[str, Any]:
    return {"Bucket": bucket.name, "Key": upload.key, "UploadId": upload.upload_id}


def _delete_batch(bucket: Bucket, keys: list[str]) -> None:
    with bucket.errors():
        answer = bucket.client.delete_objects(
            Bucket=bucket.name, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
        )
    for refused in answer.get("Errors", ()):
        raise StorageError(
            f"s3://{bucket.name}/{printable(refused.get('Key'))} could not be deleted: "
            f"{printable(refused.get('Code'))}: {printable(refused.get('Message'))}"
        )
