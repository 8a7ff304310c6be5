"""Data sets that runs use (``mlflow.data``): a record of the data's identity, not a way to load it."""

from registry.data.dataset import Dataset as Dataset
from registry.data.dataset_source import DatasetSource as DatasetSource, get_source as get_source
from registry.data.numpy_dataset import NumpyDataset as NumpyDataset, from_numpy as from_numpy
from registry.data.pandas_dataset import PandasDataset as PandasDataset, from_pandas as from_pandas
from registry.data.polars_dataset import PolarsDataset as PolarsDataset, from_polars as from_polars
from registry.unsupported import explain_missing

explain_missing(globals())
