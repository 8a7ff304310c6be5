"""Converts a `PortableModel` to and from the JSON text ``registry-export.json``.

The text may come from an attacker. Guarantees: a returned model is consistent (every chain unbroken, every digest and
reference correct), and has no name, path, number or text that this registry would refuse from its own callers.
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
from registry.entities.history_replay import ModelState, VersionState, replay
from registry.entities.portable_model import PortableLoggedModel, PortableModel, PortableRun, PortableVersion
from registry.entities.stages import ACTIVE_STAGES, ALL_STAGES
from registry.exceptions import IntegrityError, InvalidParameterError, RegistryError
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


def to_json(model: PortableModel) -> bytes:
    """Return the JSON text of a model. Equal models give equal texts."""
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


def from_json(text: bytes) -> tuple[PortableModel, ModelState]:
    """Parse a JSON text to a model and the state that its last history replays to.

    Raises:
        IntegrityError: The text is not such a manifest, or contradicts itself.
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
        if to_json(model) != text:  # an unknown field, or a number where exports have a text
            raise IntegrityError("The export's manifest is not in canonical form: it was not written by an export.")
        return model, _validate(model)
    except ValidationError as error:
        first = error.errors()[0]
        raise IntegrityError(f"The export's manifest: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None
    except InvalidParameterError as error:
        raise IntegrityError(f"The export has an invalid value: {error}") from error
    except RegistryError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise IntegrityError(f"The export has an impossible event: {error!r}.") from error


_LISTS: Final = ("versions", "logged_models", "runs")


@functools.cache
def _adapter() -> TypeAdapter[_Document]:
    return TypeAdapter(_Document)


def _validate(model: PortableModel) -> ModelState:
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
    logged = {logged_model.model_id: logged_model for logged_model in model.logged_models}
    _check_unique((logged_model.model_id for logged_model in model.logged_models), "logged model")
    _check_unique((run.run_id for run in model.runs), "run")
    for run in model.runs:
        _check_run(run)
    for logged_model in model.logged_models:
        _check_logged_model(logged_model, {run.run_id for run in model.runs})
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
        from registry.rules import rules_from_json

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
    recorded, model = state.versions.get(version.version), logged.get(version.model_id)
    if recorded is None or recorded.deleted or model is None:
        raise IntegrityError(f"The export has version {version.version}, which is missing in its history.")
    if (recorded.model_id, recorded.digest) != (model.model_id, model.manifest.digest):
        raise IntegrityError(
            f"Version {version.version} of the export is the logged model {model.model_id} with the digest "
            f"{model.manifest.digest}, but its history says {recorded.model_id} with {recorded.digest}."
        )


def _check_logged_model(model: PortableLoggedModel, run_ids: set[str]) -> None:
    _require(MODEL_ID.fullmatch(model.model_id) is not None, f"the id {model.model_id!r} of a logged model")
    check_text(model.experiment, "experiment name", MAX_EXPERIMENT_NAME)
    # Registered files may have names that users cannot give, for example in another Unicode form.
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
    for identifier in ids:
        _require(identifier not in seen, f"the {what} {identifier} twice")
        seen.add(identifier)


def _check_scalars(value: Any) -> None:
    """Refuse what a database cannot hold: NUL and half surrogate pairs in texts, and integers over 64 bits."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend((*item.keys(), *item.values()))
        elif isinstance(item, list | tuple):
            stack.extend(item)
        elif isinstance(item, str):
            _require("\0" not in item and not any("\ud800" <= c <= "\udfff" for c in item), "a text with a NUL")
        elif isinstance(item, int):
            _require(-_LIMIT <= item < _LIMIT, f"the number {item}")
