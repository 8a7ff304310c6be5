"""Sources of data sets (``mlflow.data.dataset_source``)."""

from registry.datasets import CodeDatasetSource, DatasetSource, RecordedDataset, UriDatasetSource, source_of
from registry.entities import Dataset, DatasetInput
from registry.unsupported import explain_missing

__all__ = ["CodeDatasetSource", "DatasetSource", "UriDatasetSource", "get_source"]


def get_source(dataset: RecordedDataset | Dataset | DatasetInput) -> DatasetSource:
    """Return the source of a data set.

    Args:
        dataset: A data set from `from_pandas` or its like, or one that was read from a run
            (``run.inputs.dataset_inputs``).

    Returns:
        A `UriDatasetSource` with the path or URI, or a `CodeDatasetSource` with the tags of the program.

    Raises:
        InvalidParameterError: The stored source has an unknown form.
        InvalidTypeError: The value is not a data set.

    Example:
        >>> dataset = mlflow.data.from_pandas(X, source="s3://nba/games.parquet")
        >>> with mlflow.start_run() as run:
        ...     mlflow.log_input(dataset)
        >>> used = mlflow.get_run(run.info.run_id).inputs.dataset_inputs[0]
        >>> mlflow.data.get_source(used).uri
        's3://nba/games.parquet'
    """
    if isinstance(dataset, RecordedDataset):
        return dataset.source
    return source_of(dataset.dataset if isinstance(dataset, DatasetInput) else dataset)


explain_missing(globals())
