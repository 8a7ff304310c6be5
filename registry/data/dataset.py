"""What `log_input` takes (``mlflow.data.dataset``)."""

from typing import TYPE_CHECKING

from registry.datasets import PandasDataset

__all__ = ["Dataset"]

# The base class of MLflow's; data sets of DataFrames are the only kind here.
Dataset = PandasDataset

if not TYPE_CHECKING:
    from registry.unsupported import attributes

    __getattr__ = attributes(__name__, __all__)
