"""The program: its nouns, how a line is run, and what an error prints.

To add a noun, write a module beside this one and a line in `PARTS`; further commands of a noun come in modules of
their own, named in the same line. Guarantees: a module is imported only when its noun is used.
"""

import atexit
import gc
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from typer.main import get_command

from registry import __version__
from registry.cli import errors, exit_codes, invocation, output
from registry.cli.commands import Group, Noun, definitions, option_help, option_names, shared_options, titled
from registry.exceptions import RegistryError


@dataclass(frozen=True, slots=True)
class Part:
    """A noun or a command of the program: under which title help lists it, and its modules.

    The first module has the `Noun` as ``app``; the others add commands to it.
    """

    title: str
    summary: str
    modules: tuple[str, ...]
    is_hidden: bool = False


_TRACK: Final = "Runs and their files"
_MODELS: Final = "Models"
_OPERATE: Final = "Operation"
_OTHER: Final = "Other"

PARTS: Final[dict[str, Part]] = {
    "experiments": Part(
        _TRACK, "Groups of runs that share a place for files.", ("experiments", "experiment_changes", "copying")
    ),
    "runs": Part(
        _TRACK, "Runs: their params, metrics, data and models.", ("runs", "run_changes", "run_metrics", "copying")
    ),
    "artifacts": Part(_TRACK, "Files of runs and models.", ("artifacts",)),
    "sync": Part(_TRACK, "Send what an offline client logged to its registry.", ("sync",)),
    "models": Part(
        _MODELS,
        "Registered models: names with numbered versions.",
        (
            "models",
            "model_changes",
            "history",
            "transfer",
            "predict",
            "containers",
            "serve",
            "score",
            "evaluate",
            "compare_models",
            "copying",
        ),
    ),
    "versions": Part(
        _MODELS, "Versions: show, promote, approve and sign them.", ("versions", "version_changes", "promotion")
    ),
    "rules": Part(_MODELS, "What a version must pass to enter a stage.", ("rules",)),
    "monitor": Part(_MODELS, "Stages that are checked for drift, and the checks that are due.", ("monitor",)),
    "incident": Part(_MODELS, "What monitors found, and what became of it.", ("incident",)),
    "retrain": Part(_MODELS, "Train a new version, and promote it as far as the rules allow.", ("retrain",)),
    "events": Part(_MODELS, "What happens to all models, as it happens.", ("events",)),
    "db": Part(_OPERATE, "The database: schema, roles, copies, places of files.", ("db",)),
    "cache": Part(_OPERATE, "Downloaded models on this machine.", ("cache",)),
    "gc": Part(_OPERATE, "List or remove what nothing refers to.", ("gc",)),
    "doctor": Part(_OPERATE, "Check settings, database, files, cache and packages.", ("doctor",)),
    "ui": Part(_OTHER, "The page: runs and models in the browser.", ("ui",)),
    "import-mlflow": Part(_OTHER, "Move in from MLflow, with everything that it has.", ("import_mlflow",)),
    "import-runs": Part(_OTHER, "Move in from W&B's offline runs, or from trackio.", ("import_runs",)),
    "export-mlflow": Part(_OTHER, "Write everything into MLflow, by its own client.", ("export_mlflow",)),
    "demo": Part(_OTHER, "The main job on real data, step by step.", ("demo",)),
    "completion": Part(_OTHER, "Completion of commands and names in bash, zsh and fish.", ("completion",)),
    # What people guess: the command without its noun.
    "score": Part(_OTHER, "The same as 'registry models score'.", ("score",), is_hidden=True),
    "evaluate": Part(_MODELS, "The same as 'models evaluate'.", ("evaluate",), is_hidden=True),
    "compare-models": Part(_MODELS, "The same as 'models compare'.", ("compare_models",), is_hidden=True),
    "help": Part(_OTHER, "Exit codes, JSON, environment, filters, targets.", ("help_topics",)),
}

_EXAMPLES: Final = (
    "registry runs list --since 7d --best auc",
    "registry versions show churn/Production",
    "registry versions promote churn/7 Production --reason 'better auc'",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return the exit code.

    An error of the library, or a wrong command line, is one line on stderr; `exit_codes` has the codes.
    """
    if arguments is None:
        # Importing makes many objects that stay. Looking for garbage among them takes a tenth of a short command's
        # time, and a third of it when the interpreter ends.
        gc.set_threshold(50_000, 20, 20)
        atexit.register(gc.freeze)
    output.prepare_streams()
    invocation.begin()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["__complete"]:
        from registry.cli.completion import complete

        return complete(root_command(), arguments[1:])
    try:
        with warnings.catch_warnings():
            warnings.showwarning = output.warning
            code = _run(arguments)
        output.flush()
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return exit_codes.CLOSED_PIPE
    except OSError as error:
        _discard_output()
        return errors.report_output(error)
    return code


def _run(arguments: Sequence[str]) -> int:
    """Run a command line; return the exit code, after an error has been printed."""
    command: Any = root_command()
    try:
        with command.make_context("registry", list(arguments)) as context:
            command.invoke(context)
    except RegistryError as error:
        return errors.report(error)
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort:
        return exit_codes.INTERRUPTED
    except typer.TyperException as error:
        return errors.report_usage(error, arguments)
    return exit_codes.DONE


def _discard_output() -> None:
    """Keep the interpreter from flushing at exit into a stdout that takes nothing."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Program(Group):
    """The program as a group whose nouns are imported when they are used."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all nouns and commands."""
        del ctx
        return list(PARTS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a noun or command, or None."""
        del ctx
        return load(cmd_name) if cmd_name in PARTS else None

    def _is_hidden(self, ctx: Any, name: str) -> bool:
        del ctx
        return PARTS[name].is_hidden

    def get_help(self, ctx: Any) -> str:
        """Return the overview: examples, then nouns by title."""
        del ctx
        titles = dict.fromkeys(part.title for part in PARTS.values())
        sections = [
            titled(title, definitions((name, p.summary) for name, p in PARTS.items() if _is_shown(p, title)))
            for title in titles
        ]
        own = [parameter for parameter in self.params if parameter.param_type_name == "option"]
        return "\n\n".join(
            [
                "A model registry and run tracker: SQL tables and S3, no server.",
                titled("Examples", _EXAMPLES),
                "Usage: registry NOUN VERB [TARGET...] [OPTIONS]",
                *sections,
                titled("Everywhere", definitions((option_names(o), option_help(o)) for o in (*shared_options(), *own))),
                "'registry NOUN' lists the verbs of a noun, 'registry help' its topics.",
            ]
        )


def _is_shown(part: Part, title: str) -> bool:
    return part.title == title and not part.is_hidden


def load(name: str) -> Any:
    """Import a noun or command, and return it as Typer sees it."""
    noun, *others = [importlib.import_module(f"registry.cli.{module}") for module in PARTS[name].modules]
    del others  # they have added their commands to the noun
    command: Any = get_command(noun.app)
    command.name = name
    command.hidden = PARTS[name].is_hidden
    return command


def _show_version(is_given: bool) -> None:
    if is_given:
        output.line(f"registry {__version__}")
        raise typer.Exit


def _callback(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        output.line(context.get_help())


def root_command() -> Any:
    """Return the program as Typer sees it: a group of nouns and commands."""
    program = Noun(
        name="registry",
        cls=Program,
        callback=_callback,
        invoke_without_command=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    return get_command(program)
