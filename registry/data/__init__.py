"""The data sets that runs read (``mlflow.data``): a record of what data it was, never a way to load it."""

from typing import TYPE_CHECKING

from registry.data.dataset import Dataset
from registry.data.dataset_source import DatasetSource, get_source
from registry.data.pandas_dataset import PandasDataset, from_pandas

__all__ = ["Dataset", "DatasetSource", "PandasDataset", "from_pandas", "get_source"]

if not TYPE_CHECKING:
    from registry.unsupported import attributes

    __getattr__ = attributes(__name__, __all__)
