"""Signatures: the form they have in an MLmodel file, and what is none."""

from typing import Any

import pytest

from registry.entities.param_schema import ParamSchema, ParamSpec
from registry.entities.schema import ColSpec, Schema
from registry.entities.signature import ModelSignature
from registry.exceptions import InvalidParameterError, InvalidTypeError

COLUMNS = Schema([ColSpec("double", "a")])


def test_a_signature_is_json_texts_in_a_map() -> None:
    signature = ModelSignature(inputs=COLUMNS, params=ParamSchema([ParamSpec("p", "long", 1)]))
    assert signature.to_dict() == {
        "inputs": '[{"type": "double", "name": "a", "required": true}]',
        "outputs": None,
        "params": '[{"name": "p", "default": 1, "shape": null, "type": "long"}]',
    }


def test_a_signature_is_the_same_after_writing_and_reading() -> None:
    signature = ModelSignature(COLUMNS, Schema([ColSpec("long")]), ParamSchema([ParamSpec("p", "string", "x")]))
    assert ModelSignature.from_dict(signature.to_dict()) == signature


def test_a_signature_needs_one_of_its_parts() -> None:
    with pytest.raises(InvalidParameterError, match="At least one"):
        ModelSignature()


@pytest.mark.parametrize("inputs", ["double", [ColSpec("double")], 3])
def test_inputs_that_are_no_schema_are_refused(inputs: Any) -> None:
    with pytest.raises(InvalidTypeError, match="inputs must be"):
        ModelSignature(inputs)


@pytest.mark.parametrize("form", [None, [], {}, {"inputs": "x"}, {"inputs": {"a": 1}}, {"params": '[{"name": "a"}]'}])
def test_a_form_that_is_no_signature_is_refused(form: Any) -> None:
    with pytest.raises(InvalidParameterError):
        ModelSignature.from_dict(form)
