"""Run a script with autologging over real mlflow or over `registry`, and describe all that it left behind."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from mlflow_scripts import over_registry

SCRIPTS = Path(__file__).parent.parent / "scripts" / "autologging"

# Appended to each script. It reads by calls that both have, so that one text serves for both.
_DESCRIBE = """
import json as _json
import math as _math
import sys as _sys

import mlflow as _mlflow

_client = _mlflow.MlflowClient()


def _number(value):
    return repr(value) if _math.isnan(value) or _math.isinf(value) else float(value)


def _sorted(entries):
    def order(entry):
        return (str(entry.get("name")) if isinstance(entry, dict) else "", _json.dumps(entry, sort_keys=True))

    return sorted(entries, key=order)


def _files(run_id, path=None):
    for info in _client.list_artifacts(run_id, path):
        if info.is_dir:
            yield from _files(run_id, info.path)
        else:
            yield info.path


def _describe_run(run):
    tags = {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")}
    for key in ("mlflow.autologging", "mlflow.source.type"):
        if key in run.data.tags:
            tags[key] = run.data.tags[key]
    return {
        "status": run.info.status,
        "params": dict(run.data.params),
        "metrics": {
            key: [[point.step, _number(point.value)] for point in _client.get_metric_history(run.info.run_id, key)]
            for key in run.data.metrics
            if not key.endswith("_time")
        },
        "tags": tags,
        "artifacts": sorted(path for path in _files(run.info.run_id)),
        "datasets": _sorted(
            [
                item.dataset.name,
                item.dataset.digest,
                item.dataset.source_type,
                item.dataset.profile,
                item.dataset.schema,
                {tag.key: tag.value for tag in item.tags},
            ]
            for item in run.inputs.dataset_inputs
        ),
        "models": _sorted(_describe_model(output.model_id) for output in run.outputs.model_outputs),
    }


def _describe_model(model_id):
    model = _mlflow.get_logged_model(model_id)
    info = _mlflow.models.get_model_info(f"models:/{model_id}")
    signature = None if info.signature is None else info.signature.to_dict()
    return {
        "name": model.name,
        "status": str(getattr(model.status, "value", model.status)),
        "params": dict(model.params),
        "metrics": sorted({f"{metric.key} at {metric.step}" for metric in model.metrics or []}),
        "flavors": sorted(info.flavors),
        "signature": signature,
        "example": bool(info.saved_input_example_info),
    }


_runs = _client.search_runs([e.experiment_id for e in _client.search_experiments()], order_by=["attributes.start_time"])
_parents = {run.info.run_id: run.data.tags.get("mlflow.parentRunId") for run in _runs}
_answer = []
for _run in _runs:
    if _parents[_run.info.run_id] is None:
        _entry = _describe_run(_run)
        _children = [_describe_run(other) for other in _runs if _parents[other.info.run_id] == _run.info.run_id]
        _entry["children"] = _sorted(_children)
        _answer.append(_entry)
with open(_sys.argv[2], "w") as _file:
    _json.dump(_answer, _file)
"""


def describe(name: str, directory: Path, *, mlflow_python: str | None = None) -> list[dict[str, Any]]:
    """Return what a script logged, run by run; over `registry` unless the Python of a real mlflow is given."""
    directory.mkdir()
    source = (SCRIPTS / f"{name}.py").read_text(encoding="utf-8") + _DESCRIBE.replace(
        "import mlflow as", "import mlflow as"
    )
    program, output = directory / "script.py", directory / "answer.json"
    program.write_text(source if mlflow_python else over_registry(source), encoding="utf-8")
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{directory}/runs.db", "MPLBACKEND": "Agg"}
    command = [mlflow_python or sys.executable, "-W", "ignore", str(program), "unused", str(output)]
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-4000:]
    answer: list[dict[str, Any]] = json.loads(output.read_text(encoding="utf-8"))
    return answer


def differences(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Return a line per name that only one side has, and per value that differs."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        lines = []
        for key in sorted(ours.keys() | theirs.keys()):
            if key not in theirs:
                lines.append(f"{path}/{key}: only here: {ours[key]!r:.200}")
            elif key not in ours:
                lines.append(f"{path}/{key}: only in mlflow: {theirs[key]!r:.200}")
            else:
                lines += differences(ours[key], theirs[key], f"{path}/{key}")
        return lines
    if all(isinstance(side, list) and all(isinstance(item, str) for item in side) for side in (ours, theirs)):
        lines = [f"{path}: only here: {item}" for item in ours if item not in theirs]
        return lines + [f"{path}: only in mlflow: {item}" for item in theirs if item not in ours]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [
            line for i, pair in enumerate(zip(ours, theirs, strict=True)) for line in differences(*pair, f"{path}[{i}]")
        ]
    if isinstance(ours, float) and isinstance(theirs, float) and abs(ours - theirs) <= 1e-9 * max(1.0, abs(theirs)):
        return []
    return [] if ours == theirs else [f"{path}: here {ours!r:.300}, in mlflow {theirs!r:.300}"]
