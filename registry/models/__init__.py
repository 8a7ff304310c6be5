"""Model metadata: MLmodel files, signatures and information (``mlflow.models``)."""

from typing import Any

from registry.entities.schema import Schema
from registry.evaluation import EvaluationMetric, MetricValue, evaluate, make_metric
from registry.evaluation.result import EvaluationArtifact, EvaluationResult
from registry.evaluation.thresholds import MetricThreshold, validate_evaluation_results
from registry.flavors import set_model
from registry.flavors.signatures.enforce import enforce_schema
from registry.models.model import Model, ModelInfo, get_model_info
from registry.models.signature import ModelSignature, infer_signature, set_signature
from registry.unsupported import explain_missing

__all__ = [
    "EvaluationArtifact",
    "EvaluationMetric",
    "EvaluationResult",
    "MetricThreshold",
    "MetricValue",
    "Model",
    "ModelInfo",
    "ModelSignature",
    "evaluate",
    "get_model_info",
    "infer_signature",
    "list_evaluators",
    "make_metric",
    "set_model",
    "set_signature",
    "validate_evaluation_results",
    "validate_schema",
]


def validate_schema(data: Any, expected_schema: Schema) -> None:
    """Check that data fit a schema, as ``predict`` does.

    Args:
        data: A DataFrame, Series, array, list or dict.
        expected_schema: The schema, such as ``signature.inputs``.

    Raises:
        SchemaEnforcementError: The data do not fit; the message names the columns or types that differ.

    Example:
        >>> signature = mlflow.models.infer_signature(X)
        >>> mlflow.models.validate_schema(X, signature.inputs)
        >>> mlflow.models.validate_schema(X[["rest_days"]], signature.inputs)
        Traceback (most recent call last):
        registry.exceptions.SchemaEnforcementError: ... Error: Model is missing inputs ['rating_gap'].
    """
    enforce_schema(data, expected_schema)


def list_evaluators() -> list[str]:
    """Return the names that ``evaluators`` of `evaluate` takes.

    Returns:
        The names, sorted.

    Example:
        >>> mlflow.models.list_evaluators()
        ['classifier', 'default', 'regressor', 'shap']
    """
    return ["classifier", "default", "regressor", "shap"]


explain_missing(globals())
