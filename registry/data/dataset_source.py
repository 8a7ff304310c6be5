"""Where data came from (``mlflow.data.dataset_source``)."""

from registry.datasets import CodeDatasetSource, DatasetSource, PandasDataset, UriDatasetSource, source_of
from registry.entities import Dataset, DatasetInput
from registry.unsupported import explain_missing

__all__ = ["CodeDatasetSource", "DatasetSource", "UriDatasetSource", "get_source"]


def get_source(dataset: PandasDataset | Dataset | DatasetInput) -> DatasetSource:
    """The source of a data set, or of one that was read back from a run (``run.inputs.dataset_inputs``).

    Raises:
        InvalidParameterError: the source is not of a known form.
    """
    if isinstance(dataset, PandasDataset):
        return dataset.source
    return source_of(dataset.dataset if isinstance(dataset, DatasetInput) else dataset)


explain_missing(globals())
