"""The documents are true: their programs run, their links lead somewhere, and what they name exists."""

import functools
import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import registry
from registry.cli.commands import shared_options
from registry.settings import Settings

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+)$", flags=re.MULTILINE)
LINK = re.compile(r"\]\(([^()\s]+)\)")


def label(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose_of(page: Path) -> str:
    return FENCE.sub("", text_of(page))


def blocks(page: Path, *languages: str) -> list[str]:
    return [code for language, code in FENCE.findall(text_of(page)) if language in languages]


def programs(page: Path) -> Iterator[str]:
    """Each Python block, moved down to the line where it stands, so that a traceback names that line."""
    text = text_of(page)
    for match in FENCE.finditer(text):
        if match[1] == "python":
            yield "\n" * (text[: match.start(2)].count("\n")) + match[2]


def reference_hook() -> Any:
    """The module that MkDocs runs to write parts of the reference."""
    spec = importlib.util.spec_from_file_location("reference_hook", DOCS / "hooks" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    return hook


@functools.cache
def commands() -> dict[str, Any]:
    return dict(reference_hook().all_commands())


def leaves() -> list[str]:
    return sorted(
        words for words, command in commands().items() if not hasattr(command, "commands") and not command.hidden
    )


def shell_commands() -> list[tuple[str, str]]:
    """Every call of our command: the lines of shell blocks, and what stands in code spans."""
    found: list[tuple[str, str]] = []
    for page in PAGES:
        lines = [line for code in blocks(page, "bash") for line in code.replace("\\\n", " ").splitlines()]
        spans = re.findall(r"`(registry [a-z][^`]*)`", prose_of(page))
        found += [(label(page), line) for line in [*lines, *spans] if line.startswith("registry ")]
    return sorted(set(found))


def slugs(page: Path) -> list[str]:
    """The anchors of a page: how MkDocs and GitHub turn its headings into names."""
    return [
        re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())
        for heading in HEADING.findall(prose_of(page))
    ]


def test_the_two_commands_stand_before_everything_else() -> None:
    first = text_of(README).partition("\n## ")[0]

    assert "python3 -m venv .venv && .venv/bin/pip install '.[demo]' && .venv/bin/registry demo" in first
    assert "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/pytest" in first


def test_the_readme_is_short() -> None:
    assert len(text_of(README).splitlines()) <= 130


def test_the_programs_of_the_readme_are_one_script(tmp_path: Path) -> None:
    file = tmp_path / "readme.py"
    file.write_text("\n".join(blocks(README, "python")))

    done = subprocess.run(
        [sys.executable, "-W", "error", file], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [page for page in PAGES[1:] if blocks(page, "python")], ids=label)
def test_the_programs_of_a_page_run_one_after_another(page: Path) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for source in programs(page):
        exec(compile(source, str(page), "exec"), names)


def test_blocks_say_their_language_by_one_word() -> None:
    used = {language for page in PAGES for language, _ in FENCE.findall(text_of(page))}

    assert used <= {"python", "bash", "text", "sql", "json", "toml", "yaml"}


@pytest.mark.parametrize(("page", "line"), shell_commands())
def test_a_command_that_is_named_exists_with_its_options(page: str, line: str) -> None:
    known = commands()
    words = shlex.split(line, comments=True)
    name = "registry"
    while len(words) > 1 and f"{name} {words[1]}" in known:
        name = f"{name} {words.pop(1)}"

    assert name in leaves() or len(words) == 1 or words[1].startswith("-"), f"{page}: there is no command {line!r}"
    parameters = [*known[name].params, *shared_options()]
    options = {option for parameter in parameters for option in parameter.opts} | {"--help", "-h"}
    given = [word.partition("=")[0] for word in words[1:] if re.fullmatch(r"--?[a-z][\w=-]*", word)]
    assert [option for option in given if option not in options] == [], f"{page}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_the_links_of_a_page_lead_to_pages_and_headings(page: Path) -> None:
    dead = []
    for link in LINK.findall(prose_of(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if "://" in link or link.startswith("mailto:"):
            continue
        if not target.exists() or (anchor and anchor not in slugs(target)):
            dead.append(link)

    assert dead == []


def test_the_navigation_has_every_page() -> None:
    def pages(entry: Any) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        else:
            for below in entry if isinstance(entry, list) else entry.values():
                yield from pages(below)

    listed = list(pages(yaml.safe_load(text_of(ROOT / "mkdocs.yml"))["nav"]))

    assert sorted(listed) == sorted(page.relative_to(DOCS).as_posix() for page in PAGES[1:])


def test_the_reference_of_the_command_line_has_every_command() -> None:
    hook = reference_hook()

    built = hook.on_page_markdown(text_of(DOCS / "reference" / "cli.md"))

    assert re.findall(r"^### `(registry .*?)`$", built, flags=re.MULTILINE) == leaves()
    assert "| `--expected-current VERSION` |" in built


def test_the_reference_of_errors_has_every_error() -> None:
    built = reference_hook().on_page_markdown(text_of(DOCS / "reference" / "errors.md"))

    errors = [value.__name__ for value in vars(registry.exceptions).values() if isinstance(value, type)]
    assert [name for name in errors if name.endswith("Error") and name not in built] == []


def test_the_overview_of_the_command_line_has_every_command_and_no_other() -> None:
    named = re.findall(r"^\| (`registry .*?) \|", text_of(DOCS / "reference" / "cli.md"), flags=re.MULTILINE)
    listed = [command for cell in named for command in re.findall(r"`(registry [a-z -]+)`", cell)]

    assert sorted(listed) == leaves()


@pytest.mark.parametrize(
    "name",
    sorted(
        str(name) for field in Settings.model_fields.values() for name in getattr(field.validation_alias, "choices", [])
    ),
)
def test_the_page_of_settings_names_every_setting(name: str) -> None:
    assert f"`{name}`" in text_of(DOCS / "operations" / "settings.md")


@pytest.mark.parametrize("name", sorted(name for name in registry.__all__ if name != "__version__"))
def test_the_reference_names_every_public_name(name: str) -> None:
    reference = "".join(text_of(page) for page in sorted((DOCS / "reference").glob("*.md")))

    assert re.search(rf"^::: registry\.{name}$|`(registry\.)?{name}`", reference, flags=re.MULTILINE) is not None


def test_the_quick_start_names_every_extra_that_users_install() -> None:
    extras = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]["optional-dependencies"]
    page = text_of(DOCS / "quickstart.md")

    assert [name for name in extras if f"registry-ml[{name}]" not in page] == ["test", "docs", "dev"]


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_a_page_installs_our_package_and_not_a_stranger_s(page: Path) -> None:
    assert re.findall(r"(?<![\w-])registry\[|pip install '?registry(?!-ml)\b", text_of(page)) == []


def test_the_changelog_has_this_version() -> None:
    assert f"\n## {registry.__version__}\n" in text_of(ROOT / "CHANGELOG.md")
