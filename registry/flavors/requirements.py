"""Write a model's environment: requirements.txt, constraints.txt, conda.yaml and python_env.yaml, in MLflow's layout.

Versions come from installed metadata; nothing is imported or run to find them. Guarantees: requirements.txt has one
line per distribution, the flavor's own before the caller's.
"""

import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from registry.exceptions import ArtifactNotFoundError, InvalidParameterError, InvalidTypeError
from registry.flavors.optional_imports import installed_version
from registry.flavors.untrusted.yaml import read_map, write_map
from registry.validation.paths import check_local_path

CONDA_FILE: Final = "conda.yaml"
PYTHON_ENV_FILE: Final = "python_env.yaml"
REQUIREMENTS_FILE: Final = "requirements.txt"
CONSTRAINTS_FILE: Final = "constraints.txt"
_MAX_NESTING: Final = 16
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REFERENCE: Final = re.compile(r"(-r|--requirement|-c|--constraint)[ =]\s*(.+)")


@dataclass(frozen=True)
class Environment:
    """The lines of requirements.txt and constraints.txt, and the conda environment that holds them."""

    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    conda: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        defaults: Iterable[str],
        *,
        pip_requirements: object = None,
        extra_pip_requirements: object = None,
        conda_env: object = None,
    ) -> "Environment":
        """Return the environment of a model whose flavor needs `defaults` (names of distributions).

        `pip_requirements` replaces the defaults, `extra_pip_requirements` is added to them; each is a list of lines as
        in a requirements file, or the path of one. `conda_env` is a map or the path of a YAML file.

        Raises:
            InvalidParameterError: more than one of the three is given, or one is malformed.
            ArtifactNotFoundError: a file they name does not exist.
        """
        alternatives = (conda_env, pip_requirements, extra_pip_requirements)
        if sum(item is not None for item in alternatives) > 1:
            raise InvalidParameterError(
                "Only one of `conda_env`, `pip_requirements`, and `extra_pip_requirements` can be specified"
            )
        if conda_env is not None:
            return cls._of_conda(_conda_map(conda_env))
        own = [] if pip_requirements is not None else [pinned(name) for name in defaults]
        lines = pip_requirements if pip_requirements is not None else extra_pip_requirements
        requirements, constraints = _parse(lines)
        merged = _merge(requirements, own)
        return cls(tuple(merged), tuple(constraints), _conda(_with_reference(merged, constraints)))

    @classmethod
    def _of_conda(cls, conda: Mapping[str, Any]) -> "Environment":
        dependencies = conda.get("dependencies") or []
        if not isinstance(dependencies, list):
            raise InvalidParameterError("The `dependencies` of a conda_env must be a list.")
        pip = next((item["pip"] for item in dependencies if isinstance(item, Mapping) and "pip" in item), None)
        requirements, constraints = _parse(pip)
        others = [item for item in dependencies if not (isinstance(item, Mapping) and "pip" in item)]
        packages: list[Any] = [{"pip": _with_reference(requirements, constraints)}] if requirements else []
        return cls(tuple(requirements), tuple(constraints), {**conda, "dependencies": [*others, *packages]})

    def save(self, directory: Path) -> None:
        """Write the four files (three where there are no constraints)."""
        write_map(directory / CONDA_FILE, self.conda)
        write_map(directory / PYTHON_ENV_FILE, _python_env(), sort_keys=False)
        lines = _with_reference(self.requirements, self.constraints)
        (directory / REQUIREMENTS_FILE).write_text("\n".join(lines), encoding="utf-8")
        if self.constraints:
            (directory / CONSTRAINTS_FILE).write_text("\n".join(self.constraints), encoding="utf-8")


def pinned(distribution: str) -> str:
    """Return ``name==version`` of an installed distribution, or its name alone."""
    version = installed_version(distribution)
    return f"{distribution}=={version}" if version else distribution


def _with_reference(requirements: Iterable[str], constraints: Iterable[str]) -> list[str]:
    return [*requirements, f"-c {CONSTRAINTS_FILE}"] if tuple(constraints) else list(requirements)


def _merge(requested: list[str], own: list[str]) -> list[str]:
    """Return the flavor's own lines, then the caller's; a caller's line replaces the own line of the same name."""
    names = {_canonical(line) for line in requested if line != (_NAME.match(line) or [""])[0]}
    kept = [line for line in own if _canonical(line) not in names]
    present = {_canonical(line) for line in kept}
    return list(dict.fromkeys([*kept, *(line for line in requested if _canonical(line) not in present)]))


def _canonical(line: str) -> str:
    match = _NAME.match(line)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else line


def _parse(lines: object) -> tuple[list[str], list[str]]:
    """Return requirements and constraints of a list of lines or of a requirements file."""
    if lines is None:
        return [], []
    texts: list[Any]
    if isinstance(lines, str | Path):
        base, texts = Path(lines).parent, _read_lines(Path(lines))
    else:
        base, texts = Path(), list(lines) if isinstance(lines, Iterable) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise InvalidTypeError(
            "`pip_requirements` must be the path of a requirements file or a list of requirement lines, got "
            f"{type(lines).__name__}: {lines!r}"
        )
    parsed = list(_expand(texts, base, is_constraint=False, depth=0))
    requirements = [line for line, is_constraint in parsed if not is_constraint]
    return requirements, [line for line, is_constraint in parsed if is_constraint]


def _expand(lines: Iterable[str], base: Path, *, is_constraint: bool, depth: int) -> Iterator[tuple[str, bool]]:
    if depth > _MAX_NESTING:
        raise InvalidParameterError(f"Requirements files refer to each other more than {_MAX_NESTING} deep.")
    for line in _logical_lines(lines):
        reference = _REFERENCE.fullmatch(line)
        if reference is None:
            yield line, is_constraint
            continue
        file = base / reference[2].strip()
        of_constraints = is_constraint or reference[1] in ("-c", "--constraint")
        yield from _expand(_read_lines(file), file.parent, is_constraint=of_constraints, depth=depth + 1)


def _logical_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines without comments and blank lines, with continued lines joined."""
    pending = ""
    for raw in lines:
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        if line.endswith("\\"):
            pending += line[:-1].rstrip() + " "
            continue
        whole = (pending + line).strip()
        pending = ""
        if whole:
            yield whole
    if pending.strip():
        yield pending.strip()


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path, or bytes that are not UTF-8
        raise ArtifactNotFoundError(f"The requirements file {str(path)!r} cannot be read: {error}") from None


def _conda_map(conda_env: object) -> Mapping[str, Any]:
    if isinstance(conda_env, Mapping):
        return conda_env
    if isinstance(conda_env, str | Path):
        return read_map(check_local_path(conda_env))
    raise InvalidTypeError(
        "Expected a string path to a conda env yaml file or a `dict` representing a conda env, "
        f"but got `{type(conda_env).__name__}`"
    )


def _conda(requirements: list[str]) -> dict[str, Any]:
    pip = installed_version("pip")
    # An upper bound, because conda-forge gets a new pip later than the package index.
    packages = [f"python={platform.python_version()}", f"pip<={pip}" if pip else "pip", {"pip": requirements}]
    return {"name": "mlflow-env", "channels": ["conda-forge"], "dependencies": packages}


def _python_env() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "build_dependencies": [pinned(name) for name in ("pip", "setuptools", "wheel")],
        "dependencies": [f"-r {REQUIREMENTS_FILE}"],
    }
