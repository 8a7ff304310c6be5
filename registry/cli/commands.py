"""Nouns and commands: what every one of them takes, how its help reads, and which name was meant.

Guarantees: the options of `Invocation` and ``-h`` stand anywhere on the line.
"""

import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Annotated, Any, Final, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from registry.cli import invocation, mlflow_spellings, output
from registry.validation.names import nearest

Function = TypeVar("Function", bound=Callable[..., Any])

HELP_WIDTH: Final = 80
_INDENT: Final = "  "


class Noun(typer.Typer):
    """A noun of the command line, or the program itself: commands with examples, and plain help."""

    def command(  # type: ignore[override]
        self, name: str | None = None, *, examples: Sequence[str] = (), hidden: bool = False
    ) -> Callable[[Function], Function]:
        """Register a function as a command.

        Args:
            name: The verb; the function's own name by default.
            examples: Whole command lines, which its help shows first.
            hidden: Leave it out of lists of commands, for another program's spelling.
        """
        return super().command(name, cls=Command, epilog="\n".join(examples), hidden=hidden)


def noun(name: str, summary: str) -> Noun:
    """Make a noun, which shows its help when it is called alone."""
    return Noun(
        name=name,
        help=summary,
        cls=Group,
        callback=help_when_alone,
        invoke_without_command=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def help_when_alone(context: typer.Context) -> None:
    """Show the help of a group that was called without a command."""
    if context.invoked_subcommand is None:
        output.line(context.get_help())


class Command(TyperCommand):
    """A command: its own options and those of every command."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, with the options that stand anywhere on the line."""
        return _with_shared(super().get_params(ctx))

    def get_help(self, ctx: Any) -> str:
        """Return the help: examples first, then usage, arguments and options."""
        own: list[Any] = [parameter for parameter in self.params if not getattr(parameter, "hidden", False)]
        arguments = _arguments(self)
        options = [parameter for parameter in own if parameter.param_type_name == "option"]
        required = [f"{max(option.opts, key=len)} {metavar(option)}" for option in options if option.required]
        usage = [ctx.command_path, *map(metavar, arguments), *required, "[OPTIONS]"]
        examples = (self.epilog or "").splitlines()
        return "\n\n".join(
            section
            for section in (
                _paragraphs(self.help),
                titled("Examples", examples),
                f"Usage: {' '.join(usage)}",
                titled("Arguments", definitions((metavar(a), a.help or "") for a in arguments)),
                titled("Options", definitions((option_names(o), option_help(o)) for o in options)),
                titled("Everywhere", definitions((option_names(o), option_help(o)) for o in shared_options())),
                "Exit codes, JSON and environment variables: 'registry help'.",
            )
            if section
        )


class Group(TyperGroup):
    """A noun: its commands, and the options of every command before its verb."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, with the options that stand anywhere on the line."""
        return _with_shared(super().get_params(ctx))

    def get_help(self, ctx: Any) -> str:
        """Return the help: what the noun is, and its verbs."""
        listed = [
            (" ".join([name, *map(metavar, _arguments(command))]), first_line(command.help))
            for name, command in self.visible_commands(ctx)
        ]
        return "\n\n".join(
            [
                _paragraphs(self.help),
                f"Usage: {ctx.command_path} COMMAND [OPTIONS]",
                titled("Commands", definitions(listed)),
                f"'{ctx.command_path} COMMAND --help' has examples, arguments and options.",
            ]
        )

    def visible_commands(self, ctx: Any) -> list[tuple[str, Any]]:
        """Return the names and commands that lists show."""
        named = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        return [(name, command) for name, command in named if command is not None and not command.hidden]

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command of a verb; a misspelt one is an error that names the nearest."""
        translated = _from_mlflow(ctx, args)
        if translated is not None:
            return translated
        command = self.get_command(ctx, args[0])
        if command is None:
            if args[0].startswith("-"):
                self.parse_args(ctx, args)  # raises the error that lists the options
            close = nearest(args[0], [name for name in self.list_commands(ctx) if not self._is_hidden(ctx, name)])
            ctx.fail(f"No such command {args[0]!r}.{close}")
        return args[0], command, args[1:]

    def _is_hidden(self, ctx: Any, name: str) -> bool:
        command = self.get_command(ctx, name)
        return command is None or command.hidden


def _arguments(command: Any) -> list[Any]:
    return [parameter for parameter in command.params if parameter.param_type_name == "argument"]


def _from_mlflow(ctx: Any, args: list[str]) -> tuple[str, Any, list[str]] | None:
    """Return the command and words that a line in MLflow's words stands for, or None for any other line."""
    written = (*_nouns(ctx), args[0])
    program = ctx.find_root()

    def find(command: tuple[str, ...]) -> Any:
        found = program.command
        for name in command:
            found = found.get_command(program, name)
        return found

    if (reason := mlflow_spellings.absent(written)) is not None:
        ctx.fail(reason)
    line = mlflow_spellings.translate(written, args[1:], find)
    return None if line is None else (args[0], find(line.command), [*line.words])


def _nouns(ctx: Any) -> list[str]:
    return [] if ctx.parent is None else [ctx.command.name]


def metavar(parameter: Any) -> str:
    """Return how a parameter's value is written in usage lines."""
    return str(parameter.metavar or parameter.name.upper())


def option_names(option: Any) -> str:
    """Return an option's names, with the value that it takes."""
    names = ", ".join(sorted(option.opts, key=len))
    return names if option.is_flag else f"{names} {metavar(option)}"


def option_help(option: Any) -> str:
    """Return an option's help, with its default and its environment variable."""
    text = option.help or ""
    default = getattr(option.default, "value", option.default)
    if not option.is_flag and default is not None and not callable(default):
        text += f" Default: {default}."
    return f"{text} Variable: {option.envvar}." if option.envvar else text


def definitions(items: Iterable[tuple[str, str]]) -> list[str]:
    """Return two columns of names and texts, each text folded beside its name."""
    rows = list(items)
    width = min(max((len(name) for name, _ in rows), default=0), 30)
    lines: list[str] = []
    for name, text in rows:
        folded = textwrap.wrap(text, HELP_WIDTH - width - 4, break_on_hyphens=False) or [""]
        if len(name) > width:
            lines.append(name)
            name = ""
        lines.append(f"{name:<{width}}{_INDENT}{folded[0]}".rstrip())
        lines += [f"{'':<{width}}{_INDENT}{line}" for line in folded[1:]]
    return lines


def titled(title: str, lines: Sequence[str]) -> str:
    """Return a section of a help text, or nothing if it has no lines."""
    return "\n".join([f"{title}:", *(f"{_INDENT}{line}".rstrip() for line in lines)]) if lines else ""


def first_line(text: str | None) -> str:
    """Return the first sentence of a docstring, for a list of commands."""
    return (text or "").partition("\n")[0]


def _paragraphs(text: str | None) -> str:
    parts = [" ".join(part.split()) for part in (text or "").split("\n\n")]
    return "\n\n".join(textwrap.fill(part, HELP_WIDTH, break_on_hyphens=False) for part in parts)


def _store(_context: typer.Context, parameter: typer.CallbackParam, value: Any) -> Any:
    if value:
        setattr(invocation.current(), str(parameter.name), value)
    return value


def _shared(
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            "--tracking-uri",
            metavar="URI",
            callback=_store,
            help="Where runs and models are kept: a directory, a database URL or s3://bucket/prefix. "
            "By default REGISTRY_TRACKING_URI, or else file:./mlruns.",
        ),
    ] = None,
    artifact_location: Annotated[
        str | None,
        typer.Option(
            "--artifact-location",
            metavar="ROOT",
            callback=_store,
            help="Where the files of new experiments go: a directory or s3://bucket/prefix.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", callback=_store, help="Print one JSON document.")] = False,
    csv: Annotated[bool, typer.Option("--csv", callback=_store, help="Print CSV with a header.")] = False,
    header: Annotated[
        bool, typer.Option("--header", callback=_store, help="Print a header above tab-separated lines too.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", callback=_store, help="Print only ids, and no notes.")
    ] = False,
    no_input: Annotated[
        bool, typer.Option("--no-input", callback=_store, help="Never ask; without --yes, fail instead.")
    ] = False,
) -> None:
    """Take the options of every command. Nobody calls this: `_store` has them by then."""
    del tracking_uri, artifact_location, json, csv, header, quiet, no_input


@cache
def shared_options() -> Sequence[Any]:
    """Return the options of every command, as Typer's objects."""
    template = typer.Typer(add_completion=False)
    template.command()(_shared)
    options = get_command(template).params
    for option in options:
        option.expose_value = False
    return tuple(options)


def _with_shared(parameters: list[Any]) -> list[Any]:
    taken = {name for parameter in parameters for name in parameter.opts}
    return [*parameters, *(option for option in shared_options() if not taken.intersection(option.opts))]


def standalone() -> Noun:
    """Make a holder of one command that stands without a noun, such as ``doctor``."""
    return Noun(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
