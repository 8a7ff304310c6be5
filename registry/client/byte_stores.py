"""Byte stores that are opened with the settings of this process; no database takes part."""

import json

from registry.blobs import BlobStore, S3Options, open_blob_store
from registry.settings import Settings, current_settings


def open_store(root: str) -> BlobStore:
    """Open the byte store below an absolute local path or an S3 prefix, with the current settings."""
    return open_blob_store(root, s3=s3_options(current_settings()))


def s3_options(settings: Settings) -> S3Options:
    """Return how the settings say that S3 is reached."""
    return S3Options(
        endpoint_url=settings.s3_endpoint_url,
        upload_extra_args=json.dumps(settings.s3_upload_extra_args, sort_keys=True),
        ignore_tls=settings.s3_ignore_tls,
        addressing_style=settings.boto_client_addressing_style,
        expected_bucket_owner=settings.s3_expected_bucket_owner,
    )
