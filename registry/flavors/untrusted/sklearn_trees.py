"""Whether the trees inside a scikit-learn model lead only to nodes and features that there are.

skops brings back types of a fixed list, but the numbers in them come from the file, and scikit-learn follows the
indices of a tree in C without looking. Owns trees alone; other native structures are not judged. The invariant: in a
tree that passes, every step leads to a later node, and reads a feature that the estimator checks its input for.
"""

from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

_CONTAINERS: Final = (list, tuple, set, frozenset)


def check_trees(model: Any) -> None:
    """Pass if every decision tree that is reachable from a model is whole.

    Raises:
        ValueError: one is not.
    """
    for tree, features in _trees(model):
        _check(tree, features)


def _trees(model: Any) -> Iterator[tuple[Any, int]]:
    """Every tree with the number of features that its estimator makes sure of."""
    seen, left = set[int](), [model]
    while left:
        found = left.pop()
        if id(found) in seen or isinstance(found, type | ModuleType):
            continue
        seen.add(id(found))
        if isinstance(found, dict):
            left += found.values()
        elif isinstance(found, _CONTAINERS):
            left += found
        elif type(found).__name__ == "ndarray":
            left += found.ravel().tolist() if found.dtype == object else ()
        else:
            held = getattr(found, "__dict__", {})
            if _is_tree(held.get("tree_")):
                yield held["tree_"], int(held.get("n_features_in_", 0))
            left += held.values()


def _is_tree(found: Any) -> bool:
    return (type(found).__module__, type(found).__name__) == ("sklearn.tree._tree", "Tree")


def _check(tree: Any, features: int) -> None:
    import numpy

    if not 0 <= tree.node_count <= tree.capacity:  # before its arrays are looked at: they would reach too far
        raise ValueError(f"a tree claims {tree.node_count} nodes and has room for {tree.capacity}")
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    own = numpy.arange(tree.node_count)
    inner = left != -1
    for children in (left[inner], right[inner]):
        if (children <= own[inner]).any() or (children >= tree.node_count).any():
            raise ValueError("a tree has a node whose child is not a later node of it")
    if (feature[inner] < 0).any() or (feature[inner] >= min(features, tree.n_features)).any():
        raise ValueError(f"a tree splits on a feature that is none of its {features}")
