"""Check the indices inside a scikit-learn model, because scikit-learn's C code does not bounds-check them.

skops makes only types of a fixed list, but their numbers come from the file. Covers decision trees, histogram gradient
boosting, k-d and ball trees, support vector machines and sparse matrices. Guarantees: in a structure that passes, every
index that C code follows is inside its array.
"""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Final

_CONTAINERS: Final = (list, tuple, set, frozenset)
# The number of bits in a set of categories: eight words of 32.
_BITSET_WORDS: Final = 8


def check_structures(model: Any) -> None:
    """Check every structure that is reachable from a model.

    Raises:
        ValueError: an index leads outside its array.
    """
    for value in _reachable(model):
        held = getattr(value, "__dict__", {})
        features = held.get("n_features_in_", 0)
        features = int(features) if isinstance(features, int) else 0
        if _is_a(held.get("tree_"), "sklearn.tree._tree", "Tree"):
            _check_tree(held["tree_"], features)
        if "_predictors" in held:
            for predictor in _reachable(held["_predictors"]):
                if _is_a(predictor, "sklearn.ensemble._hist_gradient_boosting.predictor", "TreePredictor"):
                    _check_histogram_tree(predictor, features)
        for module, name, check in _CHECKS:
            if _is_a(value, module, name):
                check(value)


def _reachable(model: Any) -> Iterator[Any]:
    """Yield every object that a model holds, itself included; classes and modules are not searched."""
    seen, pending = set[int](), [model]
    while pending:
        value = pending.pop()
        if id(value) in seen or isinstance(value, type | ModuleType):
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, _CONTAINERS):
            pending += value
        elif type(value).__name__ == "ndarray":
            pending += value.ravel().tolist() if value.dtype == object else ()
        else:
            yield value
            pending += getattr(value, "__dict__", {}).values()


def _is_a(value: Any, module: str, name: str) -> bool:
    return any(
        kind.__name__ == name and (kind.__module__ == module or kind.__module__.startswith(f"{module}."))
        for kind in type(value).__mro__
    )


def _check_tree(tree: Any, features: int) -> None:
    import numpy

    if not 0 <= tree.node_count <= tree.capacity:  # check first: the arrays below are node_count long
        raise ValueError(f"a tree claims {tree.node_count} nodes and has room for {tree.capacity}")
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    own = numpy.arange(tree.node_count)
    inner = left != -1
    for children in (left[inner], right[inner]):
        if (children <= own[inner]).any() or (children >= tree.node_count).any():
            raise ValueError("a tree has a node whose child is not a later node of it")
    if (feature[inner] < 0).any() or (feature[inner] >= min(features, tree.n_features)).any():
        raise ValueError(f"a tree splits on a feature that is none of its {features}")


def _check_histogram_tree(predictor: Any, features: int) -> None:
    import numpy

    nodes = predictor.nodes
    if len(nodes) == 0:
        raise ValueError("a tree has no node")
    inner = nodes["is_leaf"] == 0
    own = numpy.arange(len(nodes))[inner]
    for side in ("left", "right"):
        children = nodes[side][inner].astype(numpy.int64)
        if (children <= own).any() or (children >= len(nodes)).any():
            raise ValueError("a tree has a node whose child is not a later node of it")
    _within(nodes["feature_idx"][inner], features, "a tree splits on a feature")
    by_category = nodes["bitset_idx"][inner & (nodes["is_categorical"] != 0)]
    for bitsets in (predictor.raw_left_cat_bitsets, predictor.binned_left_cat_bitsets):
        if bitsets.ndim != 2 or bitsets.shape[1] != _BITSET_WORDS:
            raise ValueError("a tree's sets of categories have another form")
        _within(by_category, len(bitsets), "a tree splits by a set of categories")


def _check_space_tree(tree: Any) -> None:
    import numpy

    data, index, nodes, bounds, *_ = state = tree.__getstate__()
    levels, claimed, metric = state[5], state[6], state[11]
    rows, features = data.shape
    if len(index) != rows or len(nodes) != claimed or claimed != 2 ** min(levels, 62) - 1:
        raise ValueError("a tree of neighbours has other numbers of rows or nodes than it claims")
    if bounds.ndim != 3 or bounds.shape[1:] != (claimed, features):
        raise ValueError("a tree of neighbours has bounds of other nodes or features")
    _within(index, rows, "a tree of neighbours has a row")
    starts, ends = nodes["idx_start"], nodes["idx_end"]
    if (starts < 0).any() or (ends < starts).any() or (ends > rows).any():
        raise ValueError("a node of a tree of neighbours leads outside its rows")
    own = numpy.arange(claimed)
    if (2 * own[nodes["is_leaf"] == 0] + 2 >= claimed).any():
        raise ValueError("a node of a tree of neighbours has no children and is no leaf")
    _check_metric(metric, features)


def _check_metric(metric: Any, features: int) -> None:
    """Check the distance metric: it reads one weight per feature; on a sphere it reads two coordinates."""
    name = type(metric).__name__
    _, weights, *_ = metric.__getstate__()
    expected = {"SEuclidean": (features,), "Minkowski": (0, features)}.get(name.partition("Distance")[0])
    if expected is not None and len(weights) not in expected:
        raise ValueError(f"a {name} has weights for {len(weights)} of {features} features")
    if name.startswith("Haversine") and features != 2:
        raise ValueError(f"a {name} has {features} features instead of two")


def _check_machine(machine: Any) -> None:
    held = vars(machine)
    if "support_" not in held:
        return  # not fitted
    counts, coefficients, intercepts = held["_n_support"], held["_dual_coef_"], held["_intercept_"]
    vectors, support = held["support_vectors_"], held["support_"]
    is_regression = held["_impl"] in _REGRESSIONS if "_impl" in held else type(machine)._impl in _REGRESSIONS
    classes = len(counts)
    rows = int(counts[0]) if is_regression else int(counts.sum())
    if (counts < 0).any() or (is_regression and classes != 2) or classes < 2 or len(support) != rows:
        raise ValueError("a support vector machine has another number of support vectors than it claims")
    if coefficients.shape != (classes - 1, rows) or intercepts.shape != (classes * (classes - 1) // 2,):
        raise ValueError("a support vector machine has coefficients for other vectors or classes")
    if machine.kernel == "precomputed" or callable(machine.kernel):
        _within(support, int(held["shape_fit_"][0]), "a support vector machine has a row")
    elif vectors.shape != (rows, held["n_features_in_"]):
        raise ValueError("a support vector machine has vectors of another form")
    for name in ("_probA", "_probB"):
        if len(held[name]) not in (0, len(intercepts)):
            raise ValueError("a support vector machine has probabilities of other classes")


_REGRESSIONS: Final = ("epsilon_svr", "nu_svr", "one_class")


def _check_sparse(matrix: Any) -> None:
    matrix.check_format(full_check=True)


def _within(values: Any, limit: int, what: str) -> None:
    if (values < 0).any() or (values >= limit).any():
        raise ValueError(f"{what} that is none of its {limit}")


_CHECKS: Final[tuple[tuple[str, str, Callable[[Any], None]], ...]] = (
    ("sklearn.neighbors._kd_tree", "KDTree", _check_space_tree),
    ("sklearn.neighbors._ball_tree", "BallTree", _check_space_tree),
    ("sklearn.svm._base", "BaseLibSVM", _check_machine),
    ("scipy.sparse", "_cs_matrix", _check_sparse),
)
