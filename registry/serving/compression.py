"""Bodies that are compressed by gzip or deflate, in both directions.

Guarantees: no body grows beyond its limit in memory, whatever it claims to be.
"""

import re
import zlib
from collections.abc import Sequence
from typing import Final

from registry.serving.request_errors import RequestError, bad_input

_ENCODINGS: Final = "gzip, deflate"
_GZIP: Final = 16 + zlib.MAX_WBITS
_ZLIB: Final = zlib.MAX_WBITS
_WBITS: Final = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}
# A smaller answer costs more time than it saves.
_SMALLEST: Final = 1024
_FASTEST: Final = 1
_QUALITY: Final = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")


def encoding_of(headers: Sequence[str]) -> str | None:
    """Return the encoding that the Content-Encoding headers of a request name, or None for none.

    Raises:
        RequestError: 415, they name another, or several.
    """
    name = ",".join(headers).strip().lower()
    if name in ("", "identity"):
        return None
    if name not in _WBITS:
        raise RequestError(415, f"Content-Encoding is one of {_ENCODINGS}, or left out.")
    return name


def decompress(body: bytes, encoding: str | None, limit: int) -> bytes:
    """Return what a body holds.

    Raises:
        RequestError: 413, it holds more than `limit` bytes; 400, it is not in that encoding, breaks off, or goes on.
    """
    if encoding is None:
        return body
    wbits = _WBITS[encoding]
    if wbits == _ZLIB and not _has_zlib_header(body):  # some senders leave it out
        wbits = -zlib.MAX_WBITS
    decoder = zlib.decompressobj(wbits)
    try:
        content = decoder.decompress(body, limit + 1)
    except zlib.error:
        raise bad_input(f"The body is not {encoding}, as its Content-Encoding says.") from None
    if len(content) > limit:
        raise RequestError(413, f"The body has more than {limit} bytes. Send fewer rows at once.")
    if not decoder.eof or decoder.unused_data:
        raise bad_input(f"The {encoding} of the body {'goes on after its end' if decoder.eof else 'breaks off'}.")
    return content


def _has_zlib_header(body: bytes) -> bool:
    return len(body) > 1 and body[0] & 15 == zlib.DEFLATED and int.from_bytes(body[:2]) % 31 == 0


def accepted_encoding(header: str) -> str | None:
    """Return the encoding that an Accept-Encoding header likes best, and more than identity; None for none."""
    weights: dict[str, float] = {}
    for part in header.lower().split(","):
        name, semicolon, weight = part.partition(";")
        match = _QUALITY.fullmatch(weight.strip()) if semicolon else None
        weights[name.strip()] = (float(match[1]) if match else 0.0) if semicolon else 1.0
    best = max("gzip", "deflate", key=lambda name: weights.get(name, 0.0))
    return best if weights.get(best, 0.0) > weights.get("identity", 0.0) else None


def compress(body: bytes, encoding: str | None) -> tuple[bytes, dict[str, str]]:
    """Return a body in an encoding, and the header that names it; a small one stays as it is."""
    if encoding is None or len(body) < _SMALLEST:
        return body, {}
    return zlib.compress(body, _FASTEST, _WBITS[encoding]), {"Content-Encoding": encoding}
