"""Schemas: their JSON forms, what is refused, and how types merge."""

import datetime
import json

import numpy as np
import pytest

from registry.entities.param_schema import ParamSchema, ParamSpec
from registry.entities.schema import AnyType, Array, ColSpec, DataType, Map, Object, Property, Schema, TensorSpec
from registry.entities.schema_types import ColumnType, merge_types
from registry.exceptions import InvalidParameterError, InvalidTypeError

NESTED = Object([Property("k", DataType.string), Property("l", Array("long"), required=False)])


def test_a_column_schema_has_the_json_form_of_mlflow() -> None:
    schema = Schema([ColSpec("double", "a"), ColSpec(DataType.string, "b", required=False)])
    assert schema.to_json() == (
        '[{"type": "double", "name": "a", "required": true}, {"type": "string", "name": "b", "required": false}]'
    )


def test_a_tensor_schema_has_the_json_form_of_mlflow() -> None:
    schema = Schema([TensorSpec(np.dtype("float32"), (-1, 28))])
    assert schema.to_json() == '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 28]}}]'


@pytest.mark.parametrize(
    "schema",
    [
        Schema([ColSpec("double", "a"), ColSpec("binary", "b", required=False)]),
        Schema([ColSpec("datetime")]),
        Schema([ColSpec(NESTED, "a"), ColSpec(Map("double"), "b"), ColSpec(AnyType(), "c", required=False)]),
        Schema([ColSpec(Array(Array(NESTED)), "a")]),
        Schema([TensorSpec(np.dtype("str"), (-1,), "a"), TensorSpec("int64", [-1, 2], "b")]),
    ],
)
def test_a_schema_is_the_same_after_writing_and_reading(schema: Schema) -> None:
    assert Schema.from_json(schema.to_json()) == schema


def test_a_tensor_spec_gives_its_numpy_type() -> None:
    assert TensorSpec("float32", (-1, 2)).type == np.dtype("float32")


def test_types_by_name_are_given_for_named_columns() -> None:
    assert Schema([ColSpec("double", "a"), ColSpec("long", "b")]).input_types_dict() == {
        "a": DataType.double,
        "b": DataType.long,
    }


def test_pandas_types_of_text_are_objects() -> None:
    assert Schema([ColSpec("double"), ColSpec("string")]).pandas_types() == [np.dtype("float64"), np.dtype(object)]


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        [ColSpec("double", "a"), ColSpec("double")],
        [ColSpec("double", "a"), TensorSpec("int64", (-1,), "b")],
        [TensorSpec("int64", (-1,)), TensorSpec("int64", (-1,))],
        [ColSpec("double", required=False)],
        ["double"],
    ],
)
def test_a_schema_that_is_neither_columns_nor_tensors_is_refused(inputs: list[ColSpec]) -> None:
    with pytest.raises(InvalidParameterError):
        Schema(inputs)


@pytest.mark.parametrize("kind", ["decimal", 3, None, object])
def test_an_unknown_type_is_refused(kind: ColumnType) -> None:
    with pytest.raises(InvalidTypeError, match="Unsupported type"):
        ColSpec(kind, "a")


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "not json",
        "[1]",
        '[{"name": "a"}]',
        '[{"type": "tensor"}]',
        '[{"type": "tensor", "tensor-spec": {"dtype": 3, "shape": [1]}}]',
        '[{"type": "tensor", "tensor-spec": {"dtype": "int8", "shape": "x"}}]',
        '[{"type": "array", "name": "a"}]',
        '[{"type": "object", "properties": [], "name": "a"}]',
        '[{"type": "object", "properties": {"k": 3}, "name": "a"}]',
        '[{"type": "os.system", "name": "a"}]',
        "[" * 100_000,
        json.dumps([{"type": "array", "items": {"type": "long"}}]).replace("[", "[" * 9000, 1),
    ],
)
def test_text_that_is_no_schema_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameterError):
        Schema.from_json(text)


def test_an_unknown_tensor_type_is_refused_when_it_is_asked_for() -> None:
    with pytest.raises(InvalidParameterError, match="unknown tensor type 'float1'"):
        _ = TensorSpec("float1", (-1,)).type


def test_the_length_of_texts_is_no_part_of_a_tensor_spec() -> None:
    with pytest.raises(InvalidParameterError, match="length of text"):
        TensorSpec(np.dtype("U7"), (-1,))


def test_properties_are_kept_in_the_order_of_their_names() -> None:
    names = [item.name for item in Object([Property("b", "long"), Property("a", "long")]).properties]
    assert names == ["a", "b"]


def test_doubled_property_names_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="`a`"):
        Object([Property("a", "long"), Property("a", "double")])


def test_merging_objects_makes_keys_that_one_lacks_optional() -> None:
    merged = merge_types(Object([Property("a", "long"), Property("b", "long")]), Object([Property("a", "long")]))
    assert merged == Object([Property("a", "long"), Property("b", "long", required=False)])


@pytest.mark.parametrize(
    ("first", "second", "merged"),
    [
        (AnyType(), DataType.long, DataType.long),
        (Array("long"), Array(AnyType()), Array("long")),
        (Map(AnyType()), Map("string"), Map("string")),
        (AnyType(), Object([Property("a", "long")]), Object([Property("a", "long", required=False)])),
    ],
)
def test_merging_fills_in_what_is_unknown(first: ColumnType, second: ColumnType, merged: ColumnType) -> None:
    assert merge_types(first, second) == merged


def test_merging_types_that_differ_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="incompatible"):
        merge_types(DataType.long, Array("long"))


def test_params_are_the_same_after_writing_and_reading() -> None:
    schema = ParamSchema(
        [
            ParamSpec("a", "double", 1),
            ParamSpec("b", DataType.string, ["x", "y"], (-1,)),
            ParamSpec("c", "datetime", datetime.datetime(2026, 1, 2, 3)),
            ParamSpec("d", Object([Property("k", "long")]), {"k": 1}),
            ParamSpec("e", "long", None),
        ]
    )
    assert ParamSchema.from_json(schema.to_json()) == schema


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        ("double", 2, 2.0),
        ("double", np.float32(0.5), 0.5),
        ("long", np.int32(3), 3),
        ("integer", 3, 3),
        ("boolean", True, True),
        ("string", "x", "x"),
        ("datetime", "2026-01-02", datetime.date(2026, 1, 2)),
        ("datetime", np.datetime64("2026-01-02T03:00"), datetime.datetime(2026, 1, 2, 3)),
        ("long", None, None),
    ],
)
def test_a_param_comes_out_in_its_builtin_type(dtype: str, value: object, expected: object) -> None:
    checked = ParamSpec("a", dtype, None).check(value)
    assert (checked, type(checked)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("dtype", "value", "shape"),
    [
        ("long", 1.5, None),
        ("long", "1", None),
        ("long", True, None),
        ("string", 1, None),
        ("datetime", "yesterday", None),
        ("datetime", 3, None),
        ("long", 1, (-1,)),
        ("long", [[1]], (-1,)),
        ("long", [1], (2,)),
        ("long", [1], None),
    ],
)
def test_a_param_that_would_have_to_change_is_refused(dtype: str, value: object, shape: tuple[int] | None) -> None:
    with pytest.raises(InvalidParameterError):
        ParamSpec("a", dtype, value, shape)


@pytest.mark.parametrize("value", [{}, {"k": "x"}, {"k": 1, "l": 2}, [1], None])
def test_a_dictionary_param_needs_its_keys_and_types(value: object) -> None:
    with pytest.raises(InvalidParameterError):
        ParamSpec("a", Object([Property("k", "long")]), value)


def test_binary_params_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="Binary"):
        ParamSpec("a", "binary", b"")
