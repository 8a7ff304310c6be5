"""LightGBM models survive saving and loading as text; damaged files are errors of ours, never a crash."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import yaml

import registry
from registry.exceptions import InvalidModelError, InvalidParameterError
from registry.flavors.untrusted.lightgbm import check_model_text

generator = np.random.default_rng(2)
X = pd.DataFrame(
    {"a": generator.normal(size=90), "b": generator.normal(size=90), "c": pd.Categorical(["x", "y", "z"] * 30)}
)
NUMBERS = X[["a", "b"]]
y = (X["a"] > 0).astype(int)
THREE = np.array(["low", "mid", "top"])[(X["a"] > -0.5).astype(int) + (X["a"] > 0.5).astype(int)]
FEW = {"n_estimators": 3, "verbose": -1, "n_jobs": 1, "min_child_samples": 2}


def booster(**settings: Any) -> lightgbm.Booster:
    params = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 2, **settings}
    return lightgbm.train(params, lightgbm.Dataset(X, label=y), 3)


MODELS: dict[str, Any] = {
    "booster": booster,
    "booster of three classes": lambda: booster(objective="multiclass", num_class=3),
    "classifier": lambda: lightgbm.LGBMClassifier(**FEW).fit(X, y),
    "classifier of texts": lambda: lightgbm.LGBMClassifier(**FEW, class_weight="balanced").fit(X, THREE),
    "classifier of truth": lambda: lightgbm.LGBMClassifier(**FEW).fit(X, y == 1),
    "regressor": lambda: lightgbm.LGBMRegressor(**FEW, boosting_type="dart", extra_trees=True).fit(X, X["b"]),
    "ranker": lambda: lightgbm.LGBMRanker(**FEW).fit(X, y, group=[30, 30, 30]),
    "constant": lambda: lightgbm.LGBMRegressor(**FEW).fit(X, np.ones(90)),
}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_predicts_the_same_after_loading(name: str) -> None:
    model = MODELS[name]()
    registry.lightgbm.save_model(model, "saved", input_example=X[:3])

    loaded = registry.lightgbm.load_model("saved")
    function = registry.pyfunc.load_model("saved")

    assert type(loaded) is type(model)
    assert np.array_equal(loaded.predict(X), model.predict(X))
    assert np.array_equal(function.predict(X), model.predict(X))
    if hasattr(model, "predict_proba"):
        assert np.array_equal(loaded.predict_proba(X), model.predict_proba(X))
        assert loaded.classes_.tolist() == model.classes_.tolist()
    if hasattr(model, "get_params"):
        assert loaded.get_params() == model.get_params()
    assert sorted(path.name for path in Path("saved").iterdir() if path.suffix in (".lgb", ".pkl")) == ["model.lgb"]


def test_a_model_that_stopped_early_predicts_from_its_best_iteration() -> None:
    model = lightgbm.LGBMClassifier(n_estimators=40, verbose=-1, n_jobs=1)
    model.fit(X[:60], y[:60], eval_X=X[60:], eval_y=1 - y[60:], callbacks=[lightgbm.early_stopping(2, verbose=False)])
    info = registry.lightgbm.log_model(model, name="m")

    loaded = registry.lightgbm.load_model(info.model_uri)

    assert loaded.best_iteration_ == model.best_iteration_ < 40
    assert np.array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert loaded.evals_result_ == model.evals_result_


@pytest.mark.parametrize("name", ["booster", "classifier"])
def test_a_limit_of_threads_reaches_lightgbm(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODELS[name]()
    registry.lightgbm.save_model(model, "saved")
    function = registry.pyfunc.load_model("saved")
    asked: list[Any] = []
    predict = lightgbm.Booster.predict

    def spy(self: Any, data: Any, **options: Any) -> Any:
        asked.append(options.get("num_threads"))
        return predict(self, data, **options)

    monkeypatch.setattr(lightgbm.Booster, "predict", spy)
    function.limit_threads(3)
    assert function.predict(X).tolist() == model.predict(X).tolist()
    assert asked[0] == 3


# The parent predicts with two threads. Its child would wait for them forever: the alarm ends it.
FORKS = """
import os, signal
import lightgbm
import numpy as np
import registry

rows = np.random.default_rng(1).normal(size=(20_000, 2))
model = lightgbm.LGBMRegressor(n_estimators=3, n_jobs=2, verbose=-1).fit(rows, rows[:, 0])
expected = model.predict(rows).tolist()
registry.lightgbm.save_model(model, "saved")
followed = registry.serving.follow("saved")
loaded = registry.pyfunc.load_model("saved")

def load_in_child():
    loaded = registry.pyfunc.load_model("saved")
    loaded.limit_threads(1)
    return loaded.predict(rows)

def limit_in_child():
    loaded.limit_threads(1)
    return loaded.predict(rows)

for predict in (load_in_child, limit_in_child, lambda: followed.predict(rows)):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os._exit(7 if predict().tolist() == expected else 8)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
followed.close()
"""


def test_a_forked_child_predicts_though_its_parent_did() -> None:
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout.split()) == (0, ["7", "7", "7"]), done.stderr


def test_a_model_loads_while_the_interpreter_ends() -> None:
    registry.lightgbm.save_model(MODELS["booster"](), "saved")
    load = "print(registry.lightgbm.load_model('saved').num_trees())"
    source = f"import atexit, registry; {load}; atexit.register(lambda: {load})"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == ("3\n3\n", "")


def test_text_for_a_feature_of_categories_becomes_a_category() -> None:
    model = MODELS["classifier"]()
    registry.lightgbm.save_model(model, "saved")

    answer = registry.pyfunc.load_model("saved").predict(X.astype({"c": str}))

    assert answer.tolist() == model.predict(X).tolist()


def test_an_objective_of_the_user_is_named_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    def squared(truth: Any, answer: Any) -> Any:
        return answer - truth, np.ones_like(answer)

    model = lightgbm.LGBMRegressor(**FEW, objective=squared).fit(NUMBERS, y)
    with caplog.at_level(logging.WARNING):
        registry.lightgbm.save_model(model, "saved")

    assert "objective, _objective of this LGBMRegressor are code and are not saved" in caplog.text
    assert np.array_equal(registry.lightgbm.load_model("saved").predict(NUMBERS), model.predict(NUMBERS))


@pytest.mark.parametrize("model", [lightgbm.LGBMClassifier(), "text"])
def test_what_is_no_trained_model_is_refused(model: Any) -> None:
    with pytest.raises(InvalidParameterError, match=r"is not trained|Expected a LightGBM model"):
        registry.lightgbm.save_model(model, "saved")
    assert not Path("saved").exists()


def test_a_wrapper_that_mlflow_saved_is_refused_with_the_way_out() -> None:
    registry.lightgbm.save_model(MODELS["classifier"](), "saved")
    file = Path("saved", "MLmodel")
    content = yaml.safe_load(file.read_text())
    del content["flavors"]["lightgbm"]["wrapper"]
    content["flavors"]["lightgbm"]["serialization_format"] = "skops"
    file.write_text(yaml.safe_dump(content))

    with pytest.raises(InvalidModelError, match=r"was saved by MLflow with skops\. Load it there, and save it"):
        registry.lightgbm.load_model("saved")


@pytest.mark.parametrize(("key", "value"), [("model_class", "os.system"), ("data", "../../etc/passwd")])
def test_an_mlmodel_file_that_names_something_else_is_refused(key: str, value: str) -> None:
    registry.lightgbm.save_model(MODELS["classifier"](), "saved")
    file = Path("saved", "MLmodel")
    content = yaml.safe_load(file.read_text())
    content["flavors"]["lightgbm"][key] = value
    file.write_text(yaml.safe_dump(content))

    with pytest.raises(registry.RegistryError):
        registry.lightgbm.load_model("saved")


@pytest.mark.parametrize(
    "text", ["", "{}", '{"parameters": {"fit": 1}, "fitted": {}, "classes": {"dtype": "O", "values": [[]]}}', "[1]"]
)
def test_a_damaged_wrapper_is_an_error_of_ours(text: str) -> None:
    registry.lightgbm.save_model(MODELS["classifier"](), "saved")
    Path("saved", "wrapper.json").write_text(text)

    with pytest.raises(InvalidModelError, match="wrapper of the LightGBM model"):
        registry.lightgbm.load_model("saved")


TEXT = MODELS["classifier"]().booster_.model_to_string().encode()
DAMAGES = {
    "cut off": TEXT[: len(TEXT) // 3],
    "no header": TEXT.replace(b"tree\n", b"tree!\n", 1),
    "NUL": TEXT.replace(b"Tree=1", b"Tree=\x00"),
    "size too large": TEXT.replace(b"tree_sizes=", b"tree_sizes=9"),
    "negative size": TEXT.replace(b"tree_sizes=", b"tree_sizes=-"),
    "many classes": TEXT.replace(b"num_class=1\n", b"num_class=99999999\n"),
    "many trees per round": TEXT.replace(b"num_tree_per_iteration=1", b"num_tree_per_iteration=7"),
    "other features": TEXT.replace(b"max_feature_idx=2", b"max_feature_idx=9"),
    "no features": TEXT.replace(b"max_feature_idx=2", b"max_feature_idx=-3"),
    "twice": TEXT.replace(b"num_class=1\n", b"num_class=1\nnum_class=1\n"),
    "no end": TEXT.replace(b"end of trees", b"end of time"),
    "categories": TEXT.replace(b"pandas_categorical:[", b"pandas_categorical:{"),
}


def _in_first_tree(old: bytes, new: bytes) -> bytes:
    """Replace a line of the first tree, and correct its size."""
    head, _, rest = TEXT.partition(b"\nTree=0\n")
    tree, _, after = rest.partition(b"\nTree=1\n")
    lines = [new if line.startswith(old) else line for line in tree.split(b"\n")]
    grown = len(b"\n".join(lines)) - len(tree)
    sizes = head.partition(b"tree_sizes=")[2].partition(b"\n")[0].split(b" ")
    sizes[0] = str(int(sizes[0]) + grown).encode()
    head = head.partition(b"tree_sizes=")[0] + b"tree_sizes=" + b" ".join(sizes) + b"\n"
    return head + b"\nTree=0\n" + b"\n".join(lines) + b"\nTree=1\n" + after


def _all(key: bytes, value: bytes) -> bytes:
    """Replace every value of a line of the first tree."""
    return _in_first_tree(key, key + b" ".join([value] * len(_line(key).split())))


def _line(key: bytes) -> bytes:
    return next(line for line in TEXT.split(b"\n") if line.startswith(key))


DAMAGES |= {
    "split by no feature": _in_first_tree(b"split_feature=", _line(b"split_feature=").replace(b"=", b"=77", 1)),
    "child outside": _in_first_tree(b"left_child=", _line(b"left_child=").replace(b"=", b"=5555", 1)),
    "children in a circle": _in_first_tree(
        b"left_child=", b"left_child=" + b" ".join([b"0"] * len(_line(b"left_child=").split()))
    ),
    "fewer thresholds": _in_first_tree(b"threshold=", b"threshold=0.5"),
    "more leaves": _in_first_tree(b"num_leaves=", b"num_leaves=4000"),
    "leaf values of text": _in_first_tree(b"leaf_value=", b"leaf_value=" + b"a " * 5),
    "linear": _in_first_tree(b"is_linear=", b"is_linear=1"),
    "categorical without sets": _in_first_tree(
        b"decision_type=", b"decision_type=" + b" ".join([b"1"] * len(_line(b"decision_type=").split()))
    ),
    "settings without brackets": TEXT.replace(b"[drop_rate: 0.1]", b"[drop_rate 0.1]"),
    "no gains": TEXT.replace(b"\nsplit_gain=", b"\nsplit_gone="),
    "sets that are not there": _in_first_tree(b"num_cat=", b"num_cat=1"),
}


@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_a_damaged_text_is_refused_before_lightgbm_reads_it(damage: str) -> None:
    assert DAMAGES[damage] != TEXT
    registry.lightgbm.save_model(MODELS["classifier"](), "saved")
    Path("saved", "model.lgb").write_bytes(DAMAGES[damage])

    with pytest.raises(InvalidModelError, match="no whole LightGBM model"):
        registry.lightgbm.load_model("saved")
    with pytest.raises(InvalidModelError, match="no whole LightGBM model"):
        registry.register_model("saved", "damaged")


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_sound_text_passes(name: str) -> None:
    model = MODELS[name]()
    check_model_text(getattr(model, "booster_", model).model_to_string().encode())


@pytest.mark.slow
def test_random_damages_never_crash_the_process() -> None:
    program = """
import sys, random
sys.path.insert(0, sys.argv[1])
import test_lightgbm as t
from registry.flavors.untrusted.lightgbm import check_model_text
import lightgbm, numpy as np
source, passed = random.Random(5), 0
for _ in range(1500):
    data = bytearray(t.TEXT)
    for _ in range(source.choice((1, 1, 2, 5))):
        place = source.randrange(len(data))
        data[place:place + source.choice((0, 1, 1))] = bytes([source.choice(b"0123456789-. \\n=:[]ae")])
    try:
        check_model_text(bytes(data))
    except ValueError:
        continue
    passed += 1
    try:
        lightgbm.Booster(model_str=data.decode()).predict(t.X)
    except (lightgbm.basic.LightGBMError, ValueError):
        pass
print(passed)
"""
    command = [sys.executable, "-W", "ignore", "-c", program, str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) > 100
