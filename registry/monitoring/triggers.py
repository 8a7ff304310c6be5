"""What the names of triggers mean on this machine: a command, a callable, a webhook or a retraining.

The database has only names; the file that ``REGISTRY_TRIGGERS_FILE`` names says what they stand for. So who may write
to the database cannot run code on the machine of a runner. Guarantees: no message contains a secret or a URL's path.
"""

import contextlib
import importlib.metadata
import json
import os
import signal
import stat
import subprocess
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from registry.client.registry.webhook import WebhookSink
from registry.entities.history import canonical_json
from registry.entities.monitors import ROLLBACK
from registry.entities.times import parse_duration
from registry.exceptions import (
    InvalidParameterError,
    MissingDependencyError,
    NotFoundError,
    RegistryError,
    UnavailableError,
)

GROUP: Final = "registry.triggers"
RETRAININGS: Final = "registry.retrainings"
_DEFAULT_TIMEOUT: Final = "10m"
_RETRAINING_TIMEOUT: Final = "12h"
_SHOWN_OUTPUT: Final = 2_000
_Words = Annotated[list[str], Field(min_length=1)]


class _Entry(BaseModel):
    """A table ``[triggers.NAME]`` of the file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    command: _Words | None = None
    callable: str | None = None
    webhook: str | None = None
    secret: str | None = Field(default=None, repr=False)
    secret_env: str | None = None
    timeout: str = _DEFAULT_TIMEOUT


class _RetrainingEntry(BaseModel):
    """A table ``[retrainings.NAME]`` of the file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    command: _Words | None = None
    callable: str | None = None
    metric: str
    dataset: str = "holdout"
    confidence: float = 0.95
    cooldown: str = "1d"
    timeout: str = _RETRAINING_TIMEOUT


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    triggers: dict[str, _Entry] = {}
    retrainings: dict[str, _RetrainingEntry] = {}


@dataclass(frozen=True, slots=True)
class Trigger:
    """What a name means: a function that takes the payload and raises if it fails; what it returns is ignored."""

    name: str
    fire: Callable[[Mapping[str, Any]], object]


@dataclass(frozen=True, slots=True)
class Retraining:
    """A retraining: what trains, and how the new version is compared. It has either a command or a callable.

    `read_triggers` makes it from a table ``[retrainings.NAME]``.

    Attributes:
        name: Its name, which is also that of the trigger.
        command: The program with its arguments, or None.
        callable: A function, the name of an entry point of the group ``registry.retrainings``, or ``module:function``.
        metric: The metric in which the new version is compared with the one that it would replace.
        dataset: The name of the holdout, which rules such as `BetterThanHolder` refer to.
        confidence: The level of the interval of the difference.
        cooldown_seconds: An incident does not start it again within this time.
        timeout_seconds: After this time a command is killed.

    Example:
        >>> from registry.monitoring import Retraining
        >>> Retraining("season", callable="training.season:retrain", metric="roc_auc").dataset
        'holdout'
    """

    name: str
    command: tuple[str, ...] | None = None
    callable: str | Callable[..., Any] | None = None
    metric: str = "accuracy_score"
    dataset: str = "holdout"
    confidence: float = 0.95
    cooldown_seconds: float = 86_400.0
    timeout_seconds: float = 43_200.0

    def __post_init__(self) -> None:
        if (self.command is None) == (self.callable is None):
            raise InvalidParameterError(f"The retraining {self.name!r} needs one of command and callable.")


@dataclass(frozen=True, slots=True)
class TriggerFile:
    """The triggers and retrainings that this machine knows, by name."""

    triggers: Mapping[str, Trigger]
    retrainings: Mapping[str, Retraining]

    @property
    def names(self) -> list[str]:
        """Return the names that this machine can run, the built-in rollback included."""
        return sorted({*self.triggers, *self.retrainings, ROLLBACK})

    def get_retraining(self, name: str) -> Retraining:
        """Return a retraining.

        Raises:
            NotFoundError: The file has none of this name.
        """
        if name not in self.retrainings:
            known = ", ".join(sorted(self.retrainings)) or "none"
            raise NotFoundError(
                f"There is no retraining {name!r} on this machine; there are: {known}. Define it in the file that "
                "REGISTRY_TRIGGERS_FILE names, as a table [retrainings.NAME]."
            )
        return self.retrainings[name]


def read_triggers(path: str | Path | None) -> TriggerFile:
    r"""Read a file of triggers; without one this machine knows only the built-in rollback.

    Args:
        path: The file, or None.

    Returns:
        What the names of triggers and retrainings mean on this machine.

    Raises:
        InvalidParameterError: The file is missing or malformed, or everybody may write it.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("triggers.toml").write_text('[triggers.note]\ncommand = ["/opt/bin/note"]')
        >>> mlflow.monitoring.read_triggers("triggers.toml").names
        ['note', 'rollback']
    """
    if path is None:
        return TriggerFile({}, {})
    content = _parse(Path(path))
    both = sorted({*content.triggers} & {*content.retrainings})
    reserved = [name for name in (*content.triggers, *content.retrainings) if name == ROLLBACK]
    if both or reserved:
        raise InvalidParameterError(
            f"The triggers file {str(path)!r} defines {(both or reserved)[0]!r}, which is "
            f"{'a trigger and a retraining' if both else 'built in'}. Rename it."
        )
    try:
        return TriggerFile(
            {name: _trigger(name, entry) for name, entry in content.triggers.items()},
            {name: _retraining(name, entry) for name, entry in content.retrainings.items()},
        )
    except InvalidParameterError as error:
        raise InvalidParameterError(f"The triggers file {str(path)!r}: {error}") from None


def _parse(path: Path) -> _File:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = tomllib.load(file)
    except (OSError, ValueError) as error:  # a TOMLDecodeError is a ValueError
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InvalidParameterError(f"The triggers file {str(path)!r} cannot be read: {reason}.") from error
    if mode & stat.S_IWOTH:
        raise InvalidParameterError(
            f"Everybody may write the triggers file {str(path)!r}, whose commands run here: chmod o-w it."
        )
    try:
        return _File.model_validate(content)
    except ValidationError as error:
        # The input is left out: it may be a secret.
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise InvalidParameterError(f"The triggers file {str(path)!r}: {'; '.join(faults)}.") from None


def _trigger(name: str, entry: _Entry) -> Trigger:
    if sum(way is not None for way in (entry.command, entry.callable, entry.webhook)) != 1:
        raise InvalidParameterError(f"The trigger {name!r} needs one of command, callable and webhook.")
    if entry.webhook is None and (entry.secret or entry.secret_env):
        raise InvalidParameterError(f"The trigger {name!r} has a secret, which only a webhook takes.")
    seconds = parse_duration(entry.timeout).total_seconds()
    if entry.command is not None:
        command = tuple(entry.command)
        return Trigger(name, lambda payload: run_command(command, payload, seconds))
    if entry.callable is not None:
        reference = entry.callable
        return Trigger(name, lambda payload: load_callable(reference, GROUP)(dict(payload)))
    secret = entry.secret
    if entry.secret_env is not None:
        secret = os.environ.get(entry.secret_env)
        if not secret:
            raise InvalidParameterError(f"The trigger {name!r}: the variable {entry.secret_env} is not set.")
    sink = WebhookSink(str(entry.webhook), secret=secret, timeout_seconds=min(seconds, 60.0), attempts=2)
    return Trigger(name, lambda payload: sink.post(canonical_json(dict(payload)).encode(), f"trigger {name!r}"))


def _retraining(name: str, entry: _RetrainingEntry) -> Retraining:
    return Retraining(
        name,
        None if entry.command is None else tuple(entry.command),
        entry.callable,
        entry.metric,
        entry.dataset,
        entry.confidence,
        parse_duration(entry.cooldown).total_seconds(),
        parse_duration(entry.timeout).total_seconds(),
    )


def load_callable(reference: str, group: str) -> Callable[..., Any]:
    """Return the callable of an entry point of a group, or of ``module:function``.

    Raises:
        NotFoundError: There is no such entry point.
        MissingDependencyError: It cannot be imported.
    """
    if ":" in reference:
        point = importlib.metadata.EntryPoint("callable", reference, group)
    else:
        found = importlib.metadata.entry_points(group=group, name=reference)
        if not found:
            raise NotFoundError(
                f"No installed package has the entry point {reference!r} in the group {group!r}; write "
                "'module:function' for a function of a module."
            )
        point = next(iter(found))
    try:
        function = point.load()
    except (ImportError, AttributeError, ValueError) as error:
        raise MissingDependencyError(f"The callable {reference!r} cannot be loaded: {error}") from error
    if not callable(function):
        raise InvalidParameterError(f"{reference!r} is {function!r:.100}, which cannot be called.")
    return function  # type: ignore[no-any-return]


def run_command(
    command: Sequence[str],
    payload: Mapping[str, Any],
    timeout_seconds: float,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program without a shell, with the payload as JSON on stdin; return what it printed.

    Raises:
        UnavailableError: It cannot be started, fails, or takes too long: then it is killed with its children.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - the file on this machine names the program
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise UnavailableError(f"The command {command[0]!r} cannot be started: {error}.") from error
    try:
        output, complaints = process.communicate(json.dumps(dict(payload)), timeout_seconds)
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"The command {command[0]!r} took more than {timeout_seconds:g} seconds.") from None
    finally:
        if process.returncode is None:  # too slow, or we were interrupted
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode != 0:
        said = complaints.strip()[-_SHOWN_OUTPUT:]
        raise UnavailableError(f"The command {command[0]!r} ended with code {process.returncode}: {said}")
    return output


def describe_failure(error: BaseException) -> str:
    """Return an error as one line for the database: our own message, or the class and text of another's."""
    text = str(error) if isinstance(error, RegistryError) else f"{type(error).__name__}: {error}"
    return " ".join(text.replace("\0", "").split())[:_SHOWN_OUTPUT]
