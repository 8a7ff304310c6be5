"""Where a model has a monitor, what a server answers is recorded with the version that answered."""

import logging
import uuid
from pathlib import Path
from typing import Any

import pytest
from asgi_client import AsgiClient
from governed_models import raw_sql
from postgres_server import PostgresServer
from served_models import eventually, log_constant, promote

import registry
from registry.monitoring.observations import read_window
from registry.serving.options import ServeOptions, named_models
from registry.serving.run import create_app
from registry.store.grants import grants
from registry.store.roles import Role

URI = "models:/churn/Production"
STAGING = "models:/churn/Staging"
BODY = {"dataframe_split": {"columns": ["x"], "data": [[0.0], [1.0], [2.0]]}}


def server(*uris: str, **options: Any) -> AsgiClient:
    """Return a server that is to be entered; when it is left it has stored what waited."""
    return AsgiClient(create_app(ServeOptions(named_models(uris), **{"every": 0.05, **options})))


def wait_until_recorded(client: AsgiClient, is_on: bool = True, model: str = "churn") -> None:
    """Wait until a model is loaded, and it is known whether it has a monitor."""
    eventually(lambda: client.get("/ping").status == 200)
    line = f'registry_model_recorded{{model="{model}"}} {int(is_on)}\n'
    eventually(lambda: line in client.get("/metrics").body.decode())


def seen(version: int | None = None) -> Any:
    """Return what was recorded of a version of ``churn``."""
    return read_window(registry.MlflowClient(), "churn", version, 0, 2**42).profile


def nothing_is_written() -> bool:
    return registry.MlflowClient().get_experiment_by_name("monitoring/churn") is None


def test_what_is_served_is_recorded_with_the_version_that_answered(database_url: str) -> None:
    registry.set_tracking_uri(database_url)
    log_constant(1)
    log_constant(2)
    promote(1)
    registry.MlflowClient().add_monitor("churn")
    with server(URI) as client:
        wait_until_recorded(client)
        rows = {"1": 0, "2": 0}
        while rows["2"] < 30:
            answer = client.post("/invocations", BODY)
            rows[answer.headers["x-model-version"]] += len(answer.json()["predictions"])
            if rows["1"] == 30:
                promote(2)
        tensor = {"name": "x", "datatype": "FP64", "shape": [2], "data": [7.0, 8.0]}
        assert client.post("/v2/models/churn/infer", {"inputs": [tensor]}).headers["x-model-version"] == "2"
        assert client.post("/invocations", {"dataframe_split": {}}).status == 400

    first, second = seen(1), seen(2)
    assert (first.rows, second.rows) == (rows["1"], rows["2"] + 2)
    assert (first.get("input", "x").maximum, second.get("input", "x").maximum) == (2.0, 8.0)
    assert round(first.get("prediction", "prediction").maximum, 6) == 1.0
    assert round(second.get("prediction", "prediction").minimum, 6) == 2.0


@pytest.mark.parametrize("uri", ["models:/churn/1", "models:/churn@champion", "models:/churn/latest"])
def test_a_model_that_is_not_followed_by_stage_is_recorded_if_any_stage_has_a_monitor(
    own_place: Path, uri: str
) -> None:
    log_constant(1)
    client = registry.MlflowClient()
    client.set_registered_model_alias("churn", "champion", 1)
    client.add_monitor("churn", "Staging")
    with server(uri) as served:
        wait_until_recorded(served)
        served.post("/invocations", BODY)
    assert seen(1).rows == 3


@pytest.mark.parametrize("share", ["0", "1"])
def test_without_a_monitor_of_the_stage_nothing_is_written(
    own_place: Path, monkeypatch: pytest.MonkeyPatch, share: str
) -> None:
    monkeypatch.setenv("REGISTRY_MONITORING_SHARE", share)
    log_constant(1)
    promote(1)
    # The setting 0 turns off what a monitor of the stage would turn on.
    registry.MlflowClient().add_monitor("churn", "Staging" if share == "1" else "Production")
    with server(URI) as client:
        wait_until_recorded(client, is_on=False)
        for _ in range(5):
            assert client.post("/invocations", BODY).status == 200
    assert nothing_is_written()


def test_a_model_outside_the_registry_is_served_and_not_recorded(own_place: Path) -> None:
    log_constant(1)
    path = registry.resolve("models:/churn/1").location
    registry.MlflowClient().add_monitor("churn")
    with server(path) as client:
        wait_until_recorded(client, is_on=False, model="model")
        assert client.post("/invocations", BODY).status == 200
    assert nothing_is_written()


def test_a_monitor_is_noticed_when_it_comes_and_when_it_goes(own_place: Path) -> None:
    log_constant(1)
    promote(1)
    with server(URI) as client:
        wait_until_recorded(client, is_on=False)
        client.post("/invocations", BODY)
        monitor = registry.MlflowClient().add_monitor("churn")
        wait_until_recorded(client)
        client.post("/invocations", BODY)
        client.post("/invocations", BODY)
        registry.MlflowClient().remove_monitor(monitor.id)
        wait_until_recorded(client, is_on=False)
        eventually(lambda: seen(1).rows == 6)  # what waited is stored at once
        client.post("/invocations", BODY)
    assert seen().rows == 6


def test_the_settings_say_which_share_is_recorded(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_MONITORING_SHARE", "0.25")
    log_constant(1)
    promote(1)
    registry.MlflowClient().add_monitor("churn")
    with server(URI) as client:
        wait_until_recorded(client)
        for _ in range(200):
            client.post("/invocations", BODY)
    assert 45 < seen(1).rows < 270


def test_a_canary_is_recorded_where_its_own_stage_has_a_monitor(own_place: Path) -> None:
    log_constant(1)
    log_constant(2)
    promote(1)
    promote(2, "Staging")
    registry.MlflowClient().add_monitor("churn", "Staging")
    with server(URI, shadow=STAGING, share=1.0, canary=0.5) as client:
        wait_until_recorded(client, model="churn (shadow)")
        wait_until_recorded(client, is_on=False)
        eventually(lambda: client.get("/status").json()["models"]["churn (shadow)"]["is_ready"])
        answers = [
            client.post("/invocations", BODY, headers={"x-canary-key": str(key)}).headers["x-model-version"]
            for key in range(20)
        ]
    assert answers.count("2") > 0
    assert (seen(1).rows, seen(2).rows) == (0, 3 * answers.count("2"))


def test_a_place_that_cannot_be_written_costs_no_answer_and_is_told_once(
    own_place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "registry")
    log_constant(1)
    promote(1)
    client = registry.MlflowClient()
    monitor = client.add_monitor("churn")
    file = own_place / "file"
    file.touch()
    client.create_experiment("monitoring/churn", artifact_location=str(file / "below"))
    with server(URI) as served:
        wait_until_recorded(served)
        app = served._app
        recording = next(iter(app._recordings.values()))
        for _ in range(3):
            assert served.post("/invocations", BODY).status == 200
            recording._recorders[1].flush()
        assert 'registry_model_unrecorded_rows{model="churn"} 9\n' in served.get("/metrics").body.decode()
        assert caplog.text.count("were not recorded") == 1
        file.unlink()
        served.post("/invocations", BODY)
        client.remove_monitor(monitor.id)
        wait_until_recorded(served, is_on=False)
        eventually(lambda: "churn/1 is recorded again; 9 rows were not." in caplog.text)
    assert seen(1).rows == 3


def test_rights_to_read_alone_serve_and_say_once_that_nothing_is_recorded(
    postgres_url: str, postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    registry.set_tracking_uri(postgres_url)
    log_constant(1)
    promote(1)
    registry.MlflowClient().add_monitor("churn")
    user, database = f"reader_{uuid.uuid4().hex[:8]}", postgres_url.rpartition("/")[2]
    postgres_server.execute(f"CREATE ROLE {user} LOGIN")
    try:
        postgres_server.execute(grants(Role.READER, user), database)
        registry.set_tracking_uri(postgres_url.replace("postgres@", f"{user}@"))
        with server(URI) as client:
            wait_until_recorded(client)
            recording = next(iter(client._app._recordings.values()))
            for _ in range(3):
                assert client.post("/invocations", BODY).status == 200
                recording._recorders[1].flush()
        assert caplog.text.count("rows of churn/1 were not recorded: ") == 1
        registry.set_tracking_uri(postgres_url)
        assert nothing_is_written()
    finally:
        registry.disconnect()
        postgres_server.execute(f"DROP OWNED BY {user}", database)
        postgres_server.execute(f"DROP ROLE {user}")


def test_while_nobody_says_whether_there_is_a_monitor_what_was_so_stays_so(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    registry.set_tracking_uri(sqlite_url)
    log_constant(1)
    promote(1)
    registry.MlflowClient().add_monitor("churn")
    sql = raw_sql(sqlite_url)
    with server(URI) as client:
        wait_until_recorded(client)
        sql("ALTER TABLE monitors RENAME TO hidden")
        eventually(lambda: "Whether churn has a monitor is not known" in caplog.text)
        next(iter(client._app._recordings.values()))._look("churn")
        assert client.post("/invocations", BODY).status == 200
        sql("ALTER TABLE hidden RENAME TO monitors")
        wait_until_recorded(client)
    assert caplog.text.count("Whether churn has a monitor is not known") == 1
    assert seen(1).rows == 3


def test_a_model_that_is_deleted_has_no_monitor(own_place: Path) -> None:
    from registry.serving.follow import follow
    from registry.serving.recording import Recording

    log_constant(1)
    registry.MlflowClient().add_monitor("churn")
    with follow("models:/churn/1") as followed:
        recording = Recording(followed, 0.05)
        eventually(lambda: recording.is_on)
        recording._look("chorn")
        assert not recording.is_on
        recording.close()
        recording._look("churn")
        assert not recording.is_on  # nothing begins after the end
