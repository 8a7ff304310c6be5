"""Check untrusted XGBoost model files before XGBoost's own parser reads them.

XGBoost does not bounds-check the indices in a model file: a damaged or crafted file crashes the process, or loading
never returns. This room reads the whole model strictly and follows every tree. Guarantees: a file that
`check_model_bytes` passes has only finite trees, whose every index is inside the array that it points into.
"""

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from registry.flavors.optional_imports import installed_version
from registry.flavors.untrusted.ubjson import decode

if TYPE_CHECKING:
    import numpy as np

_NO_PARENT: Final = 2**31 - 1
# The largest category that XGBoost takes. It allocates one bit per category.
_MAX_CATEGORY: Final = 2**24
# XGBoost allocates a row of this width per row of input.
_MAX_GROUPS: Final = 20_000
_LEAF_WEIGHTS_SINCE: Final = (3, 2)
_COUNT: Final = re.compile(r"[0-9]{1,9}")
_FLOAT: Final = r"[-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?"
_BASE_SCORE: Final = re.compile(rf"{_FLOAT}|\[{_FLOAT}(?:,{_FLOAT})*\]")
_BOOSTERS: Final = ("gbtree", "dart", "gblinear")


def check_model_bytes(data: bytes) -> None:
    """Check that `data` is a whole XGBoost model in UBJSON or JSON.

    Raises:
        ValueError: it is not; the message says why.
    """
    learner = _map(_parse(data), "learner")
    params = _map(learner, "learner_model_param")
    features = _count(params, "num_feature")
    groups = max(1, _count(params, "num_class"), _count(params, "num_target", "1"))
    if groups > _MAX_GROUPS:
        raise ValueError(f"it has {groups} classes or targets; up to {_MAX_GROUPS} are accepted from elsewhere")
    _check_learner(learner, params, features)
    booster = _map(learner, "gradient_booster")
    kind = booster.get("name")
    if kind not in _BOOSTERS:
        raise ValueError(f"the booster {kind!r} is none of {', '.join(_BOOSTERS)}")
    if kind == "gblinear":
        _numbers(_map(booster, "model"), "weights", (features + 1) * groups)
        return
    model = _map(_map(booster, "gbtree") if kind == "dart" else booster, "model")
    trees = _check_forest(model, features, groups)
    if kind == "dart":
        _numbers(booster, "weight_drop", trees)
        if any(_outputs(tree) > 1 for tree in model["trees"]):
            raise ValueError("XGBoost has no dart of leaves with several outputs")


def _parse(data: bytes) -> Mapping[str, Any]:
    # XGBoost's own rule: in JSON a quote (after blanks) follows the brace, in UBJSON the length of a key.
    is_json = data[:1] == b"{" and data[1:2] in (b'"', b" ", b"\n", b"\r", b"\t")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique) if is_json else decode(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, Mapping):
        raise ValueError("it is no map")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        raise ValueError("a key is given twice")
    return unique


def _check_learner(learner: Mapping[str, Any], params: Mapping[str, Any], features: int) -> None:
    score = params.get("base_score")
    if not isinstance(score, str) or not _BASE_SCORE.fullmatch(score):
        raise ValueError("base_score is no number")
    for key in ("feature_names", "feature_types"):
        names = learner.get(key, [])
        if not isinstance(names, list) or len(names) not in (0, features) or not all(isinstance(n, str) for n in names):
            raise ValueError(f"{key} does not name the {features} features")
    objective = _map(learner, "objective")
    if not isinstance(objective.get("name"), str):
        raise ValueError("the objective has no name")
    softmax = objective.get("softmax_multiclass_param")
    if softmax is not None and _count(_map(objective, "softmax_multiclass_param"), "num_class") != _count(
        params, "num_class"
    ):
        raise ValueError("the objective and the learner differ in num_class")


def _check_forest(model: Mapping[str, Any], features: int, groups: int) -> int:
    import numpy as np

    trees = model.get("trees")
    count = _count(_map(model, "gbtree_model_param"), "num_trees")
    if not isinstance(trees, list) or len(trees) != count:
        raise ValueError(f"num_trees is {count}, which is not the number of trees")
    is_vector = bool(trees) and isinstance(trees[0], Mapping) and _outputs(trees[0]) > 1
    _within(_integers(model, "tree_info", count), 0, 1 if is_vector else groups, "tree_info")
    if "iteration_indptr" in model:
        steps = _integers(model, "iteration_indptr")
        if len(steps) == 0 or steps[0] != 0 or steps[-1] != count or bool((np.diff(steps) < 0).any()):
            raise ValueError("iteration_indptr does not count the trees")
    if "cats" in model:
        _check_categories(_map(model, "cats"), features)
    for position, tree in enumerate(trees):
        # XGBoost stores each tree at the index that its id says, and then uses every index.
        if not isinstance(tree, Mapping) or type(tree.get("id")) is not int or tree["id"] != position:
            raise ValueError(f"tree {position} has not its position as id")
        try:
            outputs = _check_tree(tree, features)
            # XGBoost assumes that all trees have as many outputs as the first.
            if outputs != (groups if is_vector else 1):
                raise ValueError(f"its leaves have {outputs} outputs, which is not what the model has")
        except ValueError as error:
            raise ValueError(f"tree {position}: {error}") from None
    return count


def _check_tree(tree: Mapping[str, Any], features: int) -> int:
    """Check one tree; return the number of outputs that a leaf has."""
    params = _map(tree, "tree_param")
    nodes = _count(params, "num_nodes")
    if nodes == 0:
        raise ValueError("it has no node")
    outputs = _outputs(tree)
    if _count(params, "num_feature") > features:
        raise ValueError("it has more features than the model")
    left, right = _integers(tree, "left_children", nodes), _integers(tree, "right_children", nodes)
    splits = left != -1
    if outputs > 1:
        _check_vector_leaves(tree, right[~splits], nodes, outputs)
    elif bool(((right != -1) != splits).any()):
        raise ValueError("a node has one child")
    _check_links(left[splits], right[splits], splits.nonzero()[0], _integers(tree, "parents", nodes))
    _within(_integers(tree, "split_indices", nodes)[splits], 0, features, "split_indices")
    _within(_integers(tree, "default_left", nodes), 0, 2, "default_left")
    _numbers(tree, "split_conditions", nodes)
    if outputs == 1:
        for key in ("base_weights", "loss_changes", "sum_hessian"):
            _numbers(tree, key, nodes)
    if "split_type" in tree:
        _check_category_splits(tree, nodes, splits)
    return outputs


def _outputs(tree: Mapping[str, Any]) -> int:
    """Return the number of outputs of a tree's leaves; XGBoost writes 0 or 1 for one."""
    return max(1, _count(_map(tree, "tree_param"), "size_leaf_vector", "0"))


def _check_vector_leaves(tree: Mapping[str, Any], leaves: Any, nodes: int, outputs: int) -> None:
    """Check leaves with several outputs; `leaves` are the ``right_children`` of nodes without children.

    XGBoost 3.2 keeps the outputs in ``leaf_weights``, where ``right_children`` points. Earlier releases keep them in
    ``base_weights``, and 3.2 crashes on such a file.
    """
    import numpy as np

    _numbers(tree, "base_weights", nodes * outputs)
    if "leaf_weights" in tree:
        _numbers(tree, "leaf_weights", len(leaves) * outputs)
        if not np.array_equal(np.sort(leaves), np.arange(len(leaves))):
            raise ValueError("right_children does not number the leaves")
        for key in ("loss_changes", "sum_hessian"):
            _numbers(tree, key, nodes)
        return
    if bool((leaves != -1).any()):
        raise ValueError("a node has one child")
    version = installed_version("xgboost")
    if version is not None and tuple(map(int, version.split(".")[:2])) >= _LEAF_WEIGHTS_SINCE:
        raise ValueError(
            f"an XGBoost before 3.2 wrote its leaves of {outputs} outputs, and XGBoost {version} crashes on them; "
            "load the model with the XGBoost that wrote it"
        )


def _check_links(left: Any, right: Any, owners: Any, parents: Any) -> None:
    """Check that each child has one parent, which names it, and that the root has none, so that no path has a loop."""
    import numpy as np

    children = np.concatenate([left, right])
    _within(children, 1, len(parents), "children")
    if len(np.unique(children)) < len(children):
        raise ValueError("a node has two parents")
    if parents[0] not in (-1, _NO_PARENT) or bool((parents[children] != np.concatenate([owners, owners])).any()):
        raise ValueError("the parents are not those of the children")


def _check_category_splits(tree: Mapping[str, Any], nodes: int, splits: Any) -> None:
    import numpy as np

    kinds = _integers(tree, "split_type", nodes)
    _within(kinds, 0, 2, "split_type")
    owners = _integers(tree, "categories_nodes")
    starts = _integers(tree, "categories_segments", len(owners))
    sizes = _integers(tree, "categories_sizes", len(owners))
    values = _integers(tree, "categories")
    if not np.array_equal(owners, np.flatnonzero((kinds == 1) & splits)):
        raise ValueError("categories_nodes are not the nodes that split by category")
    _within(values, 0, _MAX_CATEGORY, "categories")
    _within(sizes, 1, len(values) + 1, "categories_sizes")
    _within(starts, 0, len(values) + 1, "categories_segments")
    _within(starts + sizes, 0, len(values) + 1, "categories_segments")


def _check_categories(categories: Mapping[str, Any], features: int) -> None:
    """Check the names of categories: one entry per feature, whose lengths add up to the segments."""
    import numpy as np

    entries = categories.get("enc")
    segments = _integers(categories, "feature_segments")
    order = _integers(categories, "sorted_idx")
    if not isinstance(entries, list) or len(entries) not in (0, features):
        raise ValueError("the categories do not belong to the features")
    if not entries:
        if len(segments) > 1 or len(order):
            raise ValueError("there are no categories to be sorted")
        return
    lengths = [_category_count(entry) for entry in entries]
    if not np.array_equal(segments, np.concatenate([[0], np.cumsum(lengths)])) or len(order) != segments[-1]:
        raise ValueError("feature_segments do not count the categories")
    for start, length in zip(segments[:-1], lengths, strict=True):
        if not np.array_equal(np.sort(order[start : start + length]), np.arange(length)):
            raise ValueError("sorted_idx does not sort the categories")


def _category_count(entry: object) -> int:
    import numpy as np

    if not isinstance(entry, Mapping):
        raise ValueError("the categories of a feature are no map")
    if "offsets" not in entry:
        return len(_numbers(entry, "values"))
    offsets, values = _integers(entry, "offsets"), _integers(entry, "values")
    if len(offsets) == 0:
        if len(values):
            raise ValueError("there are category names without offsets")
        return 0
    if offsets[0] != 0 or offsets[-1] != len(values) or bool((np.diff(offsets) < 0).any()):
        raise ValueError("the offsets of category names lead outside")
    return len(offsets) - 1


def _map(owner: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = owner.get(key)
    if not isinstance(value, Mapping):
        raise ValueError(f"{key} is missing or no map")
    return value


def _count(owner: Mapping[str, Any], key: str, default: str | None = None) -> int:
    value = owner.get(key, default)
    if not isinstance(value, str) or not _COUNT.fullmatch(value):
        raise ValueError(f"{key} is no count")
    return int(value)


def _numbers(owner: Mapping[str, Any], key: str, length: int | None = None) -> "np.ndarray[Any, np.dtype[Any]]":
    import numpy as np

    value = owner.get(key)
    array = value if isinstance(value, np.ndarray) else np.asarray(value if value else np.zeros(0, dtype=np.int64))
    if value is None or array.ndim != 1 or array.dtype.kind not in "iufb":
        raise ValueError(f"{key} is missing or no list of numbers")
    if length is not None and len(array) != length:
        raise ValueError(f"{key} has {len(array)} entries instead of {length}")
    return array


def _integers(owner: Mapping[str, Any], key: str, length: int | None = None) -> "np.ndarray[Any, np.dtype[np.int64]]":
    import numpy as np

    array = _numbers(owner, key, length)
    if array.dtype.kind not in "iub":
        raise ValueError(f"{key} has numbers that are no integers")
    return array.astype(np.int64)


def _within(values: Any, low: int, high: int, what: str) -> None:
    if len(values) and (int(values.min()) < low or int(values.max()) >= high):
        raise ValueError(f"{what} has a number outside {low} to {high - 1}")
