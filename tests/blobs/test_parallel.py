"""Transfers in threads, and without them while the interpreter shuts down."""

import concurrent.futures.thread
import threading

import pytest

from registry.blobs.parallel import in_order


def test_transfers_that_begin_at_exit_run_one_by_one_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrent.futures.thread, "_shutdown", True)  # as after the last line of a script

    def task(number: int) -> tuple[int, str]:
        return number, threading.current_thread().name

    found = list(in_order([lambda number=number: task(number) for number in range(3)], width=2))

    assert found == [(number, threading.current_thread().name) for number in range(3)]
