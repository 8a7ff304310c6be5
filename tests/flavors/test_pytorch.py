"""PyTorch models need consent, but for weights in a module of the caller; the tests that need torch are storms."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import registry as mlflow
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


def needs_torch(test: Any) -> Any:
    """Mark a test as one of those that are run where torch is installed, and asked for."""
    return pytest.mark.storm(pytest.mark.skipif(not HAS_TORCH, reason="torch is not installed")(test))


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


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("model.pt2", "torch.export.load unpickles parts.* ONNX format loads without it"),
        ("model.pth", "it is a pickle.* ONNX format loads without it"),
        ("model.safetensors", r"it calls 'nets:Net' to build.* load_model\(…, module=Net\(\)\)"),
    ],
)
def test_loading_needs_consent(file: str, reason: str) -> None:
    directory = saved(file, factory="nets:Net")

    for load in (flavors.load_pyfunc, lambda path: flavors.load_model(path, "pytorch")):
        with pytest.raises(CodeExecutionRefusedError, match=reason):
            load(directory)


def test_a_directory_without_a_model_file_is_refused() -> None:
    with pytest.raises(InvalidModelError, match="none of the files model.pt2, model.safetensors, model.pth in 'data'"):
        flavors.load_model(saved(None), "pytorch", allow_code=True)


def test_a_module_is_of_use_for_weights_alone() -> None:
    with pytest.raises(InvalidParameterError, match="A module can be given for a safetensors file"):
        flavors.load_model(saved(), "pytorch", module=object())


@pytest.mark.parametrize(("data", "error"), [("..", InvalidModelError), ("nothing", ArtifactNotFoundError)])
def test_a_directory_elsewhere_is_refused(data: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        flavors.load_model(saved(model_data=data), "pytorch", allow_code=True)


def test_data_that_are_no_table_are_refused() -> None:
    with pytest.raises(InvalidTypeError, match="got list"):
        PyTorchPredictor(None).predict([1.0])


@pytest.mark.skipif(HAS_TORCH, reason="torch is installed")
def test_without_torch_the_error_names_the_extra() -> None:
    with pytest.raises(MissingDependencyError, match=r"registry-ml\[torch\]"):
        flavors.load_model(saved(), "pytorch", allow_code=True)
    with pytest.raises(MissingDependencyError, match=r"registry-ml\[torch\]"):
        flavors.save_model(object(), "new", "pytorch")
    with pytest.raises(MissingDependencyError, match=r"registry-ml\[torch\]"):
        mlflow.pytorch.log_model(object(), "net")
    with pytest.raises(MissingDependencyError, match=r"registry-ml\[torch\]"):
        mlflow.pytorch.save_model(object(), "new", serialization_format="safetensors")
    with pytest.raises(MissingDependencyError, match=r"registry-ml\[torch\]"):
        mlflow.pytorch.load_model("saved", allow_code=True)
    assert not Path("new").exists()
    assert flavors.get_flavor("pytorch").requirements({}) == ["torch"]
    assert flavors.get_flavor("pytorch").requirements({"factory": "nets:Net"}) == ["torch", "safetensors"]


def test_the_module_passes_on_consent_and_the_module_of_the_callers() -> None:
    directory = str(saved())

    with pytest.raises(CodeExecutionRefusedError):
        mlflow.pytorch.load_model(directory)
    with pytest.raises(InvalidParameterError, match="A module can be given for a safetensors file"):
        mlflow.pytorch.load_model(directory, module=object())
    with pytest.raises((MissingDependencyError, InvalidModelError), match=r"registry-ml\[torch\]|cannot load"):
        mlflow.pytorch.load_model(directory, allow_code=True)


def native(module: Any, data: pd.DataFrame) -> pd.DataFrame:
    import torch

    with torch.no_grad():
        return pd.DataFrame(module(torch.tensor(data.to_numpy(dtype=np.float32))).numpy())


@needs_torch
class TestPyTorch(FlavorContract):
    flavor = "pytorch"
    runs_code = True

    def make_model(self) -> Any:
        import torch
        from torch_networks import trained

        rows = torch.export.Dim("rows")
        return torch.export.export(trained().eval(), (torch.zeros(3, 2),), dynamic_shapes=({0: rows},))

    def make_data(self) -> Any:
        return FRAME

    def predict(self, model: Any, data: Any) -> Any:
        return native(model.module(), data)


@needs_torch
class TestPyTorchAsWeights(FlavorContract):
    flavor = "pytorch"
    runs_code = True

    def make_model(self) -> Any:
        from torch_networks import trained

        return trained(3)

    def make_data(self) -> Any:
        return FRAME

    def save_options(self) -> dict[str, Any]:
        return {"serialization_format": "safetensors", "factory_arguments": {"width": 3}}

    def predict(self, model: Any, data: Any) -> Any:
        return native(model, data)


@needs_torch
class TestPyTorchAsAPickle(TestPyTorchAsWeights):
    def save_options(self) -> dict[str, Any]:
        return {"serialization_format": "pickle"}


@needs_torch
def test_weights_are_loaded_into_a_module_of_the_callers_without_consent() -> None:
    from torch_networks import Net, trained

    model = trained()
    flavors.save_model(model, "saved", "pytorch", serialization_format="safetensors")

    loaded = flavors.load_model("saved", "pytorch", module=Net())

    assert not loaded.training
    pd.testing.assert_frame_equal(native(loaded, FRAME), native(model, FRAME), check_exact=True)
    with pytest.raises(InvalidModelError, match="size mismatch"):
        flavors.load_model("saved", "pytorch", module=Net(5))


@needs_torch
def test_what_cannot_be_built_again_is_refused_when_it_is_saved() -> None:
    import torch
    from torch_networks import Net, no_network, trained

    class Local(torch.nn.Linear):
        pass

    def save(model: Any, **options: Any) -> None:
        flavors.save_model(model, "new", "pytorch", serialization_format="safetensors", **options)

    with pytest.raises(InvalidParameterError, match="Put the class into a Python file of its own"):
        save(Local(2, 1))
    with pytest.raises(InvalidParameterError, match="use arguments of JSON"):
        save(trained(), factory_arguments={"width": object()})
    with pytest.raises(
        InvalidParameterError, match="The format safetensors has no option 'dtype', 'sharded'; it takes"
    ):
        save(trained(), sharded=True, dtype="half")
    with pytest.raises(InvalidParameterError, match="does not build the module again .*size mismatch"):
        save(trained(5))
    with pytest.raises(InvalidParameterError, match="does not build the module again .*size mismatch"):
        save(trained(), factory=no_network)
    with pytest.raises(InvalidParameterError, match="does not build the module again .*in_features"):
        save(torch.nn.Linear(2, 1))
    assert not Path("new").exists()
    save(trained(5), factory=Net, factory_arguments={"width": 5})


@needs_torch
@pytest.mark.parametrize(
    ("serialization_format", "reason"),
    [
        ("pt2", r"torch\.export\.export\(model\.eval\(\), \(example,\)\)"),
        ("torchscript", "one of pt2, safetensors, pickle"),
    ],
)
def test_a_module_in_another_format_is_refused_with_the_way_out(serialization_format: str, reason: str) -> None:
    from torch_networks import Net

    with pytest.raises(InvalidParameterError, match=reason):
        flavors.save_model(Net(), "new", "pytorch", serialization_format=serialization_format)


@needs_torch
def test_a_module_that_no_pickle_can_hold_is_an_error_of_ours() -> None:
    from torch_networks import Net

    net = Net()
    net.hook = lambda: None

    with pytest.raises(InvalidParameterError, match="cannot be saved as pickle"):
        flavors.save_model(net, "new", "pytorch", serialization_format="pickle")


@needs_torch
def test_prediction_takes_arrays_as_they_are_and_params_and_expects_one_tensor() -> None:
    import torch

    class Scaled(torch.nn.Module):
        def forward(self, x: Any, scale: float = 1.0) -> Any:
            x *= scale
            return x

    class Pair(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x, x

    data = np.array([[1.0, 2.0]])
    assert PyTorchPredictor(Scaled()).predict(data).tolist() == [[1, 2]]
    assert PyTorchPredictor(Scaled()).predict(data, {"scale": 3}).tolist() == [[3, 6]]
    assert data.tolist() == [[1, 2]]
    with pytest.raises(InvalidTypeError, match="returns tuple, and should return one tensor"):
        PyTorchPredictor(Pair()).predict(data)


@needs_torch
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("as_array", [False, True])
def test_a_logged_module_is_exported_by_its_example_for_any_number_of_rows(rows: int, as_array: bool) -> None:
    import torch
    from torch_networks import trained

    net = torch.nn.Sequential(trained(), torch.nn.Dropout(0.9))
    data = FRAME.to_numpy(dtype=np.float32) if as_array else FRAME
    with mlflow.start_run() as run:
        mlflow.pytorch.log_model(net, "net", input_example=data[:rows], registered_model_name="nets")

    assert net.training
    expected = native(trained().eval(), pd.concat([FRAME] * 3))
    predicted = mlflow.pyfunc.load_model("models:/nets/1", allow_code=True).predict(
        np.concatenate([data] * 3) if as_array else pd.concat([data] * 3)
    )
    np.testing.assert_allclose(predicted, expected, rtol=1e-6)
    loaded = mlflow.pytorch.load_model(f"runs:/{run.info.run_id}/net", allow_code=True)
    pd.testing.assert_frame_equal(native(loaded, FRAME), native(trained().eval(), FRAME))


@needs_torch
def test_logged_weights_are_loaded_into_a_module_of_the_callers() -> None:
    from torch_networks import Net, trained

    info = mlflow.pytorch.log_model(trained(), name="net", serialization_format="safetensors")

    loaded = mlflow.pytorch.load_model(info.model_uri, module=Net())
    pd.testing.assert_frame_equal(native(loaded, FRAME), native(trained(), FRAME), check_exact=True)
    with pytest.raises(CodeExecutionRefusedError):
        mlflow.pytorch.load_model(info.model_uri)


@needs_torch
def test_a_module_without_an_example_or_that_cannot_be_exported_is_refused_with_the_way_out() -> None:
    import torch
    from torch_networks import Net

    class Branching(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    with pytest.raises(InvalidParameterError, match="an input_example"):
        mlflow.pytorch.log_model(Net(), "net")
    with pytest.raises(InvalidParameterError, match=r"(?s)cannot be exported .*safetensors"):
        mlflow.pytorch.save_model(Branching(), "new", input_example=FRAME)
    with pytest.raises(InvalidParameterError, match="cannot be exported with its input_example: ValueError"):
        mlflow.pytorch.save_model(Net(), "new", input_example=FRAME.astype(str) + "!")
    assert not Path("new").exists()


@needs_torch
def test_an_example_may_be_a_tensor_and_is_stored_as_an_array() -> None:
    import torch
    from torch_networks import Net

    example = torch.tensor([[1.0, 2.0]], requires_grad=True)
    for serialization_format in ("pt2", "safetensors"):
        mlflow.pytorch.save_model(
            Net(), serialization_format, input_example=example, serialization_format=serialization_format
        )
        model = mlflow.models.Model.load(serialization_format)
        assert model.load_input_example(serialization_format).tolist() == [[1, 2]]
        assert model.signature.inputs.is_tensor_spec()
