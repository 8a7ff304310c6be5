"""CatBoost models survive saving and loading; damaged files are errors of ours, never a crash."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pandas as pd
import pytest
import yaml

import registry
from registry.exceptions import InvalidModelError, InvalidParameterError
from registry.flavors.untrusted.catboost import check_model_blob

generator = np.random.default_rng(2)
NUMBERS = pd.DataFrame(generator.normal(size=(90, 2)), columns=["a", "b"])
X = NUMBERS.assign(c=["x", "y", "z"] * 30)
y = (X["a"] > 0).astype(int)
FEW = {"iterations": 3, "depth": 2, "thread_count": 1, "verbose": False, "allow_writing_files": False}
MODELS: dict[str, Any] = {
    "classifier": lambda: catboost.CatBoostClassifier(**FEW).fit(NUMBERS, y),
    "classifier of texts": lambda: catboost.CatBoostClassifier(**FEW).fit(NUMBERS, X["c"]),
    "categories": lambda: catboost.CatBoostClassifier(**FEW, cat_features=["c"]).fit(X, y),
    "categories one by one": lambda: catboost.CatBoostClassifier(**FEW, cat_features=["c"], one_hot_max_size=9).fit(
        X, y
    ),
    "regressor": lambda: catboost.CatBoostRegressor(**FEW).fit(NUMBERS, X["b"]),
    "uneven trees": lambda: catboost.CatBoostRegressor(**FEW, grow_policy="Lossguide").fit(NUMBERS, X["b"]),
    "ranker": lambda: catboost.CatBoostRanker(**FEW).fit(NUMBERS, y, group_id=np.repeat([0, 1, 2], 30)),
    "base class": lambda: catboost.CatBoost({**FEW, "loss_function": "RMSE"}).fit(NUMBERS, y),
}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_predicts_the_same_after_loading(name: str) -> None:
    model = MODELS[name]()
    data = X[list(model.feature_names_)]
    registry.catboost.save_model(model, "saved", input_example=data[:3])

    loaded = registry.catboost.load_model("saved")
    function = registry.pyfunc.load_model("saved")
    function.limit_threads(1)

    assert type(loaded) is type(model)
    assert np.array_equal(loaded.predict(data), model.predict(data))
    assert np.array_equal(function.predict(data), model.predict(data))
    assert type(function.get_raw_model()) is type(model)
    check_model_blob(Path("saved", "model.cb").read_bytes())


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (catboost.CatBoostClassifier(), {}, "no trained model"),
        ("text", {}, "Expected a CatBoost model"),
        (type("CatBoost", (catboost.CatBoost,), {})(), {}, "For a class of your own"),
        (MODELS["classifier"](), {"format": "cpp"}, "'cpp' cannot be loaded again; use one of cbm, json"),
    ],
)
def test_what_cannot_be_loaded_again_is_not_saved(model: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        registry.catboost.save_model(model, "saved", **options)
    assert not Path("saved").exists()


@pytest.mark.parametrize(("key", "value"), [("model_type", "Pool"), ("save_format", "python"), ("model_type", ["a"])])
def test_an_mlmodel_file_that_names_something_else_is_refused(key: str, value: Any) -> None:
    registry.catboost.save_model(MODELS["classifier"](), "saved")
    file = Path("saved", "MLmodel")
    content = yaml.safe_load(file.read_text())
    content["flavors"]["catboost"][key] = value
    file.write_text(yaml.safe_dump(content))

    with pytest.raises(InvalidModelError, match="CatBoost models of the classes CatBoost, CatBoostClassifier"):
        registry.catboost.load_model("saved")


BLOBS = {name: model()._serialize_model() for name, model in MODELS.items() if name in ("classifier", "uneven trees")}


def test_a_damaged_file_is_refused_where_it_enters_the_registry() -> None:
    registry.catboost.save_model(MODELS["classifier"](), "saved")
    Path("saved", "model.cb").write_bytes(BLOBS["classifier"][:-10])

    with pytest.raises(InvalidModelError, match="no whole CatBoost model: it is shorter than it says"):
        registry.register_model("saved", "damaged")


def test_json_is_left_to_its_own_parser() -> None:
    registry.catboost.save_model(MODELS["classifier"](), "saved", format="json")

    assert registry.register_model("saved", "trees").version == 1


@pytest.mark.parametrize("name", sorted(BLOBS))
def test_every_reason_to_refuse_is_met_by_some_damage(name: str) -> None:
    reasons: set[str] = set()
    source = np.random.default_rng(0)
    data = BLOBS[name]
    # The numbers of the trees stand before and after the texts.
    places = [
        *range(8, data.find(b'{"detailed_profile'), 4),
        *range(data.rfind(b"Other info") // 4 * 4, len(data) - 4, 4),
    ]
    for place in places:
        for value in (0, 3, 2**31 - 1, 2**32 - 1, int(source.integers(0, 40))):
            damaged = data[:place] + value.to_bytes(4, "little") + data[place + 4 :]
            try:
                check_model_blob(damaged)
            except ValueError as error:
                reasons.add(str(error))
    expected = {
        "its tables lead outside the file",
        "it has no trees",
        "the tables of its trees do not have lengths that belong together",
        "the splits of its trees do not have the number that their sizes say",
        "a split of its trees compares with a value that does not exist",
        "its features are not numbered in order",
        "its features are not those of the columns 0, 1, 2 … (drop_unused_features leaves gaps)",
        "its trees do not begin where their sizes say",
    }
    uneven = {
        "the nodes of its trees do not have the number that their sizes say",
        "a node of its trees leads outside the tree",
        "a node of its trees leads to a leaf that does not exist",
    }
    even = {"its leaves do not have the number that its trees need"}
    missing = (expected | (uneven if name == "uneven trees" else even)) - reasons
    assert missing == set()


@pytest.mark.slow
def test_random_damages_never_crash_the_process() -> None:
    program = """
import sys, random
sys.path.insert(0, sys.argv[1])
import test_catboost as t
import catboost
source, passed = random.Random(5), 0
data = t.BLOBS["classifier"]
places = [*range(8, data.find(b'{"detailed_profile')), *range(data.rfind(b"Other info"), len(data))]
for _ in range(600):
    damaged = bytearray(data)
    damaged[source.choice(places)] = source.randrange(256)
    try:
        t.check_model_blob(bytes(damaged))
    except ValueError:
        continue
    passed += 1
    try:
        model = catboost.CatBoostClassifier()
        model.load_model(blob=bytes(damaged))
        model.predict(t.NUMBERS, thread_count=1)
    except (catboost.CatBoostError, ValueError, KeyError, TypeError):
        pass
print(passed)
"""
    command = [sys.executable, "-W", "ignore", "-c", program, str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) > 50
