"""Write a Docker build context that serves a model: Dockerfile, the model's files, and what it needs.

Guarantees: the files in the context are those that were sealed; no name of the registry is read as an instruction.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from registry import __version__
from registry.exceptions import InvalidParameterError, RegistryError, disk_error
from registry.flavors.requirements import CONSTRAINTS_FILE, PYTHON_ENV_FILE, REQUIREMENTS_FILE
from registry.package_name import DISTRIBUTION

MODEL: Final = "model"
_HOME: Final = "/opt/registry"
_FIRST: Final = "# Serves "
_PORT: Final = 8080
_PYTHON: Final = re.compile(r"(3\.\d+)(\.\d+)?")
# Libraries of the system that wheels do not bring along.
_SYSTEM_PACKAGES: Final = {"lightgbm": "libgomp1"}


@dataclass(frozen=True)
class Image:
    """What an image is made of.

    Attributes:
        labels: Where the model comes from.
        base_image: The image to build on; None for Python's slim image of the version that the model was made with.
        package: The requirement that installs the server, or a wheel in the context; None for this version.
        allow_code: Whether the server may run code of the model's files.
        follow: The URI that the server follows in a registry; None if the model is inside the image.
    """

    labels: Mapping[str, str]
    base_image: str | None = None
    package: str | None = None
    allow_code: bool = False
    follow: str | None = None


def write_context(directory: Path, image: Image) -> Path:
    """Write the Dockerfile beside the model's files, which are in ``model`` below the directory; return its path.

    Raises:
        InvalidParameterError: The base image or the package is no word that Docker takes.
        StorageError: The disk reports an error.
    """
    model = directory / MODEL
    extras = "serve" if image.follow is None else "serve,postgres"
    package = image.package or f"{DISTRIBUTION}[{extras}]=={__version__}"
    for name, value in (("base image", image.base_image or ""), ("package", package)):
        if re.search(r"[\s\x00-\x1f'\"\\$]", value):
            raise InvalidParameterError(f"The {name} {value!r} has a blank, a quote or another special character.")
    try:
        if package.endswith(".whl"):
            wheel = Path(package)
            if not wheel.is_file():
                raise InvalidParameterError(f"The package {package!r} is no file; give a wheel of this machine.")
            copy = directory / wheel.name
            if not (copy.exists() and copy.samefile(wheel)):
                shutil.copyfile(wheel, copy)
            package = f"./{wheel.name}[{extras}]"
        requirements = _requirements(model)
        (directory / ".dockerignore").write_text("*\n!model\n!*.whl\n", encoding="utf-8")
        file = directory / "Dockerfile"
        file.write_text("\n".join(_lines(model, image, package, requirements)) + "\n", encoding="utf-8")
    except OSError as error:
        raise disk_error(f"The build context {str(directory)!r} cannot be written: {error.strerror}.", error) from error
    return file


def is_ours(directory: Path) -> bool:
    """Tell whether a directory is empty or was written by `write_context`, so that it may be replaced."""
    try:
        if not any(directory.iterdir()):
            return True
        return (directory / "Dockerfile").read_text(encoding="utf-8").startswith(_FIRST)
    except (OSError, UnicodeError):
        return False


def _requirements(model: Path) -> Sequence[str]:
    file = model / REQUIREMENTS_FILE
    return file.read_text(encoding="utf-8").split("\n") if file.is_file() else []


def _lines(model: Path, image: Image, package: str, requirements: Sequence[str]) -> Iterator[str]:
    yield f"{_FIRST}{_one_line(image.labels)}"
    place = "" if image.follow is None else "-e REGISTRY_TRACKING_URI "
    yield f"# docker build -t IMAGE . && docker run -p 8080:8080 {place}IMAGE"
    yield f"FROM {image.base_image or f'python:{python_version(model)}-slim'}"
    for name, value in image.labels.items():
        yield f"LABEL {name}={_quoted(value)}"
    yield "ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1"
    if image.allow_code:
        yield "ENV REGISTRY_ALLOW_CODE=true"
    yield f"WORKDIR {_HOME}"
    names = {re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower() for line in requirements}
    if system := sorted({library for name, library in _SYSTEM_PACKAGES.items() if name in names}):
        yield (
            f"RUN apt-get update && apt-get install --yes --no-install-recommends {' '.join(system)} "
            "&& rm -rf /var/lib/apt/lists/*"
        )
    # Before the model, so that a new version of the same requirements takes these layers from Docker's cache.
    if requirements:
        files = [REQUIREMENTS_FILE, CONSTRAINTS_FILE] if (model / CONSTRAINTS_FILE).is_file() else [REQUIREMENTS_FILE]
        yield f"COPY {' '.join(f'{MODEL}/{name}' for name in files)} ./requirements/"
        yield f"RUN pip install -r requirements/{REQUIREMENTS_FILE}"
    if package.startswith("./"):
        yield f"COPY {package.removeprefix('./').partition('[')[0]} ./"
    yield f"RUN pip install '{package}'"
    yield "RUN useradd --system --create-home registry"
    if image.follow is None:
        yield f"COPY {MODEL} ./{MODEL}"
    yield "USER registry"
    yield f"EXPOSE {_PORT}"
    yield (
        'HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as r; '
        f"r.urlopen('http://127.0.0.1:{_PORT}/ping', timeout=3)\"]"
    )
    served = f"{_HOME}/{MODEL}" if image.follow is None else image.follow
    # Inside the container every address is its own; who reaches it is decided where its port is published.
    command = ["registry", "models", "serve", served, "--host", "0.0.0.0", "--port", str(_PORT), "--trusted-proxy"]  # noqa: S104
    yield f"CMD {json.dumps(command)}"


def python_version(model: Path) -> str:
    """Return the minor version of Python that a model was made with, or else that of this process."""
    import platform

    from registry.flavors.untrusted.yaml import read_map

    made_with: Any = None
    if (model / PYTHON_ENV_FILE).is_file():
        try:
            made_with = read_map(model / PYTHON_ENV_FILE).get("python")
        except RegistryError:
            made_with = None
    match = _PYTHON.fullmatch(str(made_with)) or _PYTHON.fullmatch(platform.python_version())
    return match[1] if match else "3.11"


def _quoted(value: str) -> str:
    """Return a label's value: in double quotes, Docker takes a dollar for a variable."""
    one_line = re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]", " ", value)
    escaped = re.sub(r'(["\\$])', r"\\\1", one_line)
    return f'"{escaped}"'


def _one_line(labels: Mapping[str, str]) -> str:
    return re.sub(r"[^ -~]", "?", next(iter(labels.values()), "a model"))
