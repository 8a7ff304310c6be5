"""What `benchmarks.serving` runs in processes of its own: make models, call a server, and be one."""

import json
import re
import selectors
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

COLUMNS: Final = [f"x{number}" for number in range(20)]


def prepare(directory: str) -> None:
    """Save the model as a directory, and register it twice with version 1 in Production, below `directory`."""
    import numpy as np
    import pandas as pd
    import xgboost

    import registry

    registry.set_tracking_uri(f"file:{directory}/registry")
    generator = np.random.default_rng(0)
    rows = pd.DataFrame(generator.normal(size=(5_000, len(COLUMNS))), columns=COLUMNS)
    target = rows["x0"] * rows["x1"] + generator.normal(size=len(rows))
    for number in (1, 2):
        model = xgboost.XGBRegressor(n_estimators=100, max_depth=6).fit(rows, target * number)
        signature = registry.models.infer_signature(rows, model.predict(rows))
        kept = {"signature": signature, "input_example": rows.head(2)}
        registry.xgboost.log_model(model, name="model", registered_model_name="bench", **kept)
    registry.MlflowClient().transition_model_version_stage("bench", 1, "Production")
    registry.xgboost.save_model(model, f"{directory}/model", **kept)


def bare(directory: str, rows: int, seconds: float) -> None:
    """Predict an array with xgboost alone, in one thread."""
    import numpy as np

    import registry

    model = registry.xgboost.load_model(f"{directory}/model")
    model.set_params(n_jobs=1)
    block = np.random.default_rng(1).normal(size=(rows, len(COLUMNS)))
    model.predict(block)
    times = []
    used = time.process_time()
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        model.predict(block)
        times.append(time.perf_counter() - began)
    report(times, seconds, 0, (time.process_time() - used) / len(times) * 1000)


def load(port: int, form: str, rows: int, clients: int, seconds: float) -> None:
    """Call a server over connections that stay open, and print how that went.

    One thread sends bytes that were made before and waits for all connections at once, because what it costs is taken
    from the server: both run on the same processors.
    """
    path, body, headers = request(form, rows)
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    message = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body
    selector = selectors.DefaultSelector()
    times: list[float] = []
    lost = 0
    used = time.process_time()
    end = time.perf_counter() + seconds
    for _ in range(clients):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ, [time.perf_counter(), b""])
        connection.sendall(message)
    while time.perf_counter() < end:
        for key, _ in selector.select(1):
            connection, waiting = key.fileobj, key.data
            received = connection.recv(2**20)
            waiting[1] += received
            if received and not is_whole(waiting[1]):
                continue
            lost += not waiting[1].startswith(b"HTTP/1.1 200 ")
            now = time.perf_counter()
            times.append(now - waiting[0])
            if not received:  # the server closed the connection
                selector.unregister(connection)
                connection = socket.create_connection(("127.0.0.1", port))
                selector.register(connection, selectors.EVENT_READ, waiting)
            waiting[:] = now, b""
            connection.sendall(message)
    report(times, seconds, lost, client_ms=(time.process_time() - used) / len(times) * 1000)


def is_whole(answer: bytes) -> bool:
    """Tell whether an answer has come to its end."""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    return length is not None and len(body) >= int(length[1])


async def constant(scope: Any, receive: Any, send: Any) -> None:
    """Read a request and answer always the same: an ASGI application that shows what HTTP alone costs."""
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        return
    while (await receive()).get("more_body"):
        pass
    body = b'{"predictions":[0.7030473947525024]}'
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def request(form: str, rows: int) -> tuple[str, bytes, dict[str, str]]:
    """Return path, body and headers of a request: ``json`` in MLflow's form, or ``binary`` in that of V2."""
    import random

    chance = random.Random(0)
    values = [[chance.gauss(0, 1) for _ in COLUMNS] for _ in range(rows)]
    if form == "json":
        body = json.dumps({"dataframe_split": {"columns": COLUMNS, "data": values}}).encode()
        return "/invocations", body, {"Content-Type": "application/json"}
    import array

    data = array.array("d", [value for row in values for value in row]).tobytes()
    tensor = {"name": "x", "datatype": "FP64", "shape": [rows, len(COLUMNS)]}
    tensor["parameters"] = {"binary_data_size": len(data)}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return "/v2/models/model/infer", head + data, {"Inference-Header-Content-Length": str(len(head))}


def report(times: list[float], seconds: float, lost: int, cpu_ms: float = 0.0, client_ms: float = 0.0) -> None:
    """Print one line of JSON."""
    times.sort()
    count = len(times)
    found = {
        "per_second": count / seconds,
        "p50_ms": times[count // 2] * 1000,
        "p99_ms": times[int(count * 0.99)] * 1000,
        "requests": count,
        "lost": lost,
        "cpu_ms": cpu_ms,
        "client_ms": client_ms,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["prepare", directory]:
            Path(directory).mkdir(parents=True, exist_ok=True)
            prepare(directory)
        case ["bare", directory, rows, seconds]:
            bare(directory, int(rows), float(seconds))
        case ["load", port, form, rows, clients, seconds]:
            load(int(port), form, int(rows), int(clients), float(seconds))
