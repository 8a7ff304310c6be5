"""The one-word commands: CONTRIBUTING explains each of them, and CI calls them instead of commands of its own."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(not (ROOT / ".ci" / "run").is_file(), reason="the commands are those of a checkout")


def sessions() -> dict[str, str]:
    """Return the source of each session of noxfile.py by name."""
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {function.name: ast.unparse(function) for function in functions if function.decorator_list}


def test_contributing_explains_every_command_and_no_other() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

    assert sorted(re.findall(r"^\| `nox -s (\w+)`", text, flags=re.MULTILINE)) == sorted(sessions())


def test_every_command_has_a_first_line_that_nox_lists() -> None:
    documented = {name for name, source in sessions().items() if ast.get_docstring(ast.parse(source).body[0])}  # type: ignore[arg-type]

    assert documented == set(sessions())


def test_ci_calls_every_command_that_checks_something() -> None:
    called = re.findall(r"^(?:\w+=\w+ )?nox -s (\w+)", (ROOT / ".ci" / "run").read_text(), flags=re.MULTILINE)

    assert called == ["check", "docs", "package", "test", "storm", "bench", "bench"]  # calls, and pages
    assert set(called) <= set(sessions())


def test_the_tests_are_the_command_of_the_readme() -> None:
    assert ".venv/bin/pip install '.[test]' && .venv/bin/pytest" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "session.run('pytest', *session.posargs)" in sessions()["test"]
