"""MLflow's path of its version (``mlflow.version``)."""

from typing import Final

# The MLflow whose behaviour this is. The version of this package is ``registry.__version__``.
VERSION: Final = "3.17.2"
