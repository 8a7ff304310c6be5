"""`spark_udf`: a model as a function of columns in Spark, with MLflow's signature and rules.

`spark_types` converts the predictions. Guarantees: all executors use the bytes that the URI stood for on the driver.
"""

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator as TypedIterator, Tuple, Union  # noqa: UP035 - the forms that pyspark understands

from registry.exceptions import InvalidParameterError, InvalidTypeError, NotSupportedError, SchemaEnforcementError
from registry.flavors.mlmodel import Model
from registry.flavors.optional_imports import optional_import
from registry.flavors.signatures.enforce import enforce_params
from registry.flavors.untrusted.yaml import read_map
from registry.scoring.predictor import Predictor
from registry.scoring.spark_types import parse_result_type, result_type_of, to_spark
from registry.validation.arguments import describe_value


def spark_udf(
    spark: Any,
    model_uri: str,
    result_type: Any = None,
    env_manager: str | None = None,
    params: Mapping[str, Any] | None = None,
    extra_env: Mapping[str, str] | None = None,
    prebuilt_env_uri: str | None = None,
    model_config: Mapping[str, Any] | str | Path | None = None,
    *,
    nthread: int | None = None,
    allow_code: bool | None = None,
    require_signature: str | Path | None = None,
    skops_trusted_types: Iterable[str] | None = None,
) -> Callable[..., Any]:
    """Make the user-defined function; see `registry.pyfunc.spark_udf`."""
    pandas_udf = optional_import("pyspark.sql.functions", "spark").pandas_udf
    if not hasattr(spark, "conf"):
        raise InvalidTypeError(f"spark must be a SparkSession, got {describe_value(spark)}.")
    if env_manager not in (None, "local") or prebuilt_env_uri is not None:
        raise NotSupportedError(
            "Environments are not restored: executors predict in the Python that they run in. Leave env_manager and "
            "prebuilt_env_uri out, and give executors the model's requirements, for example by spark.archives."
        )
    if isinstance(model_config, str | Path):
        model_config = read_map(Path(model_config))
    predictor = Predictor(
        model_uri,
        nthread=nthread or int(spark.conf.get("spark.task.cpus", "1")),
        params=params,
        model_config=model_config,
        allow_code=allow_code,
        require_signature=require_signature,
        skops_trusted_types=skops_trusted_types,
    )
    metadata = predictor.metadata
    returned = result_type_of(metadata) if result_type is None else parse_result_type(result_type)
    checked_params = enforce_params(params, metadata.get_params_schema()) or None
    udf = pandas_udf(_batch_function(predictor, returned, checked_params, dict(extra_env or {})), returned)
    udf.metadata = metadata

    @functools.wraps(udf)
    def udf_with_default_columns(*columns: Any) -> Any:
        return udf(*(columns or _default_columns(metadata)))

    return udf_with_default_columns


def _default_columns(metadata: Model) -> list[str | int]:
    schema = metadata.get_input_schema()
    if schema is not None and schema.optional_input_names():
        raise InvalidParameterError(
            "Cannot apply UDF without column names specified when model signature contains optional columns. Name the "
            "columns that the data have."
        )
    if schema is None or not schema.has_input_names():
        raise InvalidParameterError(
            "Attempting to apply udf on zero columns because no column names were specified as arguments or inferred "
            "from the model signature. Name the columns, or log the model with a signature."
        )
    return schema.input_names()


def _batch_function(
    predictor: Predictor, returned: Any, params: Mapping[str, Any] | None, variables: Mapping[str, str]
) -> Callable[[Iterator[Any]], Iterator[Any]]:
    import pandas as pd

    is_struct = type(returned).__name__ == "StructType"

    def predict_batches(batches: Iterator[Any]) -> Iterator[Any]:
        with _environment(variables):
            model = predictor.load()
            for batch in batches:
                arguments = (batch,) if isinstance(batch, pd.Series | pd.DataFrame) else batch
                if len(arguments[0]):
                    yield to_spark(model.predict(_frame(arguments, model.metadata), params), returned)

    # pyspark chooses the kind of function by these annotations, and knows the older forms of types alone.
    predict_batches.__annotations__ = {
        "batches": TypedIterator[Tuple[Union[pd.Series, pd.DataFrame], ...]],  # noqa: UP006, UP007
        "return": TypedIterator[pd.DataFrame] if is_struct else TypedIterator[pd.Series],
    }
    return predict_batches


def _frame(arguments: tuple[Any, ...], metadata: Model) -> Any:
    """Return the arguments of a call as the model's data: a struct alone is a frame, columns are in its order."""
    import pandas as pd

    if len(arguments) == 1 and isinstance(arguments[0], pd.DataFrame):
        return arguments[0]
    schema = metadata.get_input_schema()
    if schema is None:
        names: list[str | int] = [str(position) for position in range(len(arguments))]
    else:
        names = schema.input_names()[: len(arguments)]
        required = schema.required_input_names()
        if len(arguments) < len(required):
            raise SchemaEnforcementError(
                f"Model input is missing required columns. Expected {len(required)} required input columns {required}, "
                f"but the model received only {len(arguments)} unnamed input columns. (Columns that are passed unnamed "
                "are taken in the order of the signature.)"
            )
    return pd.DataFrame(
        {
            name: column if isinstance(column, pd.Series) else pd.Series(column.to_dict("records"), column.index)
            for name, column in zip(names, arguments, strict=False)
        }
    )


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables while an executor scores, and restore them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
