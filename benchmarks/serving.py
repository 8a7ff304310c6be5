"""Measure serving beside mlflow: ``python -m benchmarks.serving [--seconds N] [--rounds N]``.

Both serve the same directory with one worker, and answer the same requests in turns: 100 trees of depth 6 of XGBoost,
20 columns of doubles. An ASGI application in uvicorn that only reads a request and answers a constant shows what is
left to gain. Then this registry's server answers during promotions. Each figure is the median of the rounds; where
others use the machine, the ratios say more than the figures.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.environments import CHECKOUT, add_options, interpreters
from benchmarks.machine import facts

_WORKER: Final = CHECKOUT / "benchmarks" / "workers" / "serving.py"
_SYSTEMS: Final = ("constant", "mlflow", "registry")
_LOADS: Final = ((1, 1), (1, 4), (1000, 1), (1000, 4))
Result = dict[str, Any]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5, metavar="N", help="of each load")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds, of which the medians count")
    parser.add_argument("--swaps", type=int, default=50, metavar="N", help="promotions under load")
    add_options(parser)
    options = parser.parse_args()
    pythons = interpreters(options)
    with tempfile.TemporaryDirectory(prefix="registry-serving-") as directory:
        print("\n".join(f"{name}: {fact}" for name, fact in facts("–").items()), end="\n\n")
        _run(pythons["registry"], "prepare", directory)
        figures, starts = _beside_mlflow(pythons, Path(directory), options.seconds, options.rounds)
        _print_table(figures, starts)
        if options.swaps:
            _print_swaps(pythons["registry"], Path(directory), options.swaps)


def _beside_mlflow(
    pythons: dict[str, Path], directory: Path, seconds: float, rounds: int
) -> tuple[dict[tuple[str, str, int, int], list[Result]], dict[str, float]]:
    figures: dict[tuple[str, str, int, int], list[Result]] = {}
    starts = {}
    with contextlib.ExitStack() as stack:
        ports = {}
        for system in _SYSTEMS:
            began = time.perf_counter()
            python = pythons["mlflow" if system == "mlflow" else "registry"]
            ports[system] = stack.enter_context(_server(system, python, directory))
            starts[system] = time.perf_counter() - began
        for number in range(rounds):
            for rows, clients in _LOADS:
                for system in _SYSTEMS if number % 2 else reversed(_SYSTEMS):
                    found = _load(pythons["registry"], ports[system], "json", rows, clients, seconds)
                    figures.setdefault((system, "json", rows, clients), []).append(found)
            for rows in (1, 1000):
                for system in ("registry", "constant"):
                    found = _load(pythons["registry"], ports[system], "binary", rows, 1, seconds)
                    figures.setdefault((system, "binary", rows, 1), []).append(found)
                found = _run(pythons["registry"], "bare", directory, rows, seconds)
                figures.setdefault(("xgboost", "array", rows, 1), []).append(found)
    return figures, starts


def _load(python: Path, port: int, form: str, rows: int, clients: int, seconds: float) -> Result:
    used = _processor_seconds(port)
    found = _run(python, "load", port, form, rows, clients, seconds)
    return {**found, "cpu_ms": (_processor_seconds(port) - used) / found["requests"] * 1000}


def _print_table(figures: dict[tuple[str, str, int, int], list[Result]], starts: dict[str, float]) -> None:
    print("| system | form | rows | clients | requests/s | p50 ms | p99 ms | CPU ms | client's CPU ms | lost |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    medians, processor = {}, {}
    for key, results in figures.items():
        middle = {name: statistics.median(result[name] for result in results) for name in results[0]}
        medians[key] = middle["per_second"]
        shown = f"{middle['per_second']:.0f} | {middle['p50_ms']:.2f} | {middle['p99_ms']:.2f}"
        spent = f"{middle['cpu_ms']:.2f} | {middle['client_ms']:.2f}"
        print(f"| {' | '.join(map(str, key))} | {shown} | {spent} | {middle['lost']:.0f} |")
        processor[key] = middle["cpu_ms"]
    print()
    for rows, clients in _LOADS:
        ratio = medians["registry", "json", rows, clients] / medians["mlflow", "json", rows, clients]
        saved = processor["mlflow", "json", rows, clients] / processor["registry", "json", rows, clients]
        print(
            f"{rows} rows, {clients} clients: {ratio:.1f} × mlflow's throughput, 1 / {saved:.1f} of its CPU time; "
            f"a constant answer {medians['constant', 'json', rows, clients]:.0f}/s"
        )
    for rows in (1, 1000):
        ratio = processor["registry", "binary", rows, 1] / processor["xgboost", "array", rows, 1]
        print(f"V2 binary, {rows} rows: {ratio:.1f} × the processor time of bare xgboost on an array")
    print(f"start to ready: registry {starts['registry']:.1f} s, mlflow {starts['mlflow']:.1f} s")


def _print_swaps(python: Path, directory: Path, swaps: int) -> None:
    """Promote under load; print what was lost, the tail near swaps, and the memory."""
    uri = f"file:{directory}/registry"
    os.environ["REGISTRY_TRACKING_URI"] = uri
    with _server("following", python, directory) as port:
        process = _processes[port]
        steady = _run(python, "load", port, "json", 1, 2, 8)
        before = _resident(process)
        script = (
            "import time, registry\nclient = registry.MlflowClient()\n"
            f"for turn in range({swaps}):\n"
            "    client.transition_model_version_stage('bench', 2 - turn % 2, 'Production')\n    time.sleep(0.35)\n"
        )
        promoting = subprocess.Popen([python, "-c", script])
        swapping = _run(python, "load", port, "json", 1, 2, swaps * 0.45 + 5)
        promoting.wait()
        status = json.loads(urllib.request.urlopen(f"http://127.0.0.1:{port}/status").read())["models"]["bench"]
        grown = _resident(process) / before - 1
    print(
        f"{swaps} promotions under load, {status['swaps']} swaps: {swapping['requests']} requests, {swapping['lost']} "
        f"lost; p99 {swapping['p99_ms']:.1f} ms, without promotions {steady['p99_ms']:.1f} ms; memory {grown:+.1%}"
    )


_processes: dict[int, int] = {}


@contextlib.contextmanager
def _server(system: str, python: Path, directory: Path) -> Iterator[int]:
    """Run a server until the block ends; yield its port once it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = {
        "constant": ["-m", "uvicorn", "benchmarks.workers.serving:constant", "--no-access-log"],
        "mlflow": ["-m", "mlflow", "models", "serve", "-m", f"{directory}/model", "--env-manager", "local"],
        "registry": ["-m", "registry", "models", "serve", f"{directory}/model"],
        "following": ["-m", "registry", "models", "serve", "bench/Production", "--every", "0.1"],
    }[system]
    log = directory / f"{system}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [python, *command, "--port", str(port)],
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            cwd=CHECKOUT,
            env={**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"},  # mlflow calls uvicorn
        )
    _processes[port] = process.pid
    try:
        until = time.monotonic() + 180
        while True:
            try:
                if urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).status == 200:
                    break
            except (OSError, urllib.error.HTTPError):
                if time.monotonic() > until or process.poll() is not None:
                    raise SystemExit(f"{system} did not start:\n{log.read_text()[-2000:]}") from None
                time.sleep(0.02)
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _processor_seconds(port: int) -> float:
    """Return the processor time that a server and its children have used."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == _processes[port]:  # its session
                total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def _resident(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def _run(python: Path, *words: object) -> Result:
    done = subprocess.run([python, _WORKER, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    print(".", end="", file=sys.stderr, flush=True)
    return json.loads(done.stdout) if done.stdout.startswith("{") else {}


if __name__ == "__main__":
    main()
