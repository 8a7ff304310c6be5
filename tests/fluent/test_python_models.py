"""Models that are Python code: artifacts by URI, models from code, and the modules that a model needs."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from s3_servers import S3Server
from sklearn.linear_model import LogisticRegression

import registry
from registry import MlflowClient
from registry.exceptions import (
    ArtifactNotFoundError,
    CodeExecutionRefusedError,
    IntegrityError,
    InvalidModelError,
    InvalidParameterError,
    InvalidTypeError,
    ModelNotFoundError,
)


class _Reader(registry.pyfunc.PythonModel):
    """A model that says what its artifacts hold."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        path = Path(context.artifacts["m"])
        return sorted(found.name for found in path.iterdir()) if path.is_dir() else [path.read_text()]


def _read(artifact: str) -> tuple[Any, dict[str, Any]]:
    """What a model sees of an artifact, and what its MLmodel file says of it."""
    info = registry.pyfunc.log_model(name="reader", python_model=_Reader(), artifacts={"m": artifact})
    loaded = registry.pyfunc.load_model(info.model_uri, allow_code=True)
    return loaded.predict([1]), dict(info.flavors["python_function"]["artifacts"]["m"])


@pytest.fixture
def fitted() -> LogisticRegression:
    return LogisticRegression().fit([[0.0], [1.0]], [0, 1])


MODEL_FILES = ["MLmodel", "conda.yaml", "model.skops", "python_env.yaml", "requirements.txt"]


def test_an_artifact_is_a_model_of_any_uri_with_its_origin(client: MlflowClient, fitted: LogisticRegression) -> None:
    with registry.start_run() as run:
        info = registry.sklearn.log_model(fitted, name="inner", registered_model_name="churn")
    client.set_registered_model_alias("churn", "champ", 1)
    digest = client.get_logged_model(info.model_id).digest
    for uri in (info.model_uri, "models:/churn/1", "models:/churn@champ", "models:/churn/latest"):
        seen, entry = _read(uri)
        assert seen == MODEL_FILES
        assert entry == {"path": "artifacts/m/model", "uri": uri, "model_id": info.model_id, "digest": digest}
    seen, entry = _read(f"models:/{info.model_id}/MLmodel")
    assert seen[0].startswith("artifact_path: inner")
    assert entry["path"] == "artifacts/m/MLmodel"
    seen, entry = _read(f"runs:/{run.info.run_id}/inner")
    assert (seen, entry["uri"]) == (MODEL_FILES, f"runs:/{run.info.run_id}/inner")


def test_an_artifact_is_a_file_of_a_run_or_of_a_file_uri(client: MlflowClient, own_place: Path) -> None:
    with registry.start_run() as run:
        registry.log_text("from the run", "notes/a.txt")
    assert _read(f"runs:/{run.info.run_id}/notes/a.txt")[0] == ["from the run"]
    assert _read(f"runs:/{run.info.run_id}/notes")[0] == ["a.txt"]
    (own_place / "b.txt").write_text("from here")
    assert _read(f"file:{own_place / 'b.txt'}")[0] == ["from here"]
    assert _read("b.txt")[0] == ["from here"]


def test_an_artifact_is_a_file_on_s3(
    client: MlflowClient, moto_s3: S3Server, s3_environment: Callable[[S3Server], S3Server]
) -> None:
    root = s3_environment(moto_s3).fresh_root()
    moto_s3.client().put_object(Bucket=moto_s3.bucket, Key=f"{root.rpartition('/')[2]}/a.txt", Body=b"from S3")
    seen, entry = _read(f"{root}/a.txt")
    assert (seen, entry["uri"]) == (["from S3"], f"{root}/a.txt")


def test_an_artifact_that_is_not_there_or_not_what_was_sealed_leaves_no_model(
    client: MlflowClient, fitted: LogisticRegression
) -> None:
    info = registry.sklearn.log_model(fitted, name="inner")
    file = Path(client.get_logged_model(info.model_id).artifact_location.removeprefix("file://")) / "conda.yaml"
    file.write_text("changed")
    refused: dict[str, type[Exception]] = {
        info.model_uri: IntegrityError,
        "models:/nosuch/1": ModelNotFoundError,
        "file:/nosuch": ArtifactNotFoundError,
    }
    for uri, error in refused.items():
        with pytest.raises(error):
            registry.pyfunc.log_model(name="reader", python_model=_Reader(), artifacts={"m": uri})
    assert [model.name for model in client.search_logged_models(["0"])] == ["inner"]


def test_a_python_model_is_saved_with_artifacts_by_uri(
    client: MlflowClient, fitted: LogisticRegression, tmp_path: Path
) -> None:
    info = registry.sklearn.log_model(fitted, name="inner")
    registry.pyfunc.save_model(tmp_path / "saved", python_model=_Reader(), artifacts={"m": info.model_uri})
    assert registry.pyfunc.load_model(str(tmp_path / "saved"), allow_code=True).predict([1]) == MODEL_FILES


def test_a_logged_model_says_who_made_it_and_which_versions_name_it(
    client: MlflowClient, fitted: LogisticRegression, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setenv("LOGNAME", "ann")
    (Path.cwd() / ".git").mkdir()
    (Path.cwd() / ".git" / "HEAD").write_text("a" * 40)
    info = registry.sklearn.log_model(fitted, name="model", tags={"team": "x"})
    made = {
        "mlflow.source.git.commit": "a" * 40,
        "mlflow.source.name": "train.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": "ann",
        "team": "x",
    }
    assert info.tags == made
    assert info.artifact_path == client.get_logged_model(info.model_id).artifact_location
    assert registry.models.get_model_info(info.model_uri).artifact_path == info.artifact_path

    registry.register_model(info.model_uri, "churn")
    registry.register_model(info.model_uri, "churn")
    registry.register_model(info.model_uri, "other")
    versions = '[{"name": "churn", "version": 1}, {"name": "churn", "version": 2}, {"name": "other", "version": 1}]'
    assert client.get_logged_model(info.model_id).tags == {**made, "mlflow.modelVersions": versions}
    client.delete_model_version("churn", 1)
    client.delete_registered_model("other")
    found = client.search_logged_models(["0"])[0].tags["mlflow.modelVersions"]
    assert found == '[{"name": "churn", "version": 2}]'
    assert registry.initialize_logged_model(name="later").tags["mlflow.user"] == "ann"


CODE = """
import registry as mlflow

class Doubled(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.factor = context.model_config.get("factor", 2)

    def predict(self, context, model_input, params=None):
        return [value * self.factor for value in model_input]

mlflow.models.set_model(Doubled())
"""


def test_a_model_from_code_is_loaded_by_running_its_file_with_consent_only(
    client: MlflowClient, own_place: Path
) -> None:
    (own_place / "doubled.py").write_text(CODE)
    info = registry.pyfunc.log_model(name="model", python_model="doubled.py", model_config={"factor": 3})
    entry = info.flavors["python_function"]
    assert (entry["loader_module"], entry["model_code_path"]) == ("mlflow.pyfunc.loaders.code_model", "doubled.py")
    (own_place / "doubled.py").unlink()
    with pytest.raises(CodeExecutionRefusedError, match="it is a Python file"):
        registry.pyfunc.load_model(info.model_uri)
    loaded = registry.pyfunc.load_model(info.model_uri, allow_code=True)
    assert loaded.predict([1, 2]) == [3, 6]
    assert type(loaded.unwrap_python_model()).__name__ == "Doubled"


def test_a_function_from_code_gets_its_signature_from_the_example(client: MlflowClient, own_place: Path) -> None:
    (own_place / "f.py").write_text("import registry\nregistry.models.set_model(lambda x: [1.0] * len(x))\n")
    info = registry.pyfunc.log_model(name="model", python_model=own_place / "f.py", input_example=["a"])
    assert str(info.signature.inputs) == "[string (required)]"
    assert registry.pyfunc.load_model(info.model_uri, allow_code=True).predict(["x", "y"]) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("name", "code", "error", "message"),
    [
        ("nosuch.py", None, ArtifactNotFoundError, "nosuch.py' does not exist"),
        ("model.txt", "", InvalidParameterError, "ends in .py"),
        ("model.py", "", InvalidModelError, "sets no model"),
        ("model.py", "1 / 0", InvalidModelError, "ZeroDivisionError"),
        ("model.py", "import registry\nregistry.models.set_model(3)", InvalidModelError, "set_model takes"),
    ],
)
def test_a_file_that_is_no_model_is_refused_and_leaves_nothing(
    client: MlflowClient, own_place: Path, name: str, code: str | None, error: type[Exception], message: str
) -> None:
    if code is not None:
        (own_place / name).write_text(code)
    with pytest.raises(error, match=message):
        registry.pyfunc.log_model(name="model", python_model=name)
    assert client.search_logged_models(["0"]) == []


def test_set_model_takes_models_and_functions_only() -> None:
    registry.models.set_model(_Reader())  # outside of a file that is loaded it does nothing
    with pytest.raises(InvalidTypeError):
        registry.models.set_model("langchain.py")


SCRIPT = """
    import sys
    from project.model import Model
    info = mlflow.pyfunc.log_model(name="model", python_model=Model(), infer_code_paths=True)
    print(info.model_uri, file=sys.stdout)
"""


def test_the_modules_that_a_model_uses_go_along(
    tracking_uri: str, own_place: Path, run_script: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    project = own_place / "project"
    (project / "inner").mkdir(parents=True)
    files = {
        "__init__.py": "",
        "inner/__init__.py": "",
        "inner/deep.py": "FACTOR = 5\n",
        "factors.py": "from project.inner import deep\ndef factor():\n    return deep.FACTOR\n",
        "unused.py": "",
        "model.py": textwrap.dedent("""
            import json
            import registry
            from project.factors import factor

            class Model(registry.pyfunc.PythonModel):
                def predict(self, context, model_input, params=None):
                    return [value * factor() for value in model_input]
        """),
    }
    for name, text in files.items():
        (project / name).write_text(text)
    done = run_script(SCRIPT, PYTHONPATH=str(own_place), REGISTRY_TRACKING_URI=tracking_uri)
    assert done.returncode == 0, done.stderr
    uri = done.stdout.strip()
    location = Path(MlflowClient().get_logged_model(uri.removeprefix("models:/")).artifact_location)
    saved = sorted(str(file.relative_to(location / "code")) for file in (location / "code").rglob("*.py"))
    assert saved == sorted(f"project/{name}" for name in files if name != "unused.py")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    program = (
        "import registry; registry.set_tracking_uri(__import__('sys').argv[1]);"
        f"print(registry.pyfunc.load_model({uri!r}, allow_code=True).predict([1, 2]))"
    )
    command = [sys.executable, "-c", program, tracking_uri]
    answer = subprocess.run(command, cwd=elsewhere, env=os.environ, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[5, 10]"


def test_code_paths_are_given_or_inferred_but_not_both(client: MlflowClient) -> None:
    with pytest.raises(InvalidParameterError, match="and not both"):
        registry.pyfunc.log_model(name="m", python_model=_Reader(), code_paths=[], infer_code_paths=True)
