"""Requirements files: the flavor's own lines, the caller's lines, and files that name other files."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from registry.exceptions import ArtifactNotFoundError, InvalidModelError, InvalidParameterError
from registry.flavors.optional_imports import installed_version
from registry.flavors.requirements import Environment

PANDAS = f"pandas=={version('pandas')}"


def test_defaults_are_pinned_to_what_is_installed() -> None:
    assert Environment.of(["pandas", "not-installed-here"]).requirements == (PANDAS, "not-installed-here")


def test_given_requirements_replace_the_defaults() -> None:
    given = Environment.of(["pandas"], pip_requirements=["scipy>=1", " # a comment", "", "a==1  # why"])
    assert given.requirements == ("scipy>=1", "a==1")


def test_extra_requirements_are_added_and_override_by_name() -> None:
    extra = ["Pandas>=1", "scipy"]
    assert Environment.of(["pandas"], extra_pip_requirements=extra).requirements == ("Pandas>=1", "scipy")
    assert Environment.of(["pandas"], extra_pip_requirements=["pandas", "b"]).requirements == (PANDAS, "b")


def test_files_are_followed_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "top.txt").write_text("a==1\n-r sub/more.txt\n-c sub/limits.txt\n")
    (tmp_path / "sub" / "more.txt").write_text("b \\\n  ==2\n--requirement=last.txt")
    (tmp_path / "sub" / "last.txt").write_text("c")
    (tmp_path / "sub" / "limits.txt").write_text("a<2\n-r last.txt")
    environment = Environment.of([], pip_requirements=str(tmp_path / "top.txt"))
    assert environment.requirements == ("a==1", "b ==2", "c")
    assert environment.constraints == ("a<2", "c")


def test_the_files_have_mlflows_layout(tmp_path: Path) -> None:
    (tmp_path / "limits.txt").write_text("a<2")
    Environment.of([], pip_requirements=["a", f"-c {tmp_path / 'limits.txt'}"]).save(tmp_path)
    assert (tmp_path / "requirements.txt").read_text() == "a\n-c constraints.txt"
    assert (tmp_path / "constraints.txt").read_text() == "a<2"
    conda = yaml.safe_load((tmp_path / "conda.yaml").read_text())
    assert (conda["name"], conda["channels"]) == ("mlflow-env", ["conda-forge"])
    assert conda["dependencies"][-1] == {"pip": ["a", "-c constraints.txt"]}
    assert yaml.safe_load((tmp_path / "python_env.yaml").read_text())["dependencies"] == ["-r requirements.txt"]


def test_a_conda_environment_is_kept_and_its_pip_lines_become_requirements(tmp_path: Path) -> None:
    conda = {"name": "mine", "dependencies": ["python=3.11", {"pip": ["a==1"]}]}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(conda))
    for given in (conda, str(tmp_path / "own.yaml")):
        environment = Environment.of(["pandas"], conda_env=given)
        assert environment.requirements == ("a==1",)
        assert environment.conda == conda


@pytest.mark.parametrize(
    "options",
    [
        {"pip_requirements": [], "extra_pip_requirements": []},
        {"pip_requirements": 3},
        {"pip_requirements": [3]},
        {"conda_env": 3},
        {"conda_env": {"dependencies": "python"}},
    ],
)
def test_malformed_requirements_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterError):
        Environment.of([], **options)


def test_a_file_that_names_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop.txt").write_text("-r loop.txt")
    with pytest.raises(InvalidParameterError, match="deep"):
        Environment.of([], pip_requirements=str(tmp_path / "loop.txt"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactNotFoundError, match=r"gone\.txt"):
        Environment.of([], pip_requirements=["-r gone.txt"])
    with pytest.raises(ArtifactNotFoundError, match=r"gone\.yaml"):
        Environment.of([], conda_env="gone.yaml")


def test_a_conda_file_with_tags_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evil.yaml").write_text("a: !!python/name:os.system")
    with pytest.raises(InvalidModelError, match="tag"):
        Environment.of([], conda_env=tmp_path / "evil.yaml")


def test_the_build_without_cuda_counts_as_xgboost() -> None:
    import xgboost

    assert installed_version("xgboost") == xgboost.__version__
