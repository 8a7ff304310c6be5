"""MLflow's scripts unchanged, run in a separate process: over `registry`, or over real mlflow to compare."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parent.parent / "scripts"


def over_registry(source: str) -> str:
    """Return a script with only its import statements changed."""
    source = re.sub(r"^import mlflow$", "import registry as mlflow", source, flags=re.MULTILINE)
    return re.sub(r"^(import|from) mlflow\b", r"\1 registry", source, flags=re.MULTILINE)


def run_script(name: str, tracking_uri: str, directory: Path, *, mlflow_python: str | None = None) -> Any:
    """Run a script and return its variable ``answer``; over `registry`, unless the Python of a real mlflow is given."""
    source = (SCRIPTS / f"{name}.py").read_text(encoding="utf-8")
    program = directory / f"{name}.py"
    output = directory / f"{name}.json"
    ending = f"\nimport json\nwith open({str(output)!r}, 'w') as file:\n    json.dump(answer, file)\n"
    program.write_text((source if mlflow_python else over_registry(source)) + ending, encoding="utf-8")
    command = [mlflow_python or sys.executable, str(program), tracking_uri]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(output.read_text(encoding="utf-8"))
