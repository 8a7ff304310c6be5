"""What `log_input` takes (``mlflow.data.dataset``)."""

from registry.datasets import PandasDataset

__all__ = ["Dataset"]

# The base class of MLflow's; data sets of DataFrames are the only kind here.
Dataset = PandasDataset
