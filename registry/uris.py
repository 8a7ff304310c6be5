"""The URIs that name a model, a run's artifacts or a place for bytes, parsed once by one grammar and matched whole.

Owns the way from text to value and back; what a value stands for is looked up elsewhere. A ``file:`` URI is
percent-decoded once, as RFC 8089 has it; nothing else is decoded, stripped or repaired. Secrets in a URI are not shown.
Guarantee: ``parse(str(parse(text))) == parse(text)`` for every text that parses.

===================================  ======================  ==============================================
``models:/<name>/<version>``         `ModelVersionUri`       version: ASCII digits
``models:/<name>/<Stage>``           `ModelStageUri`         None, Staging, Production, Archived in any case
``models:/<name>/latest``            `ModelLatestUri`        also ``models:/<name>@latest``
``models:/<name>@<alias>``           `ModelAliasUri`
``models:/<model_id>``               `LoggedModelUri`        ``m-`` and 32 hexadecimal digits
``runs:/<run_id>/<path>``            `RunUri`                the path may be missing: the run's root
``s3://<bucket>/<key>``              `S3Uri`                 the key may be missing: the whole bucket
a path, ``file:<path>``              `LocalUri`              relative to the working directory, or absolute
===================================  ======================  ==============================================

A ``/<path>`` may follow any of the ``models:`` forms where a file inside the model is meant, and ``?at=<ISO time>``
comes last, after a stage or an alias.
"""

import os
import re
import unicodedata
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NoReturn, TypeAlias, TypeVar

from registry.entities.stages import ACTIVE_STAGES, ALL_STAGES, parse_stage
from registry.entities.times import format_time, parse_time
from registry.exceptions import InvalidParameterError, InvalidUriError
from registry.validation.names import check_alias, check_model_name, check_run_id, check_version
from registry.validation.paths import check_local_path, check_path

MAX_URI: Final = 4_096

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ModelVersionUri:
    """One version of a registered model, or a file of it."""

    name: str
    version: int
    path: str | None = None

    def __str__(self) -> str:
        return f"models:/{self.name}/{self.version}{_tail(self.path)}"


@dataclass(frozen=True, slots=True)
class ModelStageUri:
    """The version that holds a stage, now or at a moment (aware, UTC), or a file of it."""

    name: str
    stage: str
    at: datetime | None = None
    path: str | None = None

    def __str__(self) -> str:
        return f"models:/{self.name}/{self.stage}{_tail(self.path, self.at)}"


@dataclass(frozen=True, slots=True)
class ModelLatestUri:
    """The version with the highest number, in whichever stage, or a file of it."""

    name: str
    path: str | None = None

    def __str__(self) -> str:
        return f"models:/{self.name}/latest{_tail(self.path)}"


@dataclass(frozen=True, slots=True)
class ModelAliasUri:
    """The version that bears an alias, now or at a moment (aware, UTC), or a file of it."""

    name: str
    alias: str
    at: datetime | None = None
    path: str | None = None

    def __str__(self) -> str:
        return f"models:/{self.name}@{self.alias}{_tail(self.path, self.at)}"


@dataclass(frozen=True, slots=True)
class LoggedModelUri:
    """A logged model by its id, or a file of it."""

    model_id: str
    path: str | None = None

    def __str__(self) -> str:
        return f"models:/{self.model_id}{_tail(self.path)}"


@dataclass(frozen=True, slots=True)
class RunUri:
    """A file or directory of a run's artifacts, or the run's logged model of that name; None is the run's root."""

    run_id: str
    path: str | None = None

    def __str__(self) -> str:
        return f"runs:/{self.run_id}{_tail(self.path)}"


@dataclass(frozen=True, slots=True)
class S3Uri:
    """An object, or a prefix of objects; the empty key is the whole bucket."""

    bucket: str
    key: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}{_tail(self.key or None)}"


@dataclass(frozen=True, slots=True)
class LocalUri:
    """A path of this machine as it was written, without ``file:``."""

    path: str

    def __str__(self) -> str:
        return self.path


RegisteredUri: TypeAlias = ModelVersionUri | ModelStageUri | ModelLatestUri | ModelAliasUri
ModelsUri: TypeAlias = RegisteredUri | LoggedModelUri
LocationUri: TypeAlias = S3Uri | LocalUri
Uri: TypeAlias = ModelsUri | RunUri | LocationUri


def parse(uri: str | os.PathLike[str], *, subpath: bool = True) -> Uri:
    """The value of a URI of any form; `subpath` says whether a ``models:`` URI may name a file of the model.

    Raises:
        InvalidUriError: the text is of none of the forms; the message says what was expected.
    """
    text = _text(uri)
    scheme = _SCHEME.match(text)
    if scheme is None:
        return _local(text, text)
    name = scheme["scheme"].lower()
    if name == "models":
        return _models(text, subpath=subpath)
    parser = _PARSERS.get(name)
    if parser is None:
        _refuse(
            text,
            f"the scheme {name!r} is not known (for a local path with a colon write './{_without_secrets(text)[:60]}')",
        )
    return parser(text)


def parse_models(uri: str | os.PathLike[str], *, subpath: bool = False) -> ModelsUri:
    """The value of a ``models:`` URI; without `subpath` it must name a whole model.

    Raises:
        InvalidUriError: the text is not a ``models:`` URI; the message says what was expected.
    """
    return _models(_text(uri), subpath=subpath)


def parse_location(uri: str | os.PathLike[str]) -> LocationUri:
    """The value of a place for bytes: a local path, a ``file:`` or an ``s3:`` URI.

    Raises:
        InvalidUriError: the text is none of these.
    """
    parsed = parse(uri)
    if not isinstance(parsed, S3Uri | LocalUri):
        _refuse(str(uri), "a place for files is expected: a local path, 'file:/path' or 's3://bucket/prefix'", forms="")
    return parsed


_MODELS_FORMS: Final = (
    "Models URIs are 'models:/name/version', 'models:/name/stage', 'models:/name/latest', 'models:/name@alias' or "
    "'models:/model_id'."
)
_ALL_FORMS: Final = (
    _MODELS_FORMS + " Others are 'runs:/run_id/path', 's3://bucket/prefix', 'file:/path' and local paths."
)
# A path may end in one slash; it may not be made of slashes.
_PATH: Final = r"(?:/|/(?P<path>[^?]*[^/?])/?)?"
# Two letters at least: `C:\models` is a path.
_SCHEME: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]+):")
_MODELS: Final = re.compile(
    r"(?i:models):/"
    r"(?:(?P<model_id>m-[0-9a-f]{32})|(?P<name>[^/@?]+)(?:/(?P<suffix>[^/@?]+)|@(?P<alias>[^/@?]+)))"
    + _PATH
    + r"(?:\?at=(?P<at>[^?&]+))?"
)
_ONE_SEGMENT: Final = re.compile(r"(?i:models):/[^/@?]+/?")
_RUNS: Final = re.compile(r"(?i:runs):/(?P<run_id>[^/?]+)" + _PATH)
_S3: Final = re.compile(r"(?i:s3)://(?P<bucket>[a-z0-9][a-z0-9.\-_]{1,61}[a-z0-9])" + _PATH)
_FILE: Final = re.compile(r"(?i:file):(?://(?:localhost)?(?=/))?(?P<path>(?!//)[^?#]+)")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|%2[Ff]")


def _text(uri: str | os.PathLike[str]) -> str:
    """The URI as text that is not empty, not too long and free of control characters."""
    text = os.fspath(uri) if isinstance(uri, str | os.PathLike) else None
    if not isinstance(text, str):
        raise InvalidUriError(f"A URI must be a string, got {uri!r} of type {type(uri).__name__}. {_ALL_FORMS}")
    if not text.strip():
        _refuse(text, "it is empty")
    if len(text) > MAX_URI:
        _refuse(text, f"it has {len(text)} characters, more than {MAX_URI}")
    if _has_control(text):
        _refuse(text, "it has a control character")
    return text


def _has_control(text: str) -> bool:
    # What is ASCII and can be printed has none; looking at each character takes longer than the rest of parsing.
    plain = text.isascii() and text.isprintable()
    return not plain and any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text)


def _models(text: str, *, subpath: bool) -> ModelsUri:
    match = _MODELS.fullmatch(text)
    if match is None:
        _refuse(text, _models_fault(text), forms=_MODELS_FORMS)
    path = _checked(text, check_path, match["path"]) if match["path"] else None
    if path and not subpath:
        _refuse(text, f"a whole model is expected here, not the path {path!r} inside one", forms=_MODELS_FORMS)
    at = _checked(text, parse_time, match["at"]) if match["at"] else None
    if match["model_id"]:
        parsed: ModelsUri = LoggedModelUri(match["model_id"], path)
    else:
        name = _checked(text, check_model_name, match["name"])
        alias = match["alias"]
        parsed = _by_suffix(text, name, alias or match["suffix"], at, path, is_alias=alias is not None)
    if at and not isinstance(parsed, ModelStageUri | ModelAliasUri):
        _refuse(text, "'?at=' goes with a stage or an alias; versions and logged models never change", forms="")
    if at and isinstance(parsed, ModelStageUri) and parsed.stage not in ACTIVE_STAGES:
        reason = f"nobody holds the stage {parsed.stage}; '?at=' goes with {' and '.join(ACTIVE_STAGES)}"
        _refuse(text, reason, forms="")
    return parsed


def _by_suffix(
    text: str, name: str, suffix: str, at: datetime | None, path: str | None, *, is_alias: bool
) -> ModelsUri:
    if suffix.lower() == "latest":
        return ModelLatestUri(name, path)
    if is_alias:
        return ModelAliasUri(name, _checked(text, check_alias, suffix), at, path)
    if suffix.isascii() and suffix.isdigit():
        return ModelVersionUri(name, _checked(text, check_version, suffix), path)
    try:
        return ModelStageUri(name, parse_stage(suffix), at, path)
    except InvalidParameterError:
        reason = f"{suffix!r} is neither a version (digits), 'latest', nor a stage ({', '.join(ALL_STAGES)})"
        _refuse(text, f"{reason}; for an alias write 'models:/{name}@{suffix}'", forms="")


def _models_fault(text: str) -> str:
    """Why a text is not a ``models:`` URI, for the message."""
    if "?" in text:
        return "the only query is '?at=<ISO time>', last, after a stage or an alias"
    if _ONE_SEGMENT.fullmatch(text):
        return "it names a model without a version, a stage, 'latest' or an @alias, and is no id of a logged model"
    if "@" in text:
        return "there is one @, between name and alias, and no version, stage or 'latest' beside it"
    return "a name and what picks its version are expected after 'models:/'"


def _run(text: str) -> RunUri:
    match = _RUNS.fullmatch(text)
    if match is None:
        _refuse(text, "a run's artifact is 'runs:/<run_id>/<path>', without '?'", forms="")
    run_id = _checked(text, check_run_id, match["run_id"])
    return RunUri(run_id, _checked(text, check_path, match["path"]) if match["path"] else None)


def _s3(text: str) -> S3Uri:
    match = _S3.fullmatch(text)
    if match is None or ".." in match["bucket"]:
        reason = "an S3 location is 's3://<bucket>/<prefix>', without '?'"
        _refuse(text, f"{reason}; a bucket has 3 to 63 lower-case letters, digits, '.', '-' or '_'", forms="")
    return S3Uri(match["bucket"], _checked(text, check_path, match["path"]) if match["path"] else "")


def _file(text: str) -> LocalUri:
    match = _FILE.fullmatch(text)
    if match is None:
        reason = "a file URI is 'file:/path', 'file:///path' or 'file:relative/path', on this machine"
        _refuse(text, f"{reason}; '?' and '#' in a name are written '%3F' and '%23'", forms="")
    return _local(text, _decode(text, match["path"]))


def _decode(text: str, path: str) -> str:
    """The path of a ``file:`` URI with its escapes decoded, once."""
    if "%" not in path:
        return path
    if _BAD_ESCAPE.search(path):
        reason = "'%' is followed by two hexadecimal digits in a file URI, and no name has a '/'"
        _refuse(text, f"{reason}; write '%25' for '%', or give the plain path", forms="")
    try:
        decoded = urllib.parse.unquote(path, errors="strict")
    except UnicodeDecodeError:
        _refuse(text, "its escapes are not UTF-8; give the plain path", forms="")
    if _has_control(decoded):
        _refuse(text, "it has a control character", forms="")
    return decoded


def _local(text: str, path: str) -> LocalUri:
    # `file:models:/x` would be written `models:/x`, which is another URI.
    if not path.strip() or _SCHEME.match(path):
        _refuse(text, f"{path[:60]!r} is not a path; write './' before a relative path with a colon", forms="")
    _checked(text, check_local_path, path)
    return LocalUri(path)


_PARSERS: Final[dict[str, Callable[[str], Uri]]] = {"runs": _run, "s3": _s3, "file": _file}


def _tail(path: str | None, at: datetime | None = None) -> str:
    return (f"/{path}" if path else "") + (f"?at={format_time(at)}" if at else "")


def _checked(text: str, check: Callable[[str], _T], part: str) -> _T:
    try:
        return check(part)
    except InvalidParameterError as error:
        raise InvalidUriError(f"{_opening(text)}: {error}") from error


def _refuse(text: str, reason: str, *, forms: str = _ALL_FORMS) -> NoReturn:
    raise InvalidUriError(f"{_opening(text)}: {reason}. {forms}".rstrip())


def _opening(text: str) -> str:
    shown = text if len(text) <= 200 else text[:200] + "…"
    if re.match(r"(?i:models):", text):
        return f"Not a proper models:/ URI: {shown!r}"
    return f"Not a proper URI: {_without_secrets(text)[:200]!r}"


def _without_secrets(text: str) -> str:
    """A URI without user, password and query; a password that should have been encoded is hidden up to the last @."""
    head, scheme, rest = text.partition("://")
    if not scheme:
        return text
    place, mark, _query = rest.partition("?")
    shown = f"***@{place.rpartition('@')[2]}" if "@" in place else place
    return f"{head}{scheme}{shown}{'?***' if mark else ''}"
