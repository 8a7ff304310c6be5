"""`registry models predict`: the same numbers as in Python, from and to every format."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_models import Doubling

import registry
from registry.cli.prediction_files import FileFormat, read_data, write_predictions
from registry.entities.schema import ColSpec, DataType, Schema
from registry.exceptions import InvalidParameterError, MissingDependencyError, SchemaEnforcementError, StorageError
from registry.models import infer_signature

FORMS: list[Any] = [
    [{"x": 0.5}, {"x": 1.5}],
    {"dataframe_records": [{"x": 0.5}, {"x": 1.5}]},
    {"dataframe_split": {"columns": ["x"], "data": [[0.5], [1.5]]}},
    {"columns": ["x"], "data": [[0.5], [1.5]]},
    {"inputs": {"x": [0.5, 1.5]}},
]


@pytest.fixture(autouse=True)
def rows(doubling: Doubling) -> None:
    doubling.rows.to_csv("rows.csv", index=False)
    doubling.rows.to_parquet("rows.parquet")


@pytest.mark.parametrize("source", ["rows.csv", "rows.parquet"])
@pytest.mark.parametrize("target", ["out.csv", "out.parquet"])
def test_predictions_from_a_file_are_those_of_python(
    cli: Callable, doubling: Doubling, source: str, target: str
) -> None:
    outcome = cli("models", "predict", "churn/1", "-i", source, "-o", target)

    assert (outcome.code, outcome.out, outcome.err) == (0, "", f"Wrote 3 predictions to {target}.\n")
    read = pd.read_csv(target) if target.endswith("csv") else pd.read_parquet(target)
    assert read["prediction"].tolist() == doubling.model.predict(doubling.rows).tolist()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_json_is_read(cli: Callable, doubling: Doubling, form: Any) -> None:
    Path("rows.json").write_text(json.dumps(form))

    outcome = cli("models", "predict", "models:/churn/1", "-i", "rows.json")

    assert outcome.json == {"predictions": [1.0, 3.0]}


def test_rows_come_from_stdin_and_predictions_go_to_stdout(
    cli: Callable, doubling: Doubling, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stdin(io.TextIOWrapper):
        pass

    monkeypatch.setattr(sys, "stdin", Stdin(io.BytesIO(b"x\n0.5\n")))
    assert cli("models", "predict", "churn/1").out == "prediction\n1.0\n"
    monkeypatch.setattr(sys, "stdin", Stdin(io.BytesIO(b'[{"x": 0.5}]')))
    line = ["models", "predict", "churn/1", "-i", "-", "--input-format", "json", "--output-format", "csv"]
    assert cli(*line).out == "prediction\n1.0\n"


def test_a_run_and_a_directory_name_a_model_too(cli: Callable, doubling: Doubling) -> None:
    path = cli("artifacts", "download", "churn/1", "-d", "model").out.strip()

    for uri in (f"runs:/{doubling.run_id[:5]}/model", path, "./model"):
        assert cli("models", "predict", uri, "-i", "rows.csv", "--json").json["predictions"][:2] == [1.0, 3.0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("y\n1\n", "missing inputs ['x']"),
        ("x\nlots\n", "x"),
        ("", "No columns"),
        ('x\n"1\n', "cannot be read as csv"),
        ("x\n1,2\n3,4\n", "Expected 1 fields in line 2, saw 2"),
    ],
)
def test_data_that_do_not_fit_are_one_line_and_exit_code_1(
    cli: Callable, doubling: Doubling, content: str, said: str
) -> None:
    Path("bad.csv").write_text(content)

    outcome = cli("models", "predict", "churn/1", "-i", "bad.csv", "-o", "out.csv")

    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert said in outcome.err
    assert not Path("out.csv").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["-i", "rows.txt"], "--input-format"),
        (["-i", "rows.csv", "-o", "out.txt"], "--output-format"),
        (["-i", "rows.csv", "--params", "{"], "not JSON"),
        (["-i", "rows.csv", "--params", "3"], "JSON object"),
        (["-i", "rows.csv", "--input-format", "xml"], "xml"),
    ],
)
def test_a_wrong_option_is_exit_code_2(cli: Callable, doubling: Doubling, line: list[str], said: str) -> None:
    outcome = cli("models", "predict", "churn/1", *line)

    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err


def test_a_missing_file_is_exit_code_1(cli: Callable, doubling: Doubling) -> None:
    assert cli("models", "predict", "churn/1", "-i", "none.csv").code == 1


def test_code_in_a_model_runs_only_with_consent(cli: Callable, doubling: Doubling) -> None:
    class Multiple(registry.pyfunc.PythonModel):
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return list(model_input["x"] * params["by"])

    registry.pyfunc.log_model(
        name="code",
        python_model=Multiple(),
        signature=infer_signature(doubling.rows, [1.0], params={"by": 1}),
        registered_model_name="coded",
    )

    assert cli("models", "predict", "coded/1", "-i", "rows.csv").code == 3
    outcome = cli("models", "predict", "coded/1", "-i", "rows.csv", "--allow-code", "--params", '{"by": 2}')
    assert outcome.out.splitlines()[:3] == ["prediction", "1.0", "3.0"]


def test_text_and_numbers_of_csv_get_the_types_of_the_signature(tmp_path: Path) -> None:
    typed = pd.DataFrame(
        {
            "zip": ["01234"],
            "country": ["NA"],
            "small": np.array([1], dtype="int32"),
            "big": [2**60 + 1],
            "half": np.array([0.1], dtype="float32"),
            "exact": [0.1 + 0.2],
            "day": pd.to_datetime(["2026-03-01"]),
            "yes": [True],
        }
    )
    typed.to_csv(tmp_path / "x.csv", index=False)

    with pytest.warns(UserWarning, match="Integer columns"):
        schema = infer_signature(typed).inputs
    frame, params = read_data(tmp_path / "x.csv", FileFormat.CSV, schema)

    assert params is None
    assert frame["zip"].tolist() == ["01234"]
    assert frame["country"].tolist() == ["NA"]
    assert frame["day"].tolist() == [pd.Timestamp("2026-03-01")]
    numbers = ["small", "big", "half", "exact", "yes"]
    assert [str(frame[name].dtype) for name in numbers] == ["int32", "int64", "float32", "float64", "bool"]
    assert frame[numbers].iloc[0].tolist() == typed[numbers].iloc[0].tolist()


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_whole_floats_are_integers_of_the_signature(tmp_path: Path, kind: str) -> None:
    typed = pd.DataFrame({"n": [1, 2], "k": np.array([1, 2], dtype="int32"), "half": [1, 2]})
    floats = pd.DataFrame({"n": [1.0, 2.0], "k": [1.0, 2.0], "half": [1.0, 2.5]})
    file = tmp_path / f"x.{kind}"
    file.write_text(
        floats.to_csv(index=False) if kind == "csv" else '[{"n":1.0,"k":1.0,"half":1.0},{"n":2.0,"k":2.0,"half":2.5}]'
    )

    with pytest.warns(UserWarning, match="Integer columns"):
        schema = infer_signature(typed).inputs
    frame, _ = read_data(file, FileFormat(kind), schema)

    assert [str(dtype) for dtype in frame.dtypes] == ["int64", "int32", "float64"]


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_missing_integers_and_truths_of_optional_columns_are_missing(tmp_path: Path, kind: str) -> None:
    optional = pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "b": pd.array([True, None], dtype="boolean")})
    file = tmp_path / f"x.{kind}"
    file.write_text("n,b\n1,True\n,\n" if kind == "csv" else '[{"n": 1, "b": true}, {"n": null, "b": null}]')

    schema = infer_signature(optional).inputs
    frame, _ = read_data(file, FileFormat(kind), schema)

    pd.testing.assert_frame_equal(frame, optional)
    file.write_text("n,b\n1.5,7\n,\n" if kind == "csv" else '[{"n": 1.5, "b": 7}, {"n": null, "b": null}]')
    wrong, _ = read_data(file, FileFormat(kind), schema)
    assert [str(wrong["n"].dtype), str(wrong["b"].dtype)] == ["float64", "float64"]


def test_a_field_without_a_number_is_missing(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1.5,\n,NA\n")
    schema = infer_signature(pd.DataFrame({"a": [1.5], "b": ["t"]})).inputs

    frame, _ = read_data(tmp_path / "x.csv", FileFormat.CSV, schema)

    assert frame["a"].isna().tolist() == [False, True]
    assert frame["b"].tolist() == ["", "NA"]


def test_json_for_tensors_is_read_as_arrays(tmp_path: Path) -> None:
    schema = infer_signature(np.zeros((2, 3))).inputs
    (tmp_path / "x.json").write_text('{"instances": [[1, 2, 3], [4, 5, 6]], "params": {"k": 1}}')
    data, params = read_data(tmp_path / "x.json", FileFormat.JSON, schema)
    assert (data.tolist(), params) == ([[1, 2, 3], [4, 5, 6]], {"k": 1})

    (tmp_path / "x.json").write_text('{"inputs": {"a": [[1]]}}')
    data, _ = read_data(tmp_path / "x.json", FileFormat.JSON, schema)
    assert data["a"].shape == (1, 1)


@pytest.mark.parametrize("content", ["{", "3", "{}", '{"inputs": [1], "instances": [1]}', '{"dataframe_split": {}}'])
def test_json_of_another_form_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)

    with pytest.raises(SchemaEnforcementError):
        read_data(tmp_path / "x.json", FileFormat.JSON, None)


@pytest.mark.parametrize(
    ("predictions", "text"),
    [
        (np.array([[1.0, 2.0]]), "prediction_0,prediction_1\n1.0,2.0\n"),
        (pd.DataFrame({0: [1], "b": ["x"]}), "0,b\n1,x\n"),
        (pd.Series([1], name="score"), "score\n1\n"),
        ({"a": [1], "b": [2]}, "a,b\n1,2\n"),
        (["x", 'y"z'], 'prediction\nx\n"y""z"\n'),
    ],
)
def test_predictions_of_every_kind_are_csv(tmp_path: Path, predictions: Any, text: str) -> None:
    write_predictions(predictions, tmp_path / "out.csv", FileFormat.CSV)

    assert (tmp_path / "out.csv").read_text() == text


def test_json_has_null_for_what_json_cannot_say(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [float("nan"), 1.5], "b": [pd.NaT, pd.Timestamp("2026-03-01")], "c": [float("inf"), 1]})
    write_predictions(frame, tmp_path / "out.json", FileFormat.JSON)

    assert json.loads((tmp_path / "out.json").read_text()) == {
        "predictions": [{"a": None, "b": None, "c": None}, {"a": 1.5, "b": "2026-03-01 00:00:00", "c": 1.0}]
    }


def test_what_is_no_table_is_refused_as_csv_and_written_as_json(tmp_path: Path) -> None:
    cube = np.zeros((1, 1, 1))
    with pytest.raises(InvalidParameterError, match="write JSON"):
        write_predictions(cube, tmp_path / "out.csv", FileFormat.CSV)
    write_predictions((cube, {"k": "v"}), tmp_path / "out.json", FileFormat.JSON)
    assert json.loads((tmp_path / "out.json").read_text()) == {"predictions": [[[[0.0]]], {"k": "v"}]}


@pytest.mark.parametrize("predictions", [{"a": 0.5}, {"a": [1, 2], "b": [1]}, {"a": np.zeros((2, 2))}, [[1], [2, 3]]])
def test_columns_that_make_no_table_are_an_error_of_ours(tmp_path: Path, predictions: Any) -> None:
    with pytest.raises(InvalidParameterError, match=r"^The predictions are no table: .*Write JSON\.$"):
        write_predictions(predictions, tmp_path / "out.csv", FileFormat.CSV)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [1, "x"]}),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame({"a": [2**70]}),
    ],
)
def test_predictions_that_parquet_cannot_hold_are_an_error_of_ours(tmp_path: Path, frame: pd.DataFrame) -> None:
    with pytest.raises(InvalidParameterError, match=r"^Parquet cannot hold the predictions: .*Write CSV or JSON\.$"):
        write_predictions(frame, tmp_path / "out.parquet", FileFormat.PARQUET)


@pytest.mark.parametrize("kind", list(FileFormat))
def test_a_place_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path, kind: FileFormat) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        write_predictions([1], tmp_path / "none" / "out", kind)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "fastparquet", None)
    (tmp_path / "x.parquet").write_bytes(b"")

    with pytest.raises(MissingDependencyError, match=r"registry-ml\[arrow\]"):
        read_data(tmp_path / "x.parquet", FileFormat.PARQUET, None)
    with pytest.raises(MissingDependencyError, match=r"registry-ml\[arrow\]"):
        write_predictions([1], tmp_path / "y.parquet", FileFormat.PARQUET)


def test_a_column_that_the_file_lacks_is_left_to_predict(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n1.5\n")
    schema = infer_signature(pd.DataFrame({"a": [1.5], "b": [2.5]})).inputs

    assert list(read_data(tmp_path / "x.csv", FileFormat.CSV, schema)[0]) == ["a"]


def test_predictions_are_written_to_an_open_file() -> None:
    target = io.BytesIO()
    write_predictions([1], target, FileFormat.CSV)

    assert target.getvalue() == b"prediction\n1\n"


def test_json_loses_no_column_of_two_with_one_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="several columns named '0'"):
        write_predictions(pd.DataFrame([[1, 2]], columns=[0, "0"]), tmp_path / "out.json", FileFormat.JSON)


def test_a_number_beyond_the_type_of_the_signature_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("x,y\n0.5,1e300\ninf,1\n")
    schema = Schema([ColSpec(DataType.float, "x"), ColSpec(DataType.float, "y")])
    data, _ = read_data(tmp_path / "rows.csv", FileFormat.CSV, schema)
    assert data.dtypes.astype(str).to_dict() == {"x": "float32", "y": "float64"}
    assert data["y"].tolist() == [1e300, 1.0]


def test_two_columns_of_one_name_are_left_to_predict(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('{"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}')
    data, _ = read_data(tmp_path / "rows.json", FileFormat.JSON, Schema([ColSpec(DataType.integer, "a")]))
    assert (list(data.columns), data.to_numpy().tolist()) == (["a", "a"], [[1, 2]])
