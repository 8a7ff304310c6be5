"""Bodies in gzip and deflate: taken by both protocols within their limits, and sent where a V2 client asks for them."""

import gzip
import importlib.util
import itertools
import json
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from asgi_client import AsgiClient
from served_models import ROWS, eventually
from served_processes import call, server

from registry.serving.compression import accepted_encoding

URI = "models:/churn/Production"
BODY = json.dumps({"dataframe_split": {"columns": ["x"], "data": ROWS.to_numpy().tolist()}}).encode()
INFER = "/v2/models/churn/infer"


def raw_deflate(body: bytes) -> bytes:
    return zlib.compress(body)[2:-4]


@pytest.fixture
def client(two_versions: None, serve: Callable[..., AsgiClient]) -> AsgiClient:
    return serve(URI, max_body=20_000)


def post(client: AsgiClient, body: bytes, encoding: str, path: str = "/invocations") -> tuple[int, Any]:
    answer = client.post(path, body, headers={"content-encoding": encoding})
    return answer.status, answer.json()


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("identity", bytes),
    ],
    ids=["gzip", "x-gzip", "upper", "deflate", "raw-deflate", "identity"],
)
def test_both_protocols_take_packed_bodies(client: AsgiClient, encoding: str, packed: Callable[[bytes], bytes]) -> None:
    infer = json.dumps({"inputs": [{"name": "x", "datatype": "FP64", "shape": [3], "data": [0.0, 1.0, 2.0]}]}).encode()

    status, answer = post(client, packed(BODY), encoding)
    assert (status, [round(value, 6) for value in answer["predictions"]]) == (200, [1, 1, 1])
    status, answer = post(client, packed(infer), encoding, INFER)
    assert (status, answer["outputs"][0]["shape"]) == (200, [3])
    csv = client.post("/invocations", packed(b"x\n0\n"), "text/csv", {"content-encoding": encoding})
    assert csv.status == 200


def test_a_small_body_that_grows_large_is_413(client: AsgiClient) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    assert len(bomb) < 20_000

    for body, encoding in ((bomb, "gzip"), (zlib.compress(b" " * 10_000_000), "deflate")):
        status, answer = post(client, body, encoding)
        assert (status, answer["message"]) == (413, "The body has more than 20000 bytes. Send fewer rows at once.")
    assert post(client, gzip.compress(BODY.ljust(20_000)), "gzip")[0] == 200
    assert post(client, gzip.compress(BODY.ljust(20_001)), "gzip")[0] == 413


@pytest.mark.parametrize(
    ("body", "encoding", "message"),
    [
        (BODY, "gzip", "The body is not gzip, as its Content-Encoding says."),
        (BODY, "deflate", "The body is not deflate, as its Content-Encoding says."),
        (b"", "gzip", "The gzip of the body breaks off."),
        (gzip.compress(BODY)[:-4], "gzip", "The gzip of the body breaks off."),
        (zlib.compress(BODY)[:-4], "deflate", "The deflate of the body breaks off."),
        (gzip.compress(BODY) + b"x", "gzip", "The gzip of the body goes on after its end."),
        (gzip.compress(BODY) * 2, "gzip", "The gzip of the body goes on after its end."),
        (gzip.compress(BODY)[:-8] + b"\0" * 8, "gzip", "The body is not gzip, as its Content-Encoding says."),
    ],
    ids=["plain-gzip", "plain-deflate", "empty", "short-gzip", "short-deflate", "longer", "twice", "wrong-checksum"],
)
def test_what_is_not_whole_is_400(client: AsgiClient, body: bytes, encoding: str, message: str) -> None:
    assert post(client, body, encoding) == (400, {"error_code": "BAD_REQUEST", "message": message})
    assert post(client, body, encoding, INFER) == (400, {"error": message})


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip, br"])
def test_other_encodings_are_415(client: AsgiClient, encoding: str) -> None:
    message = "Content-Encoding is one of gzip, deflate, or left out."
    assert post(client, BODY, encoding) == (415, {"error_code": "BAD_REQUEST", "message": message})
    assert post(client, BODY, encoding, INFER) == (415, {"error": message})


@pytest.mark.parametrize(("encoding", "unpacked"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)])
def test_a_v2_answer_is_packed_where_that_is_asked_for(
    client: AsgiClient, encoding: str, unpacked: Callable[[bytes], bytes]
) -> None:
    rows = np.zeros(2000)
    head = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [2000], "parameters": {"binary_data_size": 16_000}}]}
    for is_binary in (True, False):
        text = json.dumps({**head, "parameters": {"binary_data_output": is_binary}}).encode()
        headers = {"inference-header-content-length": str(len(text)), "accept-encoding": encoding}
        answer = client.post(INFER, text + rows.tobytes(), None, headers)
        body = unpacked(answer.body)
        assert (answer.status, answer.headers["content-encoding"]) == (200, encoding)
        assert len(answer.body) < len(body)
        if is_binary:  # the length counts what is unpacked, as Triton's does
            length = int(answer.headers["inference-header-content-length"])
            assert np.allclose(np.frombuffer(body[length:]), 1)
        else:
            assert np.allclose(json.loads(body)["outputs"][0]["data"], 1)


def test_small_answers_and_those_of_mlflows_protocol_stay_as_they_are(client: AsgiClient) -> None:
    infer = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [3], "data": [0.0, 1.0, 2.0]}]}
    for path, body in ((INFER, infer), ("/invocations", BODY)):
        answer = client.post(path, body, headers={"accept-encoding": "gzip"})
        assert (answer.status, "content-encoding" in answer.headers) == (200, False)


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("", None),
        ("br, zstd, identity", None),
        ("gzip", "gzip"),
        ("deflate, gzip", "gzip"),
        ("Deflate", "deflate"),
        ("gzip;q=0.5, deflate;q=0.8", "deflate"),
        ("gzip; q=0", None),
        ("gzip;q=0, deflate;q=0.001", "deflate"),
        ("gzip;q=much", None),
        ("identity, gzip;q=0.1", None),
        ("identity;q=0.5, gzip, deflate;q=0.4", "gzip"),
        ("identity;q=0, deflate;q=0.1", "deflate"),
    ],
)
def test_the_encoding_that_is_liked_best_is_chosen(header: str, encoding: str | None) -> None:
    assert accepted_encoding(header) == encoding


@pytest.mark.storm
@pytest.mark.skipif(importlib.util.find_spec("tritonclient") is None, reason="needs `pip install 'tritonclient[http]'`")
def test_tritons_client_works_with_each_of_its_compressions(two_versions: None) -> None:
    from tritonclient import http

    with server("churn/Production") as (_process, address, _lines):
        eventually(lambda: call(address, "/ping")[0] == 200, 120)
        with http.InferenceServerClient(address.removeprefix("http://")) as triton:
            for algorithm, is_binary in itertools.product((None, "gzip", "deflate"), (True, False)):
                tensor = http.InferInput("x", [2000], "FP64")
                tensor.set_data_from_numpy(np.zeros(2000), binary_data=is_binary)
                answer = triton.infer(
                    "churn",
                    [tensor],
                    outputs=[http.InferRequestedOutput("predictions", binary_data=is_binary)],
                    request_compression_algorithm=algorithm,
                    response_compression_algorithm=algorithm,
                )
                assert np.allclose(answer.as_numpy("predictions"), 1), (algorithm, is_binary)
