"""What a skops file may do without consent: name listed types, and refer to functions without calling them."""

import importlib.util
import json
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.datasets import fetch_california_housing, load_svmlight_file
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.preprocessing import FunctionTransformer

import registry
from registry import flavors
from registry.exceptions import CodeExecutionRefusedError, InvalidModelError, InvalidParameterError
from registry.flavors.untrusted.skops_types import public_value, trusted_kind

LISTED = (Path(flavors.__file__).parent / "untrusted" / "trusted_names.txt").read_text().splitlines()[1:]
SCRIPT = Path(__file__).parents[2] / "scripts/list_trusted_names.py"


@pytest.mark.parametrize(
    "function",
    [
        *(np.load, np.save, np.savetxt, np.loadtxt, np.genfromtxt, np.fromfile, np.frombuffer, np.memmap),
        *(np.vectorize, np.apply_along_axis, np.piecewise, np.fromfunction, np.einsum, np.seterr, np.zeros, np.info),
        *(pd.read_pickle, pd.read_csv, pd.read_sql, pd.read_json, pd.to_pickle, pd.eval, pd.set_option, pd.pivot_table),
        *(fetch_california_housing, load_svmlight_file, stats.make_distribution, stats.bootstrap, stats.boxcox),
        *(eval, exec, open, getattr, __import__, print, str.format, str.join, bytes.decode),
        *(importlib.import_module, partial(np.load, allow_pickle=True), json.loads, Path.read_text),
    ],
    ids=lambda function: getattr(function, "__qualname__", "partial"),
)
def test_what_reads_writes_or_calls_is_refused(tmp_path: Path, function: Callable[..., Any]) -> None:
    with pytest.raises(InvalidParameterError, match=r"not known to be safe|skops cannot hold"):
        flavors.save_model(FunctionTransformer(function), tmp_path / "model", "sklearn")


def test_a_function_of_ones_own_is_told_the_format_that_holds_it(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidParameterError, match="or for functions of your own, use serialization_format='cloudpickle'"
    ):
        flavors.save_model(FunctionTransformer(lambda rows: rows), tmp_path / "model", "sklearn")


def test_no_listed_function_takes_a_path_a_buffer_a_callable_or_an_expression() -> None:
    specification = importlib.util.spec_from_file_location("list_trusted_names", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    functions = [line.split()[1] for line in LISTED if line.startswith("function ")]
    present = {name: value for name in functions if (value := public_value(name)) is not None}
    assert len(present) > 1_000
    assert {name: script.reason_to_leave_out(name, value) for name, value in present.items()} == dict.fromkeys(present)


def test_the_list_is_what_the_script_makes_of_the_kinds_that_it_knows() -> None:
    assert {line.split()[0] for line in LISTED} == {"class", "function", "method", "type"}
    assert len(LISTED) == len(set(LISTED))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("numpy.log1p", "function"),
        ("pandas.to_numeric", "function"),
        ("sklearn.metrics._classification.fbeta_score", "function"),
        ("sklearn.model_selection._split.PredefinedSplit", "type"),
        ("scipy.stats.loguniform", "function"),
        ("numpy.number", "class"),
        ("os.system", None),
        ("evil.to_numeric", None),
        ("numpy.load", None),
        ("builtins.str.split", None),
        ("builtins.getattr", None),
    ],
)
def test_a_name_is_trusted_if_a_public_name_leads_to_it(name: str, kind: str | None) -> None:
    assert trusted_kind(name) == kind


def _saved(model: BaseEstimator, directory: Path) -> Path:
    flavors.save_model(model, directory, "sklearn")
    return directory


def _rewritten(directory: Path, change: Callable[[Any], None]) -> Path:
    """Return the model with a changed schema, as an attacker would write it."""
    file = directory / "model.skops"
    with zipfile.ZipFile(file) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(contents["schema.json"])
    change(schema)
    contents["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return directory


def _attributes(schema: Any) -> Any:
    return schema["content"]["content"]


def _json(value: Any) -> dict[str, Any]:
    return {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": json.dumps(value)}


def _tuple(*items: Any) -> dict[str, Any]:
    return {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": list(items)}


def _node(name: str, loader: str, **values: Any) -> dict[str, Any]:
    module, _, kind = name.rpartition(".")
    return {"__class__": kind, "__module__": module, "__loader__": loader, **values}


_STR = _node("builtins.str", "TypeNode")


@pytest.mark.parametrize(
    "node",
    [
        pytest.param(_node("numpy.add", "ConstructorFromReduceNode", content=_tuple(_json(1), _json(2))), id="call"),
        pytest.param(
            _node("pandas.to_numeric", "ConstructorFromReduceNode", content=_tuple(_json("1"))), id="call of pandas"
        ),
        pytest.param(_node("pandas.to_numeric", "ListNode", content=[]), id="call as a list"),
        pytest.param(
            _node(
                "pandas.to_numeric", "DictNode", content={}, key_types=_node("builtins.list", "ListNode", content=[])
            ),
            id="call as a dict",
        ),
        pytest.param(_node("pandas.to_numeric", "ObjectNode"), id="object"),
        pytest.param(
            _node("builtins.getattr", "ConstructorFromReduceNode", content=_tuple(_STR, _json("__subclasses__"))),
            id="another attribute",
        ),
        pytest.param(
            _node("builtins.getattr", "ConstructorFromReduceNode", content=_tuple(_STR, _json("format"))), id="format"
        ),
        pytest.param(
            _node(
                "builtins.getattr",
                "ConstructorFromReduceNode",
                content=_tuple(_node("numpy.ndarray", "TypeNode"), _json("tofile")),
            ),
            id="another type",
        ),
        pytest.param(_node("builtins.getattr", "FunctionNode"), id="getattr itself"),
        pytest.param(
            _node("functools.partial", "ConstructorFromReduceNode", content=_tuple(_node("numpy.add", "FunctionNode"))),
            id="partial made otherwise",
        ),
        pytest.param(_node("operator.methodcaller", "OperatorFuncNode", attrs=_tuple(_json("to_pickle"))), id="method"),
        pytest.param(
            _node("operator.attrgetter", "OperatorFuncNode", attrs=_tuple(_json("__class__"))), id="attribute"
        ),
        pytest.param(_node("os.system", "FunctionNode"), id="a function that is not listed"),
    ],
)
def test_a_file_that_does_more_than_refer_is_refused(tmp_path: Path, node: dict[str, Any]) -> None:
    directory = _saved(FunctionTransformer(np.log1p), tmp_path / "model")
    _rewritten(directory, lambda schema: _attributes(schema).update(func=node))
    with pytest.raises(CodeExecutionRefusedError):
        flavors.load_model(directory, "sklearn")
    flavors.check_directory(directory)  # loading asks for consent


def test_a_node_that_another_of_its_id_would_replace_is_refused(tmp_path: Path) -> None:
    directory = _saved(CountVectorizer(tokenizer=str.split), tmp_path / "model")

    def change(schema: Any) -> None:
        attributes = _attributes(schema)
        method = attributes["tokenizer"]["content"]["content"][1]
        assert json.loads(method["content"]) == "split"
        # Comes first and has the id of a later node: skops would use this one in its place.
        attributes["analyzer"] = {**_json("__subclasses__"), "__id__": method["__id__"]}

    _rewritten(directory, change)
    with pytest.raises(CodeExecutionRefusedError, match=r"builtins\.getattr"):
        flavors.load_model(directory, "sklearn")


def test_a_distribution_is_a_name_in_the_file_since_its_state_would_be_run_as_code(tmp_path: Path) -> None:
    search = RandomizedSearchCV(LogisticRegression(), {"C": stats.loguniform(0.01, 10)})
    directory = _saved(search, tmp_path / "model")
    loaded = flavors.load_model(directory, "sklearn").param_distributions["C"]
    assert (loaded.args, loaded.kwds, loaded.dist is stats.loguniform) == ((0.01, 10), {}, True)
    assert loaded.rvs(5, random_state=1).tolist() == stats.loguniform(0.01, 10).rvs(5, random_state=1).tolist()

    marker = tmp_path / "ran"
    template = f"import pathlib; pathlib.Path({str(marker)!r}).touch()\ndef _parse_args(self): pass"
    state = {
        "content": {"_parse_arg_template": _json(template)},
        "key_types": _node("builtins.list", "ListNode", content=[_STR]),
    }

    def change(schema: Any) -> None:
        frozen = _attributes(schema)["param_distributions"]["content"]["C"]
        frozen["content"]["content"]["dist"] = _node(
            "scipy.stats._continuous_distns.reciprocal_gen",
            "ObjectNode",
            content=_node("builtins.dict", "DictNode", **state),
        )

    _rewritten(directory, change)
    with pytest.raises(CodeExecutionRefusedError, match="reciprocal_gen"):
        flavors.load_model(directory, "sklearn")
    assert not marker.exists()


def test_a_ufunc_keeps_its_public_name_whoever_imported_it_first(tmp_path: Path) -> None:
    directory = _saved(FunctionTransformer(np.log1p), tmp_path / "model")
    with zipfile.ZipFile(directory / "model.skops") as archive:
        function = _attributes(json.loads(archive.read("schema.json")))["func"]
    assert (function["__module__"], function["__class__"]) == ("numpy", "log1p")


def test_skops_itself_behaves_as_before_in_the_same_process(tmp_path: Path) -> None:
    import skops.io

    _saved(CountVectorizer(tokenizer=str.split), tmp_path / "model")
    data = skops.io.dumps(CountVectorizer(tokenizer=str.split))
    assert skops.io.get_untrusted_types(data=data) == ["builtins.method_descriptor"]


def test_plain_skops_reads_what_is_saved(tmp_path: Path) -> None:
    import skops.io

    directory = _saved(CountVectorizer(tokenizer=str.split), tmp_path / "model")
    assert skops.io.load(directory / "model.skops", trusted=["builtins.getattr"]).tokenizer == str.split


@pytest.mark.parametrize(
    "model",
    [
        FunctionTransformer(lambda data: data),
        GridSearchCV(LogisticRegression(), {}, cv=iter([])),
        RandomizedSearchCV(LogisticRegression(), {"C": stats.rv_discrete(values=([1, 2], [0.5, 0.5]))}),
        RandomizedSearchCV(LogisticRegression(), {"C": stats.rv_histogram(np.histogram([1.0, 2.0]))}),
        ColumnTransformer([("x", "passthrough", lambda frame: ["a"])]),
    ],
    ids=lambda model: type(model).__name__,
)
def test_what_the_guide_names_is_refused_with_a_way_out(tmp_path: Path, model: BaseEstimator) -> None:
    with pytest.raises(InvalidParameterError, match="skops_trusted_types|serialization_format='cloudpickle'"):
        flavors.save_model(model, tmp_path / "model", "sklearn")


def test_an_estimator_that_holds_itself_is_refused_in_words(tmp_path: Path) -> None:
    model = FunctionTransformer()
    model.owner = model
    with pytest.raises(InvalidParameterError, match="it refers to itself, or is nested too deeply"):
        flavors.save_model(model, tmp_path / "model", "sklearn")


def test_a_file_that_grows_without_measure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from registry.flavors.untrusted import skops

    monkeypatch.setattr(skops, "_ROOM", 0)
    directory = _saved(FunctionTransformer(), tmp_path / "model")
    with zipfile.ZipFile(directory / "model.skops", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.npy", bytes(10_000_000))
    with pytest.raises(InvalidModelError, match="when unpacked"):
        flavors.load_model(directory, "sklearn")


def test_pyfunc_takes_trusted_types(tmp_path: Path) -> None:
    model = FunctionTransformer(json.loads)
    registry.sklearn.save_model(
        model, tmp_path / "model", skops_trusted_types=["json.loads"], pyfunc_predict_fn="predict"
    )
    assert list(flavors.Model.load(tmp_path / "model").flavors) == ["sklearn"]
    search = GridSearchCV(LogisticRegression(), {"C": [1]}, cv=2, scoring=_accuracy).fit([[0.0], [1.0]] * 4, [0, 1] * 4)
    name = f"{_accuracy.__module__}.{_accuracy.__name__}"
    registry.sklearn.save_model(search, tmp_path / "search", skops_trusted_types=[name])
    with pytest.raises(CodeExecutionRefusedError):
        registry.pyfunc.load_model(str(tmp_path / "search"))
    loaded = registry.pyfunc.load_model(str(tmp_path / "search"), skops_trusted_types=[name])
    assert loaded.predict([[0.0]]).tolist() == [0]


def _accuracy(model: Any, data: Any, labels: Any) -> float:
    return float(np.mean(model.predict(data) == labels))
