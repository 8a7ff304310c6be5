"""Configuration: arguments, then ``REGISTRY_*`` variables, then the ``MLFLOW_*`` variables that users already have.

A tracking URI is mapped to a database URL and an artifact root here; neither is opened. The environment is the only
state: `set_tracking_uri` writes to it, so that child processes inherit the setting.
"""

import difflib
import functools
import getpass
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

import platformdirs
from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from registry.exceptions import InvalidParameterError, InvalidPathError, InvalidTypeError, UnsupportedStoreError
from registry.validation.paths import check_local_path

DEFAULT_TRACKING_URI: Final = "file:./mlruns"
_PREFIX: Final = "REGISTRY_"
DATABASE_FILE: Final = "registry.db"
# At least two letters and no slash: a path may have a colon.
_SCHEME: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]+):")
# Everything up to the last @ is the password, so that one with a raw @ is hidden too.
_PASSWORD: Final = re.compile(r"(?<=://)(?P<user>[^/@:]*):.*@|(?<=password=)[^&]*")


def _aliases(name: str, *others: str) -> AliasChoices:
    return AliasChoices(f"REGISTRY_{name}", f"MLFLOW_{name}", *others)


class Settings(BaseSettings):
    """All settings. For each field, the first variable that is set applies.

    ``tracking_uri``: a directory (``file:./mlruns``, the default: an SQLite file and the artifacts in it), a database
    URL, or ``s3://bucket/prefix``. ``default_tags``: a JSON object, added to every run. ``actor``: the name in
    histories; by default the operating system's user. ``allow_code``: whether loading a model may run code from its
    files.
    """

    model_config = SettingsConfigDict(populate_by_name=True, extra="ignore", frozen=True)

    tracking_uri: str = Field(default=DEFAULT_TRACKING_URI, validation_alias=_aliases("TRACKING_URI"), repr=False)
    registry_uri: str | None = Field(default=None, validation_alias=_aliases("REGISTRY_URI"), repr=False)
    backend_store_uri: str | None = Field(default=None, validation_alias=_aliases("BACKEND_STORE_URI"), repr=False)
    artifact_location: str | None = Field(
        default=None, validation_alias=_aliases("ARTIFACT_LOCATION", "MLFLOW_DEFAULT_ARTIFACT_ROOT")
    )
    experiment_name: str | None = Field(default=None, validation_alias=_aliases("EXPERIMENT_NAME"))
    experiment_id: str | None = Field(default=None, validation_alias=_aliases("EXPERIMENT_ID"))
    run_id: str | None = Field(default=None, validation_alias=_aliases("RUN_ID"))
    default_tags: dict[str, str] = Field(default={}, validation_alias=_aliases("DEFAULT_TAGS"))
    actor: str | None = Field(default=None, validation_alias=AliasChoices("REGISTRY_ACTOR"))
    allow_code: bool = Field(default=False, validation_alias=AliasChoices("REGISTRY_ALLOW_CODE"))
    enable_async_logging: bool = Field(default=False, validation_alias=_aliases("ENABLE_ASYNC_LOGGING"))
    truncate_long_values: bool = Field(default=True, validation_alias=_aliases("TRUNCATE_LONG_VALUES"))
    cache_dir: Path | None = Field(default=None, validation_alias=AliasChoices("REGISTRY_CACHE_DIR"))
    cache_limit_bytes: int = Field(
        default=20 * 2**30, ge=0, validation_alias=AliasChoices("REGISTRY_CACHE_LIMIT_BYTES")
    )
    s3_endpoint_url: str | None = Field(default=None, validation_alias=_aliases("S3_ENDPOINT_URL"))

    def __reduce__(self) -> tuple[Callable[[], "Settings"], tuple[()]]:
        # A pickle would hold the passwords in URLs. The reader's environment has its own settings.
        return current_settings, ()


_VARIABLES: Final = tuple(
    alias
    for field in Settings.model_fields.values()
    if isinstance(field.validation_alias, AliasChoices)
    for alias in field.validation_alias.choices
    if isinstance(alias, str)
)


def current_settings() -> Settings:
    """Return the current settings of the environment; cheap if nothing changed since the last call.

    Raises:
        InvalidParameterError: A variable cannot be parsed; the message names it.
    """
    # This runs several times in every run: skip variables that are not set, for each of which `environ` raises and
    # catches a KeyError.
    present = set(os.environ)
    return _read(tuple([os.environ.get(name) if name in present else None for name in _VARIABLES]))


@functools.lru_cache(maxsize=8)
def _read(_environment: tuple[str | None, ...]) -> Settings:
    _warn_of_misspellings()
    try:
        return Settings()
    except (ValidationError, ValueError) as error:
        raise InvalidParameterError(_error_message(error)) from None


def _warn_of_misspellings() -> None:
    """Warn of a variable that nearly has a setting's name. Other variables with our prefix belong to others."""
    known = {name.removeprefix(_PREFIX): name for name in _VARIABLES if name.startswith(_PREFIX)}
    for name in os.environ:
        if name.startswith(_PREFIX) and name not in _VARIABLES:
            close = difflib.get_close_matches(name.removeprefix(_PREFIX), known, n=1, cutoff=0.85)
            if close:
                _warn_of_misspelling(name, known[close[0]])


@functools.cache
def _warn_of_misspelling(name: str, similar: str) -> None:
    warnings.warn(f"The variable {name} is not a setting and is ignored. Did you mean {similar}?", stacklevel=2)


def _error_message(error: Exception) -> str:
    if isinstance(error, ValidationError):
        faults = [f"{_variable(str(fault['loc'][0]))}: {fault['msg']}" for fault in error.errors()]
        return f"A setting cannot be used: {'; '.join(faults)}."
    return f'A setting cannot be used: {error}. REGISTRY_DEFAULT_TAGS is a JSON object such as {{"team": "nba"}}.'


def _variable(alias: str) -> str:
    """Return the variable that was read for the field of this alias: pydantic names the first alias, set or not."""
    for field_info in Settings.model_fields.values():
        choices = getattr(field_info.validation_alias, "choices", [])
        if alias in choices:
            return next((str(name) for name in choices if name in os.environ), alias)
    return alias


def set_variable(name: str, value: str | None) -> None:
    """Set ``REGISTRY_<name>`` for this process and its children; None removes it and MLflow's variable."""
    if value is None:
        os.environ.pop(f"REGISTRY_{name}", None)
        os.environ.pop(f"MLFLOW_{name}", None)
    else:
        os.environ[f"REGISTRY_{name}"] = value


def actor_of(settings: Settings) -> str:
    """Return the name that changes are made under: the setting, or the operating system's user."""
    if settings.actor:
        return settings.actor
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # No entry for this user id, as in many containers.
        return f"uid-{os.getuid()}" if hasattr(os, "getuid") else "unknown"


def cache_directory(settings: Settings) -> Path:
    """Return the directory of downloaded models."""
    return settings.cache_dir or Path(platformdirs.user_cache_dir("registry", appauthor=False)) / "models"


@dataclass(frozen=True, slots=True)
class Place:
    """The stores of a tracking URI: `database_url` for rows, `artifact_root` (absolute path or S3 URI) for bytes.

    `directory` is the local directory that holds both, if there is one.
    """

    database_url: str = field(repr=False)  # it may have a password
    artifact_root: str
    directory: Path | None = None

    def __reduce__(self) -> NoReturn:
        raise InvalidTypeError("What is open here, or may hold a password, is not pickled; pickle the client instead.")


def place_of(tracking_uri: str, settings: Settings) -> Place:
    """Return the place that a tracking URI names.

    Raises:
        UnsupportedStoreError: The scheme names a server, or a database that cannot hold a registry.
    """
    if not isinstance(tracking_uri, str):
        raise InvalidTypeError(f"A tracking URI must be a string, got {tracking_uri!r}.")
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in tracking_uri):
        raise UnsupportedStoreError(
            f"The tracking URI {redacted_uri(tracking_uri)!r} has a NUL or half of a surrogate pair; give a plain text."
        )
    match = _SCHEME.match(tracking_uri)
    scheme = match["scheme"].lower() if match else ""
    if scheme == "s3":
        return _s3_place(tracking_uri, settings)
    if tracking_uri in ("databricks", "databricks-uc"):
        raise UnsupportedStoreError(_unsupported_message(tracking_uri))
    if scheme == "file" or not scheme:
        directory = _parse_directory(tracking_uri)
        root = settings.artifact_location or str(directory)
        return Place(f"sqlite:///{directory / DATABASE_FILE}", _absolute(root), directory)
    if scheme.split("+")[0] in ("sqlite", "postgresql", "postgres"):
        return Place(tracking_uri, _absolute(settings.artifact_location or "mlruns"))
    raise UnsupportedStoreError(_unsupported_message(scheme))


def redacted_uri(tracking_uri: str) -> str:
    """Return a tracking URI without its password, for messages."""
    return _PASSWORD.sub(lambda match: f"{match['user']}:***@" if match["user"] is not None else "***", tracking_uri)


def _s3_place(tracking_uri: str, settings: Settings) -> Place:
    if settings.backend_store_uri:
        return Place(settings.backend_store_uri, tracking_uri)
    local = place_of(DEFAULT_TRACKING_URI, settings)
    _warn_local_metadata(tracking_uri, local.database_url)
    return Place(local.database_url, tracking_uri, local.directory)


@functools.cache
def _warn_local_metadata(tracking_uri: str, database_url: str) -> None:
    warnings.warn(
        f"The tracking URI {tracking_uri} says where artifacts go; runs and models are kept in {database_url} on this "
        "machine. Set REGISTRY_BACKEND_STORE_URI to a database that all machines share.",
        stacklevel=2,
    )


def _parse_directory(tracking_uri: str) -> Path:
    text = tracking_uri
    if text.lower().startswith("file:"):
        text = text[len("file:") :]
        if text.startswith("//"):
            host, slash, rest = text[2:].partition("/")
            if host not in ("", "localhost"):
                raise UnsupportedStoreError(
                    f"The tracking URI {tracking_uri!r} names the host {host!r}; use a local path."
                )
            text = slash + rest
        if "%" in text:
            raise UnsupportedStoreError(
                f"The tracking URI {tracking_uri!r} is percent-encoded, which is not decoded here; give the plain path."
            )
    try:
        return check_local_path(text).absolute()
    except InvalidPathError as error:
        raise UnsupportedStoreError(
            f"The tracking URI {tracking_uri!r} names no directory; use file:./mlruns or a path. {error}"
        ) from None


def _absolute(root: str) -> str:
    """Return a local root as an absolute path without ``file:``, and an S3 root unchanged."""
    return root.rstrip("/") if root.lower().startswith("s3://") else str(_parse_directory(root))


def _unsupported_message(scheme: str) -> str:
    if scheme in ("http", "https"):
        return (
            "There is no server here: an http(s) tracking URI cannot be used. Give the database itself, "
            "postgresql+psycopg://user@host/database or sqlite:///path/to/registry.db."
        )
    if scheme == "databricks" or scheme.startswith("databricks-"):
        return "A Databricks workspace cannot be used; give a database, postgresql+psycopg://user@host/database."
    return (
        f"A {scheme!r} tracking URI cannot hold a registry. Use a directory (file:./mlruns), "
        "sqlite:///path/to/registry.db, postgresql+psycopg://user@host/database, or s3://bucket/prefix for artifacts."
    )
