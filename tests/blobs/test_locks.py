"""Locks between processes, and what a forked child has of them."""

import os
from pathlib import Path

import pytest

from registry.blobs.locks import FileLock


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("shared", [False, True])
def test_a_lock_that_is_released_is_free_though_a_child_was_forked_meanwhile(tmp_path: Path, shared: bool) -> None:
    file = tmp_path / "lock"
    lock = FileLock.acquire(file, shared=shared, create=True)
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    lock.release()
    free = FileLock.attempt(file)
    os.write(done[1], b"x")
    os.waitpid(child, 0)
    # A child takes a shared lock anew, so that what it uses stays.
    assert (free is not None) is not shared
    if free is None:
        free = FileLock.attempt(file)
    assert free is not None
    free.release()


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("shared", [False, True])
def test_a_child_that_releases_leaves_the_lock_to_its_parent(tmp_path: Path, shared: bool) -> None:
    file = tmp_path / "lock"
    lock = FileLock.acquire(file, shared=shared, create=True)
    child = os.fork()
    if child == 0:
        lock.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert FileLock.attempt(file) is None
    lock.release()
