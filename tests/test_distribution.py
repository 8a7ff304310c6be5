"""The distribution has one name everywhere: `registry` on the package index is somebody else's."""

import re
import subprocess
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest

import registry
from registry.package_name import DISTRIBUTION, install_command

ROOT = Path(__file__).parent.parent
PROJECT = ROOT / "pyproject.toml"

needs_checkout = pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="which files belong to the project is asked of git, and this is no clone"
)


EXTRAS = sorted(tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"])
OTHER_NAMES = re.compile(
    rf"(?<![\w.-])registry\[(?:{'|'.join(EXTRAS)})[\],]"
    r"|(?:pip|pipx|uv|uvx|poetry)\s+(?:install|add)\b[^`]*?[\s'\"]registry(?![\w./-])"
    r"|(?<![\w.-])registry\s?(?:[=~!>]=|<=?|>)\s?\d"
)


def other_names(text: str) -> list[str]:
    """Return every place that would install this package under another name."""
    return [found.group() for line in text.splitlines() if "registry" in line for found in OTHER_NAMES.finditer(line)]


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_the_name_is_the_one_that_is_published() -> None:
    assert tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["name"] == "registry-ml" == DISTRIBUTION


def test_the_installed_distribution_has_this_name_and_version_and_the_command() -> None:
    installed = distribution(DISTRIBUTION)

    assert installed.version == registry.__version__
    assert [(script.name, script.value) for script in installed.entry_points.select(group="console_scripts")] == [
        ("registry", "registry.cli:main")
    ]


def test_a_command_that_installs_it_quotes_an_extra() -> None:
    assert install_command() == "pip install registry-ml"
    assert install_command("postgres") == "pip install 'registry-ml[postgres]'"


@pytest.mark.parametrize(
    "text",
    [
        "pip install registry",
        "pip install --upgrade 'registry'",
        "pip install pandas registry>=1",
        "uv add registry",
        '"registry[demo,arrow]",',
        "`registry[signing]`",
        "registry==0.1.0",
    ],
)
def test_another_name_is_found(text: str) -> None:
    assert len(other_names(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "pip install registry-ml",
        "pip install 'registry-ml[postgres]'",
        "pip install '.[demo]' && .venv/bin/registry demo",
        'pythons["registry"]',
        "registry db upgrade",
        "registry-ml==0.1.0",
    ],
)
def test_the_right_name_and_the_import_name_are_left_alone(text: str) -> None:
    assert other_names(text) == []


@needs_checkout
def test_no_file_of_the_project_has_another_name_for_it() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): names
        for path in tracked_files()
        if path != Path(__file__) and (names := other_names(path.read_text(encoding="utf-8", errors="replace")))
    }

    assert found == {}
