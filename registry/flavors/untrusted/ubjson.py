"""Read UBJSON strictly, as XGBoost writes it (draft 12: https://ubjson.org).

Only the markers that XGBoost writes are known. A length past the end, a repeated key or bytes after the end are errors.
Guarantees: `decode` returns plain values (typed arrays as numpy arrays) or raises `ValueError`, and never holds more
than a small multiple of the input's size.
"""

import struct
from typing import Any, Final

MAX_DEPTH: Final = 32
_NUMBERS: Final = {
    b"i": struct.Struct(">b"),
    b"U": struct.Struct(">B"),
    b"I": struct.Struct(">h"),
    b"l": struct.Struct(">i"),
    b"L": struct.Struct(">q"),
    b"d": struct.Struct(">f"),
    b"D": struct.Struct(">d"),
}
_TYPES: Final = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8"}
_CONSTANTS: Final[dict[bytes, Any]] = {b"T": True, b"F": False, b"Z": None}


def decode(data: bytes) -> Any:
    """Decode bytes that are one UBJSON value.

    Raises:
        ValueError: the bytes are not UBJSON of the known markers; the message has the position.
    """
    reader = _Reader(data)
    value = reader.value(reader.take(1), 0)
    if reader.position != len(data):
        raise ValueError(f"{len(data) - reader.position} bytes follow the end at byte {reader.position}")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def take(self, size: int) -> bytes:
        end = self.position + size
        if size < 0 or end > len(self._data):
            raise ValueError(f"a length of {size} at byte {self.position} reaches past the end")
        part = self._data[self.position : end]
        self.position = end
        return part

    def value(self, marker: bytes, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} levels at byte {self.position}")
        if marker == b"{":
            return self._map(depth)
        if marker == b"[":
            return self._array(depth)
        if marker == b"S":
            return self._text()
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        return self._number(marker)

    def _number(self, marker: bytes) -> Any:
        form = _NUMBERS.get(marker)
        if form is None:
            raise ValueError(f"unknown marker {marker!r} at byte {self.position - 1}")
        return form.unpack(self.take(form.size))[0]

    def _length(self) -> int:
        length = self._number(self.take(1))
        if not isinstance(length, int) or length < 0:
            raise ValueError(f"the length {length} at byte {self.position} is none")
        return length

    def _text(self) -> str:
        return self.take(self._length()).decode("utf-8")

    def _map(self, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        while self._data[self.position : self.position + 1] != b"}":
            key = self._text()
            if key in members:
                raise ValueError(f"the key {key!r} is given twice")
            members[key] = self.value(self.take(1), depth + 1)
        self.take(1)
        return members

    def _array(self, depth: int) -> Any:
        marker = self.take(1)
        if marker == b"$":
            return self._typed_array()
        if marker == b"#":
            # Each item takes at least one byte, its marker, so a count past the end fails early.
            return [self.value(self.take(1), depth + 1) for _ in range(self._length())]
        items = []
        while marker != b"]":
            items.append(self.value(marker, depth + 1))
            marker = self.take(1)
        return items

    def _typed_array(self) -> Any:
        import numpy as np

        name = _TYPES.get(self.take(1))
        if name is None or self.take(1) != b"#":
            raise ValueError(f"an array of an unknown type at byte {self.position}")
        dtype = np.dtype(name)
        return np.frombuffer(self.take(self._length() * dtype.itemsize), dtype=dtype)
