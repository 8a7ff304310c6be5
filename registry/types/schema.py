"""Schemas and their types (``mlflow.types.schema``)."""

from registry.entities.param_schema import ParamSchema as ParamSchema, ParamSpec as ParamSpec
from registry.entities.schema import (
    AnyType as AnyType,
    Array as Array,
    ColSpec as ColSpec,
    DataType as DataType,
    Map as Map,
    Object as Object,
    Property as Property,
    Schema as Schema,
    SparkMLVector as SparkMLVector,
    TensorSpec as TensorSpec,
)
from registry.unsupported import explain_missing

explain_missing(globals())
