"""Data sets made from DataFrames (``mlflow.data.pandas_dataset``)."""

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
    """Make a data set from a DataFrame, for `log_input`. Digest, schema and profile are MLflow's.

    Args:
        df: The DataFrame. It is kept, not copied.
        source: The path or URI that the data came from. Default: the running program.
        targets: The name of the target column.
        name: The data set's name, up to 500 characters. Default: ``dataset``.
        digest: A digest of up to 36 characters. Default: 8 hexadecimal digits computed from the data.
        predictions: The name of the column of predictions.

    Returns:
        The data set.

    Raises:
        InvalidTypeError: `df` is not a DataFrame.
        InvalidParameterError: A column does not exist, or the frame's index cannot be hashed.

    Example:
        >>> dataset = mlflow.data.from_pandas(X.assign(won=y), "s3://nba/games.parquet", targets="won", name="games")
        >>> dataset.profile
        {'num_rows': 40, 'num_elements': 120}
        >>> dataset.schema.input_names()
        ['rest_days', 'rating_gap', 'won']
    """
    return datasets.from_pandas(
        df, source, targets, name, digest, predictions, context_tags=context_tags(), infer_schema=infer_schema
    )


explain_missing(globals())
