"""A flaky network to a real object store: everything acknowledged can be read, complete."""

import contextlib
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fault_proxy import FOUL, fault_proxy
from file_trees import write_files
from gc_places import Place
from governed_models import raw_sql
from s3_servers import S3Server
from soundness import FILES, check_bytes, check_versions
from volumes import volume

from registry import MlflowClient
from registry.blobs.s3 import errors
from registry.exceptions import IntegrityError, StorageError, UnavailableError

pytestmark = pytest.mark.slow


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the pauses between attempts."""
    import botocore.retries.standard

    monkeypatch.setattr(botocore.retries.standard.ExponentialBackoff, "delay_amount", lambda self, context: 0.01)
    # Nor is the allowance of retries, which a fifth of all exchanges being spoilt uses up.
    monkeypatch.setattr(botocore.retries.standard.RetryQuotaChecker, "acquire_retry_quota", lambda self, context: True)
    monkeypatch.setattr(errors.time, "sleep", lambda seconds: None)


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("count", [12, pytest.param(1000, marks=pytest.mark.storm)])
def test_files_acknowledged_over_a_flaky_network_can_be_read(
    count: int,
    sqlite_url: str,
    own_place: Path,
    seaweedfs: S3Server,
    s3_environment: Callable[[S3Server], S3Server],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s3_environment(seaweedfs)
    root = seaweedfs.fresh_root()
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", root)
    source = str(write_files(own_place / "source", FILES))
    acknowledged: list[int] = []
    count = volume(count, 50) if count > 12 else count
    with fault_proxy(seaweedfs.endpoint_url, seed=4) as weather:
        monkeypatch.setenv("AWS_ENDPOINT_URL", weather.endpoint_url)
        client = MlflowClient(sqlite_url)

        def publish(_: int) -> None:
            # Refused in so many words: then nothing may have appeared.
            with contextlib.suppress(StorageError, UnavailableError, IntegrityError):
                acknowledged.append(client.register_model(source, "churn").version)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(publish, range(count)))
        assert len(weather.met) == len(FOUL)
    monkeypatch.setenv("AWS_ENDPOINT_URL", seaweedfs.endpoint_url)
    place = Place(sqlite_url, root, client, raw_sql(sqlite_url))

    assert len(acknowledged) >= count * 0.9
    assert sorted(acknowledged) == list(range(1, len(acknowledged) + 1))
    assert check_versions(place) == len(acknowledged)
    check_bytes(place)
    assert check_versions(place) == len(acknowledged)


@pytest.mark.usefixtures("quick_retries")
def test_a_load_in_foul_weather_gives_the_model_or_an_error(
    sqlite_url: str,
    own_place: Path,
    seaweedfs: S3Server,
    s3_environment: Callable[[S3Server], S3Server],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s3_environment(seaweedfs)
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", seaweedfs.fresh_root())
    client = MlflowClient(sqlite_url)
    client.register_model(str(write_files(own_place / "source", FILES)), "churn")
    place = Place(sqlite_url, "", client, raw_sql(sqlite_url))
    loaded = 0
    with fault_proxy(seaweedfs.endpoint_url, seed=5, chance=0.3) as weather:
        monkeypatch.setenv("AWS_ENDPOINT_URL", weather.endpoint_url)
        for number in range(20):
            monkeypatch.setenv("REGISTRY_CACHE_DIR", str(own_place / f"cache-{number}"))
            try:
                loaded += check_versions(place)
            except (StorageError, UnavailableError, IntegrityError):
                shutil.rmtree(own_place / f"cache-{number}", ignore_errors=True)
    assert loaded > 0
    assert sum(weather.met.values()) > 20
