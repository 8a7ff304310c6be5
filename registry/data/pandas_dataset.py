"""Data sets of DataFrames (``mlflow.data.pandas_dataset``)."""

from os import PathLike
from typing import TYPE_CHECKING

from registry import datasets
from registry.datasets import DatasetSource, PandasDataset
from registry.flavors.signatures.infer import infer_schema
from registry.fluent.run_context_tags import context_tags
from registry.unsupported import explain_missing

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PandasDataset", "from_pandas"]


def from_pandas(
    df: "pd.DataFrame",
    source: "str | PathLike[str] | DatasetSource | None" = None,
    targets: str | None = None,
    name: str | None = None,
    digest: str | None = None,
    predictions: str | None = None,
) -> PandasDataset:
    """A data set of a DataFrame, for `log_input`; its digest, schema and profile are MLflow's.

    `source` is a path or URI; without one it is the running program. `targets` and `predictions` name columns.

    Raises:
        InvalidTypeError: `df` is not a DataFrame.
        InvalidParameterError: a column is missing, or the frame cannot be digested.
    """
    return datasets.from_pandas(
        df, source, targets, name, digest, predictions, context_tags=context_tags(), infer_schema=infer_schema
    )


explain_missing(globals())
