"""Forks while threads write to SQLite: no child hangs, and the parent loses nothing."""

import json
import subprocess
import sys
import threading

import pytest
from volumes import volume

from registry.store.forking import ForkGate

# Three threads log, one of them in the background, while children are forked. Each child logs a point and reads it, and
# is killed after a minute: none should need that. What the parent has queued is not waited for in a child. Prints how
# the children ended and how many points there are.
PROGRAM = """
import json, os, signal, sys, threading, time, traceback
from registry import MlflowClient
from registry.exceptions import InvalidStateError

url, children = json.loads(sys.argv[1])
client = MlflowClient(url)
run_ids = [client.create_run("0").info.run_id for _ in range(4)]
queued = client.log_metric(run_ids[3], "q", 1.0, synchronous=False)
stop = threading.Event()
logged = [0, 0, 0]

def log(number, synchronous):
    while not stop.is_set():
        client.log_metric(run_ids[number], "m", 1.0, step=logged[number], synchronous=synchronous)
        logged[number] += 1
        time.sleep(0.002)

def child(number):
    signal.alarm(60)
    try:
        try:
            queued.wait()
            os._exit(2)
        except InvalidStateError:
            pass
        MlflowClient(url).log_metric(run_ids[3], "m", 1.0, step=number)
        client.log_metric(run_ids[3], "n", 1.0, step=number, synchronous=False).wait()
        client.get_run(run_ids[3])
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)

threads = [threading.Thread(target=log, args=(n, n != 2)) for n in range(3)]
for thread in threads:
    thread.start()
ends = []
for first in range(0, children, 4):
    started = []
    for number in range(first, min(first + 4, children)):
        pid = os.fork()
        if pid == 0:
            child(number)
        started.append(pid)
    ends += [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in started]
stop.set()
for thread in threads:
    thread.join()
client.backend.log_queue.flush()
found = [len(client.get_metric_history(run_id, "m")) for run_id in run_ids]
print(json.dumps({"ends": ends, "lost": [a - b for a, b in zip(logged, found)], "children": found[3]}))
"""


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("children", [12, pytest.param(volume(200, 20), marks=pytest.mark.storm)])
def test_no_child_hangs_that_was_forked_while_threads_write(mode: str, children: int, sqlite_url: str) -> None:
    given = json.dumps([f"{sqlite_url}?journal_mode={mode}", children])
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=580, check=False)

    assert done.stderr == ""
    assert json.loads(done.stdout) == {"ends": [0] * children, "lost": [0, 0, 0], "children": children}


def test_a_fork_waits_until_other_threads_are_out_and_blocks_new_ones() -> None:
    gate = ForkGate()
    order: list[str] = []
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with gate:
            inside.set()
            leave.wait(30)
            with gate:  # a scope within a scope needs no second turn
                order.append("out")

    def come_later() -> None:
        with gate:
            order.append("later")

    first = threading.Thread(target=work)
    first.start()
    inside.wait(30)
    with gate:  # whoever forks may be inside itself
        forking = threading.Thread(target=leave.set)
        forking.start()
        gate.close()
        later = threading.Thread(target=come_later)
        later.start()
        order.append("fork")
        gate.open()
    for thread in (first, forking, later):
        thread.join()

    assert order == ["out", "fork", "later"]
