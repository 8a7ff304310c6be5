"""Signatures (``mlflow.models.signature``)."""

from registry.entities.signature import ModelSignature
from registry.flavors import infer_signature

__all__ = ["ModelSignature", "infer_signature"]
