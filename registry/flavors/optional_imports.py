"""Import optional packages on first use, with an error that names the extra to install, and find their versions."""

import importlib
import importlib.metadata
from typing import Any, Final

from registry.exceptions import MissingDependencyError
from registry.package_name import install_command

# Several distributions can provide one module: the build without CUDA has its own distribution.
_BUILDS: Final[dict[str, tuple[str, ...]]] = {"xgboost": ("xgboost", "xgboost-cpu")}


def optional_import(module: str, extra: str) -> Any:
    """Import a module of an optional package.

    Raises:
        MissingDependencyError: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"The package {module.partition('.')[0]!r} is needed for this and cannot be imported ({error}). "
            f"Install it: {install_command(extra)}"
        ) from error


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution without its local label (``+cu121``), or None."""
    for build in _BUILDS.get(distribution, (distribution,)):
        try:
            return importlib.metadata.version(build).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
