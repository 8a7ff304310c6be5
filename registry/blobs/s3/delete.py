"""Deletes objects and aborts unfinished uploads.

Unlike listing, this accepts every key: objects below a prefix are removed whatever their name. Guarantees: only the
given key and keys below it are touched.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from registry.blobs.s3.bucket import Bucket
from registry.blobs.s3.errors import error_code, status_code
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
    delete_keys(bucket, [found for found, _ in _objects(bucket, key)])


def total_key_size(bucket: Bucket, key: str) -> int:
    """The bytes of the object at `key` and of all below it, with the parts of uploads that are to appear there."""
    whole = sum(size for _, size in _objects(bucket, key))
    return whole + sum(_total_part_size(bucket, upload) for upload in _unfinished(bucket, key))


def _objects(bucket: Bucket, key: str) -> Iterator[tuple[str, int]]:
    with bucket.errors(key):
        pages = bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=key)
        for page in pages:
            for found in page.get("Contents", ()):
                if _is_at(found["Key"], key):
                    yield found["Key"], found["Size"]


def _unfinished(bucket: Bucket, key: str) -> Iterator[_Unfinished]:
    from botocore.exceptions import ClientError

    with bucket.errors(key):
        try:
            pages = bucket.client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket.name, Prefix=key)
            for page in pages:
                for found in page.get("Uploads", ()):
                    if _is_at(found["Key"], key):
                        yield _Unfinished(found["Key"], found["UploadId"])
        except ClientError as error:
            # A server that cannot list them keeps them to itself; a rule of the bucket has to end them there.
            if status_code(error) not in (405, 501):
                raise


def _is_at(found: str, key: str) -> bool:
    """Tell whether a key is the given one or below it: ``a/b`` is not above ``a/bc``."""
    return found == key or found.startswith(f"{key}/")


def _total_part_size(bucket: Bucket, upload: _Unfinished) -> int:
    from botocore.exceptions import ClientError

    with bucket.errors(upload.key):
        try:
            pages = bucket.client.get_paginator("list_parts").paginate(**_named(bucket, upload))
            return sum(part["Size"] for page in pages for part in page.get("Parts", ()))
        except ClientError as error:
            if error_code(error) == "NoSuchUpload":
                return 0
            raise


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
            f"s3://{bucket.name}/{refused.get('Key')} could not be deleted: "
            f"{refused.get('Code')}: {refused.get('Message')}"
        )
