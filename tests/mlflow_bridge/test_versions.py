"""Imports of what each version of MLflow really wrote."""

import pytest

from registry.client import MlflowClient
from registry.mlflow_bridge import import_mlflow
from tests_bridge import expected_counts

from .conftest import RENAMES, VERSIONS
