"""The manifest of an export: a `PortableModel` to and from the JSON text ``registry-export.json``.

What is read was made elsewhere, perhaps by somebody who means harm. Invariant: a model that `parsed` returns fits
together (every chain whole, every digest that of its files, every reference met) and has no name, path, number or text
that this registry would not take from its own callers.
"""

import dataclasses
import functools
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from registry.entities import Manifest, RunStatus
from registry.entities.history import ImportedHistory, canonical_json, check_imported_histories, event_from
from registry.entities.portable import PortableLoggedModel, PortableModel, PortableRun, PortableVersion
from registry.entities.replay import ModelState, VersionState, replay
from registry.entities.stages import ACTIVE_STAGES, ALL_STAGES
from registry.exceptions import IntegrityError, InvalidParameterError, RegistryError
from registry.rules import rules_from_json
from registry.validation.names import (
    MAX_EXPERIMENT_NAME,
    MAX_MODEL_TAG_VALUE,
    MAX_PARAM_VALUE,
    MODEL_ID,
    check_alias,
    check_key,
    check_model_name,
    check_run_id,
    check_text,
)
from registry.validation.paths import check_path

FORMAT: Final = 1
_SHA256: Final = frozenset("0123456789abcdef")
_LIMIT: Final = 2**63


@dataclasses.dataclass(frozen=True, slots=True)
class _Segment:
    registry_id: str
    model_uid: str
    events: list[dict[str, Any]]


@dataclasses.dataclass(frozen=True, slots=True)
class _Document:
    format: int
    segments: list[_Segment]
    versions: list[PortableVersion]
    logged_models: list[PortableLoggedModel]
    runs: list[PortableRun]


def text_of(model: PortableModel) -> bytes:
    """The JSON text of a model; the same model gives the same text."""
    segments = [
        {
            "registry_id": segment.registry_id,
            "model_uid": segment.model_uid,
            "events": [json.loads(event.canonical()) for event in segment.events],
        }
        for segment in model.segments
    ]
    rest = {name: [dataclasses.asdict(item) for item in getattr(model, name)] for name in _LISTS}
    return canonical_json({"format": FORMAT, "segments": segments, **rest}).encode()


def parsed(text: bytes) -> tuple[PortableModel, ModelState]:
    """The model of a JSON text, and what its last history folds into.

    Raises:
        IntegrityError: the text is no such manifest, or what it says does not fit together.
    """
    try:
        document = _adapter().validate_json(text)
        if document.format != FORMAT:
            raise IntegrityError(f"The export has the format {document.format}; this package reads {FORMAT}.")
        _check_scalars(dataclasses.asdict(document))
        segments = [
            ImportedHistory(segment.registry_id, segment.model_uid, tuple(map(event_from, segment.events)))
            for segment in document.segments
        ]
        model = PortableModel(segments, document.versions, document.logged_models, document.runs)
        if text_of(model) != text:  # a field that nobody reads, a number for a text: an export has neither
            raise IntegrityError("The export's manifest is not in the form that exports have.")
        return model, _checked(model)
    except ValidationError as error:
        first = error.errors()[0]
        raise IntegrityError(f"The export's manifest: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None
    except InvalidParameterError as error:
        raise IntegrityError(f"The export has a value that cannot be taken over: {error}") from error
    except RegistryError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise IntegrityError(f"The export has an event that cannot be: {error!r}.") from error


_LISTS: Final = ("versions", "logged_models", "runs")


@functools.cache
def _adapter() -> TypeAdapter[_Document]:
    return TypeAdapter(_Document)


def _checked(model: PortableModel) -> ModelState:
    if not model.segments:
        raise IntegrityError("The export has no history.")
    check_imported_histories(model.segments)
    for segment in model.segments:
        _require_hex(segment.model_uid, 32, "the uid of a model")
        if segment.registry_id.count("/") or not segment.registry_id:
            raise IntegrityError(f"The export has {segment.registry_id!r} for the id of a registry.")
    state = replay(model.own.events)
    _check_state(state)
    _check_unique((version.version for version in model.versions), "version")
    logged = {found.model_id: found for found in model.logged_models}
    _check_unique((found.model_id for found in model.logged_models), "logged model")
    _check_unique((run.run_id for run in model.runs), "run")
    for run in model.runs:
        _check_run(run)
    for found in model.logged_models:
        _check_logged_model(found, {run.run_id for run in model.runs})
    for version in model.versions:
        _check_version(version, state, logged)
    if logged.keys() != {version.model_id for version in model.versions}:
        raise IntegrityError("The export has a logged model that none of its versions names.")
    return state


def _check_state(state: ModelState) -> None:
    check_model_name(state.name)
    _check_tags(state.tags)
    if state.deleted:
        raise IntegrityError(f"The history of {state.name!r} says that the model was deleted before it was exported.")
    for alias in state.aliases:
        check_alias(alias)
    for stage, rules in state.rules.items():
        _require(stage in ACTIVE_STAGES, f"rules for the stage {stage!r}")
        rules_from_json(rules)
    for number, version in state.versions.items():
        _require(0 < number <= state.last_version < _LIMIT, f"version {number} of {state.last_version}")
        _check_version_state(version)
    for stage in ACTIVE_STAGES:
        holders = [number for number, version in state.versions.items() if version.stage == stage]
        _require(len(holders) <= 1, f"the versions {holders} in stage {stage}")


def _check_version_state(version: VersionState) -> None:
    _require(version.stage in ALL_STAGES, f"the stage {version.stage!r}")
    _check_tags(version.tags)
    if version.run_id is not None:
        check_run_id(version.run_id)


def _check_version(version: PortableVersion, state: ModelState, logged: dict[str, PortableLoggedModel]) -> None:
    said, model = state.versions.get(version.version), logged.get(version.model_id)
    if said is None or said.deleted or model is None:
        raise IntegrityError(f"The export has version {version.version}, of which its history does not speak.")
    if (said.model_id, said.digest) != (model.model_id, model.manifest.digest):
        raise IntegrityError(
            f"Version {version.version} of the export is the logged model {model.model_id} with the digest "
            f"{model.manifest.digest}, but its history says {said.model_id} with {said.digest}."
        )


def _check_logged_model(model: PortableLoggedModel, run_ids: set[str]) -> None:
    _require(MODEL_ID.fullmatch(model.model_id) is not None, f"the id {model.model_id!r} of a logged model")
    check_text(model.experiment, "experiment name", MAX_EXPERIMENT_NAME)
    # Files may be registered under names that nobody could give by hand, in another form of Unicode for example.
    _require(bool(model.name) and "/" not in model.name, f"the name {model.name!r} of a logged model")
    _require(model.run_id is None or model.run_id in run_ids, f"a logged model of the missing run {model.run_id!r}")
    _require(bool(model.files), f"the logged model {model.model_id} without files")
    for file in model.files:
        check_path(file.path)
        _require_blob(file.sha256, file.size)
    Manifest.of(model.manifest.entries)
    _check_keys(model.params)
    _check_keys(model.tags)
    for metric in model.metrics:
        check_key(metric.key)
        _require_number(metric.value)
    for key_id in model.signatures:
        _require_hex(key_id, 64, "the id of a key")


def _check_run(run: PortableRun) -> None:
    check_run_id(run.run_id)
    check_text(run.experiment, "experiment name", MAX_EXPERIMENT_NAME)
    RunStatus.from_string(run.status)
    for key, value in run.params.items():
        check_key(key)
        _require(len(value) <= MAX_PARAM_VALUE, f"a value of {len(value)} characters for the param {key!r}")
    _check_keys(run.tags)
    if run.points is not None:
        _require_blob(run.points.sha256, run.points.size)


def _check_tags(tags: Mapping[str, str]) -> None:
    _check_keys(tags)
    for key, value in tags.items():
        _require(len(value) <= MAX_MODEL_TAG_VALUE, f"a value of {len(value)} characters for the tag {key!r}")


def _check_keys(values: Iterable[str]) -> None:
    for key in values:
        check_key(key)


def _require_blob(sha256: str, size: int) -> None:
    _require_hex(sha256, 64, "a digest")
    _require(size >= 0, f"a file of {size} bytes")


def _require_hex(text: str, length: int, what: str) -> None:
    _require(len(text) == length and set(text) <= _SHA256, f"{text!r:.100} for {what}")


def _require_number(text: str) -> None:
    number = float(text)
    _require(text == repr(number) and not (math.isnan(number) and text != "nan"), f"{text!r} for a metric's value")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise IntegrityError(f"The export has {what}.")


def _check_unique(ids: Iterable[object], what: str) -> None:
    seen: set[object] = set()
    for found in ids:
        _require(found not in seen, f"the {what} {found} twice")
        seen.add(found)


def _check_scalars(value: Any) -> None:
    """Refuse what one of the databases could not hold: NUL and halves of surrogate pairs in texts, larger integers."""
    stack = [value]
    while stack:
        found = stack.pop()
        if isinstance(found, dict):
            stack.extend((*found.keys(), *found.values()))
        elif isinstance(found, list | tuple):
            stack.extend(found)
        elif isinstance(found, str):
            _require("\0" not in found and not any("\ud800" <= c <= "\udfff" for c in found), "a text with a NUL")
        elif isinstance(found, int):
            _require(-_LIMIT <= found < _LIMIT, f"the number {found}")
