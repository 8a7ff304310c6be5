"""Data sets: digests equal to mlflow 3.17.2's, sources, profiles, and what is refused."""

import datetime
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from registry.datasets import CodeDatasetSource, PandasDataset, UriDatasetSource, frame_digest, from_pandas, source_of
from registry.entities import Dataset
from registry.entities.schema import ColSpec, DataType, Schema
from registry.exceptions import InvalidNameError, InvalidParameterError, InvalidTypeError

FRAME = pd.DataFrame({"a": [1, 2], "b": [1.5, np.nan], "c": [True, False]})


# Digests as mlflow 3.17.2 computes them with pandas 3.1.1.
@pytest.mark.parametrize(
    ("frame", "digest"),
    [
        (FRAME, "42f400c2"),
        (pd.DataFrame(), "7dea362b"),
        (pd.DataFrame({"a": pd.Series([], dtype=float)}), "c90e33b7"),
        (pd.DataFrame(np.arange(6).reshape(2, 3)), "f2fdd610"),
        (pd.DataFrame({"a": np.arange(20000.0), "b": np.arange(20000) % 7}), "57a5ecc0"),
        (pd.DataFrame({"a": [1, 2]}, index=["x", "y"]), "b544218e"),
        (pd.DataFrame({"b": [1], "a": ["x"]}), "ff431cd2"),
        (pd.DataFrame([[1, "x"]], columns=[1, "a"]), "4af508dd"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "b0b3a100"),
        (pd.DataFrame({"c": pd.Categorical(["a", "b"])}), "fb79888f"),
        (pd.DataFrame({"s": ["x", None], "o": pd.Series(["x", None], dtype=object)}), "39a186eb"),
        (pd.DataFrame({"a": pd.Series([1, 2], dtype=object)}), "defee322"),
        (pd.DataFrame({"a": [1j]}), "44b1f806"),
        (pd.DataFrame({"a": pd.to_timedelta([1, 2])}), "2981c147"),
        (pd.DataFrame({"a": [datetime.date(2026, 1, 1)]}), "a17ca048"),
        (pd.DataFrame({"t": pd.to_datetime(["2026-01-01", "2026-01-02"])}), "d74709bf"),
        (pd.DataFrame({"a": np.array([1, 2], dtype="float16")}), "1a8d95f5"),
        (
            pd.DataFrame(
                {
                    "i": pd.array([1, None], dtype="Int64"),
                    "b": pd.array([True, None], dtype="boolean"),
                    "f": pd.array([1.0, None], dtype="Float64"),
                }
            ),
            "7642d52b",
        ),
        (
            pd.DataFrame(
                {
                    "s": ["x", "y"],
                    "n": np.array([1, 2], dtype="int32"),
                    "f": np.array([1, 2], dtype="float32"),
                    "u": np.array([1, 2], dtype="uint8"),
                    "i16": np.array([1, 2], dtype="int16"),
                    "u32": np.array([1, 2], dtype="uint32"),
                }
            ),
            "a9f09a63",
        ),
    ],
)
def test_the_digest_is_that_of_mlflow(frame, digest):
    assert frame_digest(frame) == digest
    assert from_pandas(frame).digest == digest


def test_the_digest_sees_a_changed_number_a_renamed_column_and_a_further_row():
    frame = pd.DataFrame({"a": [1, 2]})
    others = [pd.DataFrame({"a": [1, 3]}), pd.DataFrame({"b": [1, 2]}), pd.DataFrame({"a": [1, 2, 3]})]
    assert len({frame_digest(each) for each in [frame, *others]}) == 4


def test_the_entity_holds_everything_but_the_data():
    tags = {"mlflow.user": "ada", "mlflow.source.name": "train.py", "mlflow.source.type": "LOCAL"}

    def infer_schema(df):
        return Schema([ColSpec(DataType.long, name) for name in df.columns])

    dataset = from_pandas(pd.DataFrame({"a": [1, 2]}), context_tags=tags, infer_schema=infer_schema)
    expected = Dataset(
        name="dataset",
        digest="2981c147",
        source_type="code",
        source='{"tags": {"mlflow.user": "ada", "mlflow.source.name": "train.py", "mlflow.source.type": "LOCAL"}}',
        schema='{"mlflow_colspec": [{"type": "long", "name": "a", "required": true}]}',
        profile='{"num_rows": 2, "num_elements": 2}',
    )
    assert dataset.to_entity() == expected
    assert dataset._to_mlflow_entity() == expected
    assert json.loads(dataset.to_json()) == expected.to_dictionary()


def test_a_frame_whose_types_cannot_be_told_has_no_schema():
    def infer_schema(df):
        raise InvalidParameterError("no type is wide enough")

    assert from_pandas(FRAME).schema is None
    dataset = from_pandas(FRAME, infer_schema=infer_schema)
    assert dataset.schema is None
    assert dataset.to_entity().schema is None


def test_column_names_that_are_no_text_are_written_as_text():
    dataset = from_pandas(
        pd.DataFrame({pd.Timestamp("2026-01-01"): [1]}),
        infer_schema=lambda df: Schema([ColSpec(DataType.long, name) for name in df.columns]),
    )
    assert json.loads(dataset.to_entity().schema)["mlflow_colspec"][0]["name"] == "2026-01-01 00:00:00"


@pytest.mark.parametrize(
    ("source", "source_type", "form"),
    [
        ("s3://bucket/key", "s3", {"uri": "s3://bucket/key"}),
        ("/data/train.csv", "local", {"uri": "/data/train.csv"}),
        ("train.csv", "local", {"uri": "train.csv"}),
        ("file:///data/train.csv", "local", {"uri": "file:///data/train.csv"}),
        (r"C:\data\train.csv", "local", {"uri": r"C:\data\train.csv"}),
        (Path("data/train.csv"), "local", {"uri": "data/train.csv"}),
        ("https://host/train.csv", "http", {"url": "https://host/train.csv"}),
        ("GS://bucket/key", "gs", {"uri": "GS://bucket/key"}),
        ("runs:/abc/train.csv", "runs", {"uri": "runs:/abc/train.csv"}),
        (UriDatasetSource("s3://bucket/key"), "s3", {"uri": "s3://bucket/key"}),
        (CodeDatasetSource({"a": "b"}), "code", {"tags": {"a": "b"}}),
        (None, "code", {"tags": {}}),
    ],
)
def test_a_source_is_kept_as_given_and_read_back(source, source_type, form):
    dataset = from_pandas(FRAME, source=source)
    entity = dataset.to_entity()
    assert (entity.source_type, json.loads(entity.source)) == (source_type, form)
    assert source_of(entity) == dataset.source


@pytest.mark.parametrize(
    ("source_type", "source"), [("s3", "{"), ("s3", "[]"), ("s3", "{}"), ("code", '{"tags": 3}'), ("s3", "[" * 100_000)]
)
def test_a_stored_source_of_no_known_form_is_refused(source_type, source):
    with pytest.raises(InvalidParameterError, match="The source of data set 'panel'"):
        source_of(Dataset("panel", "0" * 8, source_type, source))


def test_name_digest_targets_and_predictions_can_be_given():
    dataset = from_pandas(FRAME, targets="c", name="panel", digest="v1", predictions="b")
    assert (dataset.name, dataset.digest, dataset.targets, dataset.predictions) == ("panel", "v1", "c", "b")
    assert dataset.df is FRAME
    assert dataset.profile == {"num_rows": 2, "num_elements": 6}
    assert isinstance(dataset, PandasDataset)


@pytest.mark.parametrize("role", ["targets", "predictions"])
def test_a_column_that_is_not_there_is_refused(role):
    with pytest.raises(InvalidParameterError, match=rf"{role} column 'z'. It has \['a', 'b', 'c'\]"):
        from_pandas(FRAME, **{role: "z"})


@pytest.mark.parametrize("frame", [None, [[1, 2]], np.zeros((2, 2)), pd.Series([1, 2])])
def test_what_is_no_frame_is_refused(frame):
    with pytest.raises(InvalidTypeError, match="A pandas DataFrame is expected"):
        from_pandas(frame)


@pytest.mark.parametrize("arguments", [{"name": " "}, {"name": "a\0"}, {"name": "x" * 501}, {"digest": "x" * 37}])
def test_a_name_or_digest_that_cannot_be_stored_is_refused(arguments):
    with pytest.raises(InvalidNameError):
        from_pandas(FRAME, **arguments)


def test_a_source_of_another_type_is_refused():
    with pytest.raises(InvalidTypeError, match="A source is a path, a URI or a DatasetSource, got int"):
        from_pandas(FRAME, source=3)


@pytest.mark.parametrize("source", ["", " ", "a\0b", "a\ud800", "x" * 4097])
def test_a_source_that_cannot_be_stored_is_refused(source):
    with pytest.raises(InvalidParameterError, match="The source"):
        from_pandas(FRAME, source=source)


def test_an_index_that_cannot_be_hashed_asks_for_a_digest():
    frame = pd.DataFrame({"a": [1]}, index=pd.Index([{"unhashable": 1}], dtype=object))
    with pytest.raises(InvalidParameterError, match="give digest="):
        from_pandas(frame)
    assert from_pandas(frame, digest="v1").digest == "v1"
