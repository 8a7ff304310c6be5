"""Check untrusted CatBoost model files before CatBoost's own parser reads them.

CatBoost verifies the structure of its tables, but neither that the file is as long as it says, nor where the trees'
numbers lead. Guarantees: in a model that `check_model_blob` passes, the tables of the trees have the lengths that
belong together, and every tree ends inside them.
"""

import struct
from typing import Final

_MAGIC: Final = b"CBM1"
_MAX_DIMENSION: Final = 20_000
_MAX_DEPTH: Final = 30
# Positions of fields in the tables of CatBoost's FlatBuffers schema.
_TREES: Final = 1
_DIMENSION, _SPLITS, _SIZES, _STARTS = 0, 1, 2, 3
_LEAF_VALUES, _STEPS, _LEAF_IDS = 8, 10, 11


def check_model_blob(data: bytes) -> None:
    """Check that `data` is a whole CatBoost model.

    Raises:
        ValueError: it is not; the message says why.
    """
    if data[:4] != _MAGIC:
        raise ValueError("it does not begin as CatBoost's binary format does")
    try:
        size = _number(data, 4, "I")
        if len(data) < 8 + size:
            raise ValueError("it is shorter than it says")
        _check_trees(data[8 : 8 + size])
    except (struct.error, OverflowError, MemoryError):
        raise ValueError("its tables lead outside the file") from None


def _check_trees(core: bytes) -> None:
    root = _number(core, 0, "I")
    field = _field(core, root, _TREES)
    if not field:
        raise ValueError("it has no trees")
    trees = field + _number(core, field, "I")
    position = _field(core, trees, _DIMENSION)
    dimension = _number(core, position, "i") if position else 0
    if not 0 <= dimension <= _MAX_DIMENSION:
        raise ValueError(f"its predictions have {dimension} dimensions")
    splits, sizes, starts = (_vector(core, trees, number, "i") for number in (_SPLITS, _SIZES, _STARTS))
    if any(size < 0 for size in sizes) or sum(sizes) != len(splits) or any(split < 0 for split in splits):
        raise ValueError("the splits of its trees do not have the number that their sizes say")
    ends = [0]
    for size in sizes:
        ends.append(ends[-1] + size)
    if starts and list(starts) != ends[:-1]:
        raise ValueError("its trees do not begin where their sizes say")
    leaves = len(_vector(core, trees, _LEAF_VALUES, "d"))
    steps = _vector(core, trees, _STEPS, "HH")
    if not steps:
        if any(size > _MAX_DEPTH for size in sizes) or leaves != dimension * sum(1 << size for size in sizes):
            raise ValueError("its leaves do not have the number that its trees need")
        return
    leaf_ids = _vector(core, trees, _LEAF_IDS, "I")
    if len(steps) != 2 * len(splits) or len(leaf_ids) != len(splits):
        raise ValueError("the nodes of its trees do not have the number that their sizes say")
    for start, end in zip(ends, ends[1:], strict=False):
        for node in range(start, end):
            left, right = steps[2 * node], steps[2 * node + 1]
            if node + max(left, right) >= end:
                raise ValueError("a node of its trees leads outside the tree")
            if 0 in (left, right) and leaf_ids[node] + dimension > leaves:
                raise ValueError("a node of its trees leads to a leaf that does not exist")


def _number(data: bytes, position: int, form: str) -> int:
    value: int = struct.unpack_from(f"<{form}", data, position)[0]
    return value


def _field(data: bytes, table: int, number: int) -> int:
    """Return the position of a table's field, or 0 if the table lacks it."""
    layout = table - _number(data, table, "i")
    if layout < 0 or table < 0:
        raise ValueError("its tables lead outside the file")
    if 4 + 2 * number >= _number(data, layout, "H"):
        return 0
    offset = _number(data, layout + 4 + 2 * number, "H")
    return table + offset if offset else 0


def _vector(data: bytes, table: int, number: int, form: str) -> tuple[int, ...]:
    """Return the numbers of a vector, those of its structs one after another; none if the table lacks it."""
    position = _field(data, table, number)
    if not position:
        return ()
    position += _number(data, position, "I")
    length = _number(data, position, "I")
    size = struct.calcsize(f"<{form}")
    if position + 4 + length * size > len(data):
        raise ValueError("its tables lead outside the file")
    return struct.unpack_from("<" + form[0] * (len(form) * length), data, position + 4)
