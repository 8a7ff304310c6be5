"""The server around the model: promotions under load, limits, who may call, what it tells about itself."""

import json
import os
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from asgi_client import AsgiClient
from prometheus_client.parser import text_string_to_metric_families
from served_models import Callers, damage, eventually, log_constant, promote
from served_processes import call, server

import registry
from registry.exceptions import InvalidParameterError, PermissionDeniedError, StorageError, UnavailableError
from registry.serving.options import ServeOptions, check_exposure, named_models
from registry.serving.run import run

Serve = Callable[..., AsgiClient]
BODY = {"dataframe_split": {"columns": ["x"], "data": [[0.0], [1.0], [2.0]]}}
URI = "models:/churn/Production"


def value(client: AsgiClient, path: str = "/invocations") -> float:
    """Return what the server answers for every row, after checking that the answer is of one version."""
    answer = client.post(path, BODY)
    assert answer.status == 200, answer.body
    values = {round(number, 6) for number in answer.json()["predictions"]}
    assert values == {float(answer.headers["x-model-version"])}
    return values.pop()


def test_promotions_under_load_lose_no_request(two_versions: None, serve: Serve) -> None:
    client = serve(URI, every=0.05)
    with Callers(lambda: value(client)) as callers:
        for turn in range(6):
            promote(2 - turn % 2)
            eventually(lambda turn=turn: client.get("/status").json()["models"]["churn"]["version"] == 2 - turn % 2)

    assert callers.errors == []
    assert set(callers.answers) == {1.0, 2.0}
    assert 'registry_swaps_total{model="churn"} 6' in client.get("/metrics").body.decode()


def test_a_version_that_cannot_be_loaded_leaves_the_old_one_answering(two_versions: None, serve: Serve) -> None:
    damage(registry.resolve("models:/churn/2").location)
    client = serve(URI)
    promote(2)
    eventually(lambda: client.get("/status").json()["models"]["churn"]["error"] is not None)

    assert value(client) == 1
    status = client.get("/status").json()["models"]["churn"]
    assert (status["version"], status["is_ready"]) == (1, True)
    assert "SHA-256" in status["error"]
    assert client.get("/ping").status == 200


def test_until_a_model_is_loaded_every_answer_is_503(own_place: Path, serve: Serve) -> None:
    registry.MlflowClient().create_registered_model("churn")
    client = serve(URI, ready=False)
    for answer in (
        client.get("/ping"),
        client.get("/health"),
        client.get("/v2/health/ready"),
        client.get("/v2/models/churn/ready"),
        client.get("/v2/models/churn"),
        client.post("/invocations", BODY),
        client.post("/v2/models/churn/infer", {"inputs": []}),
    ):
        assert (answer.status, answer.headers["retry-after"]) == (503, "1"), answer.body
    assert client.get("/v2/health/live").status == 200
    log_constant(1)
    promote(1)
    eventually(lambda: client.get("/ping").status == 200)
    assert value(client) == 1


def test_an_answer_names_model_version_and_digest(two_versions: None, serve: Serve) -> None:
    client = serve(URI)
    digest = registry.resolve(URI).digest
    for answer in (client.post("/invocations", BODY), client.get("/v2/models/churn")):
        named = [answer.headers[name] for name in ("x-model-name", "x-model-version", "x-model-digest")]
        assert named == ["churn", "1", digest]
    tensors = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [0]}]}
    assert client.post("/v2/models/churn/versions/1/infer", tensors).json()["model_version"] == "1"
    other = client.post("/v2/models/churn/versions/2/infer", tensors)
    assert (other.status, other.json()) == (404, {"error": "Version 1 answers here now, and no other."})


def test_several_models_are_chosen_by_name(two_versions: None, serve: Serve) -> None:
    client = serve("first=models:/churn/1", "second=models:/churn/2")

    for name, expected in (("first", 1), ("second", 2)):
        predictions = client.post(f"/models/{name}/invocations", BODY).json()["predictions"]
        assert [round(number) for number in predictions] == [expected] * 3
    asked = client.post("/invocations", BODY)
    assert (asked.status, "/models/first/invocations, /models/second/invocations" in asked.body.decode()) == (404, True)
    assert client.post("/models/third/invocations", BODY).status == 404


class Slow(registry.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """Waits until a file is there; raises what its input names."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        import pathlib
        import time

        what = model_input["what"].iloc[0]
        if what == "raise":
            raise RuntimeError("secret-7 went wrong")
        while what == "wait" and not pathlib.Path("go").exists():
            time.sleep(0.01)
        return [what]


@pytest.fixture
def slow(own_place: Path) -> str:
    signature = registry.models.infer_signature(pd.DataFrame({"what": ["x"]}))
    registry.pyfunc.save_model("slow", python_model=Slow(), signature=signature)
    return "slow"


def test_a_full_queue_is_429_and_empties_again(slow: str, serve: Serve) -> None:
    client = serve(slow, allow_code=True, concurrency=1, queue=1)
    wait = {"inputs": {"what": "wait"}}
    waiting = [client.start("/invocations", wait) for _ in range(2)]
    eventually(lambda: client._app._predictions.inside == 2)
    refused = client.post("/invocations", wait)
    assert (refused.status, refused.headers["retry-after"], refused.json()["error_code"]) == (
        429,
        "1",
        "REQUEST_LIMIT_EXCEEDED",
    )
    assert client.get("/ping").status == 200  # what a prediction takes is not taken from probes
    Path("go").touch()
    assert [answer.result(60).status for answer in waiting] == [200, 200]
    assert client.post("/invocations", wait).status == 200


def test_an_answer_that_takes_too_long_is_503_and_keeps_its_place_until_it_ends(slow: str, serve: Serve) -> None:
    client = serve(slow, allow_code=True, concurrency=1, queue=0, timeout=0.3)
    late = client.post("/invocations", {"inputs": {"what": "wait"}})
    assert (late.status, late.json()["message"]) == (503, "There was no answer within 0.3 seconds.")
    assert client.post("/invocations", {"inputs": {"what": "x"}}).status == 429
    Path("go").touch()
    eventually(lambda: client.post("/invocations", {"inputs": {"what": "x"}}).status == 200)


def test_a_model_that_raises_is_500_with_an_id_that_stands_in_the_log(
    slow: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    client = serve(slow, allow_code=True)
    failed = client.post("/invocations", {"inputs": {"what": "raise"}})

    assert (failed.status, failed.json()["error_code"]) == (500, "INTERNAL_ERROR")
    assert "secret-7" not in failed.body.decode()
    identity = failed.json()["message"].split()[-1].rstrip(".")
    assert identity in caplog.text
    assert "secret-7 went wrong" in caplog.text


def test_bodies_and_rows_have_limits(two_versions: None, serve: Serve) -> None:
    client = serve(URI, max_body=200, max_rows=3)
    rows = {"dataframe_split": {"columns": ["x"], "data": [[0]] * 4}}
    large = b" " * 201

    assert client.post("/invocations", BODY).status == 200
    assert (client.post("/invocations", rows).status, client.post("/invocations", large).status) == (413, 413)
    chunked = client.request("POST", "/invocations", [b" " * 150] * 2, {"content-type": "application/json"})
    assert (chunked.status, chunked.json()["message"]) == (
        413,
        "The body has more than 200 bytes. Send fewer rows at once.",
    )
    parts = [json.dumps(BODY).encode()[:20], json.dumps(BODY).encode()[20:]]
    assert client.request("POST", "/invocations", parts, {"content-type": "application/json"}).status == 200


def test_a_client_that_goes_away_costs_nothing(two_versions: None, serve: Serve) -> None:
    client = serve(URI)
    scope_body: list[bytes] = []  # no body ever comes
    with pytest.raises(IndexError):  # nothing was sent
        client.request("POST", "/invocations", scope_body, {"content-type": "application/json", "content-length": "9"})
    assert client.post("/invocations", BODY).status == 200
    assert client._app._predictions.inside == 0


def test_a_token_is_needed_for_all_but_probes(two_versions: None, serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("correct-horse-battery\n")
    client = serve(URI, token_file=str(file))
    right = {"authorization": "Bearer correct-horse-battery"}
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic correct-horse-battery"}):
        refused = client.post("/invocations", BODY, headers=headers)
        assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert client.get("/metrics", headers).status == 401
    for path in ("/ping", "/health", "/v2/health/live", "/v2/health/ready"):
        assert client.get(path).status == 200
    assert client.post("/invocations", BODY, headers=right).status == 200
    assert client.get("/status", right).status == 200


def test_tokens_come_from_a_file_or_the_environment(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ServeOptions([]).read_token() is None
    monkeypatch.setenv("REGISTRY_SERVE_TOKEN", " a-token-of-the-environment ")
    assert ServeOptions([]).read_token() == b"a-token-of-the-environment"
    monkeypatch.setenv("REGISTRY_SERVE_TOKEN", "short")
    with pytest.raises(InvalidParameterError, match="5 characters; at least 16"):
        ServeOptions([]).read_token()
    with pytest.raises(StorageError, match="cannot be read"):
        ServeOptions([], token_file="nowhere").read_token()
    Path("empty").touch()
    with pytest.raises(InvalidParameterError, match="0 characters"):
        ServeOptions([], token_file="empty").read_token()


@pytest.mark.parametrize(
    ("host", "token", "trusted", "is_allowed"),
    [
        ("127.0.0.1", None, False, True),
        ("127.8.0.1", None, False, True),
        ("::1", None, False, True),
        ("[::1]", None, False, True),
        ("localhost", None, False, True),
        ("0.0.0.0", None, False, False),
        ("::", None, False, False),
        ("serving.example", None, False, False),
        ("0.0.0.0", b"t", False, True),
        ("0.0.0.0", None, True, True),
    ],
)
def test_beyond_this_machine_a_token_or_a_proxy_is_needed(
    host: str, token: bytes | None, trusted: bool, is_allowed: bool
) -> None:
    if is_allowed:
        check_exposure(host, token, trusted_proxy=trusted)
    else:
        with pytest.raises(PermissionDeniedError, match="--trusted-proxy"):
            check_exposure(host, token, trusted_proxy=trusted)


def test_models_are_named_by_their_model_or_as_asked() -> None:
    assert named_models(["models:/churn/Production", "b=models:/churn/Staging", "saved"]) == [
        ("churn", "models:/churn/Production"),
        ("b", "models:/churn/Staging"),
        ("model", "saved"),
    ]
    with pytest.raises(InvalidParameterError, match="Two models would be named 'churn'"):
        named_models(["models:/churn/Production", "models:/churn/Staging"])


def test_every_request_is_a_line_of_json_in_the_log(
    two_versions: None, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    client = serve(URI)
    capsys.readouterr()
    client.post("/invocations", BODY)
    client.post("/invocations", b"x")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    assert [(line["path"], line["status"], line["model"], line["version"]) for line in lines] == [
        ("/invocations", 200, "churn", 1),
        ("/invocations", 400, "churn", 1),
    ]
    assert lines[1]["error"].startswith("Invalid input. Ensure that input is a valid JSON")
    quiet = serve(f"again={URI}", access_log=False)
    capsys.readouterr()
    quiet.get("/version")
    assert capsys.readouterr().err == ""


def test_metrics_count_requests_rows_and_seconds_by_model_and_version(two_versions: None, serve: Serve) -> None:
    client = serve(URI)
    client.post("/invocations", BODY)
    client.post("/invocations", b"x")
    client.post("/v2/models/churn/infer", {})
    text = client.get("/metrics").body.decode()

    assert 'registry_requests_total{model="churn",version="1",protocol="mlflow",status="200"} 1\n' in text
    assert 'registry_requests_total{model="churn",version="1",protocol="mlflow",status="400"} 1\n' in text
    assert 'registry_requests_total{model="churn",version="1",protocol="v2",status="400"} 1\n' in text
    assert 'registry_rows_total{model="churn",version="1"} 3\n' in text
    assert 'registry_request_seconds_bucket{model="churn",version="1",le="+Inf"} 3\n' in text
    assert 'registry_request_seconds_count{model="churn",version="1"} 3\n' in text
    assert 'registry_model_ready{model="churn"} 1\n' in text
    assert f'digest="{registry.resolve(URI).digest}"' in text
    assert "registry_model_check_age_seconds" in text


def test_prometheus_parses_the_metrics(two_versions: None, serve: Serve) -> None:
    client = serve(URI, f"odd-name={URI}")
    client.post("/models/churn/invocations", BODY)
    client.post("/models/churn/invocations", b"x")
    promote(2)
    eventually(lambda: value(client, "/models/churn/invocations") == 2)
    answer = client.get("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(answer.body.decode())}

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    kinds = {name: family.type for name, family in families.items()}
    assert kinds | {"registry_requests": "counter", "registry_swaps": "counter"} == kinds
    assert (kinds["registry_request_seconds"], kinds["registry_model_ready"]) == ("histogram", "gauge")
    requests = {
        (sample.labels["version"], sample.labels["status"]): sample.value
        for sample in families["registry_requests"].samples
    }
    assert (requests["1", "200"] >= 1, requests["1", "400"], requests["2", "200"]) == (True, 1, 1)
    buckets = [
        sample.value
        for sample in families["registry_request_seconds"].samples
        if sample.name.endswith("_bucket") and sample.labels["version"] == "1"
    ]
    count = next(
        sample.value
        for sample in families["registry_request_seconds"].samples
        if sample.name.endswith("_count") and sample.labels["version"] == "1"
    )
    assert buckets == sorted(buckets)
    assert buckets[-1] == count == sum(number for (version, _), number in requests.items() if version == "1")
    assert {sample.labels["model"] for sample in families["registry_model_ready"].samples} == {"churn", "odd-name"}


def test_other_paths_and_methods(two_versions: None, serve: Serve) -> None:
    client = serve(URI)

    assert client.get("/version").body.decode() == registry.__version__
    assert (client.get("/").status, client.get("/invocations").status) == (404, 405)
    assert client.get("/v2/nowhere").json()["error"].startswith("There is nothing at this path")


# Processes.


@pytest.mark.slow
def test_the_command_serves_follows_and_drains(two_versions: None) -> None:
    with server("churn/Production", "--every", "0.05") as (process, address, lines):
        eventually(lambda: call(address, "/ping")[0] == 200, 120)
        promote(2)
        eventually(lambda: call(address, "/status")[1]["models"]["churn"]["version"] == 2)
        assert [round(number) for number in call(address, "/invocations", BODY)[1]["predictions"]] == [2, 2, 2]
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert process.returncode in (0, -signal.SIGTERM)
    assert "models:/churn/2 answers for models:/churn/Production, after models:/churn/1." in "".join(lines)
    assert not any("Traceback" in line for line in lines)


@pytest.mark.slow
def test_a_request_that_runs_is_answered_after_sigterm(slow: str) -> None:
    with server("./slow", "--allow-code") as (process, address, _lines):
        eventually(lambda: call(address, "/ping")[0] == 200, 120)
        answers: list[Any] = []
        thread = threading.Thread(
            target=lambda: answers.append(call(address, "/invocations", {"inputs": {"what": "wait"}}))
        )
        thread.start()
        time.sleep(1)  # until the request is inside
        process.send_signal(signal.SIGTERM)
        eventually(lambda: call(address, "/ping")[0] == 0)  # it takes no more
        Path("go").touch()
        thread.join(60)
        assert answers == [(200, {"predictions": ["wait"]})]


@pytest.mark.slow
def test_workers_are_fresh_processes_that_count_together_and_are_replaced(two_versions: None) -> None:
    with server("churn/Production", "--every", "0.05", "--workers", "2") as (_process, address, _lines):
        seen: set[int] = set()

        def both() -> bool:
            status, body = call(address, "/status")
            if status == 200 and body["models"]["churn"]["is_ready"]:
                seen.add(body["process"])
            return len(seen) == 2

        eventually(both, 120)
        for _ in range(20):
            assert call(address, "/invocations", BODY)[0] == 200

        def count() -> int:
            text = urllib.request.urlopen(f"{address}/metrics").read().decode()
            name = 'registry_requests_total{model="churn",version="1",protocol="mlflow",status="200"} '
            return sum(int(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))

        eventually(lambda: count() == 20)
        os.kill(min(seen), signal.SIGKILL)
        before = set(seen)
        seen.clear()
        eventually(both, 120)
        assert len(seen - before) == 1
        assert count() <= 20


class LoadsLate(registry.pyfunc.PythonModel):
    """A model that the first process loads at once, and every other after two seconds."""

    def load_context(self, context: Any) -> None:
        try:
            Path("first").touch(exist_ok=False)
        except FileExistsError:
            time.sleep(2)

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return [1] * len(model_input)


@pytest.mark.slow
def test_a_worker_takes_no_request_before_its_model_is_loaded(own_place: Path) -> None:
    signature = registry.models.infer_signature(pd.DataFrame({"x": [0.0]}))
    registry.pyfunc.save_model("late", python_model=LoadsLate(), signature=signature)
    with server("./late", "--allow-code", "--workers", "2") as (_process, address, _lines):
        eventually(lambda: call(address, "/ping")[0] == 200, 120)
        seen: set[int] = set()

        def both() -> bool:
            assert call(address, "/invocations", BODY)[0] == 200
            seen.add(call(address, "/status")[1]["process"])
            return len(seen) == 2

        eventually(both, 120)


def test_a_port_that_is_taken_is_told(own_place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError, match=f"127.0.0.1:{port} cannot be listened on: .*Give another --port"):
            run(ServeOptions([("model", "saved")]), "127.0.0.1", port)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["churn/Production"], 1, "There is no registry"),
        (["./saved", "--host", "0.0.0.0"], 1, "everybody who reaches this machine could call the model"),
        (["./saved", "--ssl-certfile", "x"], 2, "Give --ssl-certfile and --ssl-keyfile together"),
        (["./saved", "./other"], 2, "Two models would be named 'model'"),
        (["./saved", "--token-file", "nowhere"], 1, "The token file 'nowhere' cannot be read"),
    ],
)
def test_a_wrong_command_line_is_told(
    own_place: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    from registry.cli import main

    assert main(["models", "serve", *words]) == code
    assert message in capsys.readouterr().err
