"""Registries for fault injection: on a local disk always, on S3 servers in a storm."""

from pathlib import Path

import pytest
from gc_places import Place, made


@pytest.fixture(
    params=[
        "sqlite-local",
        "postgresql-local",
        pytest.param("sqlite-moto_s3", marks=pytest.mark.storm),
        pytest.param("postgresql-seaweedfs", marks=pytest.mark.storm),
    ]
)
def place(request: pytest.FixtureRequest, own_place: Path) -> Place:
    """A new registry."""
    return made(request, own_place)
