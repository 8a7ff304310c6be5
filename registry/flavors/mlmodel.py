"""Read and write the MLmodel file, which describes a model directory, in MLflow's layout.

The entries of the flavors are plain maps here; their content belongs to the flavors. Guarantees: the file is data. No
tag, class or module in it is acted on, and every path that a flavor takes from it passes `inside`.
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
    """Metadata of a logged or saved model.

    What only a logged model has (``model_id``, ``name``, ``params`` …) is None for a saved directory.

    Attributes:
        model_uri: URI to load the model by.
        model_uuid: Unique id that is written into the MLmodel file.
        run_id: The run that logged the model, if any.
        artifact_path: Location of a logged model, or the name that was given when a directory was saved.
        flavors: Entries of the MLmodel file by flavor.
        signature: The model's signature, or None.
        saved_input_example_info: Entry of the MLmodel file that describes the input example, or None.
        utc_time_created: When the model was saved, as ISO text in UTC.
        mlflow_version: Version of MLflow that saved the model; None if this package did.
        metadata: The caller's own metadata.
        registered_model_version: The version that was registered in the same call, or that the URI names.
        env_vars: Always None; kept for MLflow's signature.
        prompts: Names of prompts that MLflow recorded.
        model_id: Id of the logged model.
        name: Name of the logged model.
        params: Params of the logged model.
        metrics: Metrics of the logged model.
        tags: Tags of the logged model.
        creation_timestamp: Milliseconds since the epoch.

    Example:
        >>> info = registry.models.get_model_info("models:/churn/1")
        >>> info.name, sorted(info.flavors)
        ('model', ['python_function', 'xgboost'])
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
# These keys are omitted if they have no value, as in MLflow. Other keys are written as null.
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
    """The content of an MLmodel file.

    Attributes:
        artifact_path: The path in the run that it was logged to, or the name that was given when saving.
        run_id: The run that logged the model, if any.
        utc_time_created: When the model was saved, as ISO text in UTC.
        flavors: Entries by flavor.
        signature: The model's signature, or None.
        saved_input_example_info: Which file holds the input example, and its type; None without example.
        model_uuid: Unique id of this model.
        mlflow_version: Version of MLflow that saved the model; None if this package did.
        metadata: The caller's own metadata.
        model_size_bytes: Size of all files besides the MLmodel file and the environment files.
        model_id: Id of the logged model, if it is one.
        prompts: Names of prompts that MLflow recorded.
        extra: Unknown keys, kept so that they survive reading and writing.

    Example:
        >>> registry.xgboost.save_model(model, "my_model")
        >>> from registry.models import Model
        >>> sorted(Model.load("my_model").flavors)
        ['python_function', 'xgboost']
    """

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
        """Return the schema of the input, or None without a signature."""
        return self.signature.inputs if self.signature else None

    def get_output_schema(self) -> Schema | None:
        """Return the schema of the output, or None without a signature."""
        return self.signature.outputs if self.signature else None

    def get_params_schema(self) -> ParamSchema | None:
        """Return the schema of the params, or None if the signature has none."""
        return self.signature.params if self.signature else None

    def flavor(self, name: str) -> Mapping[str, Any]:
        """Return the entry of one flavor.

        Raises:
            NotFoundError: the model lacks the flavor; the message lists its flavors.
        """
        if name in self.flavors:
            return self.flavors[name]
        has = ", ".join(sorted(self.flavors)) or "none"
        raise NotFoundError(f'Model does not have the "{name}" flavor; it has: {has}.')

    def get_model_info(self, logged_model: LoggedModel | None = None) -> ModelInfo:
        """Return the metadata as ``log_model`` returns them.

        Args:
            logged_model: The logged model, whose name, params, metrics and tags are added; None for a saved directory.
        """
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
        # Imported here: `example` reads frames and arrays, which other callers do not need.
        from registry.flavors.example import StoredExample

        if isinstance(path, str) and _URI.match(path):
            raise InvalidParameterError(
                f"load_input_example reads a directory, not the URI {path!r}. Give it "
                f"artifacts.download_artifacts({path!r})."
            )
        stored = StoredExample.find(self, check_local_path(path))
        return None if stored is None else stored.read()

    def to_dict(self) -> dict[str, Any]:
        """Return the file's content as plain data."""
        known = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "extra"}
        form = {name: value for name, value in known.items() if value is not None or name not in _OMITTED_WHEN_NONE}
        if self.signature:
            form |= dict.fromkeys(_TYPE_HINT_KEYS, False) | {"signature": self.signature.to_dict()}
        return {**form, **self.extra}

    def to_yaml(self) -> str:
        """Return the file's content as YAML text."""
        return dump_map(self.to_dict())

    def save(self, path: str | Path) -> None:
        """Write the file at `path`.

        Args:
            path: The file to write; it is replaced if it exists.

        Raises:
            InvalidParameterError: the metadata are not plain data.
        """
        Path(path).write_text(self.to_yaml(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "Model":
        """Read the MLmodel file of a model directory.

        Args:
            path: The directory or the file.

        Raises:
            ArtifactNotFoundError: there is no MLmodel file.
            InvalidModelError: the file is not a usable MLmodel file.
        """
        local = check_local_path(path)
        file = local if local.name == FILE_NAME else local / FILE_NAME
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
        """Make a model from the form that `to_dict` returns.

        Args:
            model_dict: The content of an MLmodel file; keys may be missing.

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
    """Return the path of a file or directory below the model directory that an entry of the MLmodel file names.

    Raises:
        InvalidModelError: the entry is not a relative path, or leads outside by a link.
        ArtifactNotFoundError: the path does not exist.
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
