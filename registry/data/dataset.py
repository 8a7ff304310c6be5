"""The type of the data sets that `log_input` takes (``mlflow.data.dataset``)."""

from registry.datasets import RecordedDataset
from registry.unsupported import explain_missing

Dataset = RecordedDataset

explain_missing(globals())
