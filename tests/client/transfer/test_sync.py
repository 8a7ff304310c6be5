"""Offline clients, their spools, and what sends these: once, again after more was logged, and in the background."""

import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from copied_runs import contents, make_run, make_runs
from governed_models import raw_sql
from lossy_proxy import Loss, lossy_proxy
from postgres_server import PostgresServer
from travelling_models import open_registry

import registry
from registry.client.transfer import background_sync
from registry.client.transfer.sync import Sync
from registry.exceptions import (
    InvalidParameterError,
    InvalidPathError,
    NotFoundError,
    OfflineError,
    SchemaOutdatedError,
    StorageError,
    UnavailableError,
    UnsupportedStoreError,
)
from registry.settings import current_settings

Client = registry.MlflowClient


@pytest.fixture
def team(own_place: Path) -> Client:
    """The registry that everything is to arrive in."""
    return open_registry(f"sqlite:///{own_place}/team.db", f"{own_place}/team")


@pytest.fixture
def offline(team: Client) -> Client:
    """An offline client of that registry."""
    registry.set_tracking_uri(team.tracking_uri, offline=True)
    return Client()


def test_an_offline_client_logs_to_its_spool_alone(team: Client, offline: Client) -> None:
    (run_id,) = make_runs(offline, 1)

    assert offline.get_run(run_id).info.artifact_uri == f"{Path.cwd()}/registry-spool/1/{run_id}/artifacts"
    assert registry.get_tracking_uri() == team.tracking_uri
    assert list(Client(f"sqlite:///{Path.cwd()}//team.db").search_runs(["0", "1"])) == []
    with pytest.raises(NotFoundError):
        offline.get_registered_model("churn")


def test_the_spool_arrives_and_can_arrive_again(team: Client, offline: Client) -> None:
    run_ids = make_runs(offline, 3)
    original = contents(offline, run_ids)

    first, second = registry.sync(), registry.sync("registry-spool", to=team.tracking_uri)

    assert (first.outcomes, second.outcomes) == ({"copied": 3}, {"unchanged": 3})
    assert first.source_counts == first.target_counts == second.target_counts
    assert first.target_counts.points == 150
    in_order = [run.info.run_id for run in offline.search_runs(["1"], order_by=["status"])]
    assert [run.info.run_id for run in team.search_runs(["1"], order_by=["status"])] == in_order
    registry.set_tracking_uri(team.tracking_uri, offline=False)
    assert contents(Client(), run_ids) == original


def test_a_run_of_the_fluent_functions_is_spooled_and_resumed(team: Client) -> None:
    registry.set_tracking_uri(team.tracking_uri, offline=True)
    registry.set_experiment("season")
    with registry.start_run() as run:
        registry.log_metric("auc", 0.5, step=0)
        registry.sync()
        registry.log_metric("auc", 0.6, step=1)
    assert team.get_run(run.info.run_id).info.status == "RUNNING"
    with registry.start_run(run_id=run.info.run_id):
        registry.log_metric("auc", 0.7, step=2)

    report = registry.sync()

    assert report.outcomes == {"continued": 1}
    assert report.runs[0].points == 2
    assert [point.value for point in team.get_metric_history(run.info.run_id, "auc")] == [0.5, 0.6, 0.7]
    assert team.get_run(run.info.run_id).info.status == "FINISHED"


def test_changes_of_registered_models_name_the_way_out(offline: Client) -> None:
    (run_id,) = make_runs(offline, 1)
    changes: list[Callable[[], object]] = [
        lambda: registry.register_model(f"runs:/{run_id}/model", "churn"),
        lambda: offline.register_model("/nowhere", "churn"),
        lambda: offline.create_registered_model("churn"),
        lambda: offline.create_model_version("churn", f"runs:/{run_id}/model"),
        lambda: offline.transition_model_version_stage("churn", 1, "Production"),
        lambda: offline.set_registered_model_alias("churn", "champion", 1),
        lambda: offline.set_promotion_rules("churn", "Production", []),
        lambda: offline.delete_registered_model("churn"),
        lambda: offline.import_model("missing.zip"),
    ]
    for change in changes:
        with pytest.raises(OfflineError, match=r"that registry: registry sync /.*registry-spool --to sqlite:///"):
            change()
    assert offline.search_registered_models() == []


def test_the_message_shows_no_password(own_place: Path) -> None:
    registry.set_tracking_uri("postgresql://ann:secret@nowhere.invalid/registry", offline=True)

    with pytest.raises(OfflineError) as raised:
        Client().create_registered_model("churn")

    assert "secret" not in str(raised.value)
    assert str(raised.value).endswith("/registry-spool --to 'postgresql://ann:***@nowhere.invalid/registry'")


def test_the_command_in_the_message_can_be_pasted(own_place: Path, team: Client) -> None:
    os.environ["REGISTRY_SPOOL_DIR"] = str(own_place / "ann's spool; rm -rf *")
    registry.set_tracking_uri(team.tracking_uri)

    with pytest.raises(OfflineError) as raised:
        Client().create_registered_model("churn")

    command = str(raised.value).rpartition("that registry: ")[2]
    assert shlex.split(command) == ["registry", "sync", f"{own_place}/ann's spool; rm -rf *", "--to", team.tracking_uri]


def test_a_spool_may_be_named_by_a_file_uri(own_place: Path, team: Client) -> None:
    os.environ["REGISTRY_SPOOL_DIR"] = "file:./own%20spool"
    registry.set_tracking_uri(team.tracking_uri)
    run_id = make_run(Client(), "0")
    registry.disconnect()

    assert Path("own spool/registry.db").is_file()
    assert registry.sync().outcomes == {"copied": 1}
    assert registry.sync("file:own%20spool", to=team.tracking_uri).outcomes == {"unchanged": 1}
    assert team.get_run(run_id).info.status == "FINISHED"


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("s3://bucket/spool", "s3://bucket/spool"),
        ("sqlite:///spool.db", "sqlite:///spool.db"),
        ("postgresql://ann:secret@db/registry", "postgresql://ann:***@db/registry"),
        ("file://host/spool", "file://host/spool"),
    ],
)
def test_a_spool_that_is_no_local_directory_is_refused(own_place: Path, team: Client, place: str, shown: str) -> None:
    os.environ["REGISTRY_SPOOL_DIR"] = place
    registry.set_tracking_uri(team.tracking_uri)
    attempts: list[Callable[[], object]] = [
        lambda: registry.set_experiment("season"),
        registry.sync,
        lambda: registry.sync(place, to=team.tracking_uri),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidPathError) as raised:
            attempt()
        assert str(raised.value).startswith(f"{shown!r} is not a local directory. A spool is one")
    assert sorted(path.name for path in own_place.iterdir()) == ["team.db"]


def test_a_spool_that_cannot_be_made_names_its_setting(own_place: Path, team: Client) -> None:
    Path("taken").touch()
    os.environ["REGISTRY_SPOOL_DIR"] = "taken/spool"
    registry.set_tracking_uri(team.tracking_uri)

    with pytest.raises(StorageError) as raised:
        registry.set_experiment("season")

    assert str(raised.value) == (
        f"The spool '{own_place}/taken/spool' cannot be created: Not a directory. Choose another directory with "
        "REGISTRY_SPOOL_DIR."
    )


def test_log_model_keeps_the_model_even_if_it_cannot_be_registered(offline: Client) -> None:
    import numpy as np
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(np.arange(6.0).reshape(3, 2), [1, 2, 3])
    with pytest.raises(OfflineError), registry.start_run() as run:
        registry.sklearn.log_model(model, name="model", registered_model_name="churn")

    assert registry.sync().runs[0].models == 1
    registry.set_tracking_uri(registry.get_tracking_uri(), offline=False)
    assert registry.register_model(f"runs:/{run.info.run_id}/model", "churn").version == 1
    assert registry.sklearn.load_model("models:/churn/1").predict([[0.0, 1.0]]).round(6) == [1.0]


def test_the_variable_makes_a_client_offline_but_not_one_of_another_registry(own_place: Path, team: Client) -> None:
    os.environ["REGISTRY_SPOOL_DIR"] = "spool"
    registry.set_tracking_uri(team.tracking_uri)
    spooled, direct = Client(), Client("sqlite:///other.db")

    run_id = make_run(spooled, "0")

    assert spooled.get_run(run_id).info.artifact_uri.startswith(f"{own_place}/spool/")
    assert list(direct.search_runs(["0"])) == []
    assert direct.create_registered_model("churn").name == "churn"


def test_a_spool_that_is_the_registry_itself_is_no_spool(own_place: Path) -> None:
    os.environ["REGISTRY_SPOOL_DIR"] = str(own_place / "mlruns")

    assert Client().create_registered_model("churn").name == "churn"


def test_a_tracking_uri_that_can_hold_nothing_is_refused_at_once(own_place: Path) -> None:
    registry.set_tracking_uri("http://tracker:5000", offline=True)

    with pytest.raises(UnsupportedStoreError, match="There is no server here"):
        registry.set_experiment("season")


def test_offline_can_be_left_and_the_directory_is_kept(team: Client) -> None:
    os.environ["REGISTRY_SPOOL_DIR"] = "own-spool"
    registry.set_tracking_uri(team.tracking_uri, offline=True, background_sync=True)
    assert (str(current_settings().spool_dir), current_settings().spool_sync) == ("own-spool", True)

    registry.set_tracking_uri(team.tracking_uri, background_sync=False)
    assert (str(current_settings().spool_dir), current_settings().spool_sync) == ("own-spool", False)

    registry.set_tracking_uri(team.tracking_uri, offline=False)
    assert current_settings().spool_dir is None
    with pytest.raises(InvalidParameterError, match="There is no spool to send"):
        registry.sync()


def test_a_directory_without_a_spool_is_an_error(team: Client) -> None:
    with pytest.raises(NotFoundError, match=r"There is no spool in '.*/empty': it has no file registry\.db"):
        registry.sync("empty", to=team.tracking_uri)
    assert not Path("empty").exists()


def test_a_file_is_no_spool(own_place: Path, offline: Client) -> None:
    make_runs(offline, 1)

    with pytest.raises(
        NotFoundError, match=r"There is no spool in '.*/registry\.db': it is a file\. Give the directory"
    ):
        registry.sync("registry-spool/registry.db")


def test_values_that_are_still_queued_are_sent_too(team: Client, offline: Client) -> None:
    run_id = offline.create_run("0").info.run_id
    with closing(sqlite3.connect("registry-spool/registry.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")  # so that nothing can be written while the sync begins
        offline.log_metric(run_id, "auc", 0.5, synchronous=False)
        threading.Timer(0.5, other.close).start()
        report = registry.sync()

    assert (report.target_counts.points, team.get_run(run_id).data.metrics) == (1, {"auc": 0.5})


def test_a_spool_that_was_moved_is_sent_from_where_it_is(team: Client, offline: Client) -> None:
    run_ids = make_runs(offline, 2)
    original = contents(offline, run_ids)
    registry.disconnect()
    shutil.move("registry-spool", "stick")

    registry.sync("stick", to=team.tracking_uri)

    assert contents(team, run_ids) == original


def test_a_spool_of_an_older_release_names_the_command_that_upgrades_it(team: Client, offline: Client) -> None:
    make_runs(offline, 1)
    registry.disconnect()
    raw_sql("sqlite:///registry-spool/registry.db")("UPDATE registry_schema_version SET version_num = '0006'")

    with pytest.raises(SchemaOutdatedError, match="registry db upgrade --tracking-uri sqlite:///"):
        registry.sync("registry-spool", to=team.tracking_uri)


def test_the_spool_is_not_changed_by_sending_it(team: Client, offline: Client) -> None:
    make_runs(offline, 2)
    registry.disconnect()
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in Path("registry-spool").rglob("*")}

    registry.sync("registry-spool", to=team.tracking_uri)

    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in Path("registry-spool").rglob("*")} == before


def test_registered_models_of_a_directory_are_named_and_left(team: Client, own_place: Path) -> None:
    laptop = open_registry("file:./laptop", f"{own_place}/laptop")
    (run_id,) = make_runs(laptop, 1)
    for number in range(7):
        laptop.register_model(f"runs:/{run_id}/model", f"model-{number}")

    open_registry(team.tracking_uri, f"{own_place}/team")
    report = registry.sync("laptop", to=team.tracking_uri)

    (note,) = report.notes
    assert note.startswith(
        "registered models are not sent by sync: model-0, model-1, model-2, model-3, model-4 and 2 more"
    )
    assert team.search_registered_models() == []


def test_what_is_new_is_sent_without_comparing_all_again(team: Client, offline: Client) -> None:
    first, second = make_runs(offline, 2)
    sync = Sync("registry-spool", team.tracking_uri)
    assert sync.send_new().outcomes == {"copied": 2}
    assert sync.send_new().outcomes == {"unchanged": 2}

    offline.log_metric(first, "loss", 0.001, step=900)
    offline.log_metric(first, "loss", 0.002, step=1)
    offline.log_text(first, "other", "notes.txt")
    offline.set_tag(second, "team", "west")
    third = make_run(offline, "0")
    outcomes = [(run.run_id, run.outcome, run.points, run.files) for run in sync.send_new().runs]

    assert outcomes == [
        (first, "continued", 2, 1),
        (second, "continued", 0, 0),
        (third, "copied", 50, 2),
    ]
    run_ids = [first, second, third]
    assert contents(team, run_ids) == contents(offline, run_ids)
    team.delete_run(first)
    offline.log_metric(first, "loss", 0.003, step=901)
    assert [run.outcome for run in sync.send_new().runs] == ["skipped", "unchanged", "unchanged"]


def test_new_points_are_sent_though_gc_removed_older_ones_meanwhile(team: Client, offline: Client) -> None:
    first, second = make_runs(offline, 2)
    sync = Sync("registry-spool", team.tracking_uri)
    sync.send_new()
    offline.delete_run(second)
    offline.collect_garbage(apply=True, older_than="0s", grace="0s")
    for step in range(60):  # more than the removed run had: SQLite numbers these rows as it did those
        offline.log_metric(first, "loss", 0.001, step=900 + step)

    (run,) = sync.send_new().runs

    assert (run.outcome, run.points) == ("continued", 60)
    assert contents(team, [first]) == contents(offline, [first])
    assert [run.outcome for run in sync.send_new().runs] == ["unchanged"]


def test_a_target_that_goes_away_in_the_middle_is_an_error_that_says_what_arrived(
    postgres_server: PostgresServer, postgres_url: str, offline: Client, own_place: Path
) -> None:
    run_ids = make_runs(offline, 3)
    os.environ["REGISTRY_DATABASE_PATIENCE"] = "0"
    os.environ["REGISTRY_ARTIFACT_LOCATION"] = f"{own_place}/far"
    with lossy_proxy(postgres_server.port) as proxy:
        url = postgres_url.replace(f":{postgres_server.port}/", f":{proxy.port}/")

        def go_away(_: object) -> None:
            proxy.refuses = True
            proxy.close()

        with pytest.raises(UnavailableError) as raised:
            Sync("registry-spool", url, on_run=go_away).send()

    assert raised.value.message.endswith(
        " The copy stopped here; what arrived stays. Repeat it when the registry answers: it sends what is missing, "
        "and nothing twice."
    )
    assert registry.sync("registry-spool", to=postgres_url).outcomes == {"unchanged": 1, "copied": 2}
    assert contents(Client(postgres_url), run_ids) == contents(offline, run_ids)


def test_an_answer_that_is_lost_doubles_nothing(
    postgres_server: PostgresServer, postgres_url: str, offline: Client, own_place: Path
) -> None:
    run_ids = make_runs(offline, 2)
    os.environ["REGISTRY_ARTIFACT_LOCATION"] = f"{own_place}/far"
    with lossy_proxy(postgres_server.port) as proxy:
        url = postgres_url.replace(f":{postgres_server.port}/", f":{proxy.port}/")
        Client(url).search_runs(["0"])
        proxy.losses += [Loss.ANSWER, Loss.NOTHING, Loss.NOTHING, Loss.REQUEST, Loss.NOTHING, Loss.NOTHING] * 3
        report = registry.sync("registry-spool", to=url)

    assert (report.outcomes, proxy.losses) == ({"copied": 2}, [])
    assert contents(Client(postgres_url), run_ids) == contents(offline, run_ids)


@pytest.fixture
def background(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(background_sync, "_LEAST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(background_sync, "_PAUSE_FACTOR", 0.0)
    yield
    background_sync.stop_all()


def wait_for(condition: Callable[[], bool]) -> None:
    import time

    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.usefixtures("background")
def test_a_thread_sends_the_spool_while_the_process_logs(team: Client) -> None:
    registry.set_tracking_uri(team.tracking_uri, offline=True, background_sync=True)
    with registry.start_run() as run:
        registry.log_metric("auc", 0.5, step=0)
        wait_for(lambda: run.info.run_id in {found.info.run_id for found in team.search_runs(["0"])})
        registry.log_metric("auc", 0.6, step=1)
        wait_for(lambda: len(team.get_metric_history(run.info.run_id, "auc")) == 2)
        registry.log_text("late", "late.txt")
    wait_for(lambda: team.get_run(run.info.run_id).info.status == "FINISHED")
    wait_for(lambda: [file.path for file in team.list_artifacts(run.info.run_id)] == ["late.txt"])
    assert len(background_sync._running) == 1


@pytest.mark.usefixtures("background")
def test_a_target_that_is_away_never_disturbs_logging(
    own_place: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_CONNECT_TIMEOUT_SECONDS", "1")
    registry.set_tracking_uri("postgresql://ann@127.0.0.1:1/registry", offline=True, background_sync=True)
    with registry.start_run() as run:
        registry.log_metric("auc", 0.5)
        wait_for(lambda: "waits for its target" in caplog.text)
        registry.log_metric("auc", 0.6)

    (thread,) = background_sync._running.values()
    monkeypatch.setattr(background_sync, "_LAST_WAIT_AWAY_SECONDS", 0.2)
    thread.finish()

    assert [point.value for point in registry.MlflowClient().get_metric_history(run.info.run_id, "auc")] == [0.5, 0.6]
    assert "The process ends before all of" in caplog.text
    assert f"registry sync {own_place}/registry-spool --to postgresql://ann@127.0.0.1:1/registry" in caplog.text


@pytest.mark.usefixtures("background")
def test_of_several_processes_one_sends(team: Client, offline: Client, own_place: Path) -> None:
    (run_id,) = make_runs(offline, 1)
    with background_sync.FileLock.acquire(own_place / "registry-spool" / background_sync.LOCK_FILE, create=True):
        thread = background_sync.BackgroundSync(own_place / "registry-spool", team.tracking_uri, None)
        thread._wake.wait(0.2)
        assert team.get_experiment_by_name("nets") is None
    wait_for(lambda: team.get_experiment_by_name("nets") is not None)
    thread.finish()
    assert contents(team, [run_id]) == contents(offline, [run_id])


@pytest.mark.usefixtures("background")
def test_a_lock_that_cannot_be_had_stops_nothing(team: Client, offline: Client, own_place: Path) -> None:
    (own_place / "registry-spool" / background_sync.LOCK_FILE).mkdir(parents=True)
    registry.set_tracking_uri(team.tracking_uri, offline=True, background_sync=True)
    run_id = Client().create_run("0").info.run_id

    wait_for(lambda: [run.info.run_id for run in team.search_runs(["0"])] == [run_id])


@pytest.mark.usefixtures("background")
def test_what_cannot_be_sent_is_told_while_the_process_lives(
    team: Client, offline: Client, caplog: pytest.LogCaptureFixture
) -> None:
    team.delete_experiment(team.create_experiment("season"))
    registry.set_tracking_uri(team.tracking_uri, offline=True, background_sync=True)
    Client().create_run(Client().create_experiment("season"))
    good = Client().create_run("0").info.run_id

    wait_for(lambda: [run.info.run_id for run in team.search_runs(["0"])] == [good])
    wait_for(lambda: "could not be sent" in caplog.text)

    (line,) = [record.message for record in caplog.records if "could not be sent" in record.message]
    assert line.startswith("Some of the spool ")
    assert "is tried again: The target experiment 'season' is deleted. Restore it with" in line


_SCRIPT = """
import registry
registry.set_tracking_uri({uri!r}, offline=True, background_sync=True)
registry.set_experiment("season")
registry.start_run()
for step in range(100):
    registry.log_metric("auc", step, step=step, synchronous=False)
registry.log_text("all good", "notes.txt")
print(registry.active_run().info.run_id)
"""


@pytest.mark.slow
@pytest.mark.parametrize("root", ["local", "s3"])
def test_the_last_values_of_a_process_are_sent_as_it_ends(
    request: pytest.FixtureRequest, s3_environment: Callable, postgres_url: str, own_place: Path, root: str
) -> None:
    place = f"{own_place}/team"
    if root == "s3":
        place = s3_environment(request.getfixturevalue("moto_s3")).fresh_root()
    target = open_registry(postgres_url, place)

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _SCRIPT.format(uri=postgres_url)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr == ""
    run_id = done.stdout.strip()
    run = target.get_run(run_id)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"auc": 99.0})
    assert len(target.get_metric_history(run_id, "auc")) == 100
    assert [file.path for file in target.list_artifacts(run_id)] == ["notes.txt"]
    assert done.stderr == ""


_FORKING = """
import os
import registry
registry.set_tracking_uri({uri!r}, offline=True, background_sync=True)
with registry.start_run() as run:
    registry.log_metric("parent", 1.0)
    child = os.fork()
    if not child:
        registry.MlflowClient().log_metric(run.info.run_id, "child", 2.0)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
print(run.info.run_id)
"""


@pytest.mark.slow
def test_what_a_forked_child_logs_is_sent_by_its_parent(team: Client) -> None:
    command = [sys.executable, "-W", "ignore", "-c", _FORKING.format(uri=team.tracking_uri)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stderr == ""
    assert team.get_run(done.stdout.strip()).data.metrics == {"parent": 1.0, "child": 2.0}
