"""Parameters that settings add to requests: encryption and the like of uploads, and who must own the bucket.

Guarantee: they go along with every request that takes them, whichever way bytes take.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from registry.blobs.options import S3Options
from registry.exceptions import InvalidParameterError

_CREATE: Final = frozenset({"PutObject", "CreateMultipartUpload"})
"""What lets an object appear decides how it is kept; parts and reads only repeat the customer's key."""
_CUSTOMER_KEY: Final = ("SSECustomerAlgorithm", "SSECustomerKey")
_ALSO_LATER: Final = frozenset({*_CUSTOMER_KEY, "RequestPayer"})


def added_parameters(options: S3Options) -> Callable[..., None]:
    """Return a handler of botocore's that adds the parameters of these options.

    Raises:
        InvalidParameterError: an upload argument is not one of boto3's, or is ours to set.
    """
    extra = _checked(json.loads(options.upload_extra_args))
    later = {name: value for name, value in extra.items() if name in _ALSO_LATER}
    source = {f"CopySource{name}": extra[name] for name in _CUSTOMER_KEY if name in extra}
    owner = {"ExpectedBucketOwner": options.expected_bucket_owner} if options.expected_bucket_owner else {}

    def add(params: dict[str, Any], model: Any, **_: object) -> None:
        added = {**(extra if model.name in _CREATE else later | source), **owner}
        metadata = {**added.get("Metadata", {}), **params.get("Metadata", {})}
        taken = model.input_shape.members
        params.update({name: value for name, value in added.items() if name in taken})
        if metadata and "Metadata" in taken:
            params["Metadata"] = metadata

    return add


def _checked(extra: dict[str, Any]) -> dict[str, Any]:
    from boto3.s3.transfer import S3Transfer

    allowed = sorted(name for name in S3Transfer.ALLOWED_UPLOAD_ARGS if not name.startswith(("Checksum", "If")))
    if unknown := sorted(extra.keys() - set(allowed)):
        raise InvalidParameterError(
            f"REGISTRY_S3_UPLOAD_EXTRA_ARGS (or MLFLOW_S3_UPLOAD_EXTRA_ARGS) has {', '.join(unknown)}, which uploads "
            f"do not take. Use some of: {', '.join(allowed)}."
        )
    return extra
