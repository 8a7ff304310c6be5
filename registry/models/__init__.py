"""What a model is: its MLmodel file, signature and information (``mlflow.models``)."""

from typing import Any

from registry.entities.schema import Schema
from registry.flavors import set_model
from registry.flavors.signatures.enforce import enforce_schema
from registry.models.model import Model, ModelInfo, get_model_info
from registry.models.signature import ModelSignature, infer_signature
from registry.unsupported import explain_missing

__all__ = [
    "Model",
    "ModelInfo",
    "ModelSignature",
    "get_model_info",
    "infer_signature",
    "set_model",
    "validate_schema",
]


def validate_schema(data: Any, expected_schema: Schema) -> None:
    """Hold data against a schema as ``predict`` does.

    Raises:
        SchemaEnforcementError: the data do not fit; the message names the columns or types that differ.
    """
    enforce_schema(data, expected_schema)


explain_missing(globals())
