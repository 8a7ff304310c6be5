"""Spools at volume: long histories, many runs and files, and a registry that is killed in the middle of trainings."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import peak_memory
import pytest
from postgres_server import PostgresServer, _account, _run
from travelling_models import open_registry
from volumes import volume

import registry

pytestmark = pytest.mark.storm
SUPPORT = str(Path(peak_memory.__file__).parent)


def say(**figures: object) -> None:
    sys.__stderr__.write(f"\n{json.dumps(figures, default=str)}\n")  # type: ignore[union-attr]


_LONG = """
import json, sys
sys.path.append(sys.argv[2])
from peak_memory import peak_memory
import registry
from registry.client.transfer.sync import Sync
registry.MlflowClient(sys.argv[1]).search_runs(["0"])
before = peak_memory()
report = Sync("spool", sys.argv[1]).send()
print(json.dumps({"points": report.target_counts.points, "mebibytes": (peak_memory() - before) / 2**20}))
"""


def test_a_long_history_is_sent_in_bounded_memory(database_url: str, own_place: Path) -> None:
    count = volume(1_000_000, 200_000)
    spool = open_registry("file:./spool", f"{own_place}/spool")
    run_id = spool.create_run("0").info.run_id
    numbers = list(range(count))
    spool.backend.runs.log_history(run_id, "loss", steps=numbers, timestamps=numbers, values=[n / 2 for n in numbers])
    open_registry(database_url, f"{own_place}/team")

    since = time.monotonic()
    command = [sys.executable, "-c", _LONG, database_url, SUPPORT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    figures = json.loads(done.stdout)
    say(**figures, seconds=round(time.monotonic() - since, 1))
    assert figures["points"] == count
    assert figures["mebibytes"] < 100


def test_many_runs_with_files_arrive_on_postgresql_and_s3(
    postgres_url: str, seaweedfs: object, s3_environment: Callable, own_place: Path
) -> None:
    runs, files, steps = volume((200, 100, 1_000), (10, 20, 200))
    spool = open_registry("file:./spool", f"{own_place}/spool")
    numbers = list(range(steps))
    for number in range(runs):
        run_id = spool.create_run("0", run_name=f"run-{number}").info.run_id
        for key in "abcde":
            spool.backend.runs.log_history(run_id, key, steps=numbers, timestamps=numbers, values=numbers)
        place = Path(spool.get_run(run_id).info.artifact_uri)
        place.mkdir(parents=True)
        for file in range(files):
            (place / f"file-{file}.txt").write_bytes(os.urandom(2_000))
        spool.set_terminated(run_id)
    team = open_registry(postgres_url, s3_environment(seaweedfs).fresh_root())

    since, used = time.monotonic(), time.process_time()
    report = registry.sync("spool", to=team.tracking_uri)
    first, cpu = time.monotonic() - since, time.process_time() - used
    again = registry.sync("spool", to=team.tracking_uri)

    say(runs=runs, seconds=round(first, 1), cpu=round(cpu, 1), again=round(time.monotonic() - since - first, 1))
    assert report.outcomes == {"copied": runs}
    assert report.target_counts == report.source_counts
    assert (report.target_counts.points, report.target_counts.files) == (runs * 5 * steps, runs * files)
    assert again.outcomes == {"unchanged": runs}


_TRAINING = """
import sys, time
import registry
uri, spool, seconds = sys.argv[1:]
registry.set_tracking_uri(uri, offline=True, background_sync=True)
registry.set_experiment("trainings")
until, step = time.monotonic() + float(seconds), 0
with registry.start_run() as run:
    while time.monotonic() < until:
        registry.log_metric("loss", 1 / (step + 1), step=step, timestamp=step)
        if step % 100 == 0:
            registry.log_text(f"step {step:08}", "checkpoint.txt")
        step += 1
        time.sleep(0.1)
print(run.info.run_id, step)
"""


def test_eight_trainings_lose_and_double_nothing_while_the_server_is_away(
    postgres_server: PostgresServer, postgres_url: str, own_place: Path
) -> None:
    seconds, away = volume((75, 30), (25, 8))
    team = open_registry(postgres_url, f"{own_place}/team")
    since = time.monotonic()
    trainings = []
    for number in range(8):
        spool = f"{own_place}/spool-{number // 2}"  # two share one
        environment = {**os.environ, "REGISTRY_SPOOL_DIR": spool, "REGISTRY_CONNECT_TIMEOUT_SECONDS": "2"}
        command = [sys.executable, "-c", _TRAINING, postgres_url, spool, str(seconds)]
        trainings.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        )
    time.sleep(seconds / 4)
    tool, data = postgres_server.programs / "pg_ctl", postgres_server.directory / "data"
    options = (data / "postmaster.opts").read_text().strip().split(" ", 1)[1].replace('"', "'")
    _run([tool, "-D", data, "-m", "immediate", "stop"], postgres_server.directory, _account())
    time.sleep(away)
    log = postgres_server.directory / "log.txt"
    _run([tool, "-w", "-D", data, "-l", log, "-o", options, "start"], postgres_server.directory, _account())
    ended = [training.communicate() for training in trainings]

    assert [training.returncode for training in trainings] == [0] * 8, ended
    expected = {run_id: int(steps) for run_id, steps in (out.split() for out, _ in ended)}
    took = time.monotonic() - since
    arrived = {run_id: len(team.get_metric_history(run_id, "loss")) for run_id in expected}
    left = [err for _, err in ended if "before all of" in err]
    say(points=sum(expected.values()), seconds=round(took, 1), trained=seconds, away=away, left=len(left))
    if left:  # on a machine that was too busy for the last pass: what is left is said, and the next sync sends it
        for number in range(4):
            registry.sync(f"spool-{number}", to=postgres_url)
        arrived = {run_id: len(team.get_metric_history(run_id, "loss")) for run_id in expected}
    assert arrived == expected
    for run_id, steps in expected.items():
        assert [point.step for point in team.get_metric_history(run_id, "loss")] == list(range(steps))
        assert team.get_run(run_id).info.status == "FINISHED"
        last = (steps - 1) // 100 * 100
        assert Path(team.download_artifacts(run_id, "checkpoint.txt")).read_text() == f"step {last:08}"
