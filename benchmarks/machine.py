"""Describe the machine and the versions that the figures belong to."""

import os
import platform
import sqlite3
import subprocess
from pathlib import Path

from benchmarks.environments import MLFLOW


def facts(postgres: str) -> dict[str, str]:
    """Return the machine and the versions, as printed beside the table."""
    return {
        "processor": f"{os.cpu_count()} × {_processor()}",
        "load at the start": ", ".join(f"{load:.1f}" for load in os.getloadavg()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "postgresql": postgres,
        "compared with": MLFLOW,
        "commit": _commit(),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
