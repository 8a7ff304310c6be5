"""The byte store on Amazon S3 and servers that speak its protocol. The only place that imports boto3."""

from registry.blobs.s3.store import S3BlobStore

__all__ = ["S3BlobStore"]
