"""The MLmodel file: what a model directory says of itself.

Owns reading, writing and the layout, which is MLflow's; the flavors' own entries are plain maps here and belong to the
flavors. Invariant: what is read is data. No tag, class or module in the file is acted on, and every path that a flavor
takes from it passes `inside`.
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from registry.entities.logged_model import LoggedModel
from registry.entities.param_schema import ParamSchema
from registry.entities.run import Metric
from registry.entities.schema import Schema
from registry.entities.signature import ModelSignature
from registry.exceptions import ArtifactNotFoundError, InvalidModelError, InvalidParameterError, NotFoundError
from registry.flavors.untrusted.yaml import dump_map, read_map
from registry.validation.paths import check_local_path, check_path


@dataclass(frozen=True)
class ModelInfo:
    """A logged model's metadata; ``creation_timestamp`` is in milliseconds since the epoch.

    ``artifact_path`` is where a logged model lies, and the name that was given for a directory that was only saved.
    What belongs to a logged model (``model_id``, ``name``, ``params`` …) is None for a directory that was only saved.
    """

    model_uri: str
    model_uuid: str | None
    run_id: str | None
    artifact_path: str | None
    flavors: Mapping[str, Any]
    signature: ModelSignature | None = None
    saved_input_example_info: Mapping[str, Any] | None = None
    utc_time_created: str | None = None
    mlflow_version: str | None = None
    metadata: Mapping[str, Any] | None = None
    registered_model_version: int | None = None
    env_vars: list[str] | None = None
    prompts: list[str] | None = None
    model_id: str | None = None
    name: str | None = None
    params: Mapping[str, str] | None = None
    metrics: list[Metric] | None = None
    tags: Mapping[str, str] | None = field(default=None)
    creation_timestamp: int | None = None


FILE_NAME: Final = "MLmodel"
PYTHON_FUNCTION: Final = "python_function"
_URI: Final = re.compile(r"[a-z][a-z0-9+.-]+:/")
_TYPE_HINT_KEYS: Final = ("is_signature_from_type_hint", "type_hint_from_example")
# Written only when they have a value, as MLflow does; the other keys are written as null.
_OMITTED_WHEN_NONE: Final = frozenset(
    {
        "artifact_path",
        "run_id",
        "signature",
        "saved_input_example_info",
        "metadata",
        "mlflow_version",
        "model_size_bytes",
    }
)


def _now() -> str:
    return str(datetime.now(UTC).replace(tzinfo=None))


@dataclass(frozen=True)
class Model:
    """The content of an MLmodel file. ``extra`` holds keys that are unknown here, so that they survive a round trip."""

    artifact_path: str | None = None
    run_id: str | None = None
    utc_time_created: str = field(default_factory=_now)
    flavors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    signature: ModelSignature | None = None
    saved_input_example_info: Mapping[str, Any] | None = None
    model_uuid: str | None = field(default_factory=lambda: uuid.uuid4().hex)
    mlflow_version: str | None = None
    metadata: Mapping[str, Any] | None = None
    model_size_bytes: int | None = None
    model_id: str | None = None
    prompts: list[str] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def get_input_schema(self) -> Schema | None:
        """The schema of the input, if the model has a signature."""
        return self.signature.inputs if self.signature else None

    def get_output_schema(self) -> Schema | None:
        """The schema of the output, if the model has a signature."""
        return self.signature.outputs if self.signature else None

    def get_params_schema(self) -> ParamSchema | None:
        """The schema of the params, if the model has a signature with params."""
        return self.signature.params if self.signature else None

    def flavor(self, name: str) -> Mapping[str, Any]:
        """The entry of one flavor.

        Raises:
            NotFoundError: the model lacks the flavor; the message lists those it has.
        """
        if name in self.flavors:
            return self.flavors[name]
        has = ", ".join(sorted(self.flavors)) or "none"
        raise NotFoundError(f'Model does not have the "{name}" flavor; it has: {has}.')

    def get_model_info(self, logged_model: LoggedModel | None = None) -> ModelInfo:
        """What ``log_model`` returns, with the logged model's own figures where it is given."""
        uri = f"models:/{self.model_id}" if self.model_id else f"runs:/{self.run_id}/{self.artifact_path}"
        info = ModelInfo(
            model_uri=uri,
            model_uuid=self.model_uuid,
            run_id=self.run_id,
            artifact_path=self.artifact_path,
            flavors=self.flavors,
            signature=self.signature,
            saved_input_example_info=self.saved_input_example_info,
            utc_time_created=self.utc_time_created,
            mlflow_version=self.mlflow_version,
            metadata=self.metadata,
            prompts=self.prompts,
            model_id=self.model_id,
        )
        if logged_model is None:
            return info
        return replace(
            info,
            artifact_path=logged_model.artifact_location,
            model_id=logged_model.model_id,
            name=logged_model.name,
            params=logged_model.params,
            metrics=logged_model.metrics,
            tags=logged_model.tags,
            creation_timestamp=logged_model.creation_timestamp,
        )

    def load_input_example(self, path: str | Path) -> Any:
        """Return the input example that was saved with the model, or None if there is none.

        Args:
            path: The model's directory. For a URI give what ``artifacts.download_artifacts(uri)`` returns.

        Raises:
            ArtifactNotFoundError: the MLmodel file names an example, but its file is missing.
            InvalidModelError: the file does not hold an example of the type that the MLmodel file names.
        """
        # `example` reads frames and arrays; whoever asks for no example does without it.
        from registry.flavors.example import StoredExample

        if isinstance(path, str) and _URI.match(path):
            raise InvalidParameterError(
                f"load_input_example reads a directory, not the URI {path!r}. Give it "
                f"artifacts.download_artifacts({path!r})."
            )
        stored = StoredExample.find(self, check_local_path(path))
        return None if stored is None else stored.read()

    def to_dict(self) -> dict[str, Any]:
        """The file's content as plain data."""
        known = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "extra"}
        form = {name: value for name, value in known.items() if value is not None or name not in _OMITTED_WHEN_NONE}
        if self.signature:
            form |= dict.fromkeys(_TYPE_HINT_KEYS, False) | {"signature": self.signature.to_dict()}
        return {**form, **self.extra}

    def to_yaml(self) -> str:
        """The file's content as YAML text."""
        return dump_map(self.to_dict())

    def save(self, path: str | Path) -> None:
        """Write the file at `path`.

        Raises:
            InvalidParameterError: the metadata are not plain data.
        """
        Path(path).write_text(self.to_yaml(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "Model":
        """Read a model directory's MLmodel file; `path` is the directory or the file.

        Raises:
            ArtifactNotFoundError: there is no MLmodel file.
            InvalidModelError: the file is not a usable MLmodel file.
        """
        given = check_local_path(path)
        file = given if given.name == FILE_NAME else given / FILE_NAME
        if not file.is_file():
            raise ArtifactNotFoundError(
                f"Could not find an 'MLmodel' configuration file at {str(path)!r}. "
                "A model directory has one at its top; save it with save_model or log_model."
            )
        try:
            return cls.from_dict(read_map(file))
        except InvalidModelError:
            raise
        except InvalidParameterError as error:
            raise InvalidModelError(f"The file {str(file)!r} is no usable MLmodel file: {error}") from error

    @classmethod
    def from_dict(cls, model_dict: Mapping[str, Any]) -> "Model":
        """The model of the form that `to_dict` gives; keys may be missing.

        Raises:
            InvalidParameterError: a value has the wrong type.
        """
        form = {key: value for key, value in model_dict.items() if key not in _TYPE_HINT_KEYS}
        known = {item.name for item in fields(cls)} - {"extra"}
        values = {"model_uuid": None, "utc_time_created": "", **{key: form[key] for key in known & form.keys()}}
        for key in ("artifact_path", "run_id", "model_uuid", "mlflow_version", "model_id", "utc_time_created"):
            values[key] = None if values.get(key) is None else str(values[key])
        values["flavors"] = _flavors(values.get("flavors"))
        signature = values.get("signature")
        values["signature"] = ModelSignature.from_dict(signature) if signature else None
        extra = {key: value for key, value in form.items() if key not in known}
        return cls(**values, extra=extra)


def inside(directory: Path, value: object, what: str) -> Path:
    """The file or directory that an entry of the MLmodel file names, below the model directory.

    Raises:
        InvalidModelError: the entry is no relative path, or leads outside by a link.
        ArtifactNotFoundError: nothing is there.
    """
    try:
        path = directory / check_path(value, f"path in {what} of the MLmodel file")
    except InvalidParameterError as error:
        raise InvalidModelError(f"The model in {str(directory)!r} cannot be used: {error}") from None
    root = directory.resolve()
    if not path.resolve().is_relative_to(root):
        raise InvalidModelError(f"The path {value!r} in {what} of the MLmodel file leads outside {str(root)!r}.")
    if not path.exists():
        raise ArtifactNotFoundError(
            f"The MLmodel file names {value!r} in {what}, but there is no such file in {str(root)!r}."
        )
    return path


def _flavors(value: object) -> dict[str, dict[str, Any]]:
    if value is None:
        return {}
    if isinstance(value, Mapping) and all(isinstance(entry, Mapping) for entry in value.values()):
        return {str(name): dict(entry) for name, entry in value.items()}
    raise InvalidParameterError("the key `flavors` must be a map of flavors to maps.")
