"""Saving, for all flavors: where a model may be saved, the files beside it, and third-party flavors."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from scipy import sparse

from registry import flavors
from registry.exceptions import (
    ArtifactNotFoundError,
    InvalidParameterError,
    InvalidTypeError,
    NotFoundError,
    PathExistsError,
    RegistryError,
)
from registry.flavors.example import InputExample, StoredExample


def test_a_directory_that_is_not_empty_is_refused_untouched(tmp_path: Path, classifier: xgboost.XGBClassifier) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(PathExistsError) as caught:
            flavors.save_model(classifier, path, "xgboost")
        assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"
    assert (tmp_path / "file").read_text() == "mine"


def test_an_empty_directory_is_used_and_left_empty_on_failure(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(InvalidParameterError):
        flavors.save_model(object(), tmp_path / "model", "xgboost", input_example=[1.0])
    assert list((tmp_path / "model").iterdir()) == []


def test_ids_metadata_code_and_extra_files_are_written(tmp_path: Path, classifier: xgboost.XGBClassifier) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "note.txt").write_text("n")
    model_id = "m-" + "a" * 32
    flavors.save_model(
        classifier,
        tmp_path / "model",
        "xgboost",
        model_id=model_id,
        run_id="r1",
        artifact_path="s3://b/models",
        metadata={"k": [1]},
        code_paths=[tmp_path / "package"],
        extra_files=[tmp_path / "note.txt"],
    )
    model = flavors.Model.load(tmp_path / "model")
    assert (model.model_id, model.model_uuid, model.run_id, model.artifact_path) == (
        model_id,
        model_id,
        "r1",
        "s3://b/models",
    )
    assert model.metadata == {"k": [1]}
    assert model.flavors["xgboost"]["code"] == model.flavors["python_function"]["code"] == "code"
    assert model.flavors["xgboost"]["extra_files"] == [{"path": "extra_files/note.txt"}]
    assert (tmp_path / "model" / "code" / "package" / "__init__.py").is_file()
    assert (tmp_path / "model" / "extra_files" / "note.txt").read_text() == "n"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"signature": "text"}, InvalidTypeError),
        ({"code_paths": "text"}, InvalidTypeError),
        ({"code_paths": ["/no/such/path"]}, ArtifactNotFoundError),
        ({"extra_files": ["/no/such/path"]}, ArtifactNotFoundError),
        ({"metadata": {"a": object()}}, InvalidParameterError),
        ({"pip_requirements": ["a"], "conda_env": {}}, InvalidParameterError),
    ],
)
def test_malformed_arguments_are_refused_and_leave_nothing(
    tmp_path: Path, classifier: xgboost.XGBClassifier, options: dict[str, Any], error: type[RegistryError]
) -> None:
    with pytest.raises(error):
        flavors.save_model(classifier, tmp_path / "model", "xgboost", **options)
    assert not (tmp_path / "model").exists()


def test_signature_false_asks_for_none(tmp_path: Path, classifier: xgboost.XGBClassifier, frame: pd.DataFrame) -> None:
    model = flavors.save_model(classifier, tmp_path / "m", "xgboost", signature=False, input_example=frame.head(1))
    assert model.signature is None


MATRIX = sparse.csr_matrix(np.array([[0.0, 1.0], [2.0, 0.0]]))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (pd.DataFrame({"a": [1.5, None], "b": ["x", "y"]}), "dataframe"),
        (pd.DataFrame([[1, 2], [3, 4]]), "dataframe"),
        (np.array([[1.0, 2.0]]), "ndarray"),
        ({"a": np.array([1.0]), "b": np.array([2.0])}, "ndarray"),
        ({"a": 1, "b": ["x"]}, "json_object"),
        ([1, 2], "json_object"),
        ("text", "json_object"),
        (MATRIX, "sparse_matrix_csr"),
        (MATRIX.tocsc(), "sparse_matrix_csc"),
    ],
)
def test_an_example_reads_back_as_what_was_saved(tmp_path: Path, data: Any, kind: str) -> None:
    info = InputExample.of(data).save(tmp_path)
    assert info["type"] == kind
    stored = StoredExample.find(flavors.Model(saved_input_example_info=info), tmp_path)
    assert stored is not None
    assert type(stored.read()) is type(data)
    assert str(stored.read()) == str(data)


def test_an_example_has_mlflows_layout(tmp_path: Path) -> None:
    info = InputExample.of((pd.DataFrame({"a": [1.5, None]}), {"p": 2})).save(tmp_path)
    assert info == {
        "artifact_path": "input_example.json",
        "serving_input_path": "serving_input_example.json",
        "type": "dataframe",
        "pandas_orient": "split",
        "params": "true",
    }
    split = {"columns": ["a"], "data": [[1.5], [None]]}
    assert json.loads((tmp_path / "input_example.json").read_text()) == {"data": split, "params": {"p": 2}}
    serving = json.loads((tmp_path / "serving_input_example.json").read_text())
    assert serving == {"dataframe_split": split, "params": {"p": 2}}


THIRD_PARTY = """
import json

class TextFlavor:
    name = "text"
    loader_module = "text_flavor"

    def save(self, model, directory, **options):
        (directory / "text.json").write_text(json.dumps(model))
        return {"text": {"data": "text.json"}, "python_function": {"loader_module": self.loader_module}}

    def load(self, directory, config, *, allow_code, **options):
        return json.loads((directory / config["data"]).read_text())

    def predictor(self, directory, config, *, allow_code, **options):
        return Repeater(self.load(directory, config, allow_code=allow_code))

    def requirements(self, config):
        return ["text-flavor"]

class Repeater:
    def __init__(self, text):
        self.text = text

    def predict(self, data, params=None):
        return [self.text] * len(data)
"""


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    site = tmp_path / "site"
    metadata = site / "text_flavor-1.2.dist-info"
    metadata.mkdir(parents=True)
    (site / "text_flavor.py").write_text(THIRD_PARTY)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: text-flavor\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text("[registry.flavors]\ntext = text_flavor:TextFlavor\n")
    monkeypatch.syspath_prepend(str(site))
    flavors.forget_flavors()
    yield
    flavors.forget_flavors()
    sys.modules.pop("text_flavor", None)


def test_a_package_adds_a_flavor_by_an_entry_point(tmp_path: Path, third_party: None) -> None:
    assert "text" in flavors.flavor_names()
    flavors.save_model("hello", tmp_path / "model", "text")
    assert flavors.load_model(tmp_path / "model", "text") == "hello"
    assert flavors.load_pyfunc(tmp_path / "model").predict([1, 2]) == ["hello", "hello"]
    assert (tmp_path / "model" / "requirements.txt").read_text() == "text-flavor==1.2"


def test_an_unknown_flavor_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"No flavor 'text'.*python_function, pytorch, sklearn, xgboost"):
        flavors.save_model("hello", tmp_path / "model", "text")


def test_importing_flavors_loads_no_heavy_package() -> None:
    heavy = ["numpy", "pandas", "xgboost", "sklearn", "skops", "scipy", "yaml", "cloudpickle"]
    program = f"import sys, registry.flavors; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_model_that_cannot_predict_its_example_is_saved_without_a_signature(
    tmp_path: Path, classifier: xgboost.XGBClassifier, caplog: pytest.LogCaptureFixture
) -> None:
    saved = flavors.save_model(classifier, tmp_path / "model", "xgboost", input_example=pd.DataFrame({"z": [1.0]}))

    assert saved.signature is None
    assert "it cannot predict its input example (ValueError: feature_names mismatch" in caplog.text
