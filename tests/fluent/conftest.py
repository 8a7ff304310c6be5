"""A place where module-level functions work, and scripts in processes of their own."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

import registry


@pytest.fixture
def tracking_uri(database_url: str) -> str:
    """The database that module-level functions of this process and of its children speak to."""
    registry.set_tracking_uri(database_url)
    return database_url


@pytest.fixture
def client(tracking_uri: str) -> registry.MlflowClient:
    """A client of that place."""
    return registry.MlflowClient()


@pytest.fixture
def run_script() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """A function that runs a script with ``mlflow`` imported, in another process with this one's variables."""

    def run(script: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", "import registry as mlflow\n" + textwrap.dedent(script)],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
