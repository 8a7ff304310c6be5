"""Write the reference of the command line from the program itself, when MkDocs builds the page `reference/cli.md`."""

from collections.abc import Iterator
from typing import Any, Final

import typer.main

from registry.cli import app

MARKER: Final = "<!-- The build inserts each command here, from the program itself: docs/hooks/cli_reference.py. -->"


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Put the reference in the place of the marker."""
    return markdown.replace(MARKER, render()) if page.file.src_uri == "reference/cli.md" else markdown


def render() -> str:
    """Return every command as Markdown: its usage, its help, its arguments and options."""
    commands = sorted(_commands(root_command(), "registry"))
    return "\n\n".join(_section(name, command) for name, command in commands)


def root_command() -> Any:
    """Return the program as Typer sees it: a group of commands."""
    return typer.main.get_command(app._app)


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
    else:
        for word, below in inner.items():
            yield from _commands(below, f"{name} {word}")


def _section(name: str, command: Any) -> str:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    usage = " ".join([name, *(_metavar(argument) for argument in arguments), *(["[OPTIONS]"] if options else [])])
    rows = [f"| `{_metavar(argument)}` | {_cell(argument.help)} |" for argument in arguments]
    rows += [f"| `{_spelling(option)}` | {_cell(option.help)}{_default(option)} |" for option in options]
    table = "\n".join(["| Argument or option | Meaning |", "|---|---|", *rows]) if rows else ""
    return f"### `{name}`\n\n{command.help}\n\n```text\n{usage}\n```\n\n{table}".rstrip()


def _metavar(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _spelling(option: Any) -> str:
    value = "" if option.is_flag else f" {option.metavar or option.name.upper()}"
    return ", ".join(option.opts) + value


def _default(option: Any) -> str:
    if option.is_flag or option.default is None or callable(option.default):
        return ""
    return f" Default: `{getattr(option.default, 'value', option.default)}`."


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")
