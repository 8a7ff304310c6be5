"""How S3 is reached and what uploads ask of it, as plain values that need no boto3."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class S3Options:
    """Options of requests to S3. Those that are None leave the matter to boto3's own settings.

    Args:
        endpoint_url: The URL of an S3-compatible server.
        upload_extra_args: A JSON object of boto3's upload arguments, such as ``{"ServerSideEncryption": "aws:kms"}``.
        ignore_tls: Whether certificates are left unverified.
        addressing_style: ``path``, ``virtual`` or ``auto``.
        expected_bucket_owner: The account that must own the bucket, or S3 refuses.
    """

    endpoint_url: str | None = None
    upload_extra_args: str = field(default="{}", repr=False)  # it may have an encryption key
    ignore_tls: bool = False
    addressing_style: str | None = None
    expected_bucket_owner: str | None = None
