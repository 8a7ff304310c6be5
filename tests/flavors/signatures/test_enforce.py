"""Enforcement and inference without mlflow to compare with, and where ours differs from it on purpose."""

import json
import logging

import numpy as np
import pandas as pd
import pytest

from registry.entities.param_schema import ParamSchema, ParamSpec
from registry.entities.schema import ColSpec, DataType, Schema
from registry.exceptions import InvalidParameterError, SchemaEnforcementError
from registry.flavors import infer_signature
from registry.flavors.signatures.enforce import enforce_params, enforce_schema

ONE = Schema([ColSpec("double", "a")])
TWO = Schema([ColSpec("double", "a"), ColSpec("string", "b")])


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        (ONE, pd.DataFrame({"a": [1.5]})),
        (TWO, pd.DataFrame({"a": [1.5], "b": ["x"]})),
        (TWO, pd.DataFrame({"a": [1.5], "b": pd.Series(["x"], dtype=object)})),
        (Schema([ColSpec("long")]), pd.DataFrame([[1]])),
    ],
)
def test_a_frame_that_fits_is_returned_as_it_stands(schema: Schema, data: pd.DataFrame) -> None:
    assert enforce_schema(data, schema) is data


def test_columns_are_reordered_and_others_dropped_without_touching_the_input() -> None:
    data = pd.DataFrame({"z": [0], "b": ["x"], "a": np.array([1], dtype="int32")}, index=[7])
    fitting = enforce_schema(data, TWO)
    assert json.loads(fitting.to_json(orient="split")) == {"columns": ["a", "b"], "index": [7], "data": [[1.0, "x"]]}
    assert fitting["a"].dtype == "float64"
    assert list(data.columns) == ["z", "b", "a"]


@pytest.mark.parametrize("values", [[1, 2, 3], [-(2**53), 2**53], []])
def test_whole_numbers_become_doubles_where_every_one_is_exact(values: list[int]) -> None:
    fitting = enforce_schema(pd.DataFrame({"a": pd.Series(values, dtype="int64")}), ONE)
    assert fitting["a"].tolist() == [float(value) for value in values]


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame({"a": [2**53 + 1]}),
        pd.DataFrame({"a": ["1.5"]}),
        pd.DataFrame({"b": [1.5]}),
        pd.DataFrame([[1.0, 2.0]], columns=["a", "a"]),
        np.array([[1.5]]),
        [1.5],
        object(),
        None,
    ],
)
def test_data_that_do_not_fit_are_refused_in_mlflows_words(data: object) -> None:
    with pytest.raises(SchemaEnforcementError, match="Failed to enforce schema of data") as caught:
        enforce_schema(data, ONE)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


def test_the_refusal_names_missing_columns_and_those_there_are() -> None:
    with pytest.raises(SchemaEnforcementError, match=r"missing inputs \['a'\].*extra inputs: \['c'\]"):
        enforce_schema(pd.DataFrame({"c": [1.0]}), ONE)


def test_missing_values_in_an_integer_column_are_hinted_at() -> None:
    with pytest.raises(SchemaEnforcementError, match=r"Hint: .*missing values"):
        enforce_schema(pd.DataFrame({"a": [1.0, None]}), Schema([ColSpec("long", "a")]))


def test_a_categorical_column_stays_categorical() -> None:
    data = pd.DataFrame({"z": [0, 0], "a": pd.Categorical(["x", "y"])})
    assert isinstance(enforce_schema(data, Schema([ColSpec("string", "a")]))["a"].dtype, pd.CategoricalDtype)
    with pytest.raises(SchemaEnforcementError):
        enforce_schema(data, Schema([ColSpec("datetime", "z"), ColSpec("string", "a")]))


def test_a_dictionary_of_lists_is_a_frame() -> None:
    assert enforce_schema({"a": [1.0, 2.0]}, ONE)["a"].tolist() == [1.0, 2.0]


PARAMS = ParamSchema([ParamSpec("p", "double", 0.5), ParamSpec("q", "string", "x")])


def test_params_get_their_defaults_and_widen() -> None:
    assert enforce_params({"p": 2}, PARAMS) == {"p": 2.0, "q": "x"}
    assert enforce_params(None, None) == {}


def test_unknown_params_are_ignored_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert enforce_params({"z": 1}, None) == {}
    assert "['z'] are ignored" in caplog.text


@pytest.mark.parametrize("params", [{"p": "x"}, {"q": 1}, [1], "p"])
def test_params_that_do_not_fit_are_refused(params: object) -> None:
    with pytest.raises(SchemaEnforcementError):
        enforce_params(params, PARAMS)  # type: ignore[arg-type]  # what is no dictionary is a case


def test_integer_inputs_are_warned_of_and_integer_outputs_are_not() -> None:
    with pytest.warns(UserWarning, match=r"Integer columns \['a'\]"):
        signature = infer_signature(pd.DataFrame({"a": [1]}), pd.Series([1, 2]))
    assert signature.inputs == Schema([ColSpec(DataType.long, "a")])
    assert infer_signature(np.zeros((2, 3)), pd.Series([1, 2])).outputs == Schema([ColSpec(DataType.long)])


def test_data_of_an_unknown_type_are_recorded_as_any(caplog: pytest.LogCaptureFixture) -> None:
    assert str(infer_signature(range(3))) == "inputs: \n  [Any (required)]\noutputs: \n  None\nparams: \n  None\n"
    assert "Failed to infer the schema of inputs" in caplog.text


@pytest.mark.parametrize("params", [{"a": object()}, {"a": [[1]]}, {"a": None}, [1]])
def test_params_of_an_unknown_type_are_refused(params: object) -> None:
    with pytest.raises(InvalidParameterError):
        infer_signature([1.0], params=params)  # type: ignore[arg-type]  # what is no dictionary is a case


_NAMES = [f"c{position}" for position in range(5)]
_DOUBLES = Schema([ColSpec(DataType.double, name) for name in _NAMES])


def test_a_frame_of_numbers_is_converted_whatever_their_order_and_mix() -> None:
    mixed = pd.DataFrame({"c4": [1], "more": ["x"], "c0": [2.5], "c2": np.array([3], "int8"), "c1": [4], "c3": [5.0]})
    enforced = enforce_schema(mixed, _DOUBLES)
    assert enforced.to_dict("list") == {"c0": [2.5], "c1": [4.0], "c2": [3.0], "c3": [5.0], "c4": [1.0]}
    assert {str(dtype) for dtype in enforced.dtypes} == {"float64"}
    assert mixed.columns.tolist() == ["c4", "more", "c0", "c2", "c1", "c3"]


def test_a_frame_keeps_its_index_and_the_caller_keeps_the_frame() -> None:
    frame = pd.DataFrame(np.arange(10).reshape(2, 5), columns=_NAMES, index=["x", "y"])
    enforced = enforce_schema(frame, _DOUBLES)
    enforced.iloc[0, 0] = 9.0
    assert (enforced.index.tolist(), frame.iloc[0, 0]) == (["x", "y"], 0)


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1])
def test_an_integer_that_no_double_holds_is_refused_by_the_name_of_its_column(value: int) -> None:
    frame = pd.DataFrame([[1, 2, value, 4, 5]], columns=_NAMES)
    with pytest.raises(SchemaEnforcementError, match="column c2. Can not safely convert int64 to double"):
        enforce_schema(frame, _DOUBLES)
    with pytest.raises(SchemaEnforcementError, match="column c2. Can not safely convert int64 to double"):
        enforce_schema(frame.assign(c0=0.5), _DOUBLES)


@pytest.mark.parametrize("value", [2**53, -(2**53)])
def test_the_largest_integers_that_a_double_holds_are_taken(value: int) -> None:
    frame = pd.DataFrame([[1, 2, value, 4, 5]], columns=_NAMES)
    assert enforce_schema(frame, _DOUBLES)["c2"].tolist() == [float(value)]


def test_columns_of_several_types_are_each_converted() -> None:
    schema = Schema([ColSpec(DataType.double, "a"), ColSpec(DataType.long, "b"), ColSpec(DataType.string, "c")])
    frame = pd.DataFrame({"c": ["x"], "b": np.array([2], "int32"), "a": [1]})
    enforced = enforce_schema(frame, schema)
    assert enforced.to_dict("list") == {"a": [1.0], "b": [2], "c": ["x"]}
    assert [str(enforced[name].dtype) for name in "ab"] == ["float64", "int64"]


MIX = Schema([ColSpec("double", "a"), ColSpec("long", "b"), ColSpec("double", "c"), ColSpec("float", "d")])


@pytest.mark.parametrize("dtypes", ["qqqq", "iiii", "dqdf", "dBqf", "hqii", "qqdf"])
@pytest.mark.parametrize("order", ["abcd", "dcba", "xabcd", "caxbd"])
def test_numbers_of_several_types_become_those_of_the_signature(dtypes: str, order: str) -> None:
    kinds = dict(zip("abcdx", [*dtypes, "q"], strict=True))
    data = pd.DataFrame({name: np.array([3, 100], dtype=kinds[name]) for name in order}, index=[5, 6])
    before = data.copy()

    fitting = enforce_schema(data, MIX)
    expected = data[list("abcd")].astype({"a": "float64", "b": "int64", "c": "float64", "d": "float32"})
    pd.testing.assert_frame_equal(fitting, expected)
    if fitting is not data:
        fitting.iloc[0] = 7
    pd.testing.assert_frame_equal(data, before)


@pytest.mark.parametrize(("name", "value"), [("a", 2**53 + 1), ("d", 2**24 + 1)])
def test_an_integer_that_a_column_of_several_types_cannot_hold_is_refused(name: str, value: int) -> None:
    data = pd.DataFrame({"a": [1], "b": [2], "c": [3], "d": [4]}).assign(**{name: [value]})
    with pytest.raises(SchemaEnforcementError, match=f"Incompatible input types for column {name}"):
        enforce_schema(data, MIX)


@pytest.mark.parametrize("value", [2**53 + 1, 2**63 - 1, -(2**63)])
def test_a_long_beyond_the_doubles_keeps_its_value_beside_other_types(value: int) -> None:
    data = pd.DataFrame({"a": [1], "b": [value], "c": [0.5], "d": [4]})
    assert enforce_schema(data, MIX)["b"].tolist() == [value]
