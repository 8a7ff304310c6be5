"""``registry completion``: what a shell offers after Tab.

The shell calls ``registry __complete`` with the words so far; the answer is one line that says how to take it (`words`,
`nospace`, `file` or `dir`), then one candidate a line, with a tab and a description. Guarantees: whatever goes wrong,
nothing is printed and no database is made.
"""

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, get_args

import typer

from registry.cli import output
from registry.cli.commands import Group, first_line, shared_options, standalone

COMMAND: Final = "__complete"
_STAGES: Final = ("Production", "Staging", "Archived", "None")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Shell(StrEnum):
    """A shell that completes."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


app = standalone()


@app.command(
    "completion",
    examples=[
        "source <(registry completion bash)",
        "registry completion fish > ~/.config/fish/completions/registry.fish",
    ],
)
def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print the script that completes commands, options and names in a shell.

    bash: source <(registry completion bash) in ~/.bashrc. zsh: the same in ~/.zshrc, after compinit. fish: registry
    completion fish > ~/.config/fish/completions/registry.fish
    """
    output.line(_SCRIPTS[shell].strip("\n"))


@dataclass(frozen=True)
class Answer:
    """Candidates for the word under the cursor, with descriptions, and how the shell should take them."""

    candidates: Sequence[tuple[str, str]] = ()
    directive: str = "words"


def complete(root: Any, arguments: Sequence[str]) -> int:
    """Answer a shell's question; print nothing if that is not possible.

    For bash, `arguments` are the shell's name, the line up to the cursor and the characters at which bash breaks words;
    for other shells the name and the words, the last one up to the cursor.
    """
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)  # a warning of a driver would stand in the middle of the user's line
    try:
        shell, *words = arguments
        quote, broken = "", 0
        if shell == Shell.BASH:
            line, breaks = words
            words, quote, broken = _split(line, breaks)
        answer = answer_for(root, words)
        shown = [
            (_quoted(value, quote)[broken:] if shell == Shell.BASH else value, text)
            for value, text in answer.candidates
            if value.casefold().startswith(words[-1].casefold()) and not _CONTROL.search(value)
        ]
        lines = [value if shell == Shell.BASH else f"{value}\t{text}" for value, text in shown]
        sys.stdout.write("".join(f"{line}\n" for line in (answer.directive, *lines)))
        sys.stdout.flush()
    except Exception:  # noqa: BLE001 - the user is typing: no error may appear
        return 1
    return 0


def _split(line: str, breaks: str) -> tuple[list[str], str, int]:
    """Split a line of bash into words without the program.

    Return them with the quote that is open in the last one, and how many characters of it stand before the part that
    bash replaces: bash breaks words also at colons and at signs.
    """
    for quote in ("", "'", '"'):
        try:
            words = shlex.split(f"{line}{quote or 'x'}{quote and 'x'}")
        except ValueError:
            continue
        words[-1] = words[-1][:-1]
        current = _quoted(words[-1], quote)
        # An at sign itself is part of what bash replaces: readline takes it for the beginning of a host's name.
        head = max((current.rfind(mark) + (mark != "@") for mark in ":=@" if mark in breaks), default=0)
        return words[1:], quote, 0 if quote else head
    raise ValueError(line)


def _quoted(value: str, quote: str) -> str:
    """Return a candidate as bash text: a name may have blanks, or be a command substitution."""
    if quote == "'":
        return value.replace("'", r"'\''")
    if quote == '"':
        return re.sub(r'([$`"\\])', r"\\\1", value)
    return re.sub(r"([^\w@%+=:,./~-])", r"\\\1", value)


def answer_for(root: Any, words: Sequence[str]) -> Answer:
    """Return what may stand in the place of the last word."""
    *before, current = words
    line = _read_line(root, before)
    if line.expecting is not None:
        return _values(line, line.expecting, current)
    if current.startswith("--") and "=" in current and not line.only_arguments:
        name, _, value = current.partition("=")
        answer = _values(line, _find_option(line, name), value)
        return Answer([(f"{name}={item}", text) for item, text in answer.candidates], answer.directive)
    if current.startswith("-") and not line.only_arguments:
        return Answer(_options(line))
    if isinstance(line.command, Group):
        return Answer([*_commands(line.command)])
    arguments = [item for item in line.command.params if item.param_type_name == "argument"]
    if not arguments:
        return Answer()
    place = min(line.arguments, len(arguments) - 1)
    if line.arguments >= len(arguments) and arguments[-1].nargs != -1:
        return Answer()
    return _values(line, arguments[place], current)


@dataclass
class _Line:
    """The words before the cursor, as the parser will take them."""

    root: Any
    command: Any
    arguments: int = 0
    only_arguments: bool = False
    expecting: Any = None  # an option whose value comes next
    given: dict[str, str] = field(default_factory=dict)
    values: list[str] = field(default_factory=list)


def _read_line(root: Any, words: Iterable[str]) -> _Line:
    line = _Line(root, root)
    for word in words:
        if line.expecting is not None:
            line.given[line.expecting.name] = word
            line.expecting = None
        elif word == "--" and not line.only_arguments:
            line.only_arguments = True
        elif word.startswith("-") and len(word) > 1 and not line.only_arguments:
            name, equals, value = word.partition("=")
            option = _find_option(line, name)
            if option is not None and not option.is_flag:
                if equals:
                    line.given[option.name] = value
                else:
                    line.expecting = option
        elif isinstance(line.command, Group):
            group: Any = line.command
            line.command = group.get_command(None, word)
        else:
            line.arguments += 1
            line.values.append(word)
    return line


def _all_options(line: _Line) -> Iterator[Any]:
    seen: set[str] = set()
    for item in (*line.command.params, *shared_options()):
        if item.param_type_name == "option" and item.name not in seen:
            seen.add(item.name)
            yield item


def _find_option(line: _Line, name: str) -> Any:
    return next((item for item in _all_options(line) if name in (*item.opts, *item.secondary_opts)), None)


def _options(line: _Line) -> list[tuple[str, str]]:
    shown = [
        (name, (item.help or "").partition(".")[0])
        for item in _all_options(line)
        if not item.hidden
        for name in (*item.opts, *item.secondary_opts)
        if name.startswith("--")
    ]
    return sorted([*shown, ("--help", "Show the help of this command")])


def _commands(group: Any) -> Iterator[tuple[str, str]]:
    from registry.cli.app import PARTS, Program

    if isinstance(group, Program):  # whose nouns would all be imported to be asked
        yield from ((name, part.summary) for name, part in PARTS.items() if not part.is_hidden)
        return
    yield from ((name, first_line(command.help)) for name, command in group.visible_commands(None))


def _values(line: _Line, item: Any, current: str) -> Answer:
    """Return what an option or argument takes: choices, or what its metavar stands for."""
    if item is None:
        return Answer()
    choices = _choices(item)
    if choices:
        return Answer([(choice, "") for choice in choices])
    metavar = (item.metavar or "").strip("[]").rstrip(".…").upper()
    source = _SOURCES.get(metavar)
    return Answer() if source is None else source(line, current)


def _choices(item: Any) -> list[str]:
    annotation = item.type_descriptor.annotation
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, Enum):
            return [str(member.value) for member in kind]
    return []


def _stages(_line: _Line, current: str) -> Answer:
    lower = current.casefold()
    return Answer([(stage, "") for stage in _STAGES if stage.casefold().startswith(lower)])


def _models(line: _Line, current: str) -> Answer:
    return Answer([(name, "model") for name in _names(line, "models", current)])


def _experiments(line: _Line, current: str) -> Answer:
    return Answer([(name, "experiment") for name in _names(line, "experiments", current)])


def _aliases(line: _Line, _current: str) -> Answer:
    model = line.values[0] if line.values else ""
    return Answer([(name, "alias") for name in _names(line, "aliases", model)])


def _targets(line: _Line, current: str) -> Answer:
    """Complete a version: first the model's name, then its stages, versions and aliases."""
    scheme = "models:/" if current.startswith("models:/") else ""
    name, mark, _ = re.fullmatch(r"([^/@]*)([/@]?)(.*)", current[len(scheme) :], re.DOTALL).groups()  # type: ignore[union-attr]
    if not mark:
        found = _names(line, "models", name)
        return Answer([(f"{scheme}{item}{end}", "model") for item in found for end in "/@"], "nospace")
    if mark == "@":
        return Answer([(f"{scheme}{name}@{alias}", "alias") for alias in _names(line, "aliases", name)])
    places = [*_STAGES[:2], "latest", *_names(line, "versions", name)]
    return Answer([(f"{scheme}{name}/{place}", "version") for place in places])


def _uris(line: _Line, current: str) -> Answer:
    if current.startswith("models:/"):
        return _targets(line, current)
    schemes = [("models:/", "a version"), ("runs:/", "files of a run")]
    offered = [(scheme, text) for scheme, text in schemes if scheme.startswith(current)]
    return Answer(offered, "nospace") if offered else Answer(directive="file")


def _versions_of_model(line: _Line, current: str) -> Answer:
    """Complete the version beside a model's name, as in ``models alias churn champion 7``."""
    if not line.values:
        return _targets(line, current)
    return Answer([(number, "version") for number in _names(line, "versions", line.values[0])])


_SOURCES: Final[dict[str, Callable[[_Line, str], Answer]]] = {
    "STAGE": _stages,
    "NAME": _models,
    "MODEL": _models,
    "EXPERIMENT": _experiments,
    "E": _experiments,
    "ALIAS": _aliases,
    "VERSION": _versions_of_model,
    "V": _versions_of_model,
    "TARGET": _targets,
    "URI": _uris,
    "FILE": lambda _line, _current: Answer(directive="file"),
    "DIR": lambda _line, _current: Answer(directive="dir"),
}


def _names(line: _Line, kind: Any, argument: str) -> Sequence[str]:
    from registry.store.quick_names import read_names

    return read_names(_database_url(line.given.get("tracking_uri")), kind, argument)


def _database_url(tracking_uri: str | None) -> str:
    """Return the database of the command line or of the environment.

    `settings.place_of` knows more, but its imports alone take as long as a whole answer may.
    """
    given = tracking_uri or _setting("TRACKING_URI") or "file:./mlruns"
    if given.startswith("s3:"):
        given = _setting("BACKEND_STORE_URI") or "file:./mlruns"
    if given.startswith("sqlite"):
        head, _, path = given.partition(":///")
        return f"{head}:///{Path(path).absolute()}"
    if "://" in given and not given.startswith("file:"):
        return given
    path = re.sub(r"^file:(//(localhost)?(?=/))?", "", given)
    return f"sqlite:///{Path(path).absolute() / 'registry.db'}"


def _setting(name: str) -> str | None:
    return os.environ.get(f"REGISTRY_{name}") or os.environ.get(f"MLFLOW_{name}")


_BASH: Final = r"""
# Completion of registry in bash: source <(registry completion bash)
_registry_complete() {
    local answer directive candidate
    COMPREPLY=()
    answer=$(registry __complete bash "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null) || return 0
    {
        IFS= read -r directive
        while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done
    } <<<"$answer"
    case $directive in
        nospace) compopt -o nospace 2>/dev/null || true ;;
        file) compopt -o filenames 2>/dev/null || true
              while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done \
                  < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}") ;;
        dir) compopt -o filenames 2>/dev/null || true
             while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done \
                 < <(compgen -d -- "${COMP_WORDS[COMP_CWORD]}") ;;
    esac
    return 0
}
complete -F _registry_complete registry
"""
_ZSH: Final = r"""
#compdef registry
# Completion of registry in zsh: source <(registry completion zsh), after compinit.
_registry() {
    local -a lines values shown
    local directive line
    lines=("${(@f)$(registry __complete zsh "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    directive=$lines[1]
    for line in "${(@)lines[2,-1]}"; do
        values+=("${line%%$'\t'*}")
        shown+=("${line%%$'\t'*}${${line#*$'\t'}:+  -- ${line#*$'\t'}}")
    done
    case $directive in
        file) _files ;;
        dir) _files -/ ;;
        nospace) compadd -S '' -l -d shown -a values ;;
        words) compadd -l -d shown -a values ;;
    esac
}
if [ "$funcstack[1]" = "_registry" ]; then
    _registry "$@"
else
    compdef _registry registry
fi
"""
_FISH: Final = r"""
# Completion of registry in fish: registry completion fish > ~/.config/fish/completions/registry.fish
function __registry_complete
    set -l words (commandline -opc)
    set -l answer (registry __complete fish $words[2..-1] (commandline -ct) 2>/dev/null)
    or return 0
    switch $answer[1]
        case file
            __fish_complete_path (commandline -ct)
        case dir
            __fish_complete_directories (commandline -ct)
        case '*'
            printf '%s\n' $answer[2..-1]
    end
end
complete -c registry -f -a '(__registry_complete)'
"""
_SCRIPTS: Final = {Shell.BASH: _BASH, Shell.ZSH: _ZSH, Shell.FISH: _FISH}
