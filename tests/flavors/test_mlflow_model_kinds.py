"""Models of the kinds with packages of their own work both ways: real mlflow loads ours, and we load mlflow's.

The heavy packages are storms. PyTorch's safetensors is a format of ours, which mlflow does not have.
"""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_kinds import PACKAGES, exported, flavor, predictions, rows, train

from registry import flavors

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:The inplace keyword", "ignore:The 'convert_dates'")]

LIGHT = ["catboost", "onnx"]
_INSTALLED = """
import importlib.util
answer = [name for name in json.loads(sys.argv[1]) if importlib.util.find_spec(name) is not None]
"""
_LOAD = """
from model_kinds import flavor, predictions
path, kind = sys.argv[1:]
loaded = mlflow.pyfunc.load_model(path)
answer = {
    'predictions': predictions(loaded, kind),
    'native': type(getattr(mlflow, flavor(kind)).load_model(path)).__name__,
    'signature': loaded.metadata.signature.to_dict(),
}
"""
_SAVE = """
from model_kinds import save_by_mlflow
answer = save_by_mlflow(sys.argv[2], sys.argv[1])
"""


@pytest.fixture(
    scope="module", params=[kind if kind in LIGHT else pytest.param(kind, marks=pytest.mark.storm) for kind in PACKAGES]
)
def kind(request: pytest.FixtureRequest, run_mlflow: Callable[..., Any]) -> str:
    """Return a kind whose packages are in both environments."""
    kind: str = request.param
    here = [name for name in PACKAGES[kind] if importlib.util.find_spec(name) is not None]
    if missing := set(PACKAGES[kind]) - set(run_mlflow(_INSTALLED, json.dumps(here))):
        pytest.skip(f"mlflow's environment or this one lacks {', '.join(sorted(missing))}")
    return kind


def test_mlflow_loads_a_model_saved_here(kind: str, run_mlflow: Any, tmp_path: Path) -> None:
    model, options = train(kind), {}
    native = type(model).__name__
    if kind == "pytorch":
        model, native = exported(model), "GraphModule"
    elif flavor(kind) == "pytorch":
        options = {"serialization_format": "pickle"}
    saved = flavors.save_model(model, tmp_path / "model", flavor(kind), input_example=rows(kind), **options)

    there = run_mlflow(_LOAD, tmp_path / "model", kind)

    loaded = flavors.load_pyfunc(tmp_path / "model", allow_code=flavor(kind) == "pytorch")
    assert there == {
        "predictions": predictions(loaded, kind),
        "native": native,
        "signature": saved.signature.to_dict(),
    }


def test_a_model_that_mlflow_saved_loads_here(kind: str, run_mlflow: Any, tmp_path: Path) -> None:
    there = run_mlflow(_SAVE, tmp_path / "model", kind)

    runs_code = flavor(kind) == "pytorch"
    assert predictions(flavors.load_pyfunc(tmp_path / "model", allow_code=runs_code), kind) == there
    assert flavors.load_model(tmp_path / "model", flavor(kind), allow_code=runs_code) is not None
