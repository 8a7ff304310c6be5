"""MLflow's commands in this program's words, so that ``alias mlflow=registry`` runs scripts as they are.

Holds MLflow's own spellings, and those that people write although MLflow lacks them. They are part of the interface for
good, and no list of commands shows them. Guarantees: a command line in this program's own words is never changed.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Values = Mapping[str, str]
Targets = Callable[[Values], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a command of MLflow is said here.

    Attributes:
        command: The noun and verb that run it; one word for a command without a noun.
        takes: Options of MLflow whose values `targets` makes arguments of, with the name of each value.
        targets: Makes the arguments; they stand before what is left of the line.
        renames: Options that have another name here; one that ends with an equals sign is followed by the value.
        flags: Options without value: what they are here, or nothing if they have no effect.
        drops: Options with a value that has no effect here, except that ``json`` becomes ``--json``.
        adds: Words at the end, if the line is in MLflow's words.
    """

    command: tuple[str, ...]
    takes: Mapping[str, str] = field(default_factory=dict)
    targets: Targets = lambda values: [*values.values()]
    renames: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)
    drops: frozenset[str] = frozenset()
    adds: Callable[[Sequence[str]], Sequence[str]] = lambda _words: ()


def translate(command: tuple[str, ...], words: Sequence[str], find: Callable[[tuple[str, ...]], Any]) -> "Line | None":
    """Return the command line in this program's words, or None if it is no spelling of MLflow's.

    Args:
        command: The noun and verb as they were written.
        words: The words after them.
        find: Returns a command as Typer sees it, whose own options with their values are passed over.
    """
    spelling = SPELLINGS.get(command)
    if spelling is None:
        return None
    target = find(spelling.command)
    valued = {name for item in target.params if not getattr(item, "is_flag", True) for name in item.opts}
    valued.update(("--tracking-uri", "--artifact-location"))
    values: dict[str, str] = {}
    kept: list[str] = []
    said: list[str] = []  # what an option of MLflow became: the last word is its, as of two equal options
    waiting = list(words)
    is_mlflows = spelling.command != command
    while waiting:
        word = waiting.pop(0)
        name, equals, inline = _split(word, spelling)
        if word == "--":
            kept += [word, *waiting]
            break
        known = name in spelling.takes or name in spelling.renames or name in spelling.drops
        if known and word.startswith("-"):
            if not equals and not waiting:
                kept.append(word)  # the parser says that its value is missing
                break
            value = inline if equals else waiting.pop(0)
            is_mlflows = is_mlflows or name not in valued
            if name in spelling.takes:
                values[spelling.takes[name]] = value
            elif name in spelling.renames:
                said += _renamed(spelling.renames[name], value)
            elif value == "json":
                said.append("--json")
        elif word in spelling.flags:
            is_mlflows = True
            said += spelling.flags[word].split()
        else:
            kept.append(word)
            if name in valued and not equals and waiting:
                kept.append(waiting.pop(0))
    arguments = spelling.targets(values) if values else []
    line = [*arguments, *kept, *said]
    return Line(spelling.command, [*line, *spelling.adds(line)] if is_mlflows else line)


@dataclass(frozen=True, slots=True)
class Line:
    """A command and the words after it."""

    command: tuple[str, ...]
    words: Sequence[str]


def absent(command: tuple[str, ...]) -> str | None:
    """Return why MLflow's command does not exist here, and what to do instead; None for any other command."""
    return _ABSENT.get(command) or _ABSENT.get(command[:1])


def _split(word: str, spelling: Spelling) -> tuple[str, str, str]:
    """Split ``--name=value``, and ``-xvalue`` for an option of MLflow's."""
    if word[:1] == "-" and word[1:2] not in ("-", "") and len(word) > 2:
        name = word[:2]
        if name in spelling.takes or name in spelling.renames:
            return name, "=", word[2:].removeprefix("=")
    return word.partition("=")


def _renamed(ours: str, value: str) -> Sequence[str]:
    option, _, start = ours.partition(" ")
    return [option, f"{start}{_VALUES.get(value, value)}"]


def _files(values: Values) -> Sequence[str]:
    if "run" not in values:
        return [value for key, value in values.items() if key == "uri"]
    return [f"runs:/{values['run']}/{values.get('path', '')}".rstrip("/")]


def _upload(values: Values) -> Sequence[str]:
    path = ["--path", values["path"]] if "path" in values else []
    return [*(values[key] for key in ("run", "file") if key in values), *path]


def _rename(values: Values) -> Sequence[str]:
    return [values[key] for key in ("experiment", "new") if key in values]


def _version(values: Values) -> Sequence[str]:
    name, number = values.get("name", ""), values.get("version")
    is_whole = number is None or name.startswith("models:/")
    return [name if is_whole else f"{name}/{number}", *([values["stage"]] if "stage" in values else [])]


def _alias(values: Values) -> Sequence[str]:
    return [values[key] for key in ("name", "alias", "version") if key in values]


def _registration(values: Values) -> Sequence[str]:
    uri = f"runs:/{values['run']}/{values.get('path', 'model')}" if "run" in values else values.get("uri")
    return [text for text in (values.get("name"), uri) if text is not None]


def _prediction_format(words: Sequence[str]) -> Sequence[str]:
    """MLflow writes JSON, whatever the file's name; here a name that says CSV or Parquet is believed."""
    target = next((after for word, after in itertools.pairwise(words) if word in ("-o", "--output")), "")
    return [] if target.endswith((".csv", ".parquet")) else ["--output-format", "json"]


def _context_directory(words: Sequence[str]) -> Sequence[str]:
    """MLflow has a directory by default."""
    return [] if {"-d", "--directory"}.intersection(words) else ["--directory", "mlflow-dockerfile"]


_VALUES: Final = {"active_only": "active", "deleted_only": "deleted"}
_EXPERIMENT: Final = {
    "-x": "experiment",
    "--experiment-id": "experiment",
    "-n": "experiment",
    "--experiment-name": "experiment",
}
_RUN: Final = {"-r": "run", "--run-id": "run"}
_PATH: Final = {"-a": "path", "--artifact-path": "path"}
_NAME: Final = {"-n": "name", "--name": "name", "--model-name": "name", "--model": "name"}
_VERSION: Final = {**_NAME, "-m": "name", "--model-uri": "name", "-v": "version", "--version": "version"}
_STAGE: Final = {**_VERSION, "-s": "stage", "--stage": "stage", "--to-stage": "stage"}
_URI: Final = {"-m": "uri", "--model-uri": "uri"}
_VIEW: Final = {"-v": "--view", "--view": "--view"}
_OF_EXPERIMENT: Final = {
    "--exp-id": "--experiment",
    "--experiment-id": "--experiment",
    "--experiment-name": "--experiment",
    "-x": "--experiment",
}
_SEARCH: Final = {
    **_VIEW,
    **_OF_EXPERIMENT,
    "--filter-string": "--filter",
    "--sort-by": "--order-by",
}
_OUTPUT: Final = frozenset({"--output", "--output-format"})
_ENVIRONMENT: Final = frozenset({"--env-manager", "--mlflow-home", "--install-java"})
_NO_EFFECT: Final = {"--no-conda": "", "--install-mlflow": "", "-I": "", "--enable-mlserver": ""}
_DOWNLOAD: Final = Spelling(
    ("artifacts", "download"),
    {**_RUN, **_PATH, **_URI, "-u": "uri", "--artifact-uri": "uri"},
    _files,
    {"-t": "--tracking-uri", "--dst": "--directory"},
)
_GUESSED_DOWNLOAD: Final = Spelling(
    ("artifacts", "download"),
    {**_DOWNLOAD.takes, **_NAME, "-A": "path"},
    lambda values: _files(values) or [values["name"]],
    {**_DOWNLOAD.renames, "-o": "--directory", "--output": "--directory", "--output-path": "--directory"},
)
_UPLOAD: Final = Spelling(
    ("artifacts", "upload"),
    {**_RUN, **_PATH, "-l": "file", "--local-file": "file", "--local-dir": "file", "--local-path": "file"},
    _upload,
)
_PROMOTE: Final = Spelling(
    ("versions", "promote"), _STAGE, _version, flags={"--archive-existing-versions": "", "--archive": ""}
)
_REGISTER: Final = Spelling(
    ("models", "register"), {**_URI, **_NAME, **_RUN, **_PATH}, _registration, {"-t": "--tag", "--tags": "--tag"}
)
_DELETE_VERSION: Final = Spelling(("versions", "delete"), _VERSION, _version)
_SHOW_EXPERIMENT: Final = Spelling(("experiments", "show"), _EXPERIMENT, drops=_OUTPUT)
_SHOW_RUN: Final = Spelling(("runs", "show"), _RUN, drops=_OUTPUT)
_LIST_RUNS: Final = Spelling(("runs", "list"), renames=_SEARCH, drops=_OUTPUT)
_LIST_EXPERIMENTS: Final = Spelling(("experiments", "list"), renames=_SEARCH, drops=_OUTPUT)
_SHOW_MODEL: Final = Spelling(("models", "show"), _NAME, drops=_OUTPUT)
_LIST_VERSIONS: Final = Spelling(("versions", "list"), _NAME, renames={"--filter-string": "--filter"}, drops=_OUTPUT)
_SHOW_VERSION: Final = Spelling(("versions", "show"), _STAGE, _version, drops=_OUTPUT)

SPELLINGS: Final[Mapping[tuple[str, ...], Spelling]] = {
    # MLflow's own.
    ("artifacts", "download"): _DOWNLOAD,
    ("artifacts", "list"): Spelling(("artifacts", "list"), {**_RUN, **_PATH}, _files),
    ("artifacts", "log-artifact"): _UPLOAD,
    ("artifacts", "log-artifacts"): Spelling(
        ("artifacts", "upload"), _UPLOAD.takes, _upload, adds=lambda _words: ["--contents"]
    ),
    ("doctor",): Spelling(("doctor",), flags={"--mask-envs": ""}),
    ("experiments", "create"): Spelling(("experiments", "create"), _EXPERIMENT, renames={"-l": "--artifact-location"}),
    ("experiments", "csv"): Spelling(("experiments", "csv"), _EXPERIMENT, renames={"--filename": "--output"}),
    ("experiments", "delete"): Spelling(("experiments", "delete"), _EXPERIMENT, adds=lambda _words: ["--yes"]),
    ("experiments", "get"): _SHOW_EXPERIMENT,
    ("experiments", "list"): _LIST_EXPERIMENTS,
    ("experiments", "rename"): Spelling(("experiments", "rename"), {**_EXPERIMENT, "--new-name": "new"}, _rename),
    ("experiments", "restore"): Spelling(("experiments", "restore"), _EXPERIMENT),
    ("experiments", "search"): _LIST_EXPERIMENTS,
    ("gc",): Spelling(
        ("gc",), renames={"--backend-store-uri": "--tracking-uri"}, drops=frozenset({"--artifacts-destination"})
    ),
    ("models", "generate-dockerfile"): Spelling(
        ("models", "generate-dockerfile"),
        _URI,
        renames={"--output-directory": "--directory"},
        flags=_NO_EFFECT,
        drops=_ENVIRONMENT,
        adds=_context_directory,
    ),
    ("models", "predict"): Spelling(
        ("models", "predict"),
        _URI,
        renames={
            "--input-path": "--input",
            "--output-path": "--output",
            "-t": "--input-format",
            "--content-type": "--input-format",
        },
        flags=_NO_EFFECT,
        drops=_ENVIRONMENT,
        adds=_prediction_format,
    ),
    ("models", "serve"): Spelling(
        ("models", "serve"),
        _URI,
        renames={"-h": "--host"},
        flags=_NO_EFFECT,
        drops=_ENVIRONMENT,
    ),
    ("runs", "create"): Spelling(
        ("runs", "create"),
        renames={
            **_OF_EXPERIMENT,
            "--run-name": "--name",
            "-t": "--tag",
            "--tags": "--tag",
            "--description": "--tag mlflow.note.content=",
            "--parent-run-id": "--tag mlflow.parentRunId=",
        },
    ),
    ("runs", "delete"): Spelling(("runs", "delete"), _RUN, adds=lambda _words: ["--yes"]),
    ("runs", "describe"): Spelling(("runs", "show"), _RUN, drops=_OUTPUT, adds=lambda _words: ["--json"]),
    ("runs", "list"): _LIST_RUNS,
    ("runs", "restore"): Spelling(("runs", "restore"), _RUN),
    # What people write although MLflow lacks it.
    ("experiments", "describe"): _SHOW_EXPERIMENT,
    ("experiments", "get-by-name"): Spelling(("experiments", "show"), {**_EXPERIMENT, "--name": "experiment"}),
    ("experiments", "show"): _SHOW_EXPERIMENT,
    ("models", "create-version"): Spelling(
        ("models", "register"), {**_REGISTER.takes, "--source": "uri"}, _registration, _REGISTER.renames
    ),
    ("models", "delete"): Spelling(("models", "delete"), _NAME),
    ("models", "delete-registered-model"): Spelling(("models", "delete"), _NAME),
    ("models", "delete-alias"): Spelling(("models", "unalias"), {**_NAME, "--alias": "alias"}, _alias),
    ("models", "delete-model-version"): _DELETE_VERSION,
    ("models", "delete-version"): _DELETE_VERSION,
    ("models", "describe"): _SHOW_MODEL,
    ("models", "download"): _GUESSED_DOWNLOAD,
    ("models", "get"): _SHOW_MODEL,
    ("models", "get-version"): _SHOW_VERSION,
    ("models", "list-versions"): _LIST_VERSIONS,
    ("models", "promote"): _PROMOTE,
    ("models", "register"): _REGISTER,
    ("models", "register-model"): _REGISTER,
    ("models", "restore-model-version"): Spelling(("versions", "restore"), _VERSION, _version),
    ("models", "restore-version"): Spelling(("versions", "restore"), _VERSION, _version),
    ("models", "search"): Spelling(("models", "list"), renames={"--filter-string": "--filter"}),
    ("models", "search-model-versions"): _LIST_VERSIONS,
    ("models", "set-alias"): Spelling(
        ("models", "alias"),
        {**_NAME, "--alias": "alias", "-a": "alias", "--version": "version", "-v": "version"},
        _alias,
    ),
    ("models", "show"): _SHOW_MODEL,
    ("models", "transition"): _PROMOTE,
    ("models", "transition-model-version-stage"): _PROMOTE,
    ("models", "transition-stage"): _PROMOTE,
    ("models", "transition-version-stage"): _PROMOTE,
    ("runs", "get"): _SHOW_RUN,
    ("runs", "search"): _LIST_RUNS,
    ("runs", "show"): _SHOW_RUN,
    ("ui",): Spelling(
        ("ui",),
        renames={
            "--backend-store-uri": "--tracking-uri",
            "--default-artifact-root": "--artifact-location",
        },
        drops=frozenset(
            {"--registry-store-uri", "--artifacts-destination", "--workers", "-w", "--cors-allowed-origins"}
        ),
    ),
}

_ABSENT: Final[Mapping[tuple[str, ...], str]] = {
    ("server",): "There is no server here: every program opens the database itself. Set REGISTRY_TRACKING_URI.",
    ("run",): "MLproject files are not run here; call the script itself. Runs that are logged: 'registry runs list'.",
    ("projects",): "MLproject files are not run here; call the script itself.",
    ("deployments",): "There is no deployment client here; 'registry models generate-dockerfile' makes an image.",
    ("sagemaker",): "There is no deployment client here; 'registry models generate-dockerfile' makes an image.",
    ("experiments", "update"): "Only traces have such settings, and there are no traces here.",
    ("models", "build-docker"): "Write the build context and build it: "
    "registry models generate-dockerfile URI -d DIR && docker build -t NAME DIR",
    ("models", "prepare-env"): "Download the model and install what it needs: "
    "registry artifacts download URI -d DIR && pip install -r DIR/requirements.txt",
    ("models", "update-pip-requirements"): "A sealed model never changes; log it again with pip_requirements=[...].",
    ("runs", "link-traces"): "There are no traces here.",
}
