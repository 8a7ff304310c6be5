"""Start a Python that has mlflow, and send it requests: the other side is `export_worker`.

Guarantees: mlflow is never imported into this process, so its versions of packages and ours need not agree.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from registry.exceptions import InvalidStateError, MissingDependencyError, RegistryError, UnavailableError

_WORKER: Final = Path(__file__).with_name("export_worker.py")
_SHOWN: Final = 1_500


class MlflowRefusedError(RegistryError):
    """MLflow refused one request; the message is its own."""


class MlflowProcess:
    """A process that writes into MLflow; `python` is the program to run, this one's by default."""

    def __init__(self, python: str | None = None) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        # Values that are too long are refused, not cut; and no progress bars are drawn.
        environment = {**os.environ, "MLFLOW_TRUNCATE_LONG_VALUES": "false", "PYTHONUTF8": "1"}
        environment["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
        command = [python or sys.executable, str(_WORKER)]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the caller names the Python to run
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, env=environment
            )
        except OSError as error:
            self._log.close()
            raise InvalidStateError(
                f"The Python {command[0]!r} could not be started ({error.strerror}). Give the path of one that has "
                "mlflow with --python (python=…)."
            ) from error
        self._python = command[0]

    def ask(self, request: str, **arguments: Any) -> Any:
        """Send one request and return its answer.

        Raises:
            MissingDependencyError: That Python has no mlflow.
            MlflowRefusedError: MLflow raised an error.
            UnavailableError: The process ended.
        """
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError
        line = json.dumps({"request": request, **arguments}) + "\n"
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            answer = b""
        else:
            answer = self._process.stdout.readline()
        if not answer:
            raise self._ended()
        document = json.loads(answer)
        if "error" in document:
            raise MlflowRefusedError(document["error"])
        return document["answer"]

    def _ended(self) -> RegistryError:
        self._process.wait()
        self._log.seek(0)
        log = self._log.read().decode(errors="replace").strip()
        if "No module named 'mlflow'" in log:
            return MissingDependencyError(
                f"{self._python} has no mlflow. Install it (pip install mlflow), best in an environment of its own, "
                "and give the path of its Python with --python (python=…)."
            )
        return UnavailableError(
            f"The process that writes into MLflow ended with {self._process.returncode}. Export again; what is there "
            f"stays. It wrote: {log[-_SHOWN:]}"
        )

    def __enter__(self) -> Self:
        """Return the process."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._process.wait()
        self._log.close()
