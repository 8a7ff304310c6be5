"""Save a model as an MLmodel directory.

Orders the steps and writes what all flavors share; a flavor writes the model's own files. Guarantees: after
`save_model` returns, the directory is complete; after it fails, everything that it wrote is removed.
"""

import logging
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from registry.entities.signature import ModelSignature
from registry.exceptions import InvalidParameterError, InvalidTypeError, RegistryError, disk_error
from registry.flavors.code_paths import copy_inferred_code
from registry.flavors.discovery import get_flavor
from registry.flavors.example import InputExample
from registry.flavors.example_check import check_example
from registry.flavors.files import copy_code, copy_extra_files, prepare_directory, size_of
from registry.flavors.mlmodel import FILE_NAME, PYTHON_FUNCTION, Model
from registry.flavors.protocol import Flavor
from registry.flavors.requirements import CONDA_FILE, PYTHON_ENV_FILE, Environment
from registry.validation.paths import check_local_path

_logger = logging.getLogger(__name__)


def save_model(
    model: Any,
    directory: str | Path,
    flavor: str,
    *,
    signature: ModelSignature | Literal[False] | None = None,
    input_example: Any = None,
    pip_requirements: Any = None,
    extra_pip_requirements: Any = None,
    conda_env: Any = None,
    code_paths: Sequence[str | Path] | None = None,
    infer_code_paths: bool = False,
    metadata: Mapping[str, Any] | None = None,
    extra_files: Sequence[str | Path] | None = None,
    added_files: Mapping[str, bytes] | None = None,
    model_id: str | None = None,
    run_id: str | None = None,
    artifact_path: str | None = None,
    **options: Any,
) -> Model:
    """Write a model into an absent or empty directory. Return the content of its MLmodel file.

    Without a signature, one is inferred from `input_example` and the saved model's prediction for it; ``False`` turns
    this off. With `infer_code_paths`, the modules below the working directory that the model uses are saved with it.
    `added_files` are written beside the model's own, by name. Further options belong to the flavor.

    Raises:
        PathExistsError: the directory is not empty.
        InvalidParameterError: the model is not of this flavor, or an argument is malformed.
        MissingDependencyError: the flavor's package is not installed.
    """
    if signature is not None and signature is not False and not isinstance(signature, ModelSignature):
        raise InvalidTypeError(f"signature must be a ModelSignature, False or None, got {type(signature).__name__!r}.")
    if not isinstance(flavor, str):
        raise InvalidTypeError(f"A flavor is named by a string, such as 'xgboost', got {flavor!r}.")
    chosen = get_flavor(flavor)
    environment_options = {
        "pip_requirements": pip_requirements,
        "extra_pip_requirements": extra_pip_requirements,
        "conda_env": conda_env,
    }
    existed = check_local_path(directory).exists()
    target = prepare_directory(directory)
    try:
        Environment.of([], **environment_options)
        example = None if input_example is None else InputExample.of(input_example)
        info = _save_example(example, target) if example else None
        if infer_code_paths and code_paths is not None:
            raise InvalidParameterError("Give either code_paths or infer_code_paths=True, and not both.")
        code = copy_inferred_code(model, target) if infer_code_paths else copy_code(code_paths, target)
        entries = _entries(chosen, chosen.save(model, target, **options), code, copy_extra_files(extra_files, target))
        if example is not None and info is not None:
            known = signature or None
            signature = check_example(chosen, model, target, entries, example, known, infer=signature is None)
        described = Model(
            artifact_path=artifact_path,
            run_id=run_id,
            flavors=entries,
            signature=signature or None,
            saved_input_example_info=info,
            metadata=metadata,
            model_size_bytes=size_of(target),
            model_id=model_id,
        )
        described = replace(described, model_uuid=model_id) if model_id else described
        described.save(target / FILE_NAME)
        for name, content in (added_files or {}).items():
            (target / name).write_bytes(content)
        Environment.of(chosen.requirements(entries[flavor]), **environment_options).save(target)
    except BaseException as error:
        _discard(target, keep_itself=existed)
        if isinstance(error, OSError) and not isinstance(error, RegistryError):
            reason = os.strerror(error.errno) if error.errno else str(error)
            message = (
                f"The model cannot be written to {str(target)!r}: {reason}. Make room there, or save it elsewhere."
            )
            raise disk_error(message, error) from error
        raise
    return described


def _save_example(example: InputExample, directory: Path) -> dict[str, Any] | None:
    """Write an example. If that fails, warn and return None: the model itself is still saved."""
    try:
        return example.save(directory)
    except InvalidParameterError as error:
        _logger.warning("The model is saved without its input example and without a signature from it: %s", error)
        return None


def _entries(
    flavor: Flavor, written: Mapping[str, Any], code: str | None, extra: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return the flavor's entries, with what MLflow writes for every flavor."""
    entries = {name: dict(entry) for name, entry in written.items()}
    entries.setdefault(flavor.name, {})
    if flavor.name != PYTHON_FUNCTION:
        entries[flavor.name]["code"] = code
    entries[flavor.name].update(extra)
    if PYTHON_FUNCTION in entries:
        shared = {
            "python_version": platform.python_version(),
            "env": {"conda": CONDA_FILE, "virtualenv": PYTHON_ENV_FILE},
        }
        entries[PYTHON_FUNCTION].update(shared | ({"code": code} if code else {}))
    return entries


def _discard(directory: Path, *, keep_itself: bool) -> None:
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if not keep_itself:
        directory.rmdir()
