"""MLflow's scoring protocol: what is taken, what is refused, and that an error says why without the input."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from asgi_client import AsgiClient
from sklearn.linear_model import LinearRegression

import registry

Serve = Callable[..., AsgiClient]
pytestmark = pytest.mark.filterwarnings("ignore:Integer columns")
FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": [10.0, 20.0]})
MIXED = pd.DataFrame(
    {
        "flag": [True, False],
        "small": np.array([1, 2], np.int32),
        "large": np.array([1, 2], np.int64),
        "single": np.array([0.5, 1.5], np.float32),
        "double": [0.25, 0.75],
        "text": ["a", "b"],
        "moment": np.array(["2021-01-01", "2021-02-02T03:04:05"], "datetime64[ns]"),
        "raw": [b"x", b"yz"],
    }
)


class Echo(registry.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """Says which types it was given, and what is in the frame."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        if isinstance(model_input, pd.DataFrame):
            rows = [[str(value) for value in row] for row in model_input.itertuples(index=False)]
            return {
                "columns": [str(name) for name in model_input.columns],
                "types": [str(dtype) for dtype in model_input.dtypes],
                "rows": rows,
                "params": params,
            }
        if isinstance(model_input, dict):
            return {name: [str(array.dtype), *map(str, array.shape)] for name, array in model_input.items()}
        return {"array": [str(model_input.dtype), *map(str, model_input.shape)]}


def save_sum(path: str = "model", **options: Any) -> None:
    """Save a model that answers a + b."""
    model = LinearRegression(fit_intercept=False).fit(FRAME, FRAME.sum(axis=1))
    model.coef_ = np.array([1.0, 1.0])
    signature = registry.models.infer_signature(FRAME, model.predict(FRAME))
    registry.sklearn.save_model(model, path, **{"signature": signature, **options})


def save_echo(signature: Any, path: str = "echo") -> None:
    registry.pyfunc.save_model(path, python_model=Echo(), signature=signature)


@pytest.fixture
def summing(own_place: Path, serve: Serve) -> AsgiClient:
    save_sum()
    return serve("model")


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 10], [2.0, 20]]}},
        {"dataframe_split": {"columns": ["b", "a"], "data": [[10, 1], [20, 2]]}},
        {"dataframe_split": {"columns": ["b", "more", "a"], "data": [[10, "x", 1], [20, None, 2]], "index": [7, 8]}},
        {"dataframe_records": [{"a": 1, "b": 10}, {"b": 20, "a": 2, "more": "x"}]},
        {"instances": [{"a": 1, "b": 10}, {"a": 2, "b": 20}]},
        {"inputs": {"a": [1, 2], "b": [10, 20]}},
        {"inputs": [{"a": 1, "b": 10}, {"a": 2, "b": 20}], "params": None, "signature_name": "serving_default"},
    ],
)
def test_each_form_of_the_protocol_is_taken(summing: AsgiClient, body: Any) -> None:
    answer = summing.post("/invocations", body)

    assert (answer.status, answer.json()) == (200, {"predictions": [11.0, 22.0]})
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.headers["x-model-digest"]) == 64


def test_one_row_may_come_as_single_values(summing: AsgiClient) -> None:
    assert summing.post("/invocations", {"inputs": {"a": 3, "b": 4}}).json() == {"predictions": [7.0]}


@pytest.mark.parametrize("kind", ["text/csv", "text/csv; charset=utf-8", "TEXT/CSV;charset=UTF-8"])
def test_csv_is_taken(summing: AsgiClient, kind: str) -> None:
    answer = summing.post("/invocations", b"b,more,a\n10,x,1\n20,,2\n", kind)

    assert answer.json() == {"predictions": [11.0, 22.0]}


WRONG_BODIES: list[tuple[Any, str]] = [
    (b"this is,,,, not valid json", "Invalid input. Ensure that input is a valid JSON"),
    (b"", "Invalid input. Ensure that input is a valid JSON"),
    (b"\xff\xfe", "Invalid input. Ensure that input is a valid JSON"),
    (
        b'{"dataframe_split": {"columns": ["a", "b"], "data": [[NaN, 1]]}}',
        "Invalid input. Ensure that input is a valid JSON",
    ),
    (
        b'{"dataframe_split": {"columns": ["a", "b"], "data": [[1e999, 1]]}}',
        "Each row must be a list of numbers in row 0.",
    ),
    (b"[" * 100_000, "with exactly one of the input fields"),
    (b'{"inputs":' * 5_000 + b"1" + b"}" * 5_000, "nested too deeply"),
    (1, "The input must be a JSON dictionary with exactly one of the input fields"),
    ([1], "The input must be a JSON dictionary with exactly one of the input fields"),
    ({}, "The input must be a JSON dictionary with exactly one of the input fields"),
    ({"not": "a dataframe"}, "The input must be a JSON dictionary with exactly one of the input fields"),
    ({"inputs": [], "instances": []}, "The input must be a JSON dictionary with exactly one of the input fields"),
    ({"inputs": {"a": 1, "b": 2}, "params": [1]}, "The input must be a JSON dictionary"),
    ({"dataframe_split": [1]}, "Dataframe split format must be a dictionary. Got list."),
    ({"dataframe_records": {"a": 1}}, "Dataframe records format must be a list of records. Got dictionary."),
    ({"dataframe_records": [1]}, "Dataframe records format must be a list of records, each a dictionary"),
    ({"dataframe_split": {"columns": ["a", "b"]}}, "Provided dataframe_split field is not a valid dataframe"),
    ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]], "index": [1, 2]}}, "The index has another"),
    ({"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}, "have the same name"),
    ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3]]}}, "Each row must be a list of 2 values"),
    ({"dataframe_split": {"columns": ["b", "a"], "data": [[1, 2], [3]]}}, "Each row must be a list of 2 values"),
    ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2, 3]]}}, "Each row must be a list of 2 values"),
    ({"dataframe_split": {"columns": ["a", "b"], "data": []}}, "The input has no rows."),
    ({"dataframe_split": {"data": [[1, 2]]}}, "Model is missing inputs ['a', 'b']."),
    ({"dataframe_split": {"columns": ["a", [1]], "data": [[1, 2]]}}, "Model is missing inputs ['b']."),
    ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, "1"]]}}, "a list of numbers, got str in row 0."),
    ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [True, 2]]}}, "got bool in row 1."),
    ({"dataframe_split": {"columns": ["b", "a"], "data": [[1, "1"]]}}, "Column 'a' expects a number, got str in"),
    ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, [2]]]}}, "a list of numbers, got array in row 0."),
    ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2**53 + 1]]}}, "an integer beyond ±9007199254740992"),
    ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 10**400]]}}, "an integer beyond ±9007199254740992"),
    ({"dataframe_records": [{"a": 1, "b": -(2**53) - 1}]}, "Column 'b' has an integer beyond"),
    ({"dataframe_records": [{"a": 1, "b": 2}, {"a": 1}]}, "Model is missing inputs ['b'] in row 1."),
    ({"dataframe_records": []}, "The input has no rows."),
    ({"inputs": {"a": [1, 2], "b": [1]}}, "The columns have different lengths."),
    ({"inputs": {"a": [1], "b": 2}}, "Each column must be a list of values"),
    ({"inputs": {}}, "Each column must be a list of values"),
    ({"inputs": "text"}, "a list of rows or a dictionary of columns. Got text."),
    ({"inputs": None}, "a list of rows or a dictionary of columns. Got null."),
    ({"instances": [[1, 2]]}, "Model is missing inputs ['a', 'b']."),
    ({"instances": [1, [2]]}, "The rows are of different kinds"),
    ({"instances": []}, "The input has no rows."),
]


def test_what_is_wrong_is_told_in_one_line(summing: AsgiClient) -> None:
    for body, message in WRONG_BODIES:
        answer = summing.post("/invocations", body)

        assert (answer.status, answer.json()["error_code"]) == (400, "BAD_REQUEST"), (body, answer.body)
        assert message in answer.json()["message"], (body, answer.body)
        assert "\n" not in answer.json()["message"]


SECRET_BODIES: list[Any] = [
    {"dataframe_split": {"columns": ["a", "secret-7"], "data": [["secret-7", "secret-7"]]}},
    {"dataframe_split": {"columns": ["a", "b"], "data": [["secret-7", "secret-7"]]}},
    {"dataframe_records": [{"a": "secret-7", "b": 1}]},
    {"dataframe_records": [{"secret-7": 1}]},
    {"inputs": {"secret-7": ["secret-7"]}},
    {"inputs": "secret-7"},
    {"secret-7": "secret-7"},
    {"inputs": {"a": 1, "b": 1}, "params": "secret-7"},
    b'{"inputs": "secret-7',
    b"secret-7",
]


def test_an_error_never_repeats_the_input(summing: AsgiClient) -> None:
    for body in SECRET_BODIES:
        answer = summing.post("/invocations", body)

        assert answer.status == 400, (body, answer.body)
        assert b"secret-7" not in answer.body, (body, answer.body)


def test_null_is_a_missing_number_and_the_largest_exact_integers_are_taken(own_place: Path, serve: Serve) -> None:
    save_echo(registry.models.infer_signature(FRAME))
    client = serve("echo", allow_code=True)
    rows = [[None, 2**53], [-(2**53), 1.5]]
    answer = client.post("/invocations", {"dataframe_split": {"columns": ["a", "b"], "data": rows}}).json()

    assert answer["predictions"]["rows"] == [["nan", "9007199254740992.0"], ["-9007199254740992.0", "1.5"]]
    assert answer["predictions"]["types"] == ["float64", "float64"]


@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records", "inputs", "csv"])
def test_every_type_of_column_arrives_as_the_signature_says(own_place: Path, serve: Serve, form: str) -> None:
    save_echo(registry.models.infer_signature(MIXED))
    client = serve("echo", allow_code=True)
    values = MIXED.assign(
        raw=[base64.b64encode(raw).decode() for raw in MIXED["raw"]],
        moment=["2021-01-01", "2021-02-02T03:04:05Z"],
    )
    bodies = {
        "dataframe_split": {"columns": list(values.columns), "data": json.loads(values.to_json(orient="values"))},
        "dataframe_records": json.loads(values.to_json(orient="records")),
        "inputs": {name: json.loads(values[name].to_json(orient="values")) for name in values.columns},
    }
    if form == "csv":
        answer = client.post("/invocations", values.to_csv(index=False).encode(), "text/csv")
    else:
        answer = client.post("/invocations", {form: bodies[form]})

    assert answer.status == 200, answer.body
    expected = Echo().predict(None, MIXED)
    found = answer.json()["predictions"]
    assert found["types"] == expected["types"]
    assert found["rows"] == expected["rows"]


WRONG_VALUES = [
    ("flag", 1),
    ("flag", "true"),
    ("flag", None),
    ("small", 2**31),
    ("small", 1.5),
    ("small", True),
    ("small", "1"),
    ("small", None),
    ("large", 2**63),
    ("large", 1.5),
    ("large", 10**400),
    ("single", 1e300),
    ("single", 2**24 + 1),
    ("single", "1"),
    ("double", 2**53 + 1),
    ("double", True),
    ("text", 1),
    ("text", True),
    ("moment", 1),
    ("moment", "yesterday"),
    ("moment", "9999-01-01"),
    ("moment", "1;DROP"),
    ("raw", "é"),
    ("raw", 1),
]


@pytest.mark.parametrize("form", ["dataframe_records", "inputs"])
def test_a_value_of_another_type_is_refused_with_the_columns_name(own_place: Path, serve: Serve, form: str) -> None:
    save_echo(registry.models.infer_signature(MIXED))
    client = serve("echo", allow_code=True)
    right = {"flag": True, "small": 1, "large": 1, "single": 1, "double": 1, "text": "a", "moment": "2021-01-01"}
    for column, value in WRONG_VALUES:
        row = {**right, "raw": "", column: value}
        body = [row] if form == "dataframe_records" else {name: [item] for name, item in row.items()}
        answer = client.post("/invocations", {form: body})

        assert answer.status == 400, (column, value, answer.body)
        assert f"olumn '{column}'" in answer.json()["message"], (column, value, answer.body)


@pytest.mark.parametrize("form", ["records", "split", "columns", "csv"])
def test_whole_floats_are_integers_as_mlflow_takes_them(own_place: Path, serve: Serve, form: str) -> None:
    from registry.types import ColSpec, Schema

    columns_of_model = Schema([ColSpec("long", "n"), ColSpec("integer", "k", required=False)])
    save_echo(registry.models.ModelSignature(inputs=columns_of_model), "echo")
    server = serve("echo", allow_code=True)

    def send(rows: list[list[Any]]) -> Any:
        columns = {"n": [row[0] for row in rows], "k": [row[1] for row in rows]}
        if form == "csv":
            text = "".join(f"{n},{'' if k is None else k}\n" for n, k in rows)
            return server.post("/invocations", f"n,k\n{text}".encode(), "text/csv")
        bodies = {
            "records": {"dataframe_records": [{"n": n, "k": k} for n, k in rows]},
            "split": {"dataframe_split": {"columns": ["n", "k"], "data": rows}},
            "columns": {"inputs": columns},
        }
        return server.post("/invocations", bodies[form])

    answer = send([[2.0, None], [3, 7.0]])
    assert answer.json()["predictions"]["rows"] == [["2", "<NA>"], ["3", "7"]]
    assert answer.json()["predictions"]["types"] == ["int64", "Int32"]
    for wrong in (2.5, 2.0**53 * 4):
        refused = send([[wrong, 1]])
        assert (refused.status, "Column 'n' expects an integer" in refused.json()["message"]) == (400, True)


def test_optional_columns_may_be_missing_or_null(own_place: Path, serve: Serve) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "n": pd.array([1, None], dtype="Int64"), "t": ["x", None]})
    signature = registry.models.infer_signature(frame)
    assert [spec.required for spec in signature.inputs] == [True, False, False]
    save_echo(signature)
    client = serve("echo", allow_code=True)
    some = client.post("/invocations", {"dataframe_records": [{"a": 1, "n": None}, {"a": 2, "n": 5, "t": "y"}]}).json()
    none = client.post("/invocations", {"dataframe_split": {"columns": ["a"], "data": [[1]]}}).json()
    csv = client.post("/invocations", b"a,n\n1,\n2,3\n", "text/csv").json()

    rows = some["predictions"]["rows"]
    assert [rows[0][:2], rows[1]] == [["1.0", "<NA>"], ["2.0", "5", "y"]]
    assert rows[0][2] in ("None", "nan")  # pandas 3 has a type for texts
    assert none["predictions"]["columns"] == ["a"]
    assert csv["predictions"]["rows"] == [["1.0", "<NA>"], ["2.0", "3"]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Failed to parse input as CSV"),
        (b"\xff\xfe\x00", "Failed to parse input as CSV"),
        (b"a,b\n1,2,3\n4,5,6\n", "Failed to parse input as CSV"),
        (b"a,b\n1,2,3,4\n1\n", "Failed to parse input as CSV"),
        (b"a,b\n0,1,2\n1,3,4\n", "Failed to parse input as CSV"),
        (b"a,b\n1,2,\n", "Failed to parse input as CSV"),
        (b'a,b\n"1,2', "Failed to parse input as CSV"),
        (b"a\n1\n", "Model is missing inputs ['b']."),
        (b"a,b\n", "The input has no rows."),
        (b"a,b\n1,x\n", "Column 'b' expects a number in every row."),
        (b"a,b\n1,inf\n", "Column 'b' expects a number in every row."),
        (b"a,b\n1,0x10\n", "Column 'b' expects a number in every row."),
        (b"a,b\n1,9007199254740993\n", "Column 'b' has an integer beyond"),
    ],
)
def test_wrong_csv_is_refused(summing: AsgiClient, body: bytes, message: str) -> None:
    answer = summing.post("/invocations", body, "text/csv")

    assert answer.status == 400, answer.body
    assert message in answer.json()["message"]


@pytest.mark.parametrize(
    "kind", [None, "", "application/xml", "application/json; charset=latin-1", "application/json; something=something"]
)
def test_another_content_type_is_415(summing: AsgiClient, kind: str | None) -> None:
    answer = summing.post("/invocations", {"inputs": {"a": 1, "b": 2}}, kind)

    assert (answer.status, answer.json()["error_code"]) == (415, "BAD_REQUEST")


def test_a_model_without_signature_takes_rows_as_they_are(own_place: Path, serve: Serve) -> None:
    save_sum("bare", signature=False)
    client = serve("bare")
    expected = {"predictions": [11.0, 22.0]}

    assert client.post("/invocations", {"dataframe_records": [{"a": 1, "b": 10}, {"a": 2, "b": 20}]}).json() == expected
    assert client.post("/invocations", {"inputs": {"a": [1, 2], "b": [10, 20]}}).json() == expected
    assert client.post("/invocations", b"a,b\n1,10\n2,20\n", "text/csv").json() == expected
    wrong = client.post("/invocations", {"dataframe_records": [{"a": "secret-7", "b": 1}]})
    assert (wrong.status, wrong.json()["error_code"]) == (400, "BAD_REQUEST")
    assert "it has no signature that says what it takes" in wrong.json()["message"]
    assert b"secret-7" not in wrong.body
    assert client.post("/invocations", {"instances": [[1, 2], [3]]}).status == 400


def test_columns_without_names_go_by_position(own_place: Path, serve: Serve) -> None:
    values = FRAME.to_numpy()
    from registry.types import ColSpec, Schema

    signature = registry.models.ModelSignature(inputs=Schema([ColSpec("double"), ColSpec("double")]))
    model = LinearRegression(fit_intercept=False).fit(values, values.sum(axis=1))
    registry.sklearn.save_model(model, "model", signature=signature)
    client = serve("model")
    for body in (
        {"instances": [[1, 10], [2, 20]]},
        {"inputs": [[1, 10], [2, 20]]},
        {"dataframe_split": {"data": [[1, 10], [2, 20]]}},
        {"dataframe_split": {"columns": [0, 1], "data": [[1, 10], [2, 20]]}},
        {"dataframe_records": [{"x": 1, "y": 10}, {"x": 2, "y": 20}]},
        {"inputs": {"x": [1, 2], "y": [10, 20]}},
    ):
        answer = client.post("/invocations", body)
        assert answer.status == 200, (body, answer.body)
        assert [round(value, 6) for value in answer.json()["predictions"]] == [11, 22]
    assert client.post("/invocations", b"p,q\n1,10\n", "text/csv").status == 200
    assert client.post("/invocations", b"p\n1\n", "text/csv").status == 400
    assert client.post("/invocations", {"instances": [["1", 10]]}).status == 400


def test_tensors_arrive_with_their_type_and_shape(own_place: Path, serve: Serve) -> None:
    save_echo(registry.models.infer_signature(np.zeros((2, 3), np.float32)), "one")
    save_echo(registry.models.infer_signature({"p": np.zeros((2, 3)), "q": np.zeros(2, np.int64)}), "two")
    client = serve("one=one", "two=two", allow_code=True)
    rows = [[1, 2, 3], [4, 5, None]]

    assert client.post("/models/one/invocations", {"instances": rows}).json()["predictions"] == {
        "array": ["float32", "2", "3"]
    }
    for body in (
        {"inputs": {"p": rows, "q": [1, 2]}},
        {"instances": [{"p": [1, 2, 3], "q": 1}, {"p": [4, 5, 6], "q": 2}]},
    ):
        assert client.post("/models/two/invocations", body).json()["predictions"] == {
            "p": ["float64", "2", "3"],
            "q": ["int64", "2"],
        }
    for path, wrong in (
        ("one", {"instances": [[1, 2], [3, 4]]}),
        ("one", {"instances": [[1, 2, 3], [4, 5]]}),
        ("one", {"instances": [[1, 2, "3"]]}),
        ("one", {"instances": [[1, 2, 1e300]]}),
        ("one", {"inputs": {"a": [1], "b": [2]}}),
        ("one", {"instances": []}),
        ("two", {"inputs": {"p": rows}}),
        ("two", {"inputs": {"p": rows, "q": [1.5, 2]}}),
        ("two", {"inputs": {"p": rows, "q": [2**70, 2]}}),
        ("two", {"instances": [[1, 2]]}),
        ("two", {"instances": [{"p": [1, 2, 3], "q": 1}, {"p": [1, 2, 3]}]}),
    ):
        answer = client.post(f"/models/{path}/invocations", wrong)
        assert answer.status == 400, (path, wrong, answer.body)
    assert client.post("/models/one/invocations", b"a\n1\n", "text/csv").status == 400


def test_lists_and_dictionaries_in_columns_are_checked(own_place: Path, serve: Serve) -> None:
    frame = pd.DataFrame({"tags": [["a"], ["b", "c"]], "x": [1.0, 2.0]})
    save_echo(registry.models.infer_signature(frame))
    client = serve("echo", allow_code=True)

    right = client.post("/invocations", {"dataframe_records": [{"tags": ["a", "b"], "x": 1}]})
    wrong = client.post("/invocations", {"dataframe_records": [{"tags": "secret-7", "x": 1}]})
    assert right.json()["predictions"]["rows"] == [["['a', 'b']", "1.0"]]
    assert (wrong.status, b"secret-7" in wrong.body) == (400, False)
    assert client.post("/invocations", b"tags,x\na,1\n", "text/csv").status == 400


def test_params_reach_the_model_and_wrong_ones_are_refused(own_place: Path, serve: Serve) -> None:
    save_echo(registry.models.infer_signature(FRAME, params={"top": 3}))
    client = serve("echo", allow_code=True)
    row = {"inputs": {"a": 1, "b": 2}}

    assert client.post("/invocations", {**row, "params": {"top": 5}}).json()["predictions"]["params"] == {"top": 5}
    assert client.post("/invocations", row).json()["predictions"]["params"] == {"top": 3}
    assert client.post("/invocations", {**row, "params": {"top": "secret-7"}}).status == 400


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (np.array([1.5, np.nan, np.inf]), [1.5, None, None]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (pd.Series(["a", None]), ["a", None]),
        (pd.DataFrame({"p": [0.5, np.nan], 1: ["x", "y"]}), [{"p": 0.5, "1": "x"}, {"p": None, "1": "y"}]),
        (pd.Series(pd.to_datetime(["2021-01-01", None])), ["2021-01-01 00:00:00", None]),
        ({"a": np.float32(0.5), "b": (1, float("-inf"))}, {"a": 0.5, "b": [1, None]}),
        (np.array([True, False]), [True, False]),
        ("a text", "a text"),
        (np.float64("nan"), None),
    ],
)
def test_every_answer_is_valid_json(made: Any, expected: Any) -> None:
    import msgspec

    from registry.serving.outputs import encodable

    text = msgspec.json.encode({"predictions": encodable(made)})
    assert json.loads(text, parse_constant=lambda word: pytest.fail(word)) == {"predictions": expected}
