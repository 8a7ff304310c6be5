"""The progress bar: for a person who waits, and for nobody else."""

import io
import subprocess
import sys

import pytest

from registry.blobs import progress
from registry.blobs.progress import TransferProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Puts a terminal in the place of stderr. Not a fixture, for pytest sets stderr again between set-up and call."""
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_a_long_transfer_shows_a_bar_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", -1)
    shown = terminal(monkeypatch)
    with TransferProgress("Uploading", 100) as transfer:
        transfer.advance(50)
        transfer.advance(50)
    assert "Uploading" in shown.getvalue()


def test_a_short_transfer_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 3600)
    shown = terminal(monkeypatch)
    with TransferProgress("Uploading", 100) as transfer:
        transfer.advance(100)
    assert shown.getvalue() == ""


def test_a_log_file_gets_nothing() -> None:
    script = """
import sys
from registry.blobs import progress
progress.PATIENCE_SECONDS = -1
with progress.TransferProgress("Uploading", 100) as transfer:
    transfer.advance(100)
print("rich" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False\n", "")
