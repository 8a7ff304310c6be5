"""Frames of any content: the inferred signature accepts them, and no part of the library fails on them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from column_kinds import KINDS, NAMES
from hypothesis import HealthCheck, given, settings, strategies as st

import registry
from registry import flavors
from registry.entities.signature import ModelSignature
from registry.exceptions import InvalidParameterError, SchemaEnforcementError
from registry.flavors.signatures.enforce import enforce_schema

pytestmark = [
    pytest.mark.filterwarnings("ignore:Integer columns"),
    # pandas warns of objects that it cannot keep in their own unit.
    pytest.mark.filterwarnings("ignore:Converting to PeriodArray"),
]


def _accepts(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame that a model gets, by a signature inferred from it that was written and read back."""
    signature = flavors.infer_signature(frame)
    again = ModelSignature.from_dict(json.loads(json.dumps(signature.to_dict())))
    assert again == signature
    assert again.inputs is not None
    enforced: pd.DataFrame = enforce_schema(frame, again.inputs)
    return enforced


def _number_of_columns(data: Any, params: Any = None) -> Any:
    del params
    return np.full(len(data), float(data.shape[1]))


def _check_everywhere(frame: pd.DataFrame, directory: Path) -> None:
    enforced = _accepts(frame)
    assert enforced.shape == frame.shape
    assert enforced.columns.equals(frame.columns)
    assert enforced.isna().to_numpy().tolist() == frame.isna().to_numpy().tolist()
    flavors.save_model(
        lambda model_input: _number_of_columns(model_input), directory, "python_function", input_example=frame
    )
    loaded = flavors.load_pyfunc(directory, allow_code=True)
    assert loaded.predict(frame).tolist() == [float(frame.shape[1])] * len(frame)
    if loaded.input_example is not None:
        assert loaded.predict(loaded.input_example).tolist() == [float(frame.shape[1])] * len(frame)
    dataset = registry.data.from_pandas(frame, source="s3://b/x")
    assert dataset.profile == {"num_rows": len(frame), "num_elements": frame.size}
    assert json.loads(dataset.to_json())["name"] == "dataset"


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_inferred_from_a_column_accepts_it(kind: str, tmp_path: Path) -> None:
    _check_everywhere(pd.DataFrame({"a": KINDS[kind]}), tmp_path / "model")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row", [0, 1])
def test_what_was_inferred_from_a_column_accepts_one_row_of_it(kind: str, row: int) -> None:
    frame = pd.DataFrame({"a": KINDS[kind]})
    inputs = flavors.infer_signature(frame).inputs
    assert inputs is not None
    assert enforce_schema(frame.iloc[[row]], inputs).shape == (1, 1)


@pytest.mark.parametrize("names", NAMES)
def test_what_was_inferred_from_columns_of_any_name_accepts_them(names: str, tmp_path: Path) -> None:
    frame = pd.DataFrame([[1.5, 2.5], [3.5, 4.5]]).set_axis(NAMES[names], axis=1)
    _check_everywhere(frame, tmp_path / "model")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=5), rows=st.integers(0, 3))
def test_what_was_inferred_from_a_frame_accepts_it(chosen: list[str], rows: int) -> None:
    frame = pd.DataFrame({f"c{position}": KINDS[kind] for position, kind in enumerate(chosen)}).head(rows)
    enforced = _accepts(frame)
    assert enforced.shape == frame.shape
    mixed = frame[frame.columns[::-1]].assign(more=1)
    if flavors.infer_signature(frame).inputs.has_input_names():  # type: ignore[union-attr]
        assert enforce_schema(mixed, flavors.infer_signature(frame).inputs).columns.tolist() == frame.columns.tolist()  # type: ignore[arg-type]
    assert registry.data.from_pandas(frame).profile["num_rows"] == len(frame)


def test_two_columns_of_one_name_get_one_clear_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    twice = pd.DataFrame([[1.0, 2.0, 3.0]], columns=["a", "b", "a"])
    with pytest.raises(InvalidParameterError, match=r"several columns of the names \['a'\]; rename or drop"):
        flavors.infer_signature(twice)
    # As in MLflow, a data set may have them; no schema can.
    assert registry.data.from_pandas(twice).schema is None
    inputs = flavors.infer_signature(pd.DataFrame({"a": [1.0], "b": [2.0]})).inputs
    assert inputs is not None
    with pytest.raises(SchemaEnforcementError, match="several columns of the name 'a'; rename or drop"):
        enforce_schema(twice, inputs)
    flavors.save_model(_number_of_columns, tmp_path / "model", "python_function", input_example=twice)
    assert "without its input example" in caplog.text
    assert "several columns of the names ['a']" in caplog.text


def test_a_column_that_is_twice_but_not_asked_for_is_dropped() -> None:
    inputs = flavors.infer_signature(pd.DataFrame({"b": [2.0]})).inputs
    assert inputs is not None
    twice = pd.DataFrame([[1.0, 2.0, 3.0]], columns=["a", "b", "a"])
    assert enforce_schema(twice, inputs).to_dict("list") == {"b": [2.0]}


@pytest.mark.parametrize("example", [object(), {1, 2}, {"a": object()}, [complex(1)], lambda: 1, {"a": float}])
def test_a_bad_example_is_a_warning_and_no_lost_model(
    tmp_path: Path, example: Any, caplog: pytest.LogCaptureFixture
) -> None:
    saved = flavors.save_model(_number_of_columns, tmp_path / "model", "python_function", input_example=example)
    assert (saved.signature, saved.saved_input_example_info) == (None, None)
    assert "The model is saved without its input example and without a signature from it" in caplog.text
    assert not (tmp_path / "model" / "input_example.json").exists()


@pytest.mark.parametrize("kind", ["double", "float", "long", "integer", "string", "boolean", "datetime"])
def test_one_row_with_a_null_passes_where_two_rows_do(kind: str) -> None:
    schema = flavors.infer_signature(pd.DataFrame({"a": [1.0], "b": [1.0]})).inputs
    assert schema is not None
    typed = type(schema).from_json(json.dumps([{"type": "double", "name": "a"}, {"type": kind, "name": "b"}]))
    value: dict[str, Any] = {"string": "x", "boolean": True, "datetime": pd.Timestamp("2026-01-01")}
    one = [{"a": 1.0, "b": None}]
    two = [*one, {"a": 2.0, "b": value.get(kind, 3.0)}]
    outcomes = []
    for rows in (one, two):
        try:
            enforced = enforce_schema(rows, typed)
            outcomes.append((str(enforced["a"].dtype), bool(enforced["b"].isna()[0])))
        except SchemaEnforcementError as error:
            outcomes.append(("refused", "missing values" in str(error)))
    refused = kind in ("long", "integer")
    assert outcomes[0] == (("refused", True) if refused else ("float64", True))
    # A number from JSON is a double, which does not fit a float.
    assert outcomes[1] == (("refused", False) if kind == "float" else outcomes[0])


def test_a_dictionary_with_a_null_is_one_row() -> None:
    inputs = flavors.infer_signature(pd.DataFrame({"a": [1.0], "b": [2.0]})).inputs
    assert inputs is not None
    assert str(enforce_schema({"a": 1.5, "b": None}, inputs).to_dict("list")) == "{'a': [1.5], 'b': [nan]}"
