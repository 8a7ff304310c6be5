"""Trees from a file whose indices lead nowhere are refused: scikit-learn would follow them out of its memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import Tree

from registry.exceptions import InvalidModelError
from registry.flavors import load_model, save_model

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
    save_model(model, tmp_path / "model", "sklearn")

    with pytest.raises(InvalidModelError, match="a tree"):
        load_model(tmp_path / "model", "sklearn")
