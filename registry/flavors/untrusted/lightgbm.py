"""Check untrusted LightGBM model files before LightGBM's own parser reads them.

LightGBM does not bounds-check what the text says: sizes, counts and the numbers of features and children. Guarantees:
in a text that `check_model_text` passes, every tree is where its size says, finite, and points only inside its arrays.
"""

import itertools
import json
import re
from collections.abc import Mapping
from typing import Final

# LightGBM allocates a row of this width per row of input.
_MAX_CLASSES: Final = 20_000
_MAX_FEATURES: Final = 10_000_000
_INTEGER: Final = re.compile(rb"-?[0-9]{1,18}")
_NUMBER: Final = re.compile(rb"[-+]?(?:[0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]{1,4})?|inf|nan|\.[0-9]+)")
_CATEGORICAL: Final = 1
_REST: Final = re.compile(
    rb"end of trees\n"
    rb"(?:\nfeature_importances:\n(?:[^\n]+=[0-9.e+\-]+\n)*)?"
    rb"(?:\nparameters:\n(?:\[[a-z0-9_]+: [^\n\[\]]*\]\n)*\n?end of parameters\n)?"
    rb"(?:\npandas_categorical:(?P<categories>[^\n]*)\n?)?"
)


def check_model_text(data: bytes) -> None:
    """Check that `data` is a whole LightGBM model.

    Raises:
        ValueError: it is not; the message says why.
    """
    if b"\0" in data:
        raise ValueError("it has a NUL byte")
    head, separator, _ = data.partition(b"\n\n")
    if not separator or head.split(b"\n", 1)[0] != b"tree":
        raise ValueError("it does not begin with the line 'tree'")
    header = _entries(head)
    classes = _count(header, b"num_class", 1, _MAX_CLASSES)
    per_round = _count(header, b"num_tree_per_iteration", 1, _MAX_CLASSES)
    features = _count(header, b"max_feature_idx", 0, _MAX_FEATURES) + 1
    if per_round not in (1, classes):
        raise ValueError(f"it has {per_round} trees per round for {classes} classes")
    for key in (b"feature_names", b"feature_infos"):
        if len(header.get(key, b"").split(b" ")) != features:
            raise ValueError(f"{key.decode()} do not describe {features} features")
    sizes = _integers(header, b"tree_sizes") if header.get(b"tree_sizes") else []
    position = len(head) + 2
    for number, size in enumerate(sizes):
        block = data[position : position + size]
        if size <= 0 or len(block) != size or not block.startswith(b"Tree=%d\n" % number) or block[-2:] != b"\n\n":
            raise ValueError(f"tree {number} is not where its size says")
        _check_tree(_entries(block), number, features)
        position += size
    if len(sizes) % per_round:
        raise ValueError(f"{len(sizes)} trees are no multiple of {per_round}")
    _check_rest(data[position:])


def _check_tree(tree: Mapping[bytes, bytes], number: int, features: int) -> None:
    leaves = _count(tree, b"num_leaves", 1, 2**31 - 1)
    _numbers(tree, b"leaf_value", leaves)
    if tree.get(b"is_linear", b"0") != b"0":
        raise ValueError(f"tree {number} is linear; such trees are not accepted from elsewhere")
    if leaves == 1:
        return
    inner = leaves - 1
    split = _integers(tree, b"split_feature", inner)
    if not all(0 <= feature < features for feature in split):
        raise ValueError(f"tree {number} splits by a feature that does not exist")
    thresholds = _numbers(tree, b"threshold", inner)
    kinds = _integers(tree, b"decision_type", inner)
    for key in (b"left_child", b"right_child"):
        _integers(tree, key, inner)
    for key in (b"split_gain", b"internal_value", b"internal_weight", b"internal_count"):
        _numbers(tree, key, inner)
    for key in (b"leaf_weight", b"leaf_count"):
        _numbers(tree, key, leaves)
    _follow(_integers(tree, b"left_child"), _integers(tree, b"right_child"), leaves, number)
    sets = _count(tree, b"num_cat", 0, inner)
    bounds = _integers(tree, b"cat_boundaries", sets + 1) if sets else [0]
    if bounds[0] != 0 or any(low > high for low, high in itertools.pairwise(bounds)):
        raise ValueError(f"tree {number} has categories that are not in order")
    if sets:
        _integers(tree, b"cat_threshold", bounds[-1])
    for kind, threshold in zip(kinds, thresholds, strict=True):
        if kind & _CATEGORICAL and not (_INTEGER.fullmatch(threshold) and 0 <= int(threshold) < sets):
            raise ValueError(f"tree {number} splits by a set of categories that does not exist")


def _follow(left: list[int], right: list[int], leaves: int, number: int) -> None:
    """Check that each inner node and each leaf hangs at exactly one place below the root."""
    seen: set[int] = set()
    open_nodes = [0]
    while open_nodes:
        node = open_nodes.pop()
        for child in (left[node], right[node]):
            if child in seen or child == 0 or not -leaves <= child < leaves - 1:
                raise ValueError(f"the nodes of tree {number} form no tree")
            seen.add(child)
            if child > 0:
                open_nodes.append(child)
    if len(seen) != 2 * (leaves - 1):
        raise ValueError(f"the nodes of tree {number} form no tree")


def _check_rest(rest: bytes) -> None:
    """Check what follows the trees: LightGBM takes the settings apart without looking for their brackets."""
    match = _REST.fullmatch(rest)
    if match is None:
        raise ValueError("what follows the trees is not as LightGBM writes it")
    if match["categories"] is None:
        return
    try:
        lists = json.loads(match["categories"])
    except (ValueError, RecursionError):
        raise ValueError("its categories are not JSON") from None
    if lists is not None and not (isinstance(lists, list) and all(isinstance(item, list) for item in lists)):
        raise ValueError("its categories are no lists")


def _entries(block: bytes) -> dict[bytes, bytes]:
    entries: dict[bytes, bytes] = {}
    for line in block.split(b"\n"):
        key, separator, value = line.partition(b"=")
        if line not in (b"", b"tree") and not separator:
            raise ValueError(f"the line {line[:40].decode(errors='replace')!r} has no value")
        if key in entries and line:
            raise ValueError(f"{key.decode(errors='replace')!r} is given twice")
        entries[key] = value
    return entries


def _count(entries: Mapping[bytes, bytes], key: bytes, low: int, high: int) -> int:
    text = entries.get(key, b"")
    if not _INTEGER.fullmatch(text) or not low <= int(text) <= high:
        raise ValueError(f"{key.decode()} is {text[:40].decode(errors='replace')!r}")
    return int(text)


def _numbers(entries: Mapping[bytes, bytes], key: bytes, length: int) -> list[bytes]:
    items = entries.get(key, b"").split()
    if len(items) != length or not all(map(_NUMBER.fullmatch, items)):
        raise ValueError(f"{key.decode()} are not {length} numbers")
    return items


def _integers(entries: Mapping[bytes, bytes], key: bytes, length: int | None = None) -> list[int]:
    items = entries.get(key, b"").split()
    if (length is not None and len(items) != length) or not all(map(_INTEGER.fullmatch, items)):
        raise ValueError(f"{key.decode()} are not {length or 'all'} integers")
    return [int(item) for item in items]
