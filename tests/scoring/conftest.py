"""Registries to score with."""

from pathlib import Path

import pytest
from scored_games import fill

import registry


@pytest.fixture
def churn(own_place: Path) -> str:
    """The registry in the working directory; return the URI of its Production version."""
    fill()
    return "models:/churn/Production"


@pytest.fixture
def churn_on_s3(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, own_place: Path) -> str:
    """The registry with its files on moto's S3; return a fresh prefix for data."""
    server = request.getfixturevalue("s3_environment")(request.getfixturevalue("moto_s3"))
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", server.fresh_root())
    registry.set_tracking_uri("sqlite:///registry.db")
    fill()
    return str(server.fresh_root())
