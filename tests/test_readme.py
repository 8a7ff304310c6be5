"""The README is true: its programs run, and it names every setting, public name and command that there is."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

import registry
from registry.cli import app
from registry.distribution import DISTRIBUTION
from registry.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def variables() -> list[str]:
    return sorted(
        str(name) for field in Settings.model_fields.values() for name in getattr(field.validation_alias, "choices", [])
    )


def commands() -> list[str]:
    def walk(command: object, words: str) -> Iterator[str]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield words
        else:
            for name, below in inner.items():
                yield from walk(below, f"{words} {name}")

    return sorted(walk(typer.main.get_command(app._app), "registry"))


def mentions(pattern: str) -> bool:
    return re.search(rf"(?<![\w-]){pattern}(?![\w-])", README) is not None


def test_the_two_commands_stand_before_everything_else() -> None:
    first = README.partition("\n## ")[0]

    assert "python3 -m venv .venv && .venv/bin/pip install '.[demo]' && .venv/bin/registry demo" in first
    assert "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/pytest" in first


@pytest.mark.slow
def test_the_programs_of_the_readme_run_one_after_another(tmp_path: Path) -> None:
    file = tmp_path / "readme.py"
    file.write_text("\n".join(PROGRAMS))

    done = subprocess.run(
        [sys.executable, "-W", "error", file], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )

    assert len(PROGRAMS) == 6
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", variables())
def test_the_readme_names_every_setting(name: str) -> None:
    assert mentions(name)


@pytest.mark.parametrize("name", sorted(name for name in registry.__all__ if name != "__version__"))
def test_the_readme_names_every_public_name(name: str) -> None:
    assert mentions(rf"`(registry\.)?{name}`")


@pytest.mark.parametrize("command", commands())
def test_the_readme_names_every_command(command: str) -> None:
    assert f"`{command}`" in README


def test_the_readme_names_no_command_that_does_not_exist() -> None:
    named = re.findall(r"^\| (`registry .*?) \|", README, flags=re.MULTILINE)
    listed = [command for cell in named for command in re.findall(r"`(registry [a-z -]+)`", cell)]

    assert sorted(listed) == commands()


def test_the_readme_names_every_extra_that_users_install() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]

    assert [name for name in extras if f"{DISTRIBUTION}[{name}]" not in README] == ["demo", "test", "docs", "dev"]


def test_the_changelog_has_this_version() -> None:
    assert f"\n## {registry.__version__}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
