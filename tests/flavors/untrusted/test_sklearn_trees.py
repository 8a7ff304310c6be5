"""Trees whose indices lead outside their arrays are refused, because scikit-learn would follow them out of memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.svm import SVC, NuSVR, OneClassSVM
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import Tree

from registry.exceptions import InvalidModelError
from registry.flavors import check_directory, load_model, save_model

TABLE = np.random.default_rng(0).random((60, 4))
LABELS = (TABLE[:, 0] > 0.5).astype(int)


@pytest.mark.parametrize(
    "model",
    [
        DecisionTreeClassifier(max_leaf_nodes=5),
        DecisionTreeClassifier(ccp_alpha=0.01),
        DecisionTreeClassifier(max_depth=1),
        RandomForestClassifier(3, random_state=0),
        ExtraTreesRegressor(3, random_state=0),
        GradientBoostingClassifier(n_estimators=3),
        IsolationForest(n_estimators=3, random_state=0),
        BaggingClassifier(n_estimators=3, max_features=2, random_state=0),
        AdaBoostClassifier(n_estimators=3),
        make_pipeline(PolynomialFeatures(2), RandomForestClassifier(3, random_state=0)),
    ],
    ids=lambda model: type(model).__name__,
)
def test_whole_trees_come_back(tmp_path: Path, model: Any) -> None:
    save_model(model.fit(TABLE, LABELS), tmp_path / "model", "sklearn")
    loaded = load_model(tmp_path / "model", "sklearn")
    assert loaded.predict(TABLE).tolist() == model.predict(TABLE).tolist()


@pytest.mark.parametrize(
    ("column", "value"),
    [("left_child", 2**40), ("right_child", -5), ("left_child", 0), ("feature", 2**40), ("feature", 4)],
)
@pytest.mark.parametrize("forest", [False, True])
def test_a_tree_that_leads_outside_is_refused(tmp_path: Path, column: str, value: int, forest: bool) -> None:
    model = RandomForestClassifier(3, random_state=0) if forest else DecisionTreeClassifier(max_depth=3)
    model.fit(TABLE, LABELS)
    broken = model.estimators_[1] if forest else model
    state = broken.tree_.__getstate__()
    state["nodes"] = state["nodes"].copy()
    state["nodes"][column][0] = value
    broken.tree_ = Tree(4, np.array([2]), 1)
    broken.tree_.__setstate__(state)
    _assert_refused(model, tmp_path, "a tree")


def _assert_refused(model: Any, directory: Path, match: str) -> None:
    save_model(model, directory / "model", "sklearn")
    with pytest.raises(InvalidModelError, match=match):
        load_model(directory / "model", "sklearn")
    with pytest.raises(InvalidModelError, match=match):
        check_directory(directory / "model")


@pytest.mark.parametrize(
    ("column", "value"), [("left", 2**31), ("right", 0), ("feature_idx", 2**40), ("feature_idx", -1), ("bitset_idx", 9)]
)
def test_a_tree_of_histograms_that_leads_outside_is_refused(tmp_path: Path, column: str, value: int) -> None:
    model = HistGradientBoostingClassifier(max_iter=2, categorical_features=[0], min_samples_leaf=1)
    model.fit(np.c_[LABELS, TABLE], LABELS)
    nodes = model._predictors[1][0].nodes
    assert nodes["is_categorical"][0]
    nodes[column][0] = value
    _assert_refused(model, tmp_path, "a tree")


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
@pytest.mark.parametrize(
    ("part", "change"),
    [
        (1, lambda index: index.__setitem__(0, 2**40)),
        (2, lambda nodes: nodes["idx_end"].__setitem__(0, 2**40)),
        (2, lambda nodes: nodes["is_leaf"].__setitem__(-1, 0)),
    ],
)
def test_a_tree_of_neighbours_that_leads_outside_is_refused(
    tmp_path: Path, algorithm: str, part: int, change: Callable[[Any], None]
) -> None:
    model = KNeighborsClassifier(3, algorithm=algorithm, leaf_size=5).fit(TABLE, LABELS)
    state = list(model._tree.__getstate__())
    state[part] = np.array(state[part])
    change(state[part])
    model._tree.__setstate__(tuple(state))
    _assert_refused(model, tmp_path, "neighbours")


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("_n_support", np.array([1_000_000, 5], dtype=np.int32)),
        ("_n_support", np.array([-1, 5], dtype=np.int32)),
        ("_dual_coef_", np.zeros((1, 2))),
        ("_intercept_", np.zeros(0)),
        ("support_vectors_", np.zeros((2, 4))),
        ("support_", np.zeros(1, dtype=np.int32)),
    ],
)
@pytest.mark.parametrize("kind", [SVC, NuSVR, OneClassSVM])
def test_a_support_vector_machine_that_leads_outside_is_refused(
    tmp_path: Path, kind: type, attribute: str, value: Any
) -> None:
    model = kind().fit(TABLE, LABELS)
    setattr(model, attribute, value)
    _assert_refused(model, tmp_path, "a support vector machine")


def test_a_sparse_matrix_that_leads_outside_is_refused(tmp_path: Path) -> None:
    model = KNeighborsClassifier(3).fit(sparse.csr_matrix(TABLE), LABELS)
    model._fit_X.indices[0] = 2**30
    _assert_refused(model, tmp_path, "indices|column index")
