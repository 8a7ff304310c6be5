"""Real mlflow in a separate environment: scripts run there and return their answer as JSON.

``REGISTRY_TEST_MLFLOW_PYTHON`` is the path of that environment's Python. Importing mlflow takes seconds, so one script
does a whole batch of checks.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "REGISTRY_TEST_MLFLOW_PYTHON"
_SUPPORT = Path(__file__).parent


@pytest.fixture(scope="session")
def run_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Return a function ``(script, *arguments)`` that runs a script under mlflow and returns its ``answer``."""
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f"{VARIABLE} is not set: it names the Python of an environment that has mlflow installed")
    directory = tmp_path_factory.mktemp("mlflow")

    def run(script: str, *arguments: object) -> Any:
        output = directory / "answer.json"
        program = (
            "import json, sys, warnings, logging\nwarnings.simplefilter('ignore')\n"
            "import mlflow\nlogging.getLogger('mlflow').setLevel(logging.ERROR)\n"
            f"{script}\n"
            f"json.dump(answer, open({str(output)!r}, 'w'))\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(_SUPPORT), "MLFLOW_TRACKING_URI": f"sqlite:///{directory}/m.db"}
        command = [python, "-c", program, *map(str, arguments)]
        done = subprocess.run(command, env=environment, cwd=directory, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(output.read_text())

    return run
