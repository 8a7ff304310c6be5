"""The Open Inference Protocol V2, with tensors in JSON and in binary."""

import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from asgi_client import Answer, AsgiClient
from sklearn.linear_model import LinearRegression

import registry

Serve = Callable[..., AsgiClient]
FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": [10.0, 20.0]})
INFER = "/v2/models/model/infer"


@pytest.fixture
def summing(own_place: Path, serve: Serve) -> AsgiClient:
    """A model that answers a + b."""
    model = LinearRegression(fit_intercept=False).fit(FRAME, FRAME.sum(axis=1))
    model.coef_ = np.array([1.0, 1.0])
    signature = registry.models.infer_signature(FRAME, model.predict(FRAME))
    registry.sklearn.save_model(model, "model", signature=signature)
    return serve("model")


def tensor(name: str, datatype: str, shape: Sequence[int], data: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape), "data": data}


def infer(client: AsgiClient, *tensors: dict[str, Any], path: str = INFER, **more: Any) -> Answer:
    return client.post(path, {"inputs": list(tensors), **more})


def binary(client: AsgiClient, arrays: dict[str, tuple[str, "np.ndarray[Any, Any]"]], **more: Any) -> Answer:
    """Send tensors in binary."""
    parts = [array.tobytes() for _, array in arrays.values()]
    inputs = [
        {"name": name, "datatype": kind, "shape": list(array.shape), "parameters": {"binary_data_size": len(part)}}
        for (name, (kind, array)), part in zip(arrays.items(), parts, strict=True)
    ]
    head = json.dumps({"inputs": inputs, **more}).encode()
    length = {"inference-header-content-length": str(len(head))}
    return client.post(INFER, head + b"".join(parts), "application/octet-stream", length)


def test_health_and_metadata(summing: AsgiClient) -> None:
    assert summing.get("/v2/health/live").json() == {"live": True}
    assert summing.get("/v2/health/ready").status == 200
    assert summing.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert summing.get("/v2/models/model/ready").json() == {"name": "model", "ready": True}
    metadata = summing.get("/v2/models/model").json()
    assert metadata["inputs"] == [
        {"name": "a", "datatype": "FP64", "shape": [-1]},
        {"name": "b", "datatype": "FP64", "shape": [-1]},
    ]
    assert metadata["outputs"] == [{"name": "predictions", "datatype": "FP64", "shape": [-1]}]
    missing = summing.get("/v2/models/other")
    assert (missing.status, missing.json()) == (404, {"error": "There is no such model here; there is: model."})


@pytest.mark.parametrize(
    "tensors",
    [
        [tensor("x", "FP64", [2, 2], [1, 10, 2, 20])],
        [tensor("x", "FP64", [2, 2], [[1, 10], [2, 20]])],
        [tensor("x", "FP32", [2, 2], [[1, 10], [2, 20]])],
        [tensor("x", "INT64", [2, 2], [1, 10, 2, 20])],
        [tensor("b", "INT8", [2], [10, 20]), tensor("a", "FP16", [2, 1], [[1], [2]])],
        [tensor("b", "UINT16", [2], [10, 20]), tensor("a", "FP64", [2], [1, 2]), tensor("c", "BYTES", [2], ["x", ""])],
    ],
)
def test_tensors_are_columns_or_one_block_of_them(summing: AsgiClient, tensors: list[dict[str, Any]]) -> None:
    answer = infer(summing, *tensors, id="42")

    assert answer.status == 200, answer.body
    body = answer.json()
    assert body["outputs"] == [{"name": "predictions", "datatype": "FP64", "shape": [2], "data": [11.0, 22.0]}]
    assert (body["model_name"], body["model_version"], body["id"]) == ("model", "", "42")
    assert body["parameters"]["digest"] == answer.headers["x-model-digest"]


def test_binary_tensors_come_and_go(summing: AsgiClient) -> None:
    block = {"x": ("FP64", np.array([[1.0, 10.0], [2.0, 20.0]]))}
    columns = {"a": ("FP32", np.array([1, 2], np.float32)), "b": ("INT32", np.array([10, 20], np.int32))}
    for arrays in (block, columns):
        as_json = binary(summing, arrays)
        assert as_json.json()["outputs"][0]["data"] == [11.0, 22.0]
        for asked in (
            {"parameters": {"binary_data_output": True}},
            {"outputs": [{"name": "predictions", "parameters": {"binary_data": True}}]},
        ):
            answer = binary(summing, arrays, **asked)
            length = int(answer.headers["inference-header-content-length"])
            head = json.loads(answer.body[:length])
            assert answer.headers["content-type"] == "application/octet-stream"
            assert head["outputs"][0]["parameters"] == {"binary_data_size": 16}
            assert np.frombuffer(answer.body[length:]).tolist() == [11.0, 22.0]


WRONG: list[tuple[Any, str]] = [
    (b"{", "Invalid input. Ensure that input is a valid JSON"),
    ({}, "A request has a list 'inputs' of tensors"),
    ({"inputs": []}, "A request has at least one tensor."),
    ({"inputs": [{"name": "x"}]}, "A request has a list 'inputs' of tensors"),
    ({"inputs": [tensor("x", "FP65", [1], [1])]}, "A datatype is one of BYTES, BOOL"),
    ({"inputs": [tensor("x", "FP64", [-1], [1])]}, "A shape is a list of at most 32 lengths from 0."),
    ({"inputs": [tensor("x", "FP64", [1] * 33, [1])]}, "A shape is a list of at most 32 lengths from 0."),
    ({"inputs": [tensor("x", "FP64", [2, 2], [1, 2, 3])]}, "The data of a tensor do not have its shape."),
    ({"inputs": [tensor("x", "FP64", [2, 2], [[1, 2, 3, 4]])]}, "The data of a tensor do not have its shape."),
    ({"inputs": [tensor("x", "FP64", [2, 2], [[1, 2], [3]])]}, "in its shape"),
    ({"inputs": [tensor("x", "FP64", [1, 2], ["1", 2])]}, "must be FP64 values in a list, got str"),
    ({"inputs": [tensor("x", "FP64", [1, 2], [True, 2])]}, "must be FP64 values in a list, got bool"),
    ({"inputs": [tensor("x", "FP64", [1, 2], [2**53 + 1, 2])]}, "an integer beyond"),
    ({"inputs": [tensor("x", "FP32", [1, 2], [1e300, 2])]}, "beyond the range of 32-bit floats"),
    ({"inputs": [tensor("x", "FP16", [1, 2], [1e6, 2])]}, "must be FP16 values"),
    ({"inputs": [tensor("x", "INT8", [1, 2], [300, 2])]}, "must be INT8 values"),
    ({"inputs": [tensor("x", "INT8", [1, 2], [1.5, 2])]}, "must be INT8 values"),
    ({"inputs": [tensor("x", "INT64", [1, 2], [2**53 + 1, 2])]}, "an integer beyond"),
    ({"inputs": [tensor("x", "BOOL", [1, 2], [True, False])]}, "a tensor of bool cannot be one"),
    ({"inputs": [tensor("x", "BYTES", [1, 2], ["1", "2"])]}, "a tensor of object cannot be one"),
    ({"inputs": [tensor("a", "FP64", [1], [1])]}, "Model is missing inputs ['b']. Send a tensor per column"),
    ({"inputs": [tensor("a", "FP64", [1], [1]), tensor("a", "FP64", [1], [1])]}, "Two tensors have the same name."),
    ({"inputs": [tensor("a", "FP64", [1], [1]), tensor("b", "FP64", [2], [1, 2])]}, "have different lengths"),
    ({"inputs": [tensor("a", "FP64", [1, 2], [1, 2]), tensor("b", "FP64", [2], [1, 2])]}, "the shape [rows]"),
    ({"inputs": [tensor("x", "FP64", [0, 2], [])]}, "The input has no rows."),
    ({"inputs": [tensor("x", "FP64", [1, 2], [1, 2])], "outputs": [{"name": "y"}]}, "The outputs of this model are"),
    ({"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 2]}]}, "A tensor needs data, or binary_data_size."),
    (
        {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 8}}]},
        "binary_data_size is no size of data",
    ),
]


def test_what_is_wrong_is_told(summing: AsgiClient) -> None:
    for body, message in WRONG:
        answer = summing.post(INFER, body)
        assert answer.status == 400, (body, answer.body)
        assert message in answer.json()["error"], (body, answer.body)


def test_wrong_binary_data_are_refused(summing: AsgiClient) -> None:
    block = np.array([[1.0, 10.0]])
    assert binary(summing, {"x": ("FP32", block)}).status == 400
    head = json.dumps({"inputs": [tensor("x", "FP64", [1, 2], [1, 2])]}).encode()
    for length, status in ((str(len(head)), 400), ("99999", 400), ("-1", 400), ("x", 400), ("9" * 20, 400)):
        answer = summing.post(INFER, head + b"more", None, {"inference-header-content-length": length})
        assert answer.status == status, (length, answer.body)
    assert summing.post(INFER, head, None).status == 200


class Kinds(registry.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """Answers a table with a column of each kind, from a text, a flag, a moment and bytes."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        assert [str(dtype) for dtype in model_input.dtypes][1:3] == ["bool", "datetime64[ns]"]
        factor = (params or {}).get("factor", 1)
        return pd.DataFrame(
            {
                "text": model_input["text"] + "!",
                "flag": ~model_input["flag"],
                "count": model_input["raw"].map(len).astype("int32") * factor,
                "score": np.array([0.5, np.nan], np.float32),
            }
        )


def test_texts_flags_and_tables_are_tensors_by_column(own_place: Path, serve: Serve) -> None:
    frame = pd.DataFrame(
        {
            "text": ["a", "é"],
            "flag": [True, False],
            "moment": np.array(["2021-01-01", "2022-01-01"], "datetime64[ns]"),
            "raw": [b"x", b"yz"],
        }
    )
    signature = registry.models.infer_signature(frame, params={"factor": 1})
    registry.pyfunc.save_model("model", python_model=Kinds(), signature=signature)
    client = serve("model", allow_code=True)
    tensors = [
        tensor("text", "BYTES", [2], ["a", "é"]),
        tensor("flag", "BOOL", [2], [True, False]),
        tensor("moment", "BYTES", [2], ["2021-01-01", "2022-01-01"]),
        tensor("raw", "BYTES", [2], ["x", "yz"]),
    ]
    outputs = infer(client, *tensors, parameters={"factor": 10}).json()["outputs"]
    assert outputs == [
        {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["a!", "é!"]},
        {"name": "flag", "datatype": "BOOL", "shape": [2], "data": [False, True]},
        {"name": "count", "datatype": "INT32", "shape": [2], "data": [10, 20]},
        {"name": "score", "datatype": "FP32", "shape": [2], "data": [0.5, None]},
    ]
    packed = b"".join(struct.pack("<I", len(text)) + text for text in (b"a", "é".encode()))
    head = {"inputs": [{**tensors[0], "parameters": {"binary_data_size": len(packed)}}, *tensors[1:]]}
    del head["inputs"][0]["data"]
    asked = [
        {"name": "text", "parameters": {"binary_data": True}},
        {"name": "flag", "parameters": {"binary_data": True}},
    ]
    text = json.dumps({**head, "outputs": asked}).encode()
    answer = client.post(INFER, text + packed, None, {"inference-header-content-length": str(len(text))})
    length = int(answer.headers["inference-header-content-length"])
    assert answer.body[length:] == struct.pack("<I2sI3s", 2, b"a!", 3, "é!".encode())[:6] + answer.body[length + 6 :]
    assert answer.body[length:] == b"\x02\0\0\0a!\x03\0\0\0" + "é!".encode() + b"\0\x01"
    for broken in (packed[:-1], packed + b"\x01", b"\xff\xff\xff\xff"):
        head["inputs"][0]["parameters"] = {"binary_data_size": len(broken)}
        text = json.dumps(head).encode()
        refused = client.post(INFER, text + broken, None, {"inference-header-content-length": str(len(text))})
        assert refused.status == 400, (broken, refused.body)
    assert infer(client, tensor("x", "FP64", [1, 4], [1, 2, 3, 4])).status == 400
    metadata = client.get("/v2/models/model").json()
    assert [described["datatype"] for described in metadata["inputs"]] == ["BYTES", "BOOL", "BYTES", "BYTES"]


class Shape(registry.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """Answers the shapes of what it is given."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        if isinstance(model_input, dict):
            return {name: np.array(array.shape) for name, array in model_input.items()}
        return [list(model_input.shape), [str(type(model_input).__name__)]]


def test_tensor_signatures_and_models_without_one_take_tensors(own_place: Path, serve: Serve) -> None:
    one = registry.models.infer_signature(np.zeros((2, 3, 4), np.float32))
    two = registry.models.infer_signature({"p": np.zeros((2, 3)), "q": np.zeros(2, np.int64)})
    for name, signature in (("one", one), ("two", two), ("bare", None)):
        registry.pyfunc.save_model(name, python_model=Shape(), signature=signature)
    client = serve("one=one", "two=two", "bare=bare", allow_code=True)

    cube = tensor("x", "FP32", [2, 3, 4], np.zeros((2, 3, 4)).tolist())
    assert infer(client, cube, path="/v2/models/one/infer").json()["outputs"][0]["data"][0] == "[2, 3, 4]"
    assert infer(client, {**cube, "datatype": "FP64"}, path="/v2/models/one/infer").status == 400
    named = [tensor("p", "FP64", [1, 3], [1, 2, 3]), tensor("q", "INT64", [1], [1])]
    assert [form["data"] for form in infer(client, *named, path="/v2/models/two/infer").json()["outputs"]] == [
        [1, 3],
        [1],
    ]
    assert infer(client, named[0], path="/v2/models/two/infer").status == 400
    bare = infer(client, *named[:1], path="/v2/models/bare/infer").json()["outputs"][0]
    assert bare["data"][0] == "[1, 3]"
    assert infer(
        client, tensor("a", "FP64", [2], [1, 2]), tensor("b", "INT8", [2], [3, 4]), path="/v2/models/bare/infer"
    ).json()["outputs"][0]["data"] == ["[2, 2]", "['DataFrame']"]
    assert client.get("/v2/models/one").json()["inputs"] == [
        {"name": "input-0", "datatype": "FP32", "shape": [-1, 3, 4]}
    ]
    assert client.get("/v2/models/bare").json()["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, -1]}]
    assert client.post("/invocations", {"inputs": [1]}).status == 404
