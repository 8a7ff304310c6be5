"""What ``log_model`` gives back: the MLmodel file's content and where the model is (MLflow's ModelInfo)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from registry.entities.run import Metric
from registry.entities.signature import ModelSignature


@dataclass(frozen=True)
class ModelInfo:
    """A logged model's metadata; ``creation_timestamp`` is in milliseconds since the epoch.

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
