"""Measure the page on a filled database: ``python -m benchmarks.page [--quick] [--json FILE]``.

Fills SQLite and PostgreSQL with 100,000 runs of 1,000 keys, a series of 10,000,000 points and a model of 10,000
versions with 100,000 events, starts ``registry ui``, and measures each page: the server's answer, and how long Chromium
takes until it is drawn. With ``--mlflow-python`` the same runs are given to ``mlflow ui``, in a database of its own.

Medians of some rounds. Where others use the machine, the processor's seconds say more than those of the clock.
"""

import argparse
import contextlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any, Final

from benchmarks.environments import add_options, interpreters
from benchmarks.machine import facts
from benchmarks.postgres import ask, postgres_server
from benchmarks.report import shown_seconds

_WORKERS: Final = Path(__file__).parent / "workers"
_CHROMIUM: Final = "/usr/bin/chromium"
COMPARED: Final = 100
KEYS: Final = 1_000
SERVER_TARGET: Final = 0.2
READY_TARGET: Final = 1.0
MEMORY_TARGET: Final = 250 * 2**20
_MIGRATE: Final = (
    "import sys; from registry.store.engine import connect; from registry.store.schema import upgrade; "
    "upgrade(connect(sys.argv[1]))"
)
_MIGRATE_MLFLOW: Final = "import mlflow, sys; mlflow.MlflowClient(sys.argv[1]).search_experiments()"
# All charts in the window are drawn, and no image or font is missing.
_DRAWN: Final = """() => document.readyState === "complete"
    && [...document.querySelectorAll("[data-series], [data-scatter], [data-parallel]")].every((chart) => {
        const box = chart.getBoundingClientRect();
        return box.top > innerHeight || box.bottom < 0 || chart.querySelector("canvas, svg");
    })"""


@dataclass(frozen=True, slots=True)
class Volumes:
    """How much the databases hold, and how often each page is asked for."""

    runs: int
    points: int
    versions: int
    events: int
    rounds: int


FULL: Final = Volumes(100_000, 10_000_000, 10_000, 100_000, 9)
QUICK: Final = Volumes(2_000, 200_000, 200, 2_000, 3)


@dataclass(frozen=True, slots=True)
class PageFigure:
    """A page of one system: seconds of the answer (clock, processor), its bytes, and seconds until it is drawn."""

    system: str
    database: str
    page: str
    answer: float
    processor: float
    size: int
    ready: float | None = None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.page", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="2,000 runs, 200,000 points, 200 versions")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write facts and figures there too")
    databases = ("sqlite", "postgresql")
    parser.add_argument("--databases", nargs="+", choices=databases, default=databases, metavar="DATABASE")
    parser.add_argument("--points", type=int, metavar="N", help="points of the long series")
    parser.add_argument("--without-browser", action="store_true", help="measure the server's answers alone")
    add_options(parser)
    options = parser.parse_args()
    python = interpreters(options, "registry")["registry"]
    volumes = QUICK if options.quick else FULL
    if options.points:
        volumes = Volumes(volumes.runs, options.points, volumes.versions, volumes.events, volumes.rounds)
    figures: list[PageFigure] = []
    memory: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="registry-page-")))
        browser = None if options.without_browser else stack.enter_context(_browser())
        version = "–"
        for database in options.databases:
            url = f"sqlite:///{directory / 'page.db'}"
            if database == "postgresql":
                address = stack.enter_context(postgres_server(python))
                ask(python, address, "CREATE DATABASE page")
                version, url = ask(python, address, "SHOW server_version"), f"{address}page"
            fill(python, url, volumes)
            with serve(python, url, directory) as server:
                figures += measure("registry", database, server, registry_pages(volumes), volumes.rounds, browser)
                memory[f"registry, {database}"] = server.memory()
        if options.mlflow_python:
            url = f"sqlite:///{directory / 'mlflow.db'}"
            fill_mlflow(options.mlflow_python, url, volumes)
            with serve_mlflow(options.mlflow_python, url, directory) as server:
                figures += measure("mlflow", "sqlite", server, mlflow_pages(volumes), volumes.rounds, browser)
                memory["mlflow, sqlite"] = server.memory()
        known = facts(version)
    print("\n".join(f"{name}: {fact}" for name, fact in known.items()), end="\n\n")
    print(table(figures))
    for name, number in memory.items():
        print(f"memory of the server, {name}: {number / 2**20:.0f} MiB{'' if number <= MEMORY_TARGET else ' ✗'}")
    if options.json:
        rows = [asdict(figure) for figure in figures]
        options.json.write_text(json.dumps({"facts": known, "figures": rows, "memory": memory}, indent=2) + "\n")


@dataclass(frozen=True)
class Server:
    """A server that runs, and the URL that signs in."""

    process: "subprocess.Popen[str]"
    address: str
    sign_in: str

    def processes(self) -> list[int]:
        """Return the ids of its processes."""
        listing = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        parents = {int(pid): int(parent) for pid, parent in map(str.split, listing.splitlines())}
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def memory(self) -> int:
        """Return the most memory (bytes) that its processes have had, summed."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text()
                peak = re.search(r"VmHWM:\s+(\d+) kB", status)
                total += 1024 * int(peak[1]) if peak else 0
        return total

    def processor(self) -> float:
        """Return the processor's seconds that its processes have used."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")


def fill(python: Path, url: str, volumes: Volumes) -> None:
    """Make the tables, and fill them by plain SQL."""
    _say(f"filling {url.partition(':')[0]} …")
    subprocess.run([python, "-c", _MIGRATE, url], check=True)
    sizes = [volumes.runs, KEYS, volumes.points, COMPARED]
    subprocess.run([python, _WORKERS / "page_fill.py", url, *map(str, sizes)], check=True)
    models = [str(volumes.versions), str(volumes.events)]
    subprocess.run([python, _WORKERS / "page_fill_models.py", url, *models], check=True)


def fill_mlflow(python: Path, url: str, volumes: Volumes) -> None:
    """Make mlflow's tables, and fill them by plain SQL."""
    _say("filling mlflow …")
    subprocess.run([python, "-c", _MIGRATE_MLFLOW, url], check=True, capture_output=True)
    sizes = [volumes.runs, KEYS, volumes.points, COMPARED]
    subprocess.run([python, _WORKERS / "page_fill.py", url, *map(str, sizes), "mlflow"], check=True)


@contextlib.contextmanager
def serve(python: Path, url: str, directory: Path) -> Iterator[Server]:
    """Start ``registry ui``; the URL that it prints signs in."""
    environment = {**os.environ, "REGISTRY_TRACKING_URI": url, "REGISTRY_CACHE_DIR": str(directory / "cache")}
    command = [python, "-m", "registry", "ui", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=directory) as process:
        try:
            assert process.stdout is not None
            printed = next(filter(None, (re.search(r"http://\S+", line) for line in process.stdout)))
            sign_in = printed[0]
            yield Server(process, sign_in.partition("/?")[0], sign_in)
        finally:
            process.terminate()


@contextlib.contextmanager
def serve_mlflow(python: Path, url: str, directory: Path) -> Iterator[Server]:
    """Start ``mlflow ui``, and wait until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [python, "-m", "mlflow", "ui", "--backend-store-uri", url, "--port", str(port), "--workers", "1"]
    log = (directory / "mlflow.log").open("w")
    with log, subprocess.Popen(command, stdout=log, stderr=log, text=True, cwd=directory) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(300):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(address, timeout=5).read()
                    break
                time.sleep(0.5)
            yield Server(process, address, address)
        finally:
            process.terminate()


def registry_pages(volumes: Volumes) -> dict[str, tuple[str, bytes | None]]:
    """Return the measured pages by name: path, and no body."""
    newest = f"{volumes.runs:032x}"
    compared = "&".join(f"run={number:032x}" for number in _compared(volumes))
    best = "filter=metrics.metric_001+%3E+0.2&order=metrics.metric_001&desc=1"
    scatter = "chart=scatter&axis=params.param_001&axis=metrics.metric_001"
    return {
        name: (path, None)
        for name, path in {
            "home": "/",
            "runs of an experiment": "/runs?experiment=1",
            "runs, all experiments": "/runs",
            "runs by a metric": f"/runs?experiment=1&{best}",
            "runs with a scatter chart": f"/runs?experiment=1&{scatter}",
            "run with 500 metrics": f"/runs/{newest}",
            "series of the run": f"/series.json?run={newest}&key=loss&points=400",
            "compare 100 runs × 20 metrics": f"/compare?{compared}",
            "one chart of the comparison": f"/series.json?{compared}&key=shared_00&points=400",
            "model with its timeline": "/models/large",
            "history of the model": "/models/large/history",
        }.items()
    }


def mlflow_pages(volumes: Volumes) -> dict[str, tuple[str, bytes | None]]:
    """Return what mlflow's page asks its server for, by the same names; a body is posted."""
    api = "/ajax-api/2.0/mlflow"
    newest = f"{volumes.runs:032x}"
    compared = "&".join(f"run_ids={number:032x}" for number in _compared(volumes))
    search = {"experiment_ids": ["1"], "max_results": 100, "order_by": ["attributes.start_time DESC"]}
    by_metric = {**search, "filter": "metrics.metric_001 > 0.2", "order_by": ["metrics.metric_001 DESC"]}
    bulk = f"{api}/metrics/get-history-bulk-interval"
    return {
        "runs of an experiment": (f"{api}/runs/search", json.dumps(search).encode()),
        "runs by a metric": (f"{api}/runs/search", json.dumps(by_metric).encode()),
        "run with 500 metrics": (f"{api}/runs/get?run_id={newest}", None),
        "series of the run": (f"{bulk}?run_ids={newest}&metric_key=loss&max_results=320", None),
        "one chart of the comparison": (f"{bulk}?{compared}&metric_key=shared_00&max_results=320", None),
    }


def _compared(volumes: Volumes) -> range:
    return range(volumes.runs - COMPARED, volumes.runs)


def measure(
    system: str,
    database: str,
    server: Server,
    pages: Mapping[str, tuple[str, bytes | None]],
    rounds: int,
    browser: Any | None,
) -> Iterator[PageFigure]:
    """Yield a figure of each page."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    opener.open(server.sign_in, timeout=60).read()
    window = None if browser is None or system != "registry" else browser.new_page()
    if window is not None:
        window.set_default_timeout(120_000)
        window.goto(server.sign_in)
    for name, (path, body) in pages.items():
        answers, size, before = [], 0, server.processor()
        for _ in range(rounds):
            headers = {"content-type": "application/json"} if body else {}
            request = urllib.request.Request(server.address + path, body, headers)
            started = time.perf_counter()
            size = len(opener.open(request, timeout=600).read())
            answers.append(time.perf_counter() - started)
            if sum(answers) > 60:
                break
        used = (server.processor() - before) / len(answers)
        ready = None if window is None or ".json" in path else _ready(window, server.address + path, rounds)
        figure = PageFigure(system, database, name, statistics.median(answers), used, size, ready)
        _say(f"{system}, {database}: {name}: {shown_seconds(figure.answer)}, drawn after {shown_seconds(ready)}")
        yield figure
    if window is not None:
        window.close()


def _ready(window: Any, address: str, rounds: int) -> float:
    """Return the median of the seconds until a page is drawn."""
    times = []
    for _ in range(rounds):
        window.goto("about:blank")
        started = time.perf_counter()
        window.goto(address, wait_until="commit")
        window.wait_for_function(_DRAWN)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


@contextlib.contextmanager
def _browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        try:
            yield chromium
        finally:
            chromium.close()


def table(figures: list[PageFigure]) -> str:
    """Return a Markdown table; ✗ marks a figure that misses its target."""
    lines = ["| page | system | answer | processor | bytes | drawn |", "|---|---|---|---|---|---|"]
    for figure in figures:
        is_ours = figure.system == "registry"
        answer = shown_seconds(figure.answer) + (" ✗" if is_ours and figure.answer > SERVER_TARGET else "")
        late = is_ours and figure.ready is not None and figure.ready > READY_TARGET
        cells = (
            figure.page,
            f"{figure.system}, {figure.database}",
            answer,
            shown_seconds(figure.processor),
            f"{figure.size / 1024:.0f} KiB",
            shown_seconds(figure.ready) + (" ✗" if late else ""),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
