"""The guide's pieces for other servers run: `follow` takes promotions in their workers, and no call is lost."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asgi_client import AsgiClient
from served_models import Callers, eventually, promote
from served_processes import call, free_port, program

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "serving.md"
ROWS = [{"rest_days": 1.0, "rating_gap": 2.0}]
# Predicts with several threads, as a parent may have done before it forks.
PARENT = """
import numpy as np
import xgboost
rows = np.random.default_rng(1).normal(size=(50_000, 2))
xgboost.XGBRegressor(n_estimators=5, n_jobs=2).fit(rows, rows[:, 0]).predict(rows)
"""
WSGI = """
import json, os
import pandas as pd
import registry as mlflow
{before}
churn = {follow}

def app(environ, start_response):
    games = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    with churn.lease() as served:
        scores = served.predict(pd.DataFrame(games)).tolist()
        answer = {{"version": served.version, "scores": scores, "process": os.getpid()}}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
"""

pytestmark = pytest.mark.skipif(not GUIDE.is_file(), reason="the guide is in a checkout")


def pieces(language: str) -> list[str]:
    """Return the guide's blocks of a language."""
    text = GUIDE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def write_piece(name: str, **changes: str) -> None:
    """Write the piece that names its file in its first line, with some words changed."""
    source = next(piece for piece in pieces("text") if piece.startswith(f"# {name}"))
    for old, new in changes.values():
        assert old in source
        source = source.replace(old, new)
    Path(name).write_text(source)


@pytest.fixture
def churn(own_place: Path) -> None:
    """The models of the guide's first piece: version 2 of ``churn`` is in Production, and differs from 1."""
    exec(compile(pieces("python")[0], str(GUIDE), "exec"), {"__name__": "guide"})


def promote_under_load(answer: Callable[[], dict[str, Any]]) -> None:
    """Promote version 1 and then 2 while threads call; every call is answered, by one of the two."""
    known: dict[int, list[float]] = {}

    def version() -> float:
        said = answer()
        assert known.setdefault(said["version"], said["scores"]) == said["scores"]
        return float(said["version"])

    with Callers(version) as callers:
        for number in (1, 2):
            promote(number)
            seen = len(callers.answers)
            # Each worker looks for itself: it is over when many answers in a row are of the new version.
            eventually(lambda seen=seen, number=number: set(callers.answers[seen:][-100:]) == {number}, 120)
            eventually(lambda seen=seen: len(callers.answers) > seen + 100, 120)
    assert callers.errors == []
    assert set(callers.answers) == {1.0, 2.0}
    assert known[1] != known[2]


def over_http(port: int, path: str) -> Callable[[], dict[str, Any]]:
    def answer() -> dict[str, Any]:
        status, body = call(f"http://127.0.0.1:{port}", path, ROWS)
        assert status == 200, body
        return dict(body)

    return answer


def test_the_piece_for_fastapi_takes_promotions_under_load(own_place: Path) -> None:
    names: dict[str, Any] = {"__name__": "guide"}
    for source in pieces("python")[:2]:
        exec(compile(source, str(GUIDE), "exec"), names)

    with AsgiClient(names["app"]) as client:

        def answer() -> dict[str, Any]:
            names["app"].state.churn.refresh()
            answered = client.post("/score", ROWS)
            assert answered.status == 200, answered.body
            return dict(answered.json())

        assert answer()["version"] == 2
        promote_under_load(answer)


@pytest.mark.storm
@pytest.mark.skipif(importlib.util.find_spec("litserve") is None, reason="needs `pip install litserve`")
def test_the_piece_for_litserve_takes_promotions_under_load(churn: None) -> None:
    port = free_port()
    write_piece("churn_api.py", port=("port=8000", f"port={port}"))
    with program([sys.executable, "churn_api.py"]) as process:
        eventually(
            lambda: call(f"http://127.0.0.1:{port}", "/predict", ROWS)[0] == 200 or process.poll() is not None, 120
        )
        promote_under_load(over_http(port, "/predict"))


@pytest.mark.storm
@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None or importlib.util.find_spec("opencensus") is None,
    reason="needs `pip install 'ray[serve]'`",
)
def test_the_piece_for_ray_serve_takes_promotions_under_load(churn: None) -> None:
    port = free_port()
    write_piece("churn_ray.py")
    Path("run.py").write_text(
        f"""
import ray, signal
from ray import serve
ray.init(num_cpus=3, include_dashboard=False, object_store_memory=100 * 2**20)
import churn_ray
serve.start(http_options={{"host": "127.0.0.1", "port": {port}}})
serve.run(churn_ray.app, route_prefix="/")
try:
    signal.pause()
except KeyboardInterrupt:
    serve.shutdown()
    ray.shutdown()
"""
    )
    with program([sys.executable, "run.py"], RAY_USAGE_STATS_ENABLED="0") as process:
        eventually(lambda: call(f"http://127.0.0.1:{port}", "/", ROWS)[0] == 200 or process.poll() is not None, 180)
        promote_under_load(over_http(port, "/"))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("gunicorn") is None, reason="needs `pip install gunicorn`")
@pytest.mark.parametrize("where", ["in post_fork", "before the fork"])
def test_workers_of_gunicorn_answer_though_their_preloaded_parent_predicted(churn: None, where: str) -> None:
    """A child of a parent that predicted with several OpenMP threads would wait for them forever."""
    port = free_port()
    if where == "in post_fork":
        write_piece("gunicorn.conf.py")
        Path("churn_wsgi.py").write_text(WSGI.format(before=PARENT, follow=None))
    else:
        Path("gunicorn.conf.py").write_text("preload_app = True\n")
        follow = 'mlflow.serving.follow("models:/churn/Production", every=0.2, nthread=2)'
        Path("churn_wsgi.py").write_text(WSGI.format(before=PARENT, follow=follow))
    words = [sys.executable, "-m", "gunicorn", "churn_wsgi:app", "--bind", f"127.0.0.1:{port}", "--workers", "2"]
    with program([*words, "--timeout", "60"]) as process:
        answer = over_http(port, "/")
        eventually(lambda: call(f"http://127.0.0.1:{port}", "/", ROWS)[0] == 200 or process.poll() is not None, 120)
        assert answer()["version"] == 2, Path("log").read_text()
        seen: set[int] = set()
        eventually(lambda: seen.add(answer()["process"]) or len(seen) == 2, 120)  # type: ignore[func-returns-value]
        assert process.pid not in seen
        promote(1)
        eventually(lambda: {answer()["version"] for _ in range(20)} == {1}, 60)
        process.terminate()
        assert process.wait(60) == 0


@pytest.mark.slow
def test_the_piece_for_multiprocessing_answers_though_its_parent_predicted(churn: None) -> None:
    main = 'if __name__ == "__main__":\n'
    predicts = main + "".join(f"    {line}\n" for line in PARENT.strip().splitlines())
    write_piece("churn_pool.py", predicts=(main, predicts))
    done = subprocess.run(
        [sys.executable, "churn_pool.py"], env=dict(os.environ), capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr
    first, second = eval(done.stdout)
    assert first == second
    assert len(first) == 1
