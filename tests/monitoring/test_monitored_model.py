"""Monitored models: recorded in the background, never in the way of a prediction."""

import gc
import os
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gc_places import Place
from monitored_games import NAME, URI, games, register

import registry
from registry import MlflowClient
from registry.exceptions import InvalidParameterError, InvalidTypeError, MissingDependencyError
from registry.monitoring import log_inference, recorder
from registry.monitoring.observations import read_window

PRODUCTION = f"models:/{NAME}/Production"


def seen(client: MlflowClient, version: int | None = 1) -> Any:
    return read_window(client, NAME, version, 0, 2**42).profile


def test_what_is_predicted_is_recorded_with_the_version_that_answered(place: Place) -> None:
    fitted = register(place.client)
    served = registry.pyfunc.load_model(PRODUCTION, monitor=True)
    register(place.client)  # Production moves on; what is loaded does not
    inputs, _ = games(50, 1)
    for _ in range(4):
        assert served.predict(inputs).tolist() == fitted.predict(inputs).tolist()
    served.predict(inputs.to_dict("list"))
    served.flush()

    assert (seen(place.client).rows, seen(place.client, 2).rows, served.dropped) == (250, 0, 0)
    assert (served.resolved_model.name, served.resolved_model.version) == (NAME, 1)
    assert served.metadata.signature is not None
    log_inference(served, inputs, fitted.predict(inputs))
    assert seen(place.client).rows == 300


def test_many_calls_make_one_file(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    register(client)
    served = registry.pyfunc.load_model(URI, monitor=True)
    inputs, _ = games(3)
    for _ in range(20):
        served.predict(inputs)
    registry.disconnect()  # writes what waits
    from registry.monitoring.storage import find_files

    assert len(list(find_files(client, NAME, "observations", 0, 2**42))) in (1, 2)  # an hour may end meanwhile
    assert seen(client).rows == 60


def test_data_that_the_caller_changes_afterwards_is_recorded_as_it_was(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    register(client)
    served = registry.pyfunc.load_model(URI, monitor=True)
    inputs = games(5)[0]
    greatest = inputs["gap"].max()
    served.predict(inputs)
    inputs["gap"] = 1e9
    inputs.loc[0, "rest"] = 1e9
    served.flush()
    assert seen(client).get("input", "gap").maximum == greatest


def test_a_share_of_the_calls_can_be_recorded(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    register(client)
    served = registry.pyfunc.load_model(URI, monitor=0.25)
    inputs = games(1)[0]
    for _ in range(200):
        served.predict(inputs)
    served.flush()
    assert 15 < seen(client).rows < 90


def test_what_does_not_fit_into_the_queue_is_counted(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_MOST_WAITING", 100)
    client = MlflowClient(sqlite_url)
    register(client)
    served = registry.pyfunc.load_model(URI, monitor=True)
    inputs = games(40)[0]
    for _ in range(4):
        assert len(served.predict(inputs)) == 40
    served.flush()
    assert (served.dropped, seen(client).rows) == (80, 80)


def test_the_thread_writes_when_enough_rows_wait(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_ROWS_PER_FILE", 50)
    client = MlflowClient(sqlite_url)
    register(client)
    served = registry.pyfunc.load_model(URI, monitor=True)
    for _ in range(2):
        served.predict(games(30)[0])
    while not seen(client).rows:
        time.sleep(0.01)
    assert seen(client).rows == 60


def test_a_failure_to_record_is_logged_and_never_raised(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = MlflowClient(sqlite_url)
    register(client)
    served = registry.pyfunc.load_model(URI, monitor=True)
    client.delete_experiment(client.create_experiment("monitoring/wins"))
    assert len(served.predict(games(10)[0])) == 10
    served.flush()
    assert served.dropped == 10
    assert "10 rows of wins/1 were not recorded" in caplog.text


def test_predictions_that_cannot_be_recorded_are_predicted_all_the_same(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = MlflowClient(sqlite_url)
    registry.set_tracking_uri(sqlite_url)

    def count(model_input: Any) -> int:
        return len(model_input)

    with registry.start_run():
        registry.pyfunc.log_model(name="model", python_model=count, registered_model_name=NAME)
    served = registry.pyfunc.load_model(URI, monitor=True, allow_code=True)
    assert served.predict(games(10)[0]) == 10
    served.flush()
    assert (served.dropped, seen(client).rows) == (1, 0)
    assert "1 rows of wins/1 were not recorded: The prediction data must be a DataFrame" in caplog.text


def test_a_model_that_is_gone_leaves_no_thread_and_loses_nothing(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    register(client)
    served = registry.pyfunc.load_model(URI, monitor=True)
    served.predict(games(10)[0])
    del served
    gc.collect()
    assert seen(client).rows == 10
    for thread in threading.enumerate():
        if thread.name == "registry-monitoring":
            thread.join(30)
    assert "registry-monitoring" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("repeated", [1, 2_000])
def test_a_process_that_ends_writes_what_waits(client: MlflowClient, repeated: int) -> None:
    register(client)
    program = (
        "import registry, pandas\n"
        f"served = registry.pyfunc.load_model({URI!r}, monitor=True)\n"
        f"served.predict(pandas.DataFrame({{'gap': [1.0, 2.0] * {repeated}, 'rest': [1.0, 2.0] * {repeated}}}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert seen(client).rows == 2 * repeated


def test_a_fork_records_on_its_own(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    register(client)
    program = (
        "import os, registry, pandas\n"
        f"served = registry.pyfunc.load_model({URI!r}, monitor=True)\n"
        "data = pandas.DataFrame({'gap': [1.0, 2.0], 'rest': [1.0, 2.0]})\n"
        "served.predict(data)\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    served.predict(data.head(1))\n"
        "    served.flush()\n"
        "    os._exit(0 if served.dropped == 0 else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "served.flush()\n"
    )
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert seen(client).rows == 3


@pytest.mark.parametrize(
    ("monitor", "error", "message"),
    [
        (0, InvalidParameterError, "monitor must be a share of the calls above 0 and at most 1, got 0"),
        (1.5, InvalidParameterError, "monitor must be a share of the calls above 0 and at most 1, got 1.5"),
        (float("nan"), InvalidParameterError, "monitor must be a share"),
        ("yes", InvalidTypeError, "monitor must be True, False or a share of the calls such as 0.1, got 'yes'"),
    ],
)
def test_a_share_that_is_none_is_refused(monitor: Any, error: Any, message: str, sqlite_url: str) -> None:
    register(MlflowClient(sqlite_url), reference=None)
    with pytest.raises(error, match=message):
        registry.pyfunc.load_model(URI, monitor=monitor)


def test_only_versions_are_monitored(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = MlflowClient(sqlite_url)
    register(client, reference=None)
    with pytest.raises(InvalidParameterError, match="is no version of a registered model"):
        registry.pyfunc.load_model(f"models:/{client.resolve(URI).model_id}", monitor=True)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingDependencyError, match=r"registry-ml\[monitoring\]"):
        registry.pyfunc.load_model(URI, monitor=True)


def test_snapshots_are_taken_of_what_can_change() -> None:
    array = np.zeros(2)
    copy = recorder._snapshot(array)
    array[0] = 1
    assert copy.tolist() == [0, 0]
    assert recorder._snapshot((1, 2)) == (1, 2)
    series = pd.Series([1, 2])
    assert recorder._snapshot(series) is not series


def test_the_setting_is_the_share_of_a_model_that_is_simply_monitored(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_MONITORING_SHARE", "0")
    client = MlflowClient(sqlite_url)
    register(client)
    inputs = games(1)[0]
    for monitor in (True, 1.0):
        served = registry.pyfunc.load_model(URI, monitor=monitor)
        served.predict(inputs)
        served.flush()
    assert seen(client).rows == 1


def test_small_calls_are_put_together_and_keep_their_times(sqlite_url: str) -> None:
    inputs, won = games(4)
    calls = [recorder.Call(inputs.iloc[[row]], won[[row]], timestamps=10 + row) for row in range(3)]
    other = recorder.Call(inputs.to_numpy()[:1], pd.Series([1]), timestamps=5)
    another = recorder.Call(inputs.to_numpy()[1:2], pd.Series([2]), timestamps=6)
    alone = recorder.Call({"gap": [1.0]}, [1], timestamps=7)
    uneven = recorder.Call(inputs, won[:1], timestamps=8)
    frames, arrays, *rest = recorder._join([*calls, other, alone, another, uneven])
    assert frames.inputs.equals(inputs.head(3))
    assert frames.predictions.tolist() == won[:3].tolist()
    assert frames.timestamps.tolist() == [10, 11, 12]
    assert arrays.inputs.tolist() == inputs.to_numpy()[:2].tolist()
    assert arrays.predictions.tolist() == [1, 2]
    assert arrays.timestamps.tolist() == [5, 6]
    assert rest == [alone, uneven]


def test_a_call_that_cannot_be_recorded_takes_no_other_with_it(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recorder, "_MOST_FORMS", 3)
    client = MlflowClient(sqlite_url)
    register(client)
    served = registry.pyfunc.load_model(URI, monitor=True)
    inputs, won = games(10)
    served._recorder.put(inputs, won)
    served._recorder.put(inputs, won[:3])  # fewer predictions than rows
    served._recorder.put(inputs, np.zeros((2, 1, 1)))
    served._recorder.put(inputs, np.array(5))  # no rows
    served.flush()
    assert (seen(client).rows, served.dropped) == (10, 6)
    assert caplog.text.count("were not recorded") == 1
