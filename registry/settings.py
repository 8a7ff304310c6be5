"""Configuration: arguments, then ``REGISTRY_*`` variables, then the ``MLFLOW_*`` variables that users already have.

A tracking URI is mapped to a database URL and an artifact root here; neither is opened. The environment is the only
state: `set_tracking_uri` writes to it, so that child processes inherit the setting.
"""

import contextlib
import functools
import getpass
import json
import os
import re
import shlex
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from registry.exceptions import (
    InvalidParameterError,
    InvalidPathError,
    InvalidTypeError,
    InvalidUriError,
    UnsupportedStoreError,
)
from registry.uris import S3Uri, parse_location
from registry.validation.paths import check_local_path

DEFAULT_TRACKING_URI: Final = "file:./mlruns"
_PREFIX: Final = "REGISTRY_"
DATABASE_FILE: Final = "registry.db"
_DATABASES: Final = ("sqlite", "postgresql", "postgres")
# At least two letters and no slash: a path may have a colon.
_SCHEME: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]+):")
# Three slashes and no fourth: the path is relative.
_RELATIVE_SQLITE: Final = re.compile(
    r"(?P<head>(?i:sqlite(?:\+pysqlite)?):///)(?P<path>(?!/|:memory:|file:|\?)(?s:.+))"
)
# Everything up to the last @ is the password, so that one with a raw @ is hidden too.
_PASSWORD: Final = re.compile(r"(?<=://)(?P<user>[^/@:]*):.*@|(?<=password=)[^&]*")


def _aliases(name: str, *others: str) -> AliasChoices:
    return AliasChoices(f"REGISTRY_{name}", f"MLFLOW_{name}", *others)


class Settings(BaseModel):
    """All settings. For each field, the first variable that is set and not empty applies.

    ``tracking_uri``: a directory (``file:./mlruns``, the default: an SQLite file and the artifacts in it), a database
    URL, or ``s3://bucket/prefix``. ``default_tags``: a JSON object, added to every run. ``actor``: the name in
    histories; by default the operating system's user. ``ignore_clock``: whether a model may be changed whose last event
    is ahead of the clock. ``allow_code``: whether loading a model may run code from its files. ``spool_dir``: a local
    directory to log to first, instead of the tracking URI. ``spool_sync``: whether a thread sends what is in it.
    ``s3_upload_extra_args``: boto3's upload arguments as JSON, such as ``{"ServerSideEncryption": "aws:kms"}``.
    """

    model_config = ConfigDict(populate_by_name=True, extra="ignore", frozen=True)

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
    ignore_clock: bool = Field(default=False, validation_alias=AliasChoices("REGISTRY_IGNORE_CLOCK"))
    allow_code: bool = Field(default=False, validation_alias=AliasChoices("REGISTRY_ALLOW_CODE"))
    enable_async_logging: bool = Field(default=False, validation_alias=_aliases("ENABLE_ASYNC_LOGGING"))
    enable_system_metrics_logging: bool = Field(
        default=False, validation_alias=_aliases("ENABLE_SYSTEM_METRICS_LOGGING")
    )
    system_metrics_sampling_interval: float = Field(
        default=10, gt=0, le=1_000_000, validation_alias=_aliases("SYSTEM_METRICS_SAMPLING_INTERVAL")
    )
    system_metrics_samples_before_logging: int = Field(
        default=1, gt=0, le=1_000_000, validation_alias=_aliases("SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING")
    )
    system_metrics_node_id: str | None = Field(default=None, validation_alias=_aliases("SYSTEM_METRICS_NODE_ID"))
    active_model_id: str | None = Field(default=None, validation_alias=_aliases("ACTIVE_MODEL_ID"))
    truncate_long_values: bool = Field(default=True, validation_alias=_aliases("TRUNCATE_LONG_VALUES"))
    cache_dir: Path | None = Field(default=None, validation_alias=AliasChoices("REGISTRY_CACHE_DIR"))
    cache_limit_bytes: int = Field(
        default=20 * 2**30, ge=0, validation_alias=AliasChoices("REGISTRY_CACHE_LIMIT_BYTES")
    )
    connect_timeout_seconds: int = Field(
        default=10, ge=0, validation_alias=AliasChoices("REGISTRY_CONNECT_TIMEOUT_SECONDS")
    )
    statement_timeout_seconds: float = Field(
        default=300, ge=0, validation_alias=AliasChoices("REGISTRY_STATEMENT_TIMEOUT_SECONDS")
    )
    database_patience: float = Field(default=60, ge=0, validation_alias=AliasChoices("REGISTRY_DATABASE_PATIENCE"))
    database_idle_seconds: float = Field(
        default=300, ge=0, validation_alias=AliasChoices("REGISTRY_DATABASE_IDLE_SECONDS")
    )
    triggers_file: Path | None = Field(default=None, validation_alias=AliasChoices("REGISTRY_TRIGGERS_FILE"))
    spool_dir: str | None = Field(default=None, validation_alias=AliasChoices("REGISTRY_SPOOL_DIR"))
    spool_sync: bool = Field(default=False, validation_alias=AliasChoices("REGISTRY_SPOOL_SYNC"))
    monitoring_sample_rows: int = Field(
        default=5_000, ge=0, le=1_000_000, validation_alias=AliasChoices("REGISTRY_MONITORING_SAMPLE_ROWS")
    )
    monitoring_share: float = Field(default=1.0, ge=0, le=1, validation_alias=AliasChoices("REGISTRY_MONITORING_SHARE"))
    monitoring_exclude: str = Field(default="", validation_alias=AliasChoices("REGISTRY_MONITORING_EXCLUDE"))
    monitoring_hash: str = Field(default="", validation_alias=AliasChoices("REGISTRY_MONITORING_HASH"))
    monitoring_hash_key: str = Field(
        default="", validation_alias=AliasChoices("REGISTRY_MONITORING_HASH_KEY"), repr=False
    )
    follow_symlinks: bool = Field(default=False, validation_alias=AliasChoices("REGISTRY_FOLLOW_SYMLINKS"))
    s3_endpoint_url: str | None = Field(default=None, validation_alias=_aliases("S3_ENDPOINT_URL"))
    s3_upload_extra_args: dict[str, Any] = Field(
        default={}, validation_alias=_aliases("S3_UPLOAD_EXTRA_ARGS"), repr=False
    )
    s3_ignore_tls: bool = Field(default=False, validation_alias=_aliases("S3_IGNORE_TLS"))
    boto_client_addressing_style: Literal["auto", "path", "virtual"] | None = Field(
        default=None, validation_alias=_aliases("BOTO_CLIENT_ADDRESSING_STYLE")
    )
    s3_expected_bucket_owner: str | None = Field(default=None, validation_alias=_aliases("S3_EXPECTED_BUCKET_OWNER"))

    def __hash__(self) -> int:
        return hash(self.tracking_uri)

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
        return Settings.model_validate(_values())
    except (ValidationError, ValueError) as error:
        raise InvalidParameterError(_error_message(error)) from None


def _values() -> dict[str, Any]:
    """Return the first variable of each field that is set and not empty, with its value; objects come as JSON."""
    values: dict[str, Any] = {}
    for field_info in Settings.model_fields.values():
        choices = map(str, getattr(field_info.validation_alias, "choices", []))
        name = next((name for name in choices if os.environ.get(name)), None)
        if name is not None:
            text = os.environ[name]
            values[name] = json.loads(text) if field_info.default == {} else text
    return values


# Variables of MLflow's documentation for what is not here, or goes its own way here: by family, then one by one. Those
# that only switch off what does not exist here (telemetry, printed URLs, hints) are heeded by nature.
_UNHEEDED: Final = re.compile(
    r"MLFLOW_(?:(?:ASSISTANT|ASYNC_LOGGING|ASYNC_TRACE_LOGGING|AUTH|CONDA|DEPLOYMENT|DEPLOYMENTS|ENABLE|GATEWAY|GCS|GENAI|"
    r"HTTP|HUGGINGFACE|INPUT_EXAMPLE|JOB|MULTIPART|MYSQL_SSL|ONLINE_SCORING|PROMPT_CACHE|REQUIREMENTS_INFERENCE|SANDBOX|"
    r"SCORING_SERVER|SERVER|SQLALCHEMYSTORE|TRACE|TRACING|TRACKING|WEBHOOK|WORKSPACE)_\w+|"
    r"ALLOW_HTTP_REDIRECTS|ALLOW_PICKLE_DESERIALIZATION|ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT|"
    r"CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX|DEFAULT_PREDICTION_DEVICE|DFS_TMP|DOWNLOAD_CHUNK_TIMEOUT|ENV_ROOT|"
    r"KERBEROS_TICKET_CACHE|KERBEROS_USER|LOCK_MODEL_DEPENDENCIES|LOGGING_LEVEL|LOG_MODEL_COMPRESSION|LOG_UV_FILES|"
    r"READ_REPLICA_BACKEND_STORE_URI|RECORD_ENV_VARS_IN_MODEL_LOGGING|REGISTRY_DIR|RUN_CONTEXT|WORKSPACE)"
)


def _warn_of_misspellings() -> None:
    """Warn of a variable that nearly has a setting's name. Other variables with our prefix belong to others."""
    known = {name.removeprefix(_PREFIX): name for name in _VARIABLES if name.startswith(_PREFIX)}
    for name in os.environ:
        if name not in _VARIABLES and _UNHEEDED.fullmatch(name):
            _warn_of_unheeded(name)
        if name.startswith(_PREFIX) and name not in _VARIABLES:
            import difflib

            close = difflib.get_close_matches(name.removeprefix(_PREFIX), known, n=1, cutoff=0.85)
            if close:
                _warn_of_misspelling(name, known[close[0]])


@functools.cache
def _warn_of_unheeded(name: str) -> None:
    warnings.warn(
        f"The variable {name} is MLflow's and has no effect here; unset it, or see the settings of this package.",
        stacklevel=2,
    )


@functools.cache
def _warn_of_misspelling(name: str, similar: str) -> None:
    warnings.warn(f"The variable {name} is not a setting and is ignored. Did you mean {similar}?", stacklevel=2)


_EXPECTED: Final = {"bool_parsing": "write true or false", "int_parsing": "write a whole number"}


def _error_message(error: Exception) -> str:
    if isinstance(error, ValidationError):
        faults = [
            f"{_variable(str(fault['loc'][0]))}: {_EXPECTED.get(fault['type'], fault['msg'])}"
            for fault in error.errors()
        ]
        return f"A setting cannot be used: {'; '.join(faults)}."
    return (
        f'A setting cannot be used: {error}. REGISTRY_DEFAULT_TAGS is a JSON object such as {{"team": "nba"}}, '
        'REGISTRY_S3_UPLOAD_EXTRA_ARGS one such as {"ServerSideEncryption": "aws:kms"}.'
    )


def _variable(alias: str) -> str:
    """Return the variable that was read for the field of this alias: pydantic names the first alias, set or not."""
    for field_info in Settings.model_fields.values():
        choices = getattr(field_info.validation_alias, "choices", [])
        if alias in choices:
            return next((str(name) for name in choices if os.environ.get(str(name))), alias)
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
    import platformdirs

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


def sync_command(directory: str | Path, target_uri: str) -> str:
    """Return the command that sends a spool, quoted for a shell, without the password of the target."""
    return shlex.join(["registry", "sync", str(directory), "--to", redacted_uri(target_uri)])


def spool_place(directory: Path) -> Place:
    """Return the stores of a spool: an SQLite file and the files of its runs, both in one local directory."""
    return Place(f"sqlite:///{directory / DATABASE_FILE}", str(directory), directory)


def spool_directory(settings: Settings, tracking_uri: str) -> Path | None:
    """Return the absolute directory to log to instead of a tracking URI, or None if it is logged to directly.

    Only the tracking URI that is set is spooled: a client that was asked for another one uses that.
    """
    if settings.spool_dir is None or tracking_uri != settings.tracking_uri:
        return None
    directory = spool_path(settings.spool_dir)
    return directory if directory.is_absolute() else _base(str(directory)) / directory


def spool_path(text: str | Path) -> Path:
    """Return the local directory that a path or a ``file:`` URI of a spool names.

    Raises:
        InvalidPathError: It names a place elsewhere, such as ``s3://…``, or is no path.
    """
    if not isinstance(text, str) or not (scheme := _SCHEME.match(text)):
        return check_local_path(text)
    if scheme["scheme"].lower() == "file":
        with contextlib.suppress(InvalidUriError):
            return Path(str(parse_location(text)))
    raise InvalidPathError(
        f"{redacted_uri(text)!r} is not a local directory. A spool is one; give its path, such as ./registry-spool (or "
        f"./{scheme[0]}…, if its name has a colon)."
    )


_bases: dict[str, Path] = {}


def base_of(text: str, *, anew: bool = False) -> Path | None:
    """Return the base of a path in a setting: the working directory when the path was first used.

    `anew` forgets the first use. An absolute path has no base: None.
    """
    if not _is_relative(text):
        return None
    if anew or text not in _bases:
        _bases[text] = Path.cwd()
    return _bases[text]


def current_base(text: str) -> Path | None:
    """Return the base of a path in an argument: the working directory, or None for an absolute path."""
    if not isinstance(text, str):
        raise InvalidTypeError(f"A tracking URI must be a string, got {text!r}.")
    return Path.cwd() if _is_relative(text) else None


def _is_relative(text: str) -> bool:
    if text.lower().startswith("file:"):
        text = text[len("file:") :]
    return bool(_RELATIVE_SQLITE.fullmatch(text)) or not (text.startswith("/") or _SCHEME.match(text))


def _base(text: str) -> Path:
    return base_of(text) or Path.cwd()


def forget_bases() -> None:
    """Forget the directories of `base_of`, so that the next use of a relative path sets its base again."""
    _bases.clear()


def place_of(tracking_uri: str, settings: Settings, base: Path | None = None) -> Place:
    """Return the place that a tracking URI names; a relative path in it is relative to `base`, by default `base_of`.

    Raises:
        UnsupportedStoreError: The scheme names a server, or a database that cannot hold a registry, or the URI is
            malformed; the message names the variable that it comes from.
        InvalidUriError: The artifact location in the settings is malformed; the message names the variable.
    """
    try:
        return _place_of(tracking_uri, settings, base)
    except UnsupportedStoreError as error:
        if "tracking_uri" in settings.model_fields_set and tracking_uri == settings.tracking_uri:
            raise UnsupportedStoreError(f"{_variable('REGISTRY_TRACKING_URI')} cannot be used: {error}") from None
        raise


def _place_of(tracking_uri: str, settings: Settings, base: Path | None) -> Place:
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
        directory = _parse_directory(tracking_uri, base)
        return Place(f"sqlite:///{directory / DATABASE_FILE}", _artifact_root(settings, directory), directory)
    if scheme.split("+")[0] in _DATABASES:
        return Place(_absolute_database(tracking_uri, base), _artifact_root(settings, _parse_directory("mlruns", base)))
    raise UnsupportedStoreError(_unsupported_message(scheme))


def redacted_uri(tracking_uri: str) -> str:
    """Return a tracking URI without its password, for messages."""
    return _PASSWORD.sub(lambda match: f"{match['user']}:***@" if match["user"] is not None else "***", tracking_uri)


def _s3_place(tracking_uri: str, settings: Settings) -> Place:
    try:
        root = str(parse_location(tracking_uri))
    except InvalidUriError as error:
        raise UnsupportedStoreError(f"The tracking URI is no place for files. {error}") from None
    if settings.backend_store_uri:
        scheme = settings.backend_store_uri.partition(":")[0].lower()
        if scheme.partition("+")[0] not in _DATABASES:
            raise UnsupportedStoreError(
                f"{_variable('REGISTRY_BACKEND_STORE_URI')} cannot be used: a {scheme!r} URI is no database. Use "
                "sqlite:///path/to/registry.db or postgresql+psycopg://user@host/database."
            )
        return Place(_absolute_database(settings.backend_store_uri, None), root)
    local = place_of(DEFAULT_TRACKING_URI, settings)
    _warn_local_metadata(root, local.database_url)
    return Place(local.database_url, root, local.directory)


@functools.cache
def _warn_local_metadata(tracking_uri: str, database_url: str) -> None:
    warnings.warn(
        f"The tracking URI {tracking_uri} says where artifacts go; runs and models are kept in {database_url} on this "
        "machine. Set REGISTRY_BACKEND_STORE_URI to a database that all machines share.",
        stacklevel=2,
    )


def _absolute_database(url: str, base: Path | None) -> str:
    """Return a database URL; a relative path of an SQLite file in it becomes absolute."""
    match = _RELATIVE_SQLITE.fullmatch(url)
    return url if match is None else f"{match['head']}{base or _base(url)}/{match['path']}"


def _parse_directory(tracking_uri: str, base: Path | None = None) -> Path:
    """Return the directory that a path or a ``file:`` URI names."""
    text = tracking_uri
    if text.lower().startswith("file:"):
        rest = text[len("file:") :]
        host = rest[2:].partition("/")[0] if rest.startswith("//") else ""
        if host not in ("", "localhost"):
            raise UnsupportedStoreError(f"The tracking URI {tracking_uri!r} names the host {host!r}; use a local path.")
    try:
        if text.lower().startswith("file:"):
            text = str(parse_location(text))
        path = check_local_path(text)
    except (InvalidPathError, InvalidUriError) as error:
        raise UnsupportedStoreError(
            f"The tracking URI {tracking_uri!r} names no directory; use file:./mlruns or a path. {error}"
        ) from None
    return path if path.is_absolute() else (base or _base(tracking_uri)) / path


def _artifact_root(settings: Settings, default: Path) -> str:
    """Return where bytes are kept: an absolute path without ``file:``, or an S3 URI."""
    if not settings.artifact_location:
        return str(default)
    try:
        location = parse_location(settings.artifact_location)
    except InvalidUriError as error:
        raise InvalidUriError(f"{_variable('REGISTRY_ARTIFACT_LOCATION')} cannot be used: {error}") from None
    if isinstance(location, S3Uri):
        return str(location)
    path = Path(location.path)
    return str(path if path.is_absolute() else _base(settings.artifact_location) / path)


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
