"""`doctor`: what somebody who helps needs to know about this installation."""

import importlib.metadata
import os
import platform
import re
import sys

import registry
from registry.fluent import state
from registry.package_name import DISTRIBUTION
from registry.settings import redacted_uri

_SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|KEY", re.IGNORECASE)


def doctor(mask_envs: bool = False) -> None:
    """Print versions, places and settings, for a bug report. Passwords in URIs are not printed.

    ``registry doctor`` on the command line also examines the stores.

    Args:
        mask_envs: Print ``***`` instead of the values of environment variables. Default: False.

    Example:
        >>> mlflow.doctor(mask_envs=True)
        System information: ...
        Python version: 3...
        Registry version: ...
        Tracking URI: file:./mlruns
        Registry URI: file:./mlruns
        ...
    """
    lines = [
        f"System information: {platform.system()} {platform.version()}",
        f"Python version: {platform.python_version()}",
        f"Registry version: {registry.__version__}",
        f"Registry module location: {registry.__file__}",
        f"Tracking URI: {redacted_uri(state.get_tracking_uri())}",
        f"Registry URI: {redacted_uri(state.get_registry_uri())}",
    ]
    active = state.active()
    if active:
        info = active[-1].info
        lines += [f"Active experiment ID: {info.experiment_id}", f"Active run ID: {info.run_id}"]
        lines.append(f"Active run artifact URI: {info.artifact_uri}")
    variables = {name: value for name, value in os.environ.items() if name.startswith(("REGISTRY_", "MLFLOW_"))}
    if variables:
        lines.append("Environment variables:")
        lines += [f"  {name}: {_shown(name, value, mask=mask_envs)}" for name, value in sorted(variables.items())]
    lines.append("Dependencies:")
    lines += [f"  {name}: {version}" for name, version in _dependencies()]
    sys.stdout.write("\n".join(lines) + "\n")


def _shown(name: str, value: str, *, mask: bool) -> str:
    return "***" if mask or _SECRET.search(name) else redacted_uri(value)


def _dependencies() -> list[tuple[str, str]]:
    """Return the installed packages that this one names, with their versions."""
    try:
        required = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    found = {}
    for requirement in required:
        name = re.split(r"[\s<>=!~;\[(]", requirement, maxsplit=1)[0]
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return sorted(found.items())
