"""Signatures (``mlflow.models.signature``)."""

from typing import TYPE_CHECKING

from registry.entities.signature import ModelSignature
from registry.flavors import infer_signature

__all__ = ["ModelSignature", "infer_signature"]

if not TYPE_CHECKING:
    from registry.unsupported import attributes

    __getattr__ = attributes(__name__, __all__)
