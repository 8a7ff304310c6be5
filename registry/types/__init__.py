"""The types of signatures (``mlflow.types``)."""

from typing import TYPE_CHECKING

from registry.types.schema import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

__all__ = ["ColSpec", "DataType", "ParamSchema", "ParamSpec", "Schema", "TensorSpec"]

if not TYPE_CHECKING:
    from registry.unsupported import attributes

    __getattr__ = attributes(__name__, __all__)
