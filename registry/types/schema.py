"""Schemas and their types (``mlflow.types.schema``)."""

from typing import TYPE_CHECKING

from registry.entities.param_schema import ParamSchema, ParamSpec
from registry.entities.schema import (
    AnyType,
    Array,
    ColSpec,
    DataType,
    Map,
    Object,
    Property,
    Schema,
    SparkMLVector,
    TensorSpec,
)

__all__ = [
    "AnyType",
    "Array",
    "ColSpec",
    "DataType",
    "Map",
    "Object",
    "ParamSchema",
    "ParamSpec",
    "Property",
    "Schema",
    "SparkMLVector",
    "TensorSpec",
]

if not TYPE_CHECKING:
    from registry.unsupported import attributes

    __getattr__ = attributes(__name__, __all__)
