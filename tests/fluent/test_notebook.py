"""Runs across the cells of a notebook, in a real kernel."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty

import jupyter_client
import pytest

START = "import asyncio, registry as mlflow"
ACTIVE = "print(run.info.run_id == mlflow.active_run().info.run_id if mlflow.active_run() else None)"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """A function that runs a cell and returns what it printed."""
    directory = tmp_path_factory.mktemp("notebook")
    manager = jupyter_client.KernelManager(kernel_name="python3")
    environment = {**os.environ, "IPYTHONDIR": str(directory / "ipython"), "JUPYTER_PLATFORM_DIRS": "1"}
    manager.start_kernel(cwd=str(directory), env=environment)
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=120)

    def run_cell(code: str) -> str:
        request = client.execute(code)
        printed = ""
        while True:
            try:
                message = client.get_iopub_msg(timeout=120)
            except Empty:
                pytest.fail(f"the kernel did not answer: {code}")
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            if message["msg_type"] == "stream" and content["name"] == "stdout":
                printed += content["text"]
            elif message["msg_type"] == "error":
                pytest.fail("\n".join(content["traceback"]))
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                return printed.strip()

    yield run_cell
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture
def cell(kernel: Callable[[str], str]) -> Callable[[str], str]:
    """The kernel with no run active."""
    kernel(f"{START}\nwhile mlflow.active_run(): mlflow.end_run()")
    return kernel


AWAIT = "await asyncio.sleep(0)"


@pytest.mark.parametrize("ending", ["", AWAIT])
def test_a_run_that_a_cell_starts_is_active_in_the_next(cell: Callable[[str], str], ending: str) -> None:
    cell(f"run = mlflow.start_run()\n{ending}")
    cell(f"mlflow.log_metric('f1', 0.5)\n{ending}")

    assert cell(ACTIVE) == "True"
    assert cell("print(mlflow.get_run(run.info.run_id).data.metrics)") == "{'f1': 0.5}"


@pytest.mark.parametrize("ending", ["", AWAIT])
def test_a_run_that_a_cell_ends_is_not_active_in_the_next(cell: Callable[[str], str], ending: str) -> None:
    cell(f"run = mlflow.start_run()\n{ending}")
    cell(f"mlflow.end_run()\n{ending}")

    assert cell("print(mlflow.active_run())") == "None"
    assert cell("print(mlflow.last_active_run().info.run_id == run.info.run_id)") == "True"


def test_nested_runs_are_kept_in_their_order(cell: Callable[[str], str]) -> None:
    cell(f"run = mlflow.start_run()\n{AWAIT}")
    cell(f"inner = mlflow.start_run(nested=True)\n{AWAIT}")
    cell(f"mlflow.end_run()\n{AWAIT}")

    assert cell(ACTIVE) == "True"
    assert cell("print(mlflow.get_parent_run(inner.info.run_id).info.run_id == run.info.run_id)") == "True"


def test_the_model_that_a_cell_made_last_is_known_in_the_next(cell: Callable[[str], str]) -> None:
    cell(f"model = mlflow.initialize_logged_model('later')\n{AWAIT}")

    assert cell("print(mlflow.last_logged_model().model_id == model.model_id)") == "True"


@pytest.mark.parametrize("ending", ["", AWAIT])
def test_a_task_of_a_cell_has_runs_of_its_own(cell: Callable[[str], str], ending: str) -> None:
    cell(f"run = mlflow.start_run()\n{ending}")
    cell(
        "async def work():\n"
        "    with mlflow.start_run(nested=True) as own:\n"
        "        await asyncio.sleep(0.05)\n"
        "        return mlflow.active_run().info.run_id == own.info.run_id\n"
        "    \n"
        "print(await asyncio.gather(work(), work()))"
    )
    cell("async def leave():\n    mlflow.start_run(nested=True)\n    return None\ntask = asyncio.create_task(leave())")
    cell("await task")

    assert cell(ACTIVE) == "True"


def test_a_thread_of_a_cell_has_runs_of_its_own(cell: Callable[[str], str]) -> None:
    cell(f"run = mlflow.start_run()\n{AWAIT}")
    cell(
        "import threading\n"
        "found = []\n"
        "def work():\n"
        "    found.append(mlflow.active_run())\n"
        "    mlflow.start_run()\n"
        "thread = threading.Thread(target=work)\n"
        "thread.start()\n"
        "thread.join()\n"
    )

    assert cell("print(found)") == "[None]"
    assert cell(ACTIVE) == "True"


def test_a_run_that_a_cell_leaves_open_ends_with_the_kernel(own_place: Path) -> None:
    manager = jupyter_client.KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(own_place), env={**os.environ, "IPYTHONDIR": str(own_place / "ipython")})
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=120)
    client.execute_interactive(f"{START}\nrun = mlflow.start_run()\n{AWAIT}", timeout=120)
    client.stop_channels()
    manager.shutdown_kernel()

    import registry

    assert [run.info.status for run in registry.search_runs(output_format="list")] == ["FINISHED"]
