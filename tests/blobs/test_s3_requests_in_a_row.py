"""The S3 requests of logging and loading a model that wait for one another, counted on SeaweedFS by a proxy."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import xgboost
from s3_requests import RequestProxy, request_proxy
from s3_servers import S3Server

import registry
from registry import MlflowClient


@pytest.fixture
def proxy(
    seaweedfs: S3Server, s3_environment: Callable[[S3Server], S3Server], monkeypatch: pytest.MonkeyPatch
) -> Iterator[RequestProxy]:
    """A proxy that boto3's clients go through."""
    s3_environment(seaweedfs)
    with request_proxy(seaweedfs.endpoint_url) as started:
        monkeypatch.setenv("AWS_ENDPOINT_URL", started.endpoint_url)
        yield started


def test_logging_a_model_makes_three_requests_in_a_row_and_loading_it_two(
    proxy: RequestProxy, seaweedfs: S3Server, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", seaweedfs.fresh_root())
    registry.set_tracking_uri(sqlite_url)
    client = MlflowClient(sqlite_url)
    experiment = client.create_experiment("games")
    rows = xgboost.DMatrix(np.arange(6.0).reshape(3, 2), label=np.array([0.0, 1.0, 0.0]))
    model = xgboost.train({"max_depth": 1}, rows, 1)
    client.log_model("xgboost", model, "first", experiment_id=experiment)

    proxy.clear()
    info = client.log_model("xgboost", model, "second", experiment_id=experiment)
    assert len(client.backend.logged_models.manifest(str(info.model_id)).entries) == 5
    assert proxy.in_a_row() == ["GET", "PUT", "GET"]  # list, store five files, list
    assert proxy.connections == 0

    proxy.clear()
    registry.pyfunc.load_model(info.model_uri)
    assert proxy.in_a_row() == ["GET", "GET"]  # list, fetch five files
    assert proxy.connections == 0

    proxy.clear()
    registry.pyfunc.load_model(info.model_uri)
    assert proxy.in_a_row() == []
