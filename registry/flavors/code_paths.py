"""Find the modules of a project that a model needs (MLflow's `infer_code_paths`).

A module belongs to the project if its file is below the working directory and not in an installed package.
"""

import inspect
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from registry.flavors.files import CODE_DIRECTORY

_INSTALLED: Final = ("site-packages", "dist-packages")


def copy_inferred_code(model: Any, directory: Path) -> str | None:
    """Copy the project's modules that a model uses into ``code/``. Return that name, or None if there are none."""
    files = _project_files(model)
    for name, file in files.items():
        parts = name.split(".")
        is_package = file.name == "__init__.py"
        target = directory / CODE_DIRECTORY / Path(*(parts if is_package else parts[:-1])) / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return CODE_DIRECTORY if files else None


def _project_files(model: Any) -> dict[str, Path]:
    """Return the files of the project's modules that a model's module reaches, with their parent packages."""
    files: dict[str, Path] = {}
    pending = [_module_of(model), *_module_names(dict(getattr(model, "__dict__", {})))]
    seen: set[str] = set()
    while pending:
        module = pending.pop()
        if module is None or module.__name__ in seen:
            continue
        seen.add(module.__name__)
        file = _own_file(module)
        if file is not None and module.__name__ != "__main__":
            files[module.__name__] = file
            parents = module.__name__.split(".")[:-1]
            pending += [sys.modules.get(".".join(parents[: length + 1])) for length in range(len(parents))]
        if file is not None:
            pending += _module_names(vars(module))
    return files


def _module_names(names: dict[str, Any]) -> Iterator[ModuleType | None]:
    for value in list(names.values()):
        if isinstance(value, ModuleType):
            yield value
        elif inspect.isfunction(value) or inspect.isclass(value) or _own_type(value):
            yield _module_of(value)


def _own_type(value: Any) -> bool:
    return type(value).__module__ not in ("builtins", "__main__")


def _module_of(value: Any) -> ModuleType | None:
    name = getattr(value, "__module__", None) or type(value).__module__
    return sys.modules.get(name) if isinstance(name, str) else None


def _own_file(module: ModuleType) -> Path | None:
    name = getattr(module, "__file__", None)
    if not isinstance(name, str) or not name.endswith(".py"):
        return None
    file = Path(name).resolve()
    installed = Path(sysconfig.get_path("stdlib")).resolve()
    if not file.is_relative_to(Path.cwd().resolve()) or file.is_relative_to(installed):
        return None
    return None if any(part in _INSTALLED for part in file.parts) else file
