"""Resolving and loading: every form of a URI finds its model, and only the bytes that were sealed."""

import datetime
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from governed_models import register
from sklearn.linear_model import LogisticRegression

import registry
from registry import MlflowClient
from registry.exceptions import IntegrityError, RegistryError

DATA = np.array([[0.0], [1.0], [2.0], [3.0]])


@pytest.fixture(scope="module")
def booster() -> xgboost.Booster:
    labels = np.array([0, 0, 1, 1])
    return xgboost.train({"max_depth": 1, "nthread": 1}, xgboost.DMatrix(DATA, labels), num_boost_round=2)


@pytest.fixture
def client(database_url: str) -> MlflowClient:
    registry.set_tracking_uri(database_url)
    return MlflowClient()


@pytest.fixture
def logged(client: MlflowClient, booster: xgboost.Booster) -> Any:
    """One logged model of a run, which is version 1 of ``churn``, in Production and named best."""
    with registry.start_run():
        info = registry.xgboost.log_model(booster, name="model", registered_model_name="churn")
    client.transition_model_version_stage("churn", 1, "Production")
    client.set_registered_model_alias("churn", "best", 1)
    return info


FORMS = [
    "models:/churn/1",
    "models:/churn/Production",
    "models:/churn/production",
    "models:/churn/latest",
    "models:/churn@best",
    "models:/churn@latest",
    "models:/{model_id}",
    "runs:/{run_id}/model",
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_resolves_and_loads(form: str, logged: Any, client: MlflowClient, booster: xgboost.Booster) -> None:
    uri = form.format(model_id=logged.model_id, run_id=logged.run_id)

    resolved = registry.resolve(uri)

    assert resolved == client.resolve(uri)
    assert resolved.model_id == logged.model_id
    assert (resolved.name, resolved.version) == (("churn", 1) if "churn" in form else (None, None))
    assert resolved.digest == client.get_logged_model(logged.model_id).digest
    expected = booster.predict(xgboost.DMatrix(DATA)).tolist()
    assert registry.pyfunc.load_model(uri).predict(DATA).tolist() == expected
    assert registry.xgboost.load_model(uri).predict(xgboost.DMatrix(DATA)).tolist() == expected


@pytest.mark.parametrize("form", ["{}", "file:{}", "file://{}"])
def test_a_directory_loads_without_a_registry(form: str, logged: Any, booster: xgboost.Booster) -> None:
    place = registry.resolve("models:/churn/1").location

    loaded = registry.pyfunc.load_model(form.format(place))

    assert loaded.predict(DATA).tolist() == booster.predict(xgboost.DMatrix(DATA)).tolist()


def moment() -> str:
    time.sleep(0.002)
    now = datetime.datetime.now(datetime.UTC).isoformat()
    time.sleep(0.002)
    return now


def test_a_stage_and_an_alias_resolve_as_of_a_moment(client: MlflowClient) -> None:
    register(client, "churn", 2)
    never = moment()
    client.transition_model_version_stage("churn", 1, "Production")
    client.set_registered_model_alias("churn", "best", 1)
    first = moment()
    client.transition_model_version_stage("churn", 2, "Production")
    client.set_registered_model_alias("churn", "best", 2)
    second = moment()

    for uri in ("models:/churn/Production", "models:/churn@best"):
        assert [client.resolve(f"{uri}?at={at}").version for at in (first, second)] == [1, 2]
        assert client.resolve(uri).version == 2
        with pytest.raises(RegistryError, match="No version of 'churn' held") as caught:
            client.resolve(f"{uri}?at={never}")
        assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"
        with pytest.raises(RegistryError, match="`at` is in the future"):
            client.resolve(f"{uri}?at=2999-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("uri", "code", "says"),
    [
        ("models:/none/1", "RESOURCE_DOES_NOT_EXIST", "Registered Model with name=none not found"),
        ("models:/churn/9", "RESOURCE_DOES_NOT_EXIST", r"version=9\) not found"),
        ("models:/churn/Staging", "RESOURCE_DOES_NOT_EXIST", r"in use: Production \(version 1\), @best \(version 1\)"),
        ("models:/churn@other", "RESOURCE_DOES_NOT_EXIST", r"in use: Production \(version 1\), @best \(version 1\)"),
        ("models:/m-" + "0" * 32, "RESOURCE_DOES_NOT_EXIST", "not found"),
        ("models:/empty/latest", "RESOURCE_DOES_NOT_EXIST", "No versions of model with name 'empty'"),
        ("runs:/" + "0" * 32 + "/model", "RESOURCE_DOES_NOT_EXIST", "Run with id=0+ not found"),
        ("runs:/{run_id}/other", "RESOURCE_DOES_NOT_EXIST", "other"),
        ("models:/churn", "INVALID_PARAMETER_VALUE", "without a version, stage, 'latest' or @alias"),
        ("models:/churn/Prod", "INVALID_PARAMETER_VALUE", "for an alias write 'models:/churn@Prod'"),
        ("models:/churn/1?at=2020-01-01T00:00:00Z", "INVALID_PARAMETER_VALUE", "goes with a stage or an alias"),
        ("models:/churn@best@other", "INVALID_PARAMETER_VALUE", "write one '@'"),
        ("models:/churn%2F1/1", "RESOURCE_DOES_NOT_EXIST", "name=churn%2F1 not found"),
        ("models:/churn/Production?at=yesterday", "INVALID_PARAMETER_VALUE", "yesterday"),
        ("models:/", "INVALID_PARAMETER_VALUE", "Not a proper models:/ URI"),
        ("dbfs:/x", "INVALID_PARAMETER_VALUE", "the scheme 'dbfs' is not known"),
    ],
)
def test_what_is_not_there_says_what_there_is(
    uri: str, code: str, says: str, logged: Any, client: MlflowClient
) -> None:
    client.create_registered_model("empty")
    given = uri.format(run_id=logged.run_id)

    for call in (client.resolve, registry.pyfunc.load_model):
        with pytest.raises(RegistryError, match=says) as caught:
            call(given)
        assert caught.value.error_code == code


@pytest.mark.parametrize("uri", ["/nowhere", "./nowhere", "file:///nowhere"])
def test_a_directory_that_is_not_there_is_missing(uri: str, client: MlflowClient) -> None:
    with pytest.raises(RegistryError, match="nowhere") as caught:
        registry.pyfunc.load_model(uri)

    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_a_place_is_not_a_model_of_this_registry(client: MlflowClient) -> None:
    for uri in ("/data", "s3://bucket/x"):
        with pytest.raises(RegistryError, match="a path or S3 location, not a model of this registry"):
            client.resolve(uri)


def model_file(client: MlflowClient) -> Path:
    place = Path(client.resolve("models:/churn/1").location)
    return next(path for path in place.rglob("*") if path.suffix == ".ubj")


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (flip, "is not what was recorded: expected .* with SHA-256 .*, found .* with SHA-256"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "is not what was recorded"),
        (Path.unlink, "is missing"),
        (lambda file: file.with_name("extra.txt").write_text("x"), "extra.txt was not sealed"),
    ],
)
def test_bytes_that_were_not_sealed_are_never_a_model(
    change: Any, says: str, logged: Any, client: MlflowClient
) -> None:
    file = model_file(client)
    file.chmod(0o644)
    file.parent.chmod(0o755)
    change(file)

    for uri in ("models:/churn/Production", f"runs:/{logged.run_id}/model"):
        with pytest.raises(IntegrityError, match=says) as caught:
            registry.pyfunc.load_model(uri)
        assert caught.value.error_code == "DATA_LOSS"


def test_a_copy_of_ones_own_can_be_asked_for(logged: Any, client: MlflowClient, own_place: Path) -> None:
    registry.xgboost.load_model("models:/churn/1", dst_path=str(own_place / "mine"))

    copied = own_place / "mine" / model_file(client).name
    copied.write_bytes(b"")
    assert registry.xgboost.load_model("models:/churn/1") is not None


def test_a_copy_cannot_take_the_place_of_a_file(logged: Any, own_place: Path) -> None:
    (own_place / "file").write_text("x")

    with pytest.raises(RegistryError, match="file"):
        registry.xgboost.load_model("models:/churn/1", dst_path=str(own_place / "file"))

    assert (own_place / "file").read_text() == "x"


def test_a_version_without_a_flavor_says_so(client: MlflowClient) -> None:
    register(client, "plain")

    with pytest.raises(RegistryError, match="MLmodel"):
        registry.pyfunc.load_model("models:/plain/1")


def test_a_directory_is_loaded_without_a_registry(own_place: Path) -> None:
    registry.sklearn.save_model(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), "model")
    registry.set_tracking_uri("postgresql+psycopg://nobody@127.0.0.1:1/none")

    assert registry.pyfunc.load_model("model").predict([[1.0]]).tolist() == [1]
    assert registry.sklearn.load_model(f"file://{own_place}/model").classes_.tolist() == [0, 1]
    assert [path.name for path in own_place.iterdir()] == ["model"]
