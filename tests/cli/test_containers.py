"""`registry models generate-dockerfile`: a build context that Docker takes, with the sealed files in it."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from small_models import Doubling

import registry
from registry.cli.dockerfile import Image, is_ours, python_version, write_context
from registry.exceptions import InvalidParameterError, StorageError

INSTRUCTIONS = {"FROM", "LABEL", "ENV", "WORKDIR", "RUN", "COPY", "USER", "EXPOSE", "HEALTHCHECK", "CMD"}


def instructions(file: Path) -> list[tuple[str, str]]:
    """Parse a Dockerfile without continued lines; check what Docker's parser checks, and that what is copied exists."""
    found = []
    for line in file.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        assert word in INSTRUCTIONS, line
        if word in ("RUN", "LABEL", "ENV", "COPY"):
            shlex.split(rest)
        if word == "COPY":
            *sources, _ = rest.split()
            for source in sources:
                assert (file.parent / source).exists(), source
        if "[" in rest and word in ("CMD", "HEALTHCHECK"):
            words = json.loads(rest[rest.index("[") :])
            assert all(isinstance(item, str) for item in words)
        found.append((word, rest))
    assert found[0][0] == "FROM"
    assert [word for word, _ in found].count("CMD") == 1
    return found


@pytest.fixture
def model(doubling: Doubling) -> None:
    """Have version 1 of churn."""


def test_the_context_has_the_sealed_files_and_a_dockerfile_that_serves_them(cli: Callable, model: None) -> None:
    outcome = cli("models", "generate-dockerfile", "churn/1", "-d", "build")

    assert (outcome.code, outcome.out) == (0, "build/Dockerfile\n")
    found = instructions(Path("build/Dockerfile"))
    version = python_version(Path("build/model"))
    assert found[0] == ("FROM", f"python:{version}-slim")
    served = ["registry", "models", "serve", "/opt/registry/model"]
    assert json.loads(dict(found)["CMD"]) == [*served, "--host", "0.0.0.0", "--port", "8080", "--trusted-proxy"]
    assert ("USER", "registry") in found
    assert ("RUN", f"pip install 'registry-ml[serve]=={registry.__version__}'") in found
    labels = [rest for word, rest in found if word == "LABEL"]
    resolved = registry.resolve("models:/churn/1")
    assert f'registry.digest="{resolved.digest}"' in labels
    assert 'registry.model="models:/churn/1"' in labels
    sealed = sorted(path.name for path in Path(resolved.location).iterdir())
    assert sorted(path.name for path in Path("build/model").iterdir()) == sealed


def test_an_image_can_follow_the_registry_instead(cli: Callable, model: None) -> None:
    registry.MlflowClient().transition_model_version_stage("churn", 1, "Production")
    assert cli("models", "generate-dockerfile", "churn/Production", "-d", "build", "--follow").code == 0

    found = instructions(Path("build/Dockerfile"))
    words = json.loads(dict(found)["CMD"])
    assert words[:4] == ["registry", "models", "serve", "models:/churn/Production"]
    assert ("RUN", f"pip install 'registry-ml[serve,postgres]=={registry.__version__}'") in found
    assert not any(rest.startswith("model ") for word, rest in found if word == "COPY")
    refused = cli("models", "generate-dockerfile", "build/model", "-d", "other", "--follow")
    assert (refused.code, "--follow needs a model of a registry" in refused.err) == (2, True)


def test_requirements_are_pinned_and_installed_before_the_model_is_copied(cli: Callable, model: None) -> None:
    cli("models", "generate-dockerfile", "churn/1", "-d", "build")

    text = Path("build/Dockerfile").read_text()
    assert text.index("pip install -r requirements/requirements.txt") < text.index("COPY model ./model")
    requirements = Path("build/model/requirements.txt").read_text().split()
    assert requirements
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", line) for line in requirements)


def test_a_later_version_takes_the_place_of_the_model_in_the_context(cli: Callable, model: None) -> None:
    cli("models", "generate-dockerfile", "churn/1", "-d", "build")
    Path("build/model/stray").write_text("left from an earlier version")

    assert cli("models", "generate-dockerfile", "churn/1", "-d", "build").code == 0
    assert not Path("build/model/stray").exists()
    assert not [path for path in Path("build").iterdir() if path.name.startswith(".registry-")]


def test_a_directory_of_somebody_else_is_left_alone(cli: Callable, model: None) -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")

    assert cli("models", "generate-dockerfile", "churn/1", "-d", "mine").code == 5
    assert [path.name for path in Path("mine").iterdir()] == ["notes.txt"]
    assert not is_ours(Path("nowhere"))


def test_base_image_package_and_consent_are_chosen(cli: Callable, model: None) -> None:
    wheel = Path("registry_ml-0.1.0-py3-none-any.whl")
    wheel.write_bytes(b"wheel")
    line = ["--base-image", "python:3.12-slim", "--package", str(wheel), "--allow-code"]

    assert cli("models", "generate-dockerfile", "churn/1", "-d", "build", *line).code == 0
    found = instructions(Path("build/Dockerfile"))
    assert found[0] == ("FROM", "python:3.12-slim")
    assert ("COPY", f"{wheel} ./") in found
    assert ("RUN", f"pip install './{wheel}[serve]'") in found
    assert ("ENV", "REGISTRY_ALLOW_CODE=true") in found
    assert "!*.whl" in Path("build/.dockerignore").read_text()
    again = cli("models", "generate-dockerfile", "churn/1", "-d", "build", "--package", f"build/{wheel}")
    assert (again.code, Path("build", wheel).read_bytes()) == (0, b"wheel")


def test_a_wheel_that_is_not_there_is_named(cli: Callable, model: None) -> None:
    made = cli("models", "generate-dockerfile", "churn/1", "-d", "build", "--package", "https://host/a.whl")
    assert (made.code, made.err) == (
        2,
        "registry: The package 'https://host/a.whl' is no file; give a wheel of this machine.\n",
    )


def test_a_model_of_a_run_becomes_a_context_too(cli: Callable, doubling: Doubling) -> None:
    run_id = doubling.run_id

    assert cli("models", "generate-dockerfile", f"runs:/{run_id}/model", "-d", "build").code == 0
    assert f'registry.uri="runs:/{run_id}/model"' in Path("build/Dockerfile").read_text()


@pytest.mark.parametrize("value", ["python:3\nRUN evil", "a b", "a'b", "$HOME", 'a"b'])
def test_no_value_becomes_an_instruction(tmp_path: Path, value: str) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(InvalidParameterError, match="special character"):
        write_context(tmp_path, Image({}, base_image=value))
    with pytest.raises(InvalidParameterError, match="special character"):
        write_context(tmp_path, Image({}, package=value))


def test_a_name_with_quotes_dollars_and_line_breaks_is_only_a_label(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    file = write_context(tmp_path, Image({"registry.model": 'a"b$c\\d\nRUN evil é'}))

    assert '# Serves a"b$c\\d?RUN evil ?' in file.read_text().splitlines()
    assert 'LABEL registry.model="a\\"b\\$c\\\\d RUN evil é"' in file.read_text().splitlines()
    assert not any("evil" in rest for word, rest in instructions(file) if word == "RUN")


def test_what_wheels_do_not_bring_along_is_installed_and_constraints_are_copied(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/requirements.txt").write_text("lightgbm==4.6.0\n-c constraints.txt")
    (tmp_path / "model/constraints.txt").write_text("numpy<3")
    found = instructions(write_context(tmp_path, Image({})))

    assert ("COPY", "model/requirements.txt model/constraints.txt ./requirements/") in found
    assert any("--no-install-recommends libgomp1 " in rest for word, rest in found if word == "RUN")


@pytest.mark.parametrize(
    ("content", "version"),
    [("python: 3.12.4\n", "3.12"), ("python: 3.13\n", "3.13"), ("python: evil\n", None), ("[", None)],
)
def test_the_image_has_the_python_that_made_the_model(tmp_path: Path, content: str, version: str | None) -> None:
    own = python_version(tmp_path)
    (tmp_path / "python_env.yaml").write_text(content)

    assert python_version(tmp_path) == (version or own)


def test_a_model_that_is_not_there_is_no_fault_of_the_context(cli: Callable, model: None) -> None:
    outcome = cli("models", "generate-dockerfile", "./nothing", "-d", "build")

    assert (outcome.code, outcome.err) == (4, "registry: No such artifact: './nothing'. Nothing exists there.\n")


def test_a_full_disk_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "Dockerfile").mkdir()

    with pytest.raises(StorageError, match="cannot be written"):
        write_context(tmp_path, Image({}))


def test_a_context_below_a_file_is_an_error_of_ours(cli: Callable, model: None) -> None:
    Path("file").write_text("")

    assert cli("models", "generate-dockerfile", "churn/1", "-d", "file/build").code == 1
