"""PyTorch models need consent and a .pt2 file; the tests that need torch itself are storms."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import registry
from registry import flavors
from registry.exceptions import (
    ArtifactNotFoundError,
    CodeExecutionRefusedError,
    InvalidModelError,
    InvalidParameterError,
    InvalidTypeError,
    MissingDependencyError,
)
from registry.flavors.pytorch import PyTorchPredictor
from registry.testing import FlavorContract

HAS_TORCH = importlib.util.find_spec("torch") is not None
FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 5.0]})


def saved(file: str | None = "model.pt2", **entries: Any) -> Path:
    """Return a model directory as MLflow writes it; the file in it is no model."""
    directory = Path("saved")
    (directory / "data").mkdir(parents=True)
    if file:
        (directory / "data" / file).write_bytes(b"\0" * 40)
    content = {
        "flavors": {
            "pytorch": {"model_data": "data", "pytorch_version": "2.6.0", **entries},
            "python_function": {"loader_module": "mlflow.pytorch", "data": "data"},
        }
    }
    (directory / "MLmodel").write_text(yaml.safe_dump(content))
    return directory


def test_loading_needs_consent() -> None:
    directory = saved()

    for load in (flavors.load_pyfunc, lambda path: flavors.load_model(path, "pytorch")):
        with pytest.raises(CodeExecutionRefusedError, match="ONNX format loads without it"):
            load(directory)


def test_a_pickle_of_mlflow_is_refused_with_the_way_out() -> None:
    with pytest.raises(InvalidModelError, match=r'save it again with serialization_format="pt2"'):
        flavors.load_model(saved("model.pth"), "pytorch", allow_code=True)


@pytest.mark.parametrize(("data", "error"), [("..", InvalidModelError), ("nothing", ArtifactNotFoundError)])
def test_a_directory_elsewhere_is_refused(data: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        flavors.load_model(saved(model_data=data), "pytorch", allow_code=True)


def test_a_module_is_refused_with_the_call_that_exports_it() -> None:
    with pytest.raises(InvalidParameterError, match=r"torch\.export\.export\(model\.eval\(\), \(example,\)\)"):
        flavors.save_model(object(), "new", "pytorch")


def test_data_that_are_no_table_are_refused() -> None:
    with pytest.raises(InvalidTypeError, match="got list"):
        PyTorchPredictor(None).predict([1.0])


@pytest.mark.skipif(HAS_TORCH, reason="torch is installed")
def test_without_torch_the_error_names_the_extra() -> None:
    with pytest.raises(MissingDependencyError, match=r"registry-ml\[torch\]"):
        flavors.load_model(saved(), "pytorch", allow_code=True)
    assert flavors.get_flavor("pytorch").requirements({}) == ["torch"]


@pytest.mark.storm
@pytest.mark.skipif(not HAS_TORCH, reason="torch is not installed")
class TestPyTorch(FlavorContract):
    flavor = "pytorch"
    runs_code = True

    def make_model(self) -> Any:
        import torch

        linear = torch.nn.Linear(2, 1).eval()
        rows = torch.export.Dim("rows")
        return torch.export.export(linear, (torch.zeros(3, 2),), dynamic_shapes=({0: rows},))

    def make_data(self) -> Any:
        return FRAME

    def predict(self, model: Any, data: Any) -> Any:
        import torch

        with torch.no_grad():
            return pd.DataFrame(model.module()(torch.tensor(data.to_numpy(dtype=np.float32))).numpy())


def test_it_has_no_module_of_its_own() -> None:
    with pytest.raises(AttributeError, match=r"MlflowClient\.log_model\('pytorch', …\)"):
        registry.pytorch  # noqa: B018 - the attribute is the test
