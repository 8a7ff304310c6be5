"""Names that this registry refuses, with a proposal for each, and the file in which users decide about them."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from registry.exceptions import InvalidNameError, InvalidParameterError, PathExistsError, disk_error
from registry.flavors.untrusted.yaml import dump_map, read_map
from registry.validation.names import (
    MAX_ALIAS,
    MAX_EXPERIMENT_NAME,
    MAX_KEY,
    MAX_MODEL_NAME,
    casefold_name,
    check_alias,
    check_key,
    check_model_name,
    check_text,
)
from registry.validation.paths import check_local_path

_SHOWN: Final = 10


def _check_experiment(name: object) -> str:
    return check_text(name, "name", MAX_EXPERIMENT_NAME)


_CHECKS: Final[Mapping[str, Callable[[object], str]]] = {
    "experiments": _check_experiment,
    "models": check_model_name,
    "aliases": check_alias,
    "keys": check_key,
}
_LIMITS: Final[Mapping[str, int]] = {
    "experiments": MAX_EXPERIMENT_NAME,
    "models": MAX_MODEL_NAME,
    "aliases": MAX_ALIAS,
    "keys": MAX_KEY,
}


@dataclass(frozen=True, slots=True)
class Renames:
    """New names by old name: of experiments, registered models, aliases, and keys of params, metrics and tags."""

    experiments: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)


def read_renames(given: Mapping[str, Any] | str | Path | None) -> Renames:
    """Read renames from a mapping or a YAML file; a file that does not exist has none.

    Raises:
        InvalidParameterError: It is no map of ``experiments``, ``models``, ``aliases`` or ``keys`` to maps of names.
        InvalidNameError: A new name is refused too.
    """
    if given is None:
        return Renames()
    if isinstance(given, Mapping):
        content: Mapping[str, Any] = given
    else:
        path = check_local_path(given)
        content = read_map(path) if path.exists() else {}
    kinds = [part.name for part in fields(Renames)]
    unknown = sorted(set(content) - set(kinds))
    if unknown:
        raise InvalidParameterError(f"Renames are of {', '.join(kinds)}, not of {unknown[0]!r}.")
    for kind, names in content.items():
        if not isinstance(names, Mapping):
            raise InvalidParameterError(f"The renames of {kind} must be a map of old names to new ones, got {names!r}.")
        for name in names.values():
            _CHECKS[kind](name)
    return Renames(**{kind: {str(old): str(new) for old, new in names.items()} for kind, names in content.items()})


class RefusedNames:
    """Collects names that are refused, with proposals."""

    def __init__(self) -> None:
        self._proposals: dict[str, dict[str, str]] = {}
        self._reasons: list[str] = []

    def check(self, kind: str, names: Iterable[str], renames: Mapping[str, str], *, folds: bool = False) -> None:
        """Check names of one kind after renaming; with `folds`, two may not differ only in case or width."""
        taken: dict[str, str] = {}
        for name in names:
            new = renames.get(name, name)
            reason = find_fault(kind, new)
            key = casefold_name(new) if folds else new
            if reason is None and key in taken:
                reason = f"{kind[:-1]} {name!r} is too similar to {taken[key]!r}."
            if reason is None:
                taken[key] = name
                continue
            proposal = first = propose(kind, new)
            number = 2
            while (casefold_name(proposal) if folds else proposal) in taken:
                end = f"-{number}"
                proposal = f"{first[: _LIMITS[kind] - len(end)].rstrip('/ ')}{end}"
                number += 1
            taken[casefold_name(proposal) if folds else proposal] = name
            self._proposals.setdefault(kind, {})[name] = proposal
            self._reasons.append(f"{kind[:-1]} {name!r}, proposed {proposal!r}")

    def raise_if_any(self, given: Mapping[str, Any] | str | Path | None, renames: Renames) -> None:
        """Raise if a name was refused; write the proposals to the file `given` if it does not exist.

        Raises:
            InvalidNameError: A name was refused; the message lists them with proposals.
        """
        if not self._reasons:
            return
        listed = "; ".join(self._reasons[:_SHOWN])
        more = f"; and {len(self._reasons) - _SHOWN} more" if len(self._reasons) > _SHOWN else ""
        advice = (
            "Say how to rename them in a YAML file (--rename FILE, rename=…); a FILE that does not exist is written"
        )
        advice += " with these proposals."
        if isinstance(given, str | Path):
            path = check_local_path(given)
            if path.exists():
                advice = f"Add them to {str(path)!r}."
            else:
                _write(path, {kind: {**getattr(renames, kind), **new} for kind, new in self._proposals.items()})
                advice = (
                    f"The proposals are in {str(path)!r} now; look at them and run this again. Nothing was imported."
                )
        raise InvalidNameError(f"Names that are not allowed here: {listed}{more}. {advice}")


def find_fault(kind: str, name: str) -> str | None:
    """Return why a name of a kind (``experiments``, ``models``, ``aliases``, ``keys``) is refused, or None."""
    try:
        _CHECKS[kind](name)
    except InvalidNameError as error:
        return error.message
    return None


def propose(kind: str, name: str) -> str:
    """Return a similar name that is allowed."""
    text = "".join(map(_printable, unicodedata.normalize("NFC", name)))
    if kind == "models":
        text = "".join("-" if character in "/:@?" else character for character in text)
    elif kind == "aliases":
        text = "".join(character if character.isalnum() or character in "_-" else "-" for character in text)
        text = f"alias-{text}" if find_fault(kind, text) else text
    elif kind == "keys":
        text = "".join(character if character.isalnum() or character in "/_.- :" else "_" for character in text)
        text = "/".join(part for part in text.split("/") if part not in ("", ".", ".."))
    text = text.strip()[: _LIMITS[kind]].rstrip("/ " if kind == "keys" else None)
    return text if find_fault(kind, text) is None else f"imported-{kind[:-1]}"


def _printable(character: str) -> str:
    return "-" if character != " " and unicodedata.category(character)[0] in "CZ" else character


def _write(path: Path, content: Mapping[str, Any]) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(dump_map(content))
    except FileExistsError:
        raise PathExistsError(f"The file {str(path)!r} appeared meanwhile. Look at it and run this again.") from None
    except OSError as error:
        raise disk_error(f"The file {str(path)!r} cannot be written: {error.strerror}.", error) from None
