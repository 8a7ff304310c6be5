"""The program: help, errors in one line, and importing little."""

import subprocess
import sys
from collections.abc import Callable

import pytest

import registry
from registry.cli.app import PARTS


def test_the_version_is_printed(cli: Callable) -> None:
    assert cli("--version").out == f"registry {registry.__version__}\n"


def test_help_lists_every_noun_and_is_shown_when_called_alone(cli: Callable) -> None:
    alone = cli()

    assert alone.code == 0
    assert alone.out == cli("--help").out
    for noun, part in PARTS.items():
        assert (f"\n  {noun} " in alone.out) == (not part.is_hidden)


@pytest.mark.parametrize("noun", ["experiments", "runs", "models", "versions", "db"])
def test_a_noun_alone_shows_its_help(cli: Callable, noun: str) -> None:
    outcome = cli(noun)

    assert outcome.code == 0
    assert f"Usage: registry {noun} COMMAND [OPTIONS]" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["models", "lst"], "No such command 'lst'. Did you mean 'list'? Try 'registry models --help'."),
        (
            ["models", "list", "--hedaer"],
            "No such option: --hedaer (Possible options: --header). Try 'registry models list --help'.",
        ),
        (["models", "show"], "Missing argument 'NAME'. Try 'registry models show --help'."),
        (["modles", "list"], "No such command 'modles'. Did you mean 'models'? Try 'registry --help'."),
        (["runs", "-x"], "No such option: -x. Try 'registry runs --help'."),
        (
            ["versions", "promote", "churn", "1", "Production"],
            "Got unexpected extra argument(s) (Production). A version is one word, such as churn/7. "
            "Try 'registry versions promote --help'.",
        ),
        (["models", "show", "churn", "1"], "Got unexpected extra argument(s) (1). Try 'registry models show --help'."),
        (
            ["models", "register", "runs:/3f2a/model", "churn"],
            "The name comes first: registry models register churn runs:/3f2a/model",
        ),
        (
            ["run", "list"],
            "MLproject files are not run here; call the script itself. Runs that are logged: 'registry runs list'. "
            "Try 'registry --help'.",
        ),
    ],
)
def test_a_mistyped_command_line_is_one_line_on_stderr(cli: Callable, arguments: list[str], said: str) -> None:
    outcome = cli(*arguments)

    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"registry: {said}\n"


@pytest.mark.parametrize("arguments", [["--view", "gone"], ["--limit", "0"], ["--limit", "many"]])
def test_a_wrong_value_of_an_option_is_one_line_that_names_it(cli: Callable, arguments: list[str]) -> None:
    outcome = cli("runs", "list", *arguments)

    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert outcome.err.startswith(f"registry: Invalid value for '{arguments[0]}'")


def test_a_control_character_of_an_argument_is_not_echoed_raw(cli: Callable) -> None:
    assert "\x1b" not in cli("models", "show", "\x1b[31mred").err


@pytest.mark.parametrize("arguments", [["--help"], ["runs", "--help"], ["runs", "list", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from registry.cli import main; main(sys.argv[1:]); "
        "heavy = 'sqlalchemy alembic rich.console boto3 lark pandas numpy xgboost sklearn'.split(); "
        "sys.exit([name for name in heavy if name in sys.modules] or 0)"
    )

    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["db", "current"], ["--help"], ["models", "list", "--json"], ["models", "list"]])
def test_a_reader_that_leaves_early_is_as_if_by_sigpipe(filled: object, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "registry", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.close()

        assert writer.stderr.read() == b""
        assert writer.wait() == 141


def test_a_character_that_the_terminal_cannot_show_is_an_escape(filled: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from registry.cli import main; main(['versions', 'show', 'é/1'])"],
        capture_output=True,
        check=False,
        env={"PYTHONIOENCODING": "ascii", "REGISTRY_TRACKING_URI": "file:./mlruns"},
    )

    assert b"\\xe9" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_noun_is_loaded_without_what_its_commands_use() -> None:
    code = """if True:
        import sys
        from registry.cli.app import PARTS, load
        for name in PARTS:
            load(name)
            heavy = {"sqlalchemy", "pydantic.main", "pandas", "numpy", "starlette", "jinja2"} & sys.modules.keys()
            if heavy:
                sys.exit(f"{name} imports {heavy}")
    """

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
