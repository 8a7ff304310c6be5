"""The byte store on Amazon S3 and compatible servers. The only package that imports boto3."""

from registry.blobs.s3.store import S3BlobStore

__all__ = ["S3BlobStore"]
