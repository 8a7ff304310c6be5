"""Check untrusted CatBoost model files before CatBoost's own parser reads them.

CatBoost verifies the structure of its tables, but neither that the file is as long as it says, nor where the trees'
numbers lead. Guarantees: in a model that `check_model_blob` passes, the tables of the trees have the lengths that
belong together, and every tree ends inside them.
"""

import itertools
import struct
from typing import Final

_MAGIC: Final = b"CBM1"
_MAX_DIMENSION: Final = 20_000
_MAX_DEPTH: Final = 30
# Positions of fields in the tables of CatBoost's FlatBuffers schema.
_TREES: Final = 1
_DIMENSION, _SPLITS, _SIZES, _STARTS = 0, 1, 2, 3
_LEAF_VALUES, _WEIGHTS, _STEPS, _LEAF_IDS, _BIAS, _BINS = 8, 9, 10, 11, 16, 17
_CATEGORIES, _FLOATS, _ONE_HOT, _TEXTS, _EMBEDDINGS = 4, 5, 6, 12, 18
# For each kind of feature its field among the trees', and the field and form of what its splits compare with.
_BORDERS: Final = ((_FLOATS, 3, "f"), (_ONE_HOT, 1, "i"), (7, 1, "f"), (13, 3, "f"))


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
    _check_features(core, trees, splits)
    ends = [0]
    for size in sizes:
        ends.append(ends[-1] + size)
    if list(starts) != ends[:-1]:
        raise ValueError("its trees do not begin where their sizes say")
    leaves = len(_vector(core, trees, _LEAF_VALUES, "d"))
    weights, bins, bias = (
        len(_vector(core, trees, number, form)) for number, form in ((_WEIGHTS, "d"), (_BINS, "I"), (_BIAS, "d"))
    )
    if weights not in (0, leaves // max(dimension, 1)) or bins not in (0, len(splits)) or bias > max(dimension, 1):
        raise ValueError("the tables of its trees do not have lengths that belong together")
    steps, leaf_ids = _vector(core, trees, _STEPS, "HH"), _vector(core, trees, _LEAF_IDS, "I")
    if not steps:
        if (
            leaf_ids
            or any(size > _MAX_DEPTH for size in sizes)
            or leaves != dimension * sum(1 << size for size in sizes)
        ):
            raise ValueError("its leaves do not have the number that its trees need")
        return
    if len(steps) != 2 * len(splits) or len(leaf_ids) != len(splits):
        raise ValueError("the nodes of its trees do not have the number that their sizes say")
    for start, end in itertools.pairwise(ends):
        for node in range(start, end):
            left, right = steps[2 * node], steps[2 * node + 1]
            if node + max(left, right) >= end:
                raise ValueError("a node of its trees leads outside the tree")
            if 0 in (left, right) and leaf_ids[node] + dimension > leaves:
                raise ValueError("a node of its trees leads to a leaf that does not exist")


def _check_features(core: bytes, trees: int, splits: tuple[int, ...]) -> None:
    """Check that features are numbered as CatBoost numbers them, and that each split compares with a value there is."""
    borders = [
        len(_vector(core, feature, values, form))
        for field, values, form in _BORDERS
        for feature in _tables(core, trees, field)
    ]
    # CatBoost keeps 254 values of a feature in one byte per row, and more in further bytes.
    buckets = sum(-(-length // 254) for length in borders)
    bins = (packed & 0xFFFF for packed in _vector(core, trees, _BINS, "I"))
    if max(splits, default=-1) >= sum(borders) or max(bins, default=-1) >= buckets:
        raise ValueError("a split of its trees compares with a value that does not exist")
    columns, categories = [], set()
    for field, first in ((_CATEGORIES, 0), (_FLOATS, 1), (_TEXTS, 0), (_EMBEDDINGS, 0)):
        for feature in _tables(core, trees, field):
            index, column = (_integer(core, feature, number) for number in (first, first + 1))
            columns.append(column)
            if not 0 <= index <= column:
                raise ValueError("its features are not numbered in order")
            if field == _CATEGORIES:
                categories.add(index)
    # CatBoost reads the column that a feature names, whether the data have it or not.
    if sorted(columns) != list(range(len(columns))):
        raise ValueError("its features are not those of the columns 0, 1, 2 … (drop_unused_features leaves gaps)")
    if any(_integer(core, feature, 0) not in categories for feature in _tables(core, trees, _ONE_HOT)):
        raise ValueError("it compares a category that is no feature of it")


def _integer(data: bytes, table: int, number: int) -> int:
    """Return a feature's number; -1 if the table lacks it, as in CatBoost."""
    position = _field(data, table, number)
    return _number(data, position, "i") if position else -1


def _tables(data: bytes, table: int, number: int) -> list[int]:
    """Return the positions of the tables in a vector."""
    offsets = _vector(data, table, number, "I")
    if not offsets:
        return []
    position = _field(data, table, number)
    start = position + _number(data, position, "I") + 4
    return [start + 4 * place + offset for place, offset in enumerate(offsets)]


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
