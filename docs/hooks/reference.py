"""Write parts of the reference from the package itself, when MkDocs builds the pages.

The commands of `reference/cli.md` come from the program, the tree of
`reference/errors.md` from the docstring of `registry.exceptions`. Each replaces a
marker in the page.
"""

from typing import Any, Final

from registry import exceptions
from registry.cli import app
from registry.cli.commands import shared_options
from registry.cli.help_topics import TOPICS, render

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
    """Return every command as Markdown, and the topics of `registry help`."""
    commands = [
        (words, command)
        for words, command in sorted(all_commands().items())
        if not hasattr(command, "commands") and not command.hidden
    ]
    shared = "\n".join(
        ["### Everywhere", "", *_HEAD, *map(_option_row, shared_options())]
    )
    sections = [_section(words, command) for words, command in commands]
    topics = [
        f"### {title}\n\n```text\n{render(topic)}\n```"
        for topic, title in TOPICS.items()
    ]
    return "\n\n".join([shared, *sections, *topics])


_HEAD: Final = ("| Argument or option | Meaning |", "|---|---|")


def all_commands() -> dict[str, Any]:
    """Return the program, its nouns and their commands by their words."""
    root = app.root_command()
    found = {"registry": root}
    for name in app.PARTS:
        part = app.load(name)
        found[f"registry {name}"] = part
        found |= {
            f"registry {name} {verb}": command
            for verb, command in getattr(part, "commands", {}).items()
        }
    return found


def _section(name: str, command: Any) -> str:
    if command.hidden:
        return ""
    shown = [
        parameter
        for parameter in command.params
        if not getattr(parameter, "hidden", False)
    ]
    kinds = {"argument": _argument_row, "option": _option_row}
    rows = [
        row(parameter)
        for kind, row in kinds.items()
        for parameter in shown
        if parameter.param_type_name == kind
    ]
    help_text = " ".join((command.help or "").replace("\n\n", "\0").split()).replace(
        "\0", "\n\n"
    )
    usage = f"{_usage(name, command)}\n\n{command.epilog or ''}".rstrip()
    table = "\n".join([*_HEAD, *rows]) if rows else ""
    return f"### `{name}`\n\n{help_text}\n\n```text\n{usage}\n```\n\n{table}".rstrip()


def _usage(name: str, command: Any) -> str:
    arguments = [_metavar(p) for p in command.params if p.param_type_name == "argument"]
    return " ".join([name, *arguments, "[OPTIONS]"])


def _argument_row(argument: Any) -> str:
    return f"| `{_cell(_metavar(argument))}` | {_cell(argument.help)} |"


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
