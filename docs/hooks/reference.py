"""Write parts of the reference from the package itself, when MkDocs builds the pages.

The commands of `reference/cli.md` come from Typer, the tree of `reference/errors.md`
from the docstring of `registry.exceptions`. Each replaces a marker in the page.
"""

from collections.abc import Iterator
from typing import Any, Final

import typer.main

from registry import exceptions
from registry.cli import app

COMMANDS: Final = "<!-- docs/hooks/reference.py inserts the commands here. -->"
ERRORS: Final = "<!-- docs/hooks/reference.py inserts the tree of errors here. -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the markers in a page."""
    if COMMANDS in markdown:
        markdown = markdown.replace(COMMANDS, render_commands())
    if ERRORS in markdown:
        markdown = markdown.replace(ERRORS, render_errors())
    return markdown


def render_errors() -> str:
    """Return the tree of errors as a block of text."""
    tree = (exceptions.__doc__ or "").partition("\nRegistryError (")[1:]
    return f"```text\n{''.join(tree).strip()}\n```"


def render_commands() -> str:
    """Return every command as Markdown: usage, help, arguments and options."""
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
    kinds = {"argument": _argument_row, "option": _option_row}
    rows = [
        row(parameter)
        for kind, row in kinds.items()
        for parameter in command.params
        if parameter.param_type_name == kind
    ]
    head = ["| Argument or option | Meaning |", "|---|---|"] if rows else []
    usage = f"```text\n{_usage(name, command)}\n```"
    table = "\n".join([*head, *rows])
    return f"### `{name}`\n\n{command.help}\n\n{usage}\n\n{table}".rstrip()


def _usage(name: str, command: Any) -> str:
    kinds = [parameter.param_type_name for parameter in command.params]
    arguments = [_metavar(p) for p in command.params if p.param_type_name == "argument"]
    return " ".join([name, *arguments, *(["[OPTIONS]"] if "option" in kinds else [])])


def _argument_row(argument: Any) -> str:
    return f"| `{_metavar(argument)}` | {_cell(argument.help)} |"


def _option_row(option: Any) -> str:
    value = "" if option.is_flag else f" {_metavar(option)}"
    names = ", ".join(option.opts)
    return f"| `{names}{value}` | {_cell(option.help)}{_default(option)} |"


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _default(option: Any) -> str:
    if option.is_flag or option.default is None or callable(option.default):
        return ""
    return f" Default: `{getattr(option.default, 'value', option.default)}`."


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")
