"""Measure the page on a filled database: ``python -m benchmarks.page [--quick] [--data DIR] [--json FILE]``.

Fills SQLite and PostgreSQL with 100,000 runs of 1,000 keys, a series of 10,000,000 points and a model of 10,000
versions with 100,000 events, starts ``registry ui``, and measures each page: the server's answer, and how long Chromium
takes until it is drawn. With ``--mlflow-python`` the same runs are given to ``mlflow ui``, in a database of its own.

Filling takes minutes. ``--data`` keeps the databases in a directory and uses those that are there, so that only the
clock runs. Medians of some rounds. Where others use the machine, the processor's seconds say more than the clock's.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any, Final

from benchmarks.environments import add_options, interpreters
from benchmarks.machine import facts
from benchmarks.page_servers import Server, serve, serve_mlflow
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
QUICK: Final = Volumes(2_000, 200_000, 200, 2_000, 1)


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
    parser.add_argument("--databases", nargs="*", choices=databases, default=databases, metavar="DATABASE")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each page is asked for")
    parser.add_argument("--points", type=int, metavar="N", help="points of the long series")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep the filled databases there, and use them again")
    parser.add_argument("--only-fill", action="store_true", help="fill the databases of --data, and measure nothing")
    parser.add_argument("--without-browser", action="store_true", help="measure the server's answers alone")
    add_options(parser)
    options = parser.parse_args()
    python = interpreters(options, "registry")["registry"]
    volumes = QUICK if options.quick else FULL
    volumes = replace(volumes, points=options.points or volumes.points, rounds=options.rounds or volumes.rounds)
    figures: list[PageFigure] = []
    memory: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        directory = options.data
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="registry-page-")))
        directory.mkdir(parents=True, exist_ok=True)
        has_browser = not (options.without_browser or options.only_fill)
        browser = stack.enter_context(_browser()) if has_browser else None
        version = "–"
        for database in options.databases:
            url = f"sqlite:///{directory / 'page.db'}"
            if database == "postgresql":
                kept = directory / "postgresql" if options.data else None
                address = stack.enter_context(postgres_server(python, kept=kept))
                version, url = ask(python, address, "SHOW server_version"), f"{address}page"
            fill_once(directory, database, volumes, partial(fill, python, url, volumes))
            if options.only_fill:
                continue
            with serve(python, url, directory) as server:
                figures += measure("registry", database, server, registry_pages(volumes), volumes.rounds, browser)
                memory[f"registry, {database}"] = server.memory()
        if options.mlflow_python:
            url = f"sqlite:///{directory / 'mlflow.db'}"
            fill_once(directory, "mlflow", volumes, partial(fill_mlflow, options.mlflow_python, url, volumes))
        if options.mlflow_python and not options.only_fill:
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


def fill_once(directory: Path, database: str, volumes: Volumes, fill_database: Callable[[], None]) -> None:
    """Fill a database, unless the directory says that it was filled.

    Raises:
        SystemExit: It was filled with other volumes.
    """
    held = [volumes.runs, volumes.points, volumes.versions, volumes.events]
    mark = directory / f"{database}.filled"
    if not mark.exists():
        fill_database()
        mark.write_text(json.dumps(held))
    elif json.loads(mark.read_text()) != held:
        raise SystemExit(f"{mark} names other volumes than {held}; use another --data, or the options that filled it.")


def fill(python: Path, url: str, volumes: Volumes) -> None:
    """Make the tables, and fill them by plain SQL."""
    _say(f"filling {url.partition(':')[0]} …")
    if url.startswith("postgresql"):
        address, _, name = url.rpartition("/")
        ask(python, f"{address}/", f"DROP DATABASE IF EXISTS {name}")
        ask(python, f"{address}/", f"CREATE DATABASE {name}")
    else:
        Path(url.removeprefix("sqlite:///")).unlink(missing_ok=True)
    subprocess.run([python, "-c", _MIGRATE, url], check=True)
    sizes = [volumes.runs, KEYS, volumes.points, COMPARED]
    subprocess.run([python, _WORKERS / "page_fill.py", url, *map(str, sizes)], check=True)
    models = [str(volumes.versions), str(volumes.events)]
    subprocess.run([python, _WORKERS / "page_fill_models.py", url, *models], check=True)


def fill_mlflow(python: Path, url: str, volumes: Volumes) -> None:
    """Make mlflow's tables, and fill them by plain SQL."""
    _say("filling mlflow …")
    Path(url.removeprefix("sqlite:///")).unlink(missing_ok=True)
    subprocess.run([python, "-c", _MIGRATE_MLFLOW, url], check=True, capture_output=True)
    sizes = [volumes.runs, KEYS, volumes.points, COMPARED]
    subprocess.run([python, _WORKERS / "page_fill.py", url, *map(str, sizes), "mlflow"], check=True)


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
            "models": "/models",
            "model with its timeline": "/models/large",
            "history of the model": "/models/large/history",
            "history of an old version": "/models/large/history?version=5",
            "newest version": f"/models/large/{volumes.versions}",
            "inbox": "/inbox",
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
        _settle(server)
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


def _settle(server: Server) -> None:
    """Wait until a server has finished what the page before asked for, at most half a minute."""
    for _ in range(100):
        before = server.processor()
        time.sleep(0.3)
        if server.processor() - before < 0.03:
            return


def _ready(window: Any, address: str, rounds: int) -> float:
    """Return the median of the seconds until a page is drawn."""
    times = []
    for _ in range(rounds):
        window.goto("about:blank")
        started = time.perf_counter()
        window.goto(address, wait_until="commit")
        window.wait_for_function(_DRAWN)
        times.append(time.perf_counter() - started)
    window.goto("about:blank")
    return statistics.median(times)


@contextlib.contextmanager
def _browser() -> Iterator[Any]:
    if not Path(_CHROMIUM).exists():
        _say(f"there is no {_CHROMIUM}, so only the server's answers are measured")
        yield None
        return
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
