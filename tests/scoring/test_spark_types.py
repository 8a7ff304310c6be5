"""Predictions as columns of Spark, by MLflow's rules; none of these needs a session or Java."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import types

from registry.entities.schema_types import AnyType, Array, DataType, Map, Object, Property
from registry.entities.signature import ModelSignature
from registry.exceptions import InvalidModelError, InvalidParameterError, NotSupportedError, SchemaEnforcementError
from registry.flavors import Model
from registry.scoring.spark import _default_columns, _environment, _frame
from registry.scoring.spark_types import parse_result_type, result_type_of, to_spark
from registry.types import ColSpec, Schema, TensorSpec

MIXED = pd.DataFrame({"name": ["a", "b"], "small": np.array([1, 2], "int32"), "half": [0.5, 1.5], "yes": [True, False]})
DOUBLES = types.ArrayType(types.DoubleType())


def struct(**fields: Any) -> Any:
    """A struct of fields, in their order."""
    return types.StructType([types.StructField(name, kind) for name, kind in fields.items()])


def model(inputs: Schema | None = None, outputs: Schema | None = None) -> Model:
    signature = ModelSignature(inputs=inputs, outputs=outputs) if inputs or outputs else None
    return Model(flavors={}, signature=signature)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (types.IntegerType(), [1, 2]),
        (types.LongType(), [1, 2]),
        (types.FloatType(), [1.0, 2.0]),
        (types.DoubleType(), [1.0, 2.0]),
        (types.BooleanType(), [True, False]),
        (types.StringType(), ["a", "b"]),
        (DOUBLES, [[1.0, 0.5], [2.0, 1.5]]),
        (types.ArrayType(types.StringType()), [["a", "1", "0.5", "True"], ["b", "2", "1.5", "False"]]),
    ],
)
def test_a_primitive_takes_the_leftmost_fitting_column_and_an_array_all(kind: Any, values: list[Any]) -> None:
    assert to_spark(MIXED, kind).tolist() == values


@pytest.mark.parametrize(
    ("predictions", "values"),
    [
        (np.array([1.5, 2.5]), [1.5, 2.5]),
        ([1, 2], [1.0, 2.0]),
        (pd.Series([1.5, 2.5], index=[4, 5]), [1.5, 2.5]),
        (np.array([[1, 9], [2, 9]]), [1.0, 2.0]),
        (3.5, [3.5]),
        ({"a": np.array([1.0]), "b": [2.0]}, [1.0]),
    ],
)
def test_predictions_of_all_forms_become_a_column(predictions: Any, values: list[float]) -> None:
    assert to_spark(predictions, types.DoubleType()).tolist() == values


@pytest.mark.parametrize("kind", [types.IntegerType(), types.LongType(), types.BooleanType()])
def test_predictions_that_do_not_fit_are_refused(kind: Any) -> None:
    with pytest.raises(InvalidModelError, match="did not produce any values compatible with the requested type"):
        to_spark(np.array([0.5]), kind)


def test_a_struct_takes_columns_by_name() -> None:
    kind = struct(half=types.FloatType(), name=types.StringType(), small=types.LongType())

    result = to_spark(MIXED, kind)

    assert result.columns.tolist() == ["half", "name", "small"]
    assert [str(result["half"].dtype), str(result["small"].dtype)] == ["float32", "int64"]
    assert result.values.tolist() == [[0.5, "a", 1], [1.5, "b", 2]]
    with pytest.raises(InvalidModelError, match="has the field 'gone', but the predictions have"):
        to_spark(MIXED, struct(gone=types.FloatType()))


def test_missing_values_of_a_struct_stay_missing() -> None:
    kind = struct(a=types.DoubleType(), b=DOUBLES, c=types.StringType())

    result = to_spark([{"a": None, "b": None, "c": None}, {"a": None, "b": [1, 2], "c": "x"}], kind)

    assert result["a"].isna().all()
    assert result["b"].tolist() == [None, [1.0, 2.0]]
    assert result["c"].tolist() == [None, "x"]


@pytest.mark.parametrize("missing", [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT])
def test_every_form_of_a_missing_value_is_none_and_never_text(missing: Any) -> None:
    texts = pd.DataFrame({"c": pd.Series([missing, "x"], dtype=object)})

    assert to_spark(texts, struct(c=types.StringType()))["c"].tolist() == [None, "x"]
    numbers = types.MapType(types.StringType(), types.IntegerType())
    assert to_spark([{"a": missing, "b": 1}], numbers).tolist() == [{"a": None, "b": 1}]


def test_nested_types_become_plain_python() -> None:
    assert to_spark(np.array([[[1, 2]], [[3, 4]]]), types.ArrayType(DOUBLES)).tolist() == [[[1.0, 2.0]], [[3.0, 4.0]]]
    pairs = types.ArrayType(struct(key=types.StringType(), value=types.IntegerType()))
    assert to_spark([[{"key": "a", "value": 1.0}]], pairs).tolist() == [[{"key": "a", "value": 1}]]
    assert to_spark([{1: "2"}], types.MapType(types.StringType(), types.IntegerType())).tolist() == [{"1": 2}]
    assert to_spark([[{"any": 1}]], types.ArrayType(types.VariantType())).tolist() == [[{"any": 1}]]


@pytest.mark.parametrize(
    ("outputs", "kind"),
    [
        (None, "double"),
        (Schema([ColSpec("long")]), "bigint"),
        (Schema([ColSpec("string", "a"), ColSpec("datetime", "b")]), "struct<a:string,b:timestamp>"),
        (Schema([TensorSpec(np.dtype("float32"), (-1,))]), "array<float>"),
        (Schema([TensorSpec(np.dtype("float64"), (-1, 3))]), "array<double>"),
        (Schema([ColSpec(Array(DataType.integer), "a")]), "array<int>"),
        (Schema([ColSpec(Map(DataType.boolean), "a")]), "map<string,boolean>"),
        (Schema([ColSpec(Object([Property("x", DataType.binary)]), "a")]), "struct<x:binary>"),
        (Schema([ColSpec(AnyType(), "a", required=False)]), "variant"),
    ],
)
def test_the_type_of_a_signature_is_a_type_of_spark(outputs: Schema | None, kind: str) -> None:
    inputs = Schema([ColSpec("double", "x")])

    assert result_type_of(model(inputs, outputs)).simpleString() == kind


@pytest.mark.parametrize(
    "spec", [TensorSpec(np.dtype("float32"), (-1, 2, 2)), TensorSpec(np.dtype("complex64"), (-1,))]
)
def test_a_tensor_that_spark_has_no_type_for_is_refused(spec: TensorSpec) -> None:
    with pytest.raises(NotSupportedError, match=r"Give a result_type\.$"):
        result_type_of(model(outputs=Schema([spec])))


@pytest.mark.parametrize("kind", [types.BinaryType(), types.MapType(types.LongType(), types.LongType()), object()])
def test_types_that_predictions_cannot_have_are_refused(kind: Any) -> None:
    with pytest.raises(InvalidParameterError, match=r"Invalid 'spark_udf' result type: .*Give a primitive type"):
        parse_result_type(kind)


def test_types_that_predictions_can_have_are_taken() -> None:
    for kind in (DOUBLES, types.MapType(types.StringType(), types.LongType()), struct(a=types.IntegerType())):
        assert parse_result_type(kind) is kind


INPUTS = Schema([ColSpec("double", "a"), ColSpec("double", "b")])


def test_columns_are_named_by_the_signature_or_by_position() -> None:
    one, two = pd.Series([1.0]), pd.Series([2.0])

    assert _frame((one, two), model(INPUTS)).to_dict("list") == {"a": [1.0], "b": [2.0]}
    assert _frame((one, two, one), model(INPUTS)).columns.tolist() == ["a", "b"]
    assert _frame((one, two), model()).columns.tolist() == ["0", "1"]
    frame = pd.DataFrame({"x": [1.0]})
    assert _frame((frame,), model(INPUTS)) is frame
    assert _frame((one, frame), model()).to_dict("records") == [{"0": 1.0, "1": {"x": 1.0}}]
    with pytest.raises(SchemaEnforcementError, match="Expected 2 required input columns"):
        _frame((one,), model(INPUTS))


def test_a_call_without_columns_takes_those_of_the_signature() -> None:
    assert _default_columns(model(INPUTS)) == ["a", "b"]
    with pytest.raises(InvalidParameterError, match="contains optional columns"):
        _default_columns(model(Schema([ColSpec("double", "a", required=False)])))
    for unnamed in (model(), model(Schema([ColSpec("double")]))):
        with pytest.raises(InvalidParameterError, match="Attempting to apply udf on zero columns"):
            _default_columns(unnamed)


def test_variables_of_an_executor_are_set_while_it_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("BEFORE", "old")
    monkeypatch.delenv("ADDED", raising=False)

    with _environment({"BEFORE": "new", "ADDED": "1"}):
        assert (os.environ["BEFORE"], os.environ["ADDED"]) == ("new", "1")

    assert os.environ["BEFORE"] == "old"
    assert "ADDED" not in os.environ
