"""The peak memory of a process, for tests that start one to measure it."""

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory() -> int:
    """Return the peak resident memory of this process in bytes.

    Not ``ru_maxrss`` on Linux: a program starts with that of the process which started it, so that of pytest hides
    hundreds of megabytes.
    """
    if _STATUS.exists():
        lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
