"""Data sets as values: the identity of data that a run used, and their source.

A data set is a record: nothing is ever loaded from a source. Callers pass the function that infers a schema and the
tags of the calling program, so that nothing here reads files or looks at the process.
"""

from registry.datasets.arrays import NumpyDataset, from_numpy
from registry.datasets.frames import PandasDataset, content_digest, frame_digest, from_pandas
from registry.datasets.polars_frames import PolarsDataset, from_polars, is_polars_frame
from registry.datasets.recorded import RecordedDataset
from registry.datasets.sources import CodeDatasetSource, DatasetSource, UriDatasetSource, source_of

__all__ = [
    "CodeDatasetSource",
    "DatasetSource",
    "NumpyDataset",
    "PandasDataset",
    "PolarsDataset",
    "RecordedDataset",
    "UriDatasetSource",
    "content_digest",
    "frame_digest",
    "from_numpy",
    "from_pandas",
    "from_polars",
    "is_polars_frame",
    "source_of",
]
