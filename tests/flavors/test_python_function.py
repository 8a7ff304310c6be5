"""Models that are Python code: saved with their artifacts, and loaded only if the caller allows code."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from registry import flavors
from registry.exceptions import (
    ArtifactNotFoundError,
    CodeExecutionRefusedError,
    InvalidModelError,
    InvalidParameterError,
    NotSupportedError,
)


class Shift(flavors.PythonModel):
    """Add a number from a file, multiplied by one from the configuration."""

    def load_context(self, context: flavors.PythonModelContext) -> None:
        self.shift = float(Path(context.artifacts["shift"]).read_text())

    def predict(self, context: flavors.PythonModelContext, model_input: Any, params: Any = None) -> Any:
        model_input["a"] += self.shift * context.model_config.get("times", 1)
        return model_input["a"].tolist()


class Plain:
    """An object with a `predict` method, without a context."""

    def predict(self, model_input: Any, params: Any = None) -> Any:
        return params


@pytest.fixture
def shift_file(tmp_path: Path) -> Path:
    (tmp_path / "shift.txt").write_text("2.5")
    return tmp_path / "shift.txt"


@pytest.fixture
def import_path() -> Iterator[None]:
    before = list(sys.path)
    yield
    sys.path[:] = before


def test_a_model_comes_back_with_its_artifacts_and_configuration(tmp_path: Path, shift_file: Path) -> None:
    options = {"artifacts": {"shift": shift_file}, "model_config": {"times": 2}}
    flavors.save_model(Shift(), tmp_path / "model", "python_function", **options)
    shift_file.unlink()
    data = pd.DataFrame({"a": [1.0]})
    loaded = flavors.load_pyfunc(tmp_path / "model", allow_code=True)
    assert loaded.predict(data) == [6.0]
    assert type(loaded.unwrap_python_model()).__name__ == "Shift"
    assert data["a"].tolist() == [1.0]
    other = flavors.load_pyfunc(tmp_path / "model", allow_code=True, model_config={"times": 4, "unknown": 1})
    assert (other.predict(data), other.model_config) == ([11.0], {"times": 4})
    with pytest.raises(NotSupportedError):
        other.get_raw_model()


def test_a_function_is_a_model(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0]})
    saved = flavors.save_model(lambda data: data["a"] * 2, tmp_path / "model", "python_function", input_example=frame)
    assert str(saved.get_output_schema()) == "['a': double (required)]"
    assert flavors.load_pyfunc(tmp_path / "model", allow_code=True).predict(frame).tolist() == [2.0, 4.0]


def test_params_have_their_defaults(tmp_path: Path) -> None:
    signature = flavors.infer_signature(pd.DataFrame({"a": [1.0]}), params={"p": 1, "q": "x"})
    flavors.save_model(Plain(), tmp_path / "model", "python_function", signature=signature)
    loaded = flavors.load_pyfunc(tmp_path / "model", allow_code=True)
    assert loaded.predict(pd.DataFrame({"a": [1.0]}), params={"p": 5, "unknown": 2}) == {"p": 5, "q": "x"}


@pytest.mark.parametrize("load", [flavors.load_pyfunc, lambda path: flavors.load_model(path, "python_function")])
def test_nothing_is_unpickled_without_consent(tmp_path: Path, load: Any) -> None:
    flavors.save_model(Plain(), tmp_path / "model", "python_function")
    (tmp_path / "model" / "python_model.pkl").write_bytes(b"would fail if it were read")
    with pytest.raises(CodeExecutionRefusedError, match=r"allow_code=True.*REGISTRY_ALLOW_CODE"):
        load(tmp_path / "model")


def test_a_loader_module_is_imported_with_consent_only(tmp_path: Path, import_path: None) -> None:
    (tmp_path / "own_loader_module.py").write_text(
        "from pathlib import Path\n"
        "class Loaded:\n"
        "    def __init__(self, path): self.text = Path(path).read_text()\n"
        "    def predict(self, data): return [self.text] * len(data)\n"
        "def _load_pyfunc(path): return Loaded(path)\n"
    )
    (tmp_path / "data.txt").write_text("x")
    flavors.save_model(
        None,
        tmp_path / "model",
        "python_function",
        loader_module="own_loader_module",
        data_path=tmp_path / "data.txt",
        code_paths=[tmp_path / "own_loader_module.py"],
    )
    with pytest.raises(CodeExecutionRefusedError, match="own_loader_module"):
        flavors.load_pyfunc(tmp_path / "model")
    assert "own_loader_module" not in sys.modules
    assert str(tmp_path / "model" / "code") not in sys.path
    loaded = flavors.load_pyfunc(tmp_path / "model", allow_code=True)
    assert loaded.predict(pd.DataFrame({"a": [1, 2]})) == ["x", "x"]


@pytest.mark.parametrize("name", ["os", "antigravity", "subprocess", "mlflow.keras", "../evil", ""])
def test_a_module_that_a_model_names_is_not_imported(tmp_path: Path, name: str) -> None:
    form = {"flavors": {"python_function": {"loader_module": name, "data": "."}}}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump(form))
    with pytest.raises((CodeExecutionRefusedError, NotSupportedError)):
        flavors.load_pyfunc(tmp_path)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("loader", [None, 3, ["os"]])
def test_a_loader_that_is_no_name_is_refused(tmp_path: Path, loader: object) -> None:
    (tmp_path / "MLmodel").write_text(yaml.safe_dump({"flavors": {"python_function": {"loader_module": loader}}}))
    with pytest.raises(InvalidModelError, match="loader_module"):
        flavors.load_pyfunc(tmp_path, allow_code=True)


def test_an_artifact_outside_the_directory_is_refused(tmp_path: Path, shift_file: Path) -> None:
    flavors.save_model(Shift(), tmp_path / "model", "python_function", artifacts={"shift": shift_file})
    text = (tmp_path / "model" / "MLmodel").read_text()
    (tmp_path / "model" / "MLmodel").write_text(text.replace("artifacts/shift/shift.txt", "../shift.txt"))
    with pytest.raises(InvalidModelError, match=r"\.\./shift\.txt"):
        flavors.load_pyfunc(tmp_path / "model", allow_code=True)


class Broken(flavors.PythonModel):
    """A model whose `load_context` fails."""

    def load_context(self, context: flavors.PythonModelContext) -> None:
        raise KeyError("shift")


def test_code_that_fails_while_loading_is_an_error_of_the_model(tmp_path: Path) -> None:
    flavors.save_model(Broken(), tmp_path / "model", "python_function")
    with pytest.raises(InvalidModelError, match="KeyError"):
        flavors.load_pyfunc(tmp_path / "model", allow_code=True)


@pytest.mark.parametrize(
    ("model", "options", "error"),
    [
        (None, {}, InvalidParameterError),
        (Plain(), {"loader_module": "os"}, InvalidParameterError),
        (Plain(), {"data_path": "x"}, InvalidParameterError),
        (Plain, {}, InvalidParameterError),
        (3, {}, InvalidParameterError),
        ("model.py", {}, ArtifactNotFoundError),
        (Plain(), {"artifacts": {"a": "/no/such/file"}}, ArtifactNotFoundError),
        (Plain(), {"artifacts": {"../a": __file__}}, InvalidParameterError),
    ],
)
def test_what_cannot_be_saved_is_refused_and_leaves_nothing(
    tmp_path: Path, model: object, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        flavors.save_model(model, tmp_path / "model", "python_function", **options)
    assert not (tmp_path / "model").exists()
