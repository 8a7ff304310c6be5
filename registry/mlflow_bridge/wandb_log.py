"""Read the records of a W&B log (``run-ID.wandb``): LevelDB's framing, and the fields of protobuf messages.

Only what an import needs: no schema, and no code of W&B's. Guarantees: a record is given out only if its checksum fits;
a log that ends within a record, as that of a killed process does, ends with the record before.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from registry.exceptions import IntegrityError, UnsupportedStoreError, disk_error

_IDENT: Final = b":W&B"
_MAGIC: Final = 0xBEE1
_BLOCK: Final = 32_768
_HEAD: Final = struct.Struct("<LHB")  # checksum, length, type
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4

Value = int | bytes
"""A varint as it is, or the bytes of any other kind of field."""


def read_records(path: Path) -> Iterator[bytes]:
    """Yield the records of a log, each a protobuf message.

    Raises:
        IntegrityError: A record is damaged.
        UnsupportedStoreError: It is no log of W&B's, or of a later format.
        StorageError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(7)
            if len(head) == 7 and (head[:4] != _IDENT or head[4:] != struct.pack("<HB", _MAGIC, 0)):
                raise UnsupportedStoreError(f"{str(path)!r} is no W&B log of a format that is known.")
            yield from _records(file, path)
    except OSError as error:
        raise disk_error(f"The W&B log {str(path)!r} cannot be read: {error.strerror}.", error) from None


def _records(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """Yield what the chunks of records make together."""
    parts: list[bytes] = []
    block, at, start = file.read(_BLOCK - 7), 0, 7
    while block:
        while len(block) - at >= _HEAD.size:
            checksum, length, kind = _HEAD.unpack_from(block, at)
            if kind == 0 and length == 0:
                break  # the rest of the block was never written
            body = block[at + _HEAD.size : at + _HEAD.size + length]
            if len(body) < length:
                if len(block) + start % _BLOCK < _BLOCK:
                    return  # the process ended while it wrote this record
                raise _damaged(path, start + at)
            if zlib.crc32(bytes([kind]) + body) != checksum or kind > _LAST:
                raise _damaged(path, start + at)
            if kind in (_FULL, _FIRST):
                parts = []
            parts.append(body)
            if kind in (_FULL, _LAST):
                yield b"".join(parts)
            at += _HEAD.size + length
        start += len(block)
        block, at = file.read(_BLOCK), 0


def _damaged(path: Path, offset: int) -> IntegrityError:
    return IntegrityError(f"The W&B log {str(path)!r} is damaged at byte {offset}; its run was left out.")


def read_fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """Yield the fields of a protobuf message, as number and value.

    Raises:
        IntegrityError: It is no protobuf message.
    """
    at = 0
    try:
        while at < len(message):
            key, at = _varint(message, at)
            number, wire = key >> 3, key & 7
            if wire == 0:
                value, at = _varint(message, at)
                yield number, value
                continue
            if wire == 2:
                length, at = _varint(message, at)
            else:
                length = {1: 8, 5: 4}[wire]
            if at + length > len(message):
                raise IndexError
            yield number, message[at : at + length]
            at += length
    except (IndexError, KeyError):
        raise IntegrityError("A record of a W&B log is no protobuf message; its run was left out.") from None


def _varint(message: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = message[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7
        if shift > 63:
            raise IndexError


def signed(value: Value | None) -> int:
    """Return a varint as protobuf's int64: negative numbers take all 64 bits."""
    number = value if isinstance(value, int) else 0
    return number - 2**64 if number >= 2**63 else number


def text(value: Value) -> str:
    """Return a field of text."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
