"""Unmodified mlflow on a registry's database: its clients, its server's REST interface and its page in a browser."""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow_environment import VARIABLE
from mlflow_scripts import run_script

import registry
from registry import MlflowClient
from registry.rules import Approvals

pytestmark = pytest.mark.slow
CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="session")
def mlflow_with_registry() -> str:
    """Return the Python of an environment with real mlflow and this package."""
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f"{VARIABLE} is not set: it names the Python of an environment that has mlflow installed")
    look = "import importlib.metadata as m; print(*[e.name for e in m.entry_points(group='mlflow.tracking_store')])"
    done = subprocess.run([python, "-c", look], capture_output=True, text=True, check=True, timeout=60)
    if "registry+sqlite" not in done.stdout.split():
        pytest.skip(f"the environment of {VARIABLE} does not have this package: pip install -e '.[postgres]' there")
    return python


@pytest.fixture
def trained(
    database_url: str, mlflow_with_registry: str, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[MlflowClient, Any]:
    """Run the training script with mlflow on a registry; return the registry's client and the script's answer."""
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", str(own_place / "artifacts"))
    monkeypatch.setenv("REGISTRY_ACTOR", "ann")
    monkeypatch.setenv("REGISTRY_CACHE_DIR", str(own_place / "cache"))
    answer = run_script("mlflow_training", f"registry+{database_url}", own_place, mlflow_python=mlflow_with_registry)
    registry.set_tracking_uri(database_url)
    return MlflowClient(database_url), answer


def test_an_unmodified_script_runs_and_everything_is_the_registrys(
    trained: tuple[MlflowClient, Any], own_place: Path
) -> None:
    client, answer = trained
    assert answer["runs"].count("grid") == answer["runs"].count("boosted") == answer["runs"].count("inner") == 1
    assert len(answer["runs"]) >= 5  # the grid's candidates too
    assert answer["stages"] == [[1, "Archived"], [2, "Production"]]
    assert (answer["alias"], answer["same"], answer["copy"]) == (2, True, "LogisticRegression")
    assert answer["steps"] == [0, 1, 2]
    assert (answer["files"], answer["text"]) == (["notes/a.txt"], "hello")
    assert "MLmodel" in answer["model files"]
    assert answer["inputs"] >= 1
    assert answer["missing"] == ["MlflowException", "RESOURCE_DOES_NOT_EXIST"]
    assert answer["refused"] == "INVALID_PARAMETER_VALUE"

    _points_that_mlflow_logs_again_to_link_them_with_a_model_are_kept_once(client)
    changes = [(event.version, event.from_value, event.to_value, event.actor) for event in client.get_history("churn")]
    assert (1, "None", "Production", "ann") in changes
    assert (1, "Production", "Archived", "ann") in changes
    reports = client.verify_all(read_bytes=True)
    assert {(report.name, report.versions) for report in reports} == {("churn", 2), ("churn-copy", 1)}
    # mlflow writes this file beside each registered model that it loads.
    assert list((own_place / "artifacts").rglob("registered_model_meta")) == []
    assert registry.sklearn.load_model("models:/churn/Production", skops_trusted_types=[]).coef_.shape == (1, 2)


def _points_that_mlflow_logs_again_to_link_them_with_a_model_are_kept_once(client: MlflowClient) -> None:
    for run in client.search_runs(["1"]):
        for key in run.data.metrics:
            points = client.get_metric_history(run.info.run_id, key)
            assert len(set(points)) == len(points), key
    for model in client.search_logged_models(["1"]):
        linked = [(point.key, point.step, point.timestamp, point.value) for point in model.metrics]
        assert len(set(linked)) == len(linked), model.name
    (boosted,) = client.search_logged_models(["1"], "name = 'model'")
    (linear,) = client.search_logged_models(["1"], "name = 'linear'")
    assert {point.key for point in boosted.metrics} >= {"train-logloss"}
    assert {point.key for point in linear.metrics} >= {"train-logloss"}


class Server:
    """mlflow's own server with a registry as its store."""

    def __init__(self, address: str) -> None:
        self.address = address

    def call(self, path: str, body: object = None, *, method: str | None = None, api: str = "api") -> tuple[int, Any]:
        """Call the REST interface, or with ``ajax-api`` that of the page; return the status and the answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.address}/{api}/2.0/mlflow/{path}", data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@pytest.fixture
def server(
    trained: tuple[MlflowClient, Any], database_url: str, mlflow_with_registry: str, own_place: Path
) -> Iterator[Server]:
    """Run ``mlflow server`` on the trained registry."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [mlflow_with_registry, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"registry+{database_url}"]
    log = own_place / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=own_place, start_new_session=True)
    running = Server(f"http://127.0.0.1:{port}")
    try:
        for _ in range(600):
            if process.poll() is not None:
                pytest.fail(f"mlflow's server ended: {log.read_text()[-2000:]}")
            try:
                if running.call("experiments/search?max_results=1")[0] == 200:
                    break
            except OSError:
                time.sleep(0.2)
        yield running
    finally:
        os.killpg(process.pid, 15)
        process.wait(timeout=60)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_mlflows_server_answers_and_its_page_opens_without_an_error(
    server: Server, trained: tuple[MlflowClient, Any], own_place: Path
) -> None:
    client, _ = trained
    status, answer = server.call("runs/search", {"experiment_ids": ["1"], "order_by": ["metrics.`train-logloss` ASC"]})
    runs = {run["info"]["run_name"]: run["info"]["run_id"] for run in answer["runs"]}
    assert status == 200
    _promotions_follow_the_rules(server, client)
    _aliases_move(server, client)
    _traces_are_refused_in_mlflows_words(server)

    run = f"experiments/1/runs/{runs['boosted']}"
    shown = {
        "experiments": "nba",
        "experiments/1/runs": "boosted",
        "experiments/1/runs?compareRunsMode=CHART": "train-logloss",
        run: "Finished",
        f"{run}/model-metrics": "train-logloss",
        f"{run}/artifacts": "notes",
        f'compare-runs?runs=["{runs["boosted"]}","{runs["grid"]}"]&experiments=["1"]': "Parallel Coordinates Plot",
        "experiments/1/models": "linear",
        "models": "churn-copy",
        "models/churn": "champion",
        "models/churn/versions/2": "Production",
    }
    assert _failed_requests_of_pages_that_show(server, shown) == []


def _promotions_follow_the_rules(server: Server, client: MlflowClient) -> None:
    client.set_promotion_rules("churn", "Staging", [Approvals(1)])
    promotion = {"name": "churn", "version": "1", "stage": "Staging", "archive_existing_versions": True}
    status, answer = server.call("model-versions/transition-stage", promotion)
    assert (status, answer["error_code"]) == (403, "PERMISSION_DENIED")
    assert "approv" in answer["message"]
    client.delete_promotion_rules("churn", "Staging")
    assert server.call("model-versions/transition-stage", promotion)[0] == 200
    assert client.get_model_version("churn", 1).current_stage == "Staging"


def _aliases_move(server: Server, client: MlflowClient) -> None:
    assert server.call("registered-models/alias", {"name": "churn", "alias": "next", "version": "1"})[0] == 200
    assert client.get_model_version_by_alias("churn", "next").version == 1


def _traces_are_refused_in_mlflows_words(server: Server) -> None:
    status, answer = server.call("experiments/search-datasets", {"experiment_ids": ["1"]}, api="ajax-api")
    assert status == 200
    assert {summary["context"] for summary in answer["dataset_summaries"]} == {"train", "eval"}
    status, answer = server.call("traces/tr-1/tags", {"key": "a", "value": "b"}, method="PATCH")
    assert (status, answer["error_code"]) == (501, "NOT_IMPLEMENTED")


def _failed_requests_of_pages_that_show(server: Server, shown: dict[str, str]) -> list[str]:
    """Open pages in Chromium, wait for a text on each, and return the requests that the server failed."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}")
    failed: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 500 else None)
        for path, text in shown.items():
            page.goto(f"{server.address}/#/{path}")
            page.get_by_text(text).first.wait_for(state="attached", timeout=60_000)
        browser.close()
    return failed
