"""Types of signatures (``mlflow.types``)."""

from registry.types.schema import (
    ColSpec as ColSpec,
    DataType as DataType,
    ParamSchema as ParamSchema,
    ParamSpec as ParamSpec,
    Schema as Schema,
    TensorSpec as TensorSpec,
)
from registry.unsupported import explain_missing

explain_missing(globals())
