"""Data sets made from polars DataFrames (``mlflow.data.polars_dataset``)."""

from os import PathLike
from typing import TYPE_CHECKING

from registry import datasets
from registry.datasets import DatasetSource, PolarsDataset
from registry.fluent.run_context_tags import context_tags
from registry.unsupported import explain_missing

if TYPE_CHECKING:
    import polars as pl

__all__ = ["PolarsDataset", "from_polars"]


def from_polars(
    df: "pl.DataFrame",
    source: "str | PathLike[str] | DatasetSource | None" = None,
    targets: str | None = None,
    name: str | None = None,
    digest: str | None = None,
    predictions: str | None = None,
) -> PolarsDataset:
    """Make a data set from a polars DataFrame, for `log_input`. Digest, schema and profile are MLflow's.

    Args:
        df: The DataFrame. It is kept, not copied.
        source: The path or URI that the data came from. Default: the running program.
        targets: The name of the target column.
        name: The data set's name, up to 500 characters. Default: ``dataset``.
        digest: A digest of up to 36 characters. Default: polars' own hash of the rows.
        predictions: The name of the column of predictions.

    Returns:
        The data set.

    Raises:
        InvalidTypeError: `df` is not a polars DataFrame.
        InvalidParameterError: A column does not exist.

    Example:
        >>> import polars
        >>> games = polars.DataFrame({"rest_days": [1, 3, 2], "won": [0, 1, 1]})
        >>> dataset = mlflow.data.from_polars(games, targets="won", name="games")
        >>> dataset.profile, dataset.schema.input_names()
        ({'num_rows': 3, 'num_elements': 6}, ['rest_days', 'won'])
    """
    return datasets.from_polars(df, source, targets, name, digest, predictions, context_tags=context_tags())


explain_missing(globals())
