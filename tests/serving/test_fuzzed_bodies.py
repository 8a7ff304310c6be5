"""Bodies by chance: no answer is a 5xx, and every answer is valid JSON."""

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from asgi_client import AsgiClient
from volumes import volume

import registry

Serve = Callable[..., AsgiClient]
FRAME = pd.DataFrame(
    {
        "number": [0.5, 1.5],
        "whole": np.array([1, 2], np.int64),
        "flag": [True, False],
        "text": ["a", "b"],
        "moment": np.array(["2021-01-01", "2022-01-01"], "datetime64[ns]"),
    }
)
SCALARS: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**40, 0.5, -0.0, 1e308, 5e-324),
    *(
        "",
        "a",
        "1",
        "true",
        "NaN",
        "2021-01-01",
        "2021-13-45",
        "9999-12-31T23:59:59Z",
        "\x00",
        "é",
        "\ud800",
        "x" * 999,
    ),
]
NAMES = [*FRAME.columns, "number ", "", "more", "0"]
KEYS = ["dataframe_split", "dataframe_records", "instances", "inputs", "params", "data", "columns", "index"]
V2_KEYS = ["inputs", "outputs", "parameters", "id", "name", "datatype", "shape", "data", "binary_data_size"]
DATATYPES = ["FP64", "FP32", "FP16", "INT8", "INT64", "UINT64", "BOOL", "BYTES", "X"]


def anything(chance: random.Random, depth: int = 0) -> Any:
    """Return a JSON value by chance."""
    kind = chance.random()
    if depth > 3 or kind < 0.5:
        return chance.choice(SCALARS)
    if kind < 0.75:
        return [anything(chance, depth + 1) for _ in range(chance.randint(0, 4))]
    return {chance.choice(NAMES + KEYS + V2_KEYS): anything(chance, depth + 1) for _ in range(chance.randint(0, 4))}


def nearly_right(chance: random.Random) -> Any:
    """Return a body in MLflow's form, with some values, names and lengths by chance."""
    right = {"number": 0.5, "whole": 1, "flag": True, "text": "a", "moment": "2021-01-01"}
    rows = [dict(right) for _ in range(chance.randint(0, 3))]
    for row in rows:
        if chance.random() < 0.5:
            row[chance.choice(NAMES)] = anything(chance, 2)
        if chance.random() < 0.1:
            row.pop(chance.choice(list(row)))
    names = [name for name in right if chance.random() < 0.95]
    chance.shuffle(names)
    data = [[row.get(name) for name in names] for row in rows]
    if data and chance.random() < 0.1:
        data[0].append(1)
    forms: list[Any] = [
        {"dataframe_split": {"columns": names, "data": data}},
        {"dataframe_records": rows},
        {"instances": rows},
        {"instances": data},
        {"inputs": {name: [row.get(name) for row in rows] for name in names}},
        {"inputs": rows[0] if rows else 1},
    ]
    body = chance.choice(forms)
    if chance.random() < 0.1:
        body[chance.choice(KEYS)] = anything(chance, 2)
    return body


def tensors(chance: random.Random) -> Any:
    """Return a body in the form of V2, with some parts by chance."""
    made = []
    for name in FRAME.columns if chance.random() < 0.8 else NAMES[: chance.randint(0, 6)]:
        kind = {"text": "BYTES", "moment": "BYTES", "flag": "BOOL", "whole": "INT64"}.get(name, "FP64")
        data: Any = {"BYTES": ["2021-01-01"], "BOOL": [True]}.get(kind, [1])
        tensor = {"name": name, "datatype": kind, "shape": [1], "data": data}
        if chance.random() < 0.2:
            tensor["datatype"] = chance.choice(DATATYPES)
        if chance.random() < 0.2:
            tensor[chance.choice(V2_KEYS)] = anything(chance, 2)
        made.append(tensor)
    body: dict[str, Any] = {"inputs": made}
    if chance.random() < 0.2:
        body[chance.choice(V2_KEYS)] = anything(chance, 2)
    return body


def spoilt(chance: random.Random, text: bytes) -> bytes:
    """Return a body with bytes changed, taken away or put in."""
    content = bytearray(text)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(content) + 1)
        match chance.randrange(3):
            case 0:
                content[place : place + chance.randint(1, 8)] = b""
            case 1:
                content[place:place] = bytes(chance.choices(range(256), k=chance.randint(1, 4)))
            case _:
                content[place:place] = chance.choice([b"{", b"[", b'"', b",", b"NaN", b"1e999", b"\\u0000", b"-"])
    return bytes(content)


class Sound(registry.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """Uses every column as its type says."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        late = (model_input["moment"] > "2021-06-01").to_numpy()
        texts = [len(text) if isinstance(text, str) else 0 for text in model_input["text"]]
        return model_input["number"].to_numpy() * late + model_input["whole"].to_numpy() + ~model_input["flag"] + texts


@pytest.mark.parametrize("count", [1_500, pytest.param(volume(100_000, 4_000), marks=pytest.mark.storm)])
@pytest.mark.filterwarnings("ignore:Integer columns", "ignore::RuntimeWarning")
def test_no_body_makes_a_5xx_or_invalid_json(own_place: Path, serve: Serve, count: int) -> None:
    signature = registry.models.infer_signature(FRAME, np.zeros(2), params={"top": 1})
    registry.pyfunc.save_model("model", python_model=Sound(), signature=signature)
    client = serve("model", allow_code=True, access_log=False, max_rows=3)
    chance = random.Random(2026)
    statuses: Counter[int] = Counter()
    for number in range(count):
        is_v2 = number % 3 == 0
        made = chance.choice([anything, tensors if is_v2 else nearly_right, tensors if is_v2 else nearly_right])(chance)
        body = json.dumps(made).encode()
        if chance.random() < 0.3:
            body = spoilt(chance, body)
        kind, headers = "application/json", {}
        if number % 10 == 1:
            body = chance.choice([FRAME.to_csv(index=False).encode(), b"a,b\n1,2", b""])
            kind, body = "text/csv", spoilt(chance, body)
        if is_v2 and chance.random() < 0.3:
            headers["inference-header-content-length"] = str(chance.randint(0, len(body) + 2))
        answer = client.post("/v2/models/model/infer" if is_v2 else "/invocations", body, kind, headers)
        assert answer.status < 500, (body, answer.body)
        assert isinstance(answer.json(), dict), (body, answer.body)
        statuses[answer.status] += 1

    assert set(statuses) <= {200, 400, 413}
    assert statuses[200] > count / 50
    assert statuses[400] > count / 4
