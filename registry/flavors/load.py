"""Load a model from an MLmodel directory.

Chooses the flavor by tables in code and by entry points of installed packages. Guarantees: a module that a model names
is imported, and code in its directory is put on the import path, only if the caller allowed code.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registry.exceptions import InvalidModelError
from registry.flavors.discovery import find_by_loader, get_flavor
from registry.flavors.example import StoredExample
from registry.flavors.mlmodel import PYTHON_FUNCTION, Model, inside
from registry.flavors.protocol import Flavor
from registry.flavors.pyfunc_model import PyFuncModel
from registry.validation.arguments import check_mapping


def load_model(directory: str | Path, flavor: str, *, allow_code: bool = False, **options: Any) -> Any:
    """Load the native model of a directory.

    Raises:
        NotFoundError: the model lacks the flavor.
        ArtifactNotFoundError: the directory has no MLmodel file, or a file that it names is missing.
        InvalidModelError: the MLmodel file or the model file cannot be used.
        CodeExecutionRefusedError: loading would run code of the model, and `allow_code` is False.
        MissingDependencyError: the flavor's package is not installed.
    """
    root = Path(directory)
    model = Model.load(root)
    config = model.flavor(flavor)
    _add_code(root, config, allow_code=allow_code)
    return get_flavor(flavor).load(root, config, allow_code=allow_code, **options)


def load_pyfunc(
    directory: str | Path,
    *,
    allow_code: bool = False,
    model_config: Mapping[str, Any] | None = None,
    **options: Any,
) -> PyFuncModel:
    """Load the model of a directory as a `PyFuncModel`; the errors are those of `load_model`.

    `model_config` overrides the configuration that the model was saved with; keys that it was not saved with are
    ignored. Further options go to the flavor, such as ``skops_trusted_types``.
    """
    root = Path(directory)
    model = Model.load(root)
    entry = model.flavor(PYTHON_FUNCTION)
    flavor = _flavor_of(model, entry, root)
    config = {**model.flavors.get(flavor.name, {}), **entry}
    merged = _merged_config(entry.get("config"), model_config)
    if merged:
        options["model_config"] = merged
    _add_code(root, entry, allow_code=allow_code)
    predictor = flavor.predictor(root, config, allow_code=allow_code, **options)
    example = StoredExample.find(model, root)
    return PyFuncModel(model, predictor, example=example, model_config=merged)


def _flavor_of(model: Model, entry: Mapping[str, Any], directory: Path) -> Flavor:
    loader = entry.get("loader_module")
    if not isinstance(loader, str):
        raise InvalidModelError(f"The MLmodel file in {str(directory)!r} names no loader_module for python_function.")
    # python_function comes last: if code is allowed, it imports a loader that no flavor knows.
    names = [name for name in model.flavors if name != PYTHON_FUNCTION]
    return find_by_loader(loader, [*names, PYTHON_FUNCTION]) or get_flavor(PYTHON_FUNCTION)


def _merged_config(saved: object, overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    base = dict(saved) if isinstance(saved, Mapping) else {}
    return {**base, **{key: value for key, value in check_mapping(overrides, "model_config").items() if key in base}}


def _add_code(directory: Path, config: Mapping[str, Any], *, allow_code: bool) -> None:
    """Put the model's ``code/`` on the import path, as MLflow does, if the caller allowed code."""
    code = config.get("code")
    if code is None or not allow_code:
        return
    path = str(inside(directory, code, "code").resolve())
    if path not in sys.path:
        sys.path.insert(0, path)
