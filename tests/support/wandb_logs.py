"""Write logs as W&B does: protobuf messages in LevelDB's framing. Fixtures show that W&B writes the same."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

BLOCK = 32_768
HEADER = b":W&B\xe1\xbe\x00"


def field(number: int, value: int | float | str | bytes) -> bytes:
    """Return a field of a message."""
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value % 2**64)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    """Return a number of seven bits per byte."""
    data = b""
    while value > 0x7F:
        data += bytes([value & 0x7F | 0x80])
        value >>= 7
    return data + bytes([value])


def moment(seconds: int) -> bytes:
    """Return a timestamp."""
    return field(1, seconds)


def items(values: dict[str, Any], number: int = 1) -> bytes:
    """Return items with JSON values."""
    return b"".join(field(number, field(1, key) + field(16, json.dumps(value))) for key, value in values.items())


def run(run_id: str, project: str = "games", seconds: int = 1_700_000_000) -> bytes:
    """Return the record of a run."""
    return field(17, field(1, run_id) + field(3, project) + field(17, moment(seconds)))


def history(step: int, values: dict[str, Any]) -> bytes:
    """Return the record of one row."""
    return field(2, items({**values, "_step": step, "_timestamp": 1_700_000_000 + step}) + field(2, field(1, step)))


def finished(code: int = 0, runtime: int = 60) -> bytes:
    """Return the record of the end of a run."""
    return field(18, field(1, code) + field(2, runtime))


def frame(*records: bytes) -> bytes:
    """Return a log of these records."""
    log = bytearray(HEADER)
    for record in records:
        rest, first = record, True
        while True:
            left = BLOCK - len(log) % BLOCK
            if left < 7:
                log += b"\0" * left
                continue
            body, rest = rest[: left - 7], rest[left - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[first, not rest]
            log += struct.pack("<LHB", zlib.crc32(bytes([kind]) + body), len(body), kind) + body
            first = False
            if not rest:
                break
    return bytes(log)


def write_run(directory: Path, run_id: str, log: bytes, *, day: str = "20260301") -> Path:
    """Write the directory of a run; return the path of its log."""
    path = directory / f"offline-run-{day}_120000-{run_id}" / f"run-{run_id}.wandb"
    (path.parent / "files").mkdir(parents=True)
    path.write_bytes(log)
    return path
