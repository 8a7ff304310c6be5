"""The tests' own PostgreSQL is gone with the tests, however they end."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SESSION = """
import time

def test_that_never_ends(postgres_server):
    print(f"directory {postgres_server.directory}", flush=True)
    time.sleep(600)
"""


def test_a_session_that_is_killed_leaves_no_server_behind(tmp_path: Path) -> None:
    (tmp_path / "test_session.py").write_text(SESSION)
    support = Path(__file__).parent / "support"
    options = ["-c", "/dev/null", "--rootdir", str(tmp_path), "-p", "postgres_server", "-p", "no:cacheprovider", "-s"]
    command = [sys.executable, "-m", "pytest", *options, "test_session.py"]
    environment = {**os.environ, "PYTHONPATH": str(support)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as session:
        assert session.stdout is not None
        line = next(line for line in session.stdout if "directory" in line)
        session.kill()
    directory = Path(line.rpartition(" ")[2].strip())
    assert directory.name.startswith("registry-pg-")

    for _ in range(600):
        if not directory.exists():
            break
        time.sleep(0.05)
    assert not directory.exists()
