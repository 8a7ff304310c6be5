"""Completion: what is offered, that shells take it, and that it never disturbs."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import registry
from registry.cli import completion
from registry.cli.app import main, root_command
from registry.cli.completion import answer_for
from registry.settings import current_settings, place_of

BREAKS = " \t\n\"'@><=;|&(:"


@pytest.fixture
def models(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(database_url)
    monkeypatch.setenv("REGISTRY_TRACKING_URI", database_url)


@pytest.fixture
def local_models(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill("sqlite:///registry.db")
    monkeypatch.setenv("REGISTRY_TRACKING_URI", "sqlite:///registry.db")


def fill(url: str) -> None:
    client = registry.MlflowClient(url)
    client.create_experiment("nba games")
    client.create_experiment("etl")
    for name in ("churn", "chess", "weird $(touch pwned) `x` 'n\""):
        client.create_registered_model(name)
    source = Path("source")
    source.mkdir(exist_ok=True)
    (source / "MLmodel").write_text("flavors: {}\n")
    for _ in range(2):
        client.register_model(str(source), "churn")
    client.set_registered_model_alias("churn", "champion", 2)
    client.delete_registered_model("chess")
    client.create_registered_model("chess")
    client.delete_experiment(client.create_experiment("gone"))


@pytest.fixture
def ask(capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """Return a function that asks as a shell does and returns the answer. Nothing may come on stderr."""
    saved = os.dup(2)

    def question(*arguments: str) -> str:
        capfd.readouterr()
        code = main(["__complete", *arguments])
        os.dup2(saved, 2)
        printed = capfd.readouterr()
        assert printed.err == ""
        assert (code == 0) == bool(printed.out)
        return printed.out

    yield question
    os.dup2(saved, 2)
    os.close(saved)


def offered(*words: str) -> list[str]:
    return [value for value, _ in answer_for(root_command(), words).candidates if value.startswith(words[-1])]


def test_nouns_verbs_and_options_are_offered() -> None:
    assert offered("mo") == ["models", "monitor"]
    assert {"artifacts", "runs", "completion"} <= set(offered(""))
    assert offered("models", "re") == ["register", "rename"]
    assert offered("runs", "list", "--tr") == ["--tracking-uri"]
    assert "--json" in offered("--json", "runs", "list", "--")
    assert offered("completion", "") == ["bash", "zsh", "fish"]
    assert offered("models", "predict", "churn/1", "--input-format", "") == ["csv", "parquet", "json"]
    assert offered("models", "predict", "churn/1", "--input-format=p") == ["--input-format=parquet"]


def test_names_of_a_store_are_offered(models: None) -> None:
    assert offered("models", "show", "ch") == ["chess", "churn"]
    assert offered("runs", "list", "-e", "") == ["Default", "etl", "nba games"]
    assert offered("experiments", "show", "n") == ["nba games"]
    assert offered("versions", "show", "churn/") == [
        "churn/Production",
        "churn/Staging",
        "churn/latest",
        "churn/2",
        "churn/1",
    ]
    assert offered("versions", "show", "churn@") == ["churn@champion"]
    assert offered("artifacts", "download", "models:/churn@c") == ["models:/churn@champion"]
    assert offered("models", "unalias", "churn", "") == ["champion"]
    assert offered("models", "alias", "churn", "x", "") == ["2", "1"]
    assert offered("versions", "promote", "churn/2", "P") == ["Production"]
    assert offered("artifacts", "list", "ru") == ["runs:/"]


def test_files_and_directories_are_left_to_the_shell(local_models: None) -> None:
    def directive(*words: str) -> str:
        return answer_for(root_command(), words).directive

    assert directive("models", "predict", "churn/1", "-i", "") == "file"
    assert directive("artifacts", "download", "churn/1", "-d", "") == "dir"
    assert directive("artifacts", "download", "./b") == "file"
    assert directive("versions", "show", "chu") == "nospace"


def test_nothing_is_offered_where_nothing_is_known(local_models: None) -> None:
    assert offered("models", "show", "churn", "") == []
    assert offered("db", "current", "") == []
    assert offered("models", "edit", "churn", "--description", "") == []
    assert offered("models", "show", "--nonsense=") == []
    assert offered("models", "show", "--", "--x") == []


@pytest.mark.parametrize(
    "place", ["sqlite:////nonexist/x.db", "postgresql://nobody@127.0.0.1:9/x", "http://x", "s3://b/p"]
)
def test_a_store_that_cannot_be_read_is_silence(ask: Callable[..., str], own_place: Path, place: str) -> None:
    assert ask("bash", f"registry models show --tracking-uri {place} ", BREAKS) == ""
    assert list(own_place.iterdir()) == []
    assert not Path("/nonexist").exists()


@pytest.mark.parametrize(
    "arguments", [[], ["bash"], ["zsh", "nosuch", ""], ["bash", "registry 'a \"", ""], ["tcsh", "x"]]
)
def test_a_question_that_makes_no_sense_is_silence(
    ask: Callable[..., str], own_place: Path, arguments: Sequence[str]
) -> None:
    assert ask(*arguments) in ("", "words\n")


def test_completion_imports_nothing_heavy(local_models: None) -> None:
    code = (
        "import sys; from registry.cli import main; main(['__complete', 'zsh', 'models', 'show', '']); "
        "heavy = 'sqlalchemy alembic pydantic boto3 lark pandas numpy rich yaml'.split(); "
        "sys.exit([name for name in heavy if name in sys.modules] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert "churn\tmodel" in done.stdout.splitlines()


def test_a_name_that_a_shell_would_run_is_offered_as_text(local_models: None, ask: Callable[..., str]) -> None:
    _, line = ask("bash", "registry models show w", BREAKS).splitlines()
    assert line == r"weird\ \$\(touch\ pwned\)\ \`x\`\ \'n\""
    assert ask("bash", 'registry models show "w', BREAKS).splitlines()[1:] == [r"weird \$(touch pwned) \`x\` 'n\""]
    # Inside a quote, bash takes the text as it is, up to the quote's own character.
    single = ask("bash", "registry models show 'w", BREAKS).splitlines()[1:]
    assert single == ["weird $(touch pwned) `x` '\\''n\""]


def test_a_name_that_would_act_on_the_terminal_is_not_offered(local_models: None, ask: Callable[..., str]) -> None:
    with contextlib.closing(sqlite3.connect("registry.db")) as connection:  # the library itself refuses such names
        connection.execute("UPDATE registered_models SET name = 'chu' || char(27) || '[31m' WHERE name = 'churn'")
        connection.commit()

    assert ask("zsh", "models", "show", "ch") == "words\nchess\tmodel\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_printed_for_each_shell(cli: Callable, shell: str) -> None:
    outcome = cli("completion", shell)

    assert outcome.code == 0
    assert "registry __complete" in outcome.out
    assert cli("completion", "tcsh").code == 2


def needs(shell: str) -> str:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed here")
    return path


def environment() -> dict[str, str]:
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def bash_completes(line: str, words: Sequence[str]) -> list[str]:
    """Load the script as a user does, and call what bash calls after Tab."""
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
    whole = line.replace("'", "'\\''")
    script = (
        "set -eu; source <(registry completion bash); complete -p registry >/dev/null; "
        f"COMP_LINE='{whole}'; COMP_POINT=${{#COMP_LINE}}; "
        f"COMP_WORDS=({quoted}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); "
        "_registry_complete; printf '%s\\n' \"${COMPREPLY[@]-}\""
    )
    done = subprocess.run(
        [needs("bash"), "--norc", "-c", script], env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [word for word in done.stdout.splitlines() if word]


def test_bash_completes(local_models: None) -> None:
    Path("data.csv").write_text("x\n")

    assert bash_completes("registry mod", ["registry", "mod"]) == ["models"]
    assert bash_completes("registry models show chu", ["registry", "models", "show", "chu"]) == ["churn"]
    # bash breaks words at colons and at signs, and replaces only the last part.
    split = ["registry", "artifacts", "download", "models", ":", "/churn", "@ch"]
    assert bash_completes("registry artifacts download models:/churn@ch", split) == ["@champion"]
    split = ["registry", "runs", "list", "--experiment", "=", "e"]
    assert bash_completes("registry runs list --experiment=e", split) == ["etl"]
    split = ["registry", "models", "predict", "churn/1", "-i", "da"]
    assert bash_completes("registry models predict churn/1 -i da", split) == ["data.csv"]
    assert bash_completes("registry nosuch ", ["registry", "nosuch", ""]) == []
    assert not Path("pwned").exists()


def test_bash_completes_at_a_terminal(local_models: None) -> None:
    """Type into an interactive bash, press Tab, and run what stands there."""
    from terminals import Terminal

    with Terminal([needs("bash"), "--norc", "--noprofile", "-i"], environment() | {"PS1": "ready> "}) as terminal:
        terminal.expect("ready> ")
        terminal.send("source <(registry completion bash)\n")
        terminal.expect("ready> ")
        terminal.send("registry vers\t")
        terminal.expect("registry versions ")
        terminal.send("show chur\t")
        terminal.expect("churn")
        terminal.send("@\t")
        terminal.expect("champion")
        terminal.send(" -q\n")
        assert "churn/2" in terminal.expect("ready> ")


def test_zsh_completes_at_a_terminal(local_models: None) -> None:
    from terminals import Terminal

    shell = [needs("zsh"), "-f", "-i"]
    with Terminal(shell, environment() | {"PS1": "ready> ", "TERM": "dumb"}) as terminal:
        terminal.expect("ready> ")
        terminal.send("autoload -U compinit; compinit -u -D; source <(registry completion zsh)\n")
        terminal.expect("ready> ")
        terminal.send("registry vers\t")
        terminal.expect("versions")
        terminal.send("show churn@\t")
        terminal.expect("champion")
        terminal.send(" -q\n")
        assert "churn/2" in terminal.expect("ready> ")


def test_fish_completes(local_models: None) -> None:
    script = (
        "registry completion fish | source; complete -C 'registry versions show churn@'; complete -C 'registry mod'"
    )
    done = subprocess.run(
        [needs("fish"), "--no-config", "-c", script], env=environment(), capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "churn@champion\talias"
    assert done.stdout.splitlines()[1].startswith("models\t")


def test_a_word_is_answered_without_what_bash_has_already(local_models: None, ask: Callable[..., str]) -> None:
    assert ask("bash", "registry artifacts list models:/churn@ch", BREAKS) == "words\n@champion\n"
    assert ask("bash", "registry artifacts list models:/churn@ch", " \t\n") == "words\nmodels:/churn@champion\n"
    assert ask("bash", 'registry artifacts list "models:/churn@ch', BREAKS) == "words\nmodels:/churn@champion\n"
    assert ask("fish", "models", "show", "CHU") == "words\nchurn\tmodel\n"
    assert ask("zsh", "runs", "list", "--experiment=nba games", "--view", "a") == "words\nactive\t\nall\t\n"


@pytest.mark.parametrize(
    ("variables", "database"),
    [
        ({"REGISTRY_TRACKING_URI": "", "MLFLOW_TRACKING_URI": "sqlite:///a.db"}, "sqlite:///{here}/a.db"),
        ({"REGISTRY_TRACKING_URI": "file:///data/runs"}, "sqlite:////data/runs/registry.db"),
        ({"REGISTRY_TRACKING_URI": "file:runs"}, "sqlite:///{here}/runs/registry.db"),
        ({"REGISTRY_TRACKING_URI": "s3://b/p", "REGISTRY_BACKEND_STORE_URI": "postgresql://h/d"}, "postgresql://h/d"),
        ({"REGISTRY_TRACKING_URI": "s3://b/p"}, "sqlite:///{here}/mlruns/registry.db"),
        ({}, "sqlite:///{here}/mlruns/registry.db"),
    ],
)
def test_names_come_from_the_database_that_commands_use(
    own_place: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], database: str
) -> None:
    monkeypatch.delenv("REGISTRY_TRACKING_URI", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert completion._database_url(None) == database.format(here=own_place)
    if "s3" not in str(variables):
        settings = current_settings()
        assert place_of(settings.tracking_uri, settings).database_url == database.format(here=own_place)
