"""Untrusted XGBoost files: whole ones pass, damaged ones are refused before XGBoost can crash on them."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost

from registry import flavors
from registry.exceptions import ArtifactNotFoundError, InvalidModelError
from registry.flavors.untrusted.ubjson import decode
from registry.flavors.untrusted.xgboost import check_model_bytes

_KINDS: dict[str, Callable[[], xgboost.XGBModel]] = {
    "trees": lambda: xgboost.XGBClassifier(n_estimators=3, max_depth=3),
    "forest": lambda: xgboost.XGBRFRegressor(n_estimators=3),
    "pruned": lambda: xgboost.XGBClassifier(n_estimators=3, gamma=1.0, tree_method="exact"),
    "by leaf": lambda: xgboost.XGBClassifier(n_estimators=3, grow_policy="lossguide", max_leaves=5),
    "dart": lambda: xgboost.XGBClassifier(n_estimators=3, booster="dart"),
    "linear": lambda: xgboost.XGBClassifier(n_estimators=3, booster="gblinear"),
    "categories": lambda: xgboost.XGBClassifier(n_estimators=3, enable_categorical=True, max_cat_to_onehot=1),
    "vector leaves": lambda: xgboost.XGBRegressor(n_estimators=3, max_depth=3, multi_strategy="multi_output_tree"),
    "vector leaves of a forest": lambda: xgboost.XGBRegressor(
        n_estimators=2, gamma=0.5, num_parallel_tree=2, multi_strategy="multi_output_tree"
    ),
    "vector leaves of stumps": lambda: xgboost.XGBRegressor(
        n_estimators=2, gamma=1e6, multi_strategy="multi_output_tree"
    ),
}


def _raw(kind: str, frame: pd.DataFrame, labels: pd.Series, raw_format: str) -> bytes:
    data = frame.assign(e=pd.Categorical(list("xyz") * 20)) if kind == "categories" else frame
    target = np.stack([labels, 1 - labels, frame["c"]], axis=1) if kind.startswith("vector") else labels
    return bytes(_KINDS[kind]().fit(data, target).get_booster().save_raw(raw_format))


@pytest.mark.parametrize("raw_format", ["ubj", "json"])
@pytest.mark.parametrize("kind", _KINDS)
def test_whole_models_pass(frame: pd.DataFrame, labels: pd.Series, kind: str, raw_format: str) -> None:
    check_model_bytes(_raw(kind, frame, labels, raw_format))


def test_a_model_of_several_classes_passes(frame: pd.DataFrame) -> None:
    model = xgboost.XGBClassifier(n_estimators=2).fit(frame, np.arange(60) % 3)
    check_model_bytes(bytes(model.get_booster().save_raw("ubj")))


def _tree(form: Any) -> Any:
    return form["learner"]["gradient_booster"]["model"]["trees"][0]


def _set(*path: Any, to: Any) -> Callable[[Any], None]:
    def change(form: Any) -> None:
        for key in path[:-1]:
            form = form[key]
        form[path[-1]] = to

    return change


_DAMAGE: dict[str, tuple[Callable[[Any], None], str]] = {
    "a child outside": (lambda form: _set("left_children", 0, to=1000)(_tree(form)), "children"),
    "a child that is the root": (lambda form: _set("left_children", 0, to=0)(_tree(form)), "children"),
    "two parents": (lambda form: _set("left_children", 0, to=2)(_tree(form)), "two parents"),
    "one child": (lambda form: _set("right_children", 0, to=-1)(_tree(form)), "one child"),
    "another parent": (lambda form: _set("parents", 1, to=2)(_tree(form)), "parents"),
    "a feature outside": (lambda form: _set("split_indices", 0, to=99)(_tree(form)), "split_indices"),
    "a short array": (lambda form: _tree(form)["split_conditions"].pop(), "split_conditions"),
    "a tree in another's place": (lambda form: _set("id", to=1)(_tree(form)), "id"),
    "more nodes than there are": (lambda form: _set("tree_param", "num_nodes", to="9999")(_tree(form)), "entries"),
    "a vector leaf": (lambda form: _set("tree_param", "size_leaf_vector", to="3")(_tree(form)), "base_weights"),
    "a group outside": (_set("learner", "gradient_booster", "model", "tree_info", 0, to=7), "tree_info"),
    "fewer trees": (lambda form: form["learner"]["gradient_booster"]["model"]["trees"].pop(), "num_trees"),
    "too many classes": (_set("learner", "learner_model_param", "num_class", to="99999999"), "classes"),
    "no feature": (_set("learner", "learner_model_param", "num_feature", to="0"), "feature"),
    "another booster": (_set("learner", "gradient_booster", "name", to="other"), "booster"),
    "a base score in words": (_set("learner", "learner_model_param", "base_score", to="half"), "base_score"),
    "no objective": (lambda form: form["learner"].pop("objective"), "objective"),
    "no learner": (lambda form: form.pop("learner"), "learner"),
}


@pytest.mark.parametrize("name", _DAMAGE)
def test_a_number_that_leads_outside_is_refused(frame: pd.DataFrame, labels: pd.Series, name: str) -> None:
    change, message = _DAMAGE[name]
    form = json.loads(_raw("trees", frame, labels, "json"))
    change(form)
    with pytest.raises(ValueError, match=message):
        check_model_bytes(json.dumps(form, separators=(",", ":")).encode())


_VECTOR_DAMAGE: dict[str, tuple[Callable[[Any], None], str]] = {
    "short weights": (lambda form: _tree(form)["leaf_weights"].pop(), "leaf_weights"),
    "short base weights": (lambda form: _tree(form)["base_weights"].pop(), "base_weights"),
    "a leaf outside": (lambda form: _set("right_children", -1, to=10**8)(_tree(form)), "right_children"),
    "a leaf without a number": (lambda form: _set("right_children", -1, to=-1)(_tree(form)), "right_children"),
    "no weights": (lambda form: _tree(form).pop("leaf_weights"), "a node has one child"),
    "no loss changes": (lambda form: _tree(form).pop("loss_changes"), "loss_changes"),
    "no hessian": (lambda form: _tree(form).pop("sum_hessian"), "sum_hessian"),
    "a tree of one output": (lambda form: _set("tree_param", "size_leaf_vector", to="1")(_tree(form)), "one child"),
    "more outputs than targets": (_set("learner", "learner_model_param", "num_target", to="2"), "3 outputs"),
    "fewer outputs than targets": (_set("learner", "learner_model_param", "num_target", to="4"), "3 outputs"),
    "a group of its own": (_set("learner", "gradient_booster", "model", "tree_info", 0, to=1), "tree_info"),
}


@pytest.mark.parametrize("name", _VECTOR_DAMAGE)
def test_a_vector_leaf_that_leads_outside_is_refused(frame: pd.DataFrame, labels: pd.Series, name: str) -> None:
    change, message = _VECTOR_DAMAGE[name]
    form = json.loads(_raw("vector leaves", frame, labels, "json"))
    change(form)
    with pytest.raises(ValueError, match=message):
        check_model_bytes(json.dumps(form, separators=(",", ":")).encode())


def test_vector_leaves_of_an_older_xgboost_are_refused_where_xgboost_would_crash(
    frame: pd.DataFrame, labels: pd.Series
) -> None:
    # XGBoost before 3.2 kept the outputs in base_weights.
    form = json.loads(_raw("vector leaves", frame, labels, "json"))
    for tree in form["learner"]["gradient_booster"]["model"]["trees"]:
        for key in ("leaf_weights", "loss_changes", "sum_hessian"):
            del tree[key]
        tree["right_children"] = [
            right if left != -1 else -1
            for left, right in zip(tree["left_children"], tree["right_children"], strict=True)
        ]
    with pytest.raises(ValueError, match="an XGBoost before 3.2 wrote its leaves of 3 outputs"):
        check_model_bytes(json.dumps(form, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"binf\x00\x00",
        b"{L",
        b"{}x",
        b"{L" + b"\xff" * 8,
        b"{U\x01aZU\x01aZ}",
        b"[$",
        b"[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"[#L\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"[" * 100_000,
        b"N",
        b'{"a":1,"a":2}',
        b'{"learner":' * 10_000,
    ],
)
def test_bytes_that_are_no_model_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the message differs by case; that it is refused is the point
        check_model_bytes(data)


def test_ubjson_values_are_read() -> None:
    data = (
        b"{U\x01aTU\x01bi\xffU\x01c[$l#U\x02\x00\x00\x00\x01\x00\x00\x00\x02U\x01d[SU\x01xFZ]U\x01ed\x3f\x80\x00\x00}"
    )
    value = decode(data)
    assert value.pop("c").tolist() == [1, 2]
    assert value == {"a": True, "b": -1, "d": ["x", False, None], "e": 1.0}


def test_a_damaged_file_is_refused_by_loading_and_by_the_check(
    tmp_path: Path, classifier: xgboost.XGBClassifier
) -> None:
    flavors.save_model(classifier, tmp_path / "model", "xgboost")
    flavors.check_directory(tmp_path / "model")
    file = tmp_path / "model" / "model.ubj"
    file.write_bytes(file.read_bytes()[:-100])
    for judge in (flavors.check_directory, flavors.load_pyfunc, lambda path: flavors.load_model(path, "xgboost")):
        with pytest.raises(InvalidModelError, match=r"model\.ubj"):
            judge(tmp_path / "model")
    file.unlink()
    with pytest.raises(ArtifactNotFoundError):
        flavors.check_directory(tmp_path / "model")


_PREDICT = """
import sys, numpy, xgboost
from pathlib import Path
xgboost.set_config(verbosity=0)
for file in sorted(Path(sys.argv[1]).iterdir()):
    try:
        booster = xgboost.Booster()
        booster.load_model(bytearray(file.read_bytes()))
        booster.predict(xgboost.DMatrix(numpy.zeros((5, 4))), validate_features=False)
    except xgboost.core.XGBoostError:
        pass
print("alive")
"""


@pytest.mark.slow
def test_no_damaged_file_that_passes_crashes_xgboost(tmp_path: Path, frame: pd.DataFrame, labels: pd.Series) -> None:
    chance = random.Random(11)
    wholes = [_raw(kind, frame, labels, "ubj") for kind in ("trees", "dart", "linear", "pruned", "vector leaves")]
    refused, passed = 0, tmp_path / "passed"
    passed.mkdir()
    for number in range(1_500):
        damaged = bytearray(chance.choice(wholes))
        for _ in range(chance.choice([1, 1, 2, 4])):
            damaged[chance.randrange(len(damaged))] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
        try:
            check_model_bytes(bytes(damaged))
            (passed / f"{number}.ubj").write_bytes(damaged)
        except ValueError:
            refused += 1
    assert 0 < refused < 1_500
    command = [sys.executable, "-c", _PREDICT, str(passed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "alive", done.stderr[-2000:]
