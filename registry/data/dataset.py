"""The type of the data sets that `log_input` takes (``mlflow.data.dataset``)."""

from registry.datasets import PandasDataset
from registry.unsupported import explain_missing

# The base class of MLflow's; data sets of DataFrames are the only kind here.
Dataset = PandasDataset

explain_missing(globals())
