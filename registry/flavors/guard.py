"""Model directories from elsewhere, judged once on the way in.

A sealed model is guarded by its digest; what comes from a directory, an import or another store is read here by strict
readers of our own before a native parser sees it. Invariant: nothing of the directory is executed, and a file that
could crash the parser of its format is an `InvalidModelError`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from registry.exceptions import InvalidModelError
from registry.flavors.mlmodel import PYTHON_FUNCTION, Model, inside
from registry.flavors.xgboost_check import check_model_bytes

CHECKED_FLAVORS: Final = frozenset({"xgboost"})
"""The flavors whose files `check_directory` reads."""


def check_directory(directory: str | Path) -> None:
    """Pass if every XGBoost model file that the MLmodel file names is whole; other flavors are not looked into.

    Raises:
        InvalidModelError: the MLmodel file or a model file is damaged, or not what its flavor says.
        ArtifactNotFoundError: there is no MLmodel file, or it names a file that is missing.
    """
    root = Path(directory)
    for data in _xgboost_files(Model.load(root)):
        check_xgboost_file(inside(root, data, "flavors.xgboost.data"))


def check_xgboost_file(file: Path) -> None:
    """Pass if the file is a whole XGBoost model in UBJSON or JSON.

    Raises:
        InvalidModelError: it is not, and XGBoost could crash on it.
    """
    check_xgboost_bytes(file.read_bytes(), file)


def check_xgboost_bytes(data: bytes, file: Path) -> None:
    """Like `check_xgboost_file`, of bytes that were read from `file`."""
    try:
        check_model_bytes(data)
    except ValueError as error:
        raise InvalidModelError(
            f"{str(file)!r} is no whole XGBoost model in UBJSON or JSON: {error}. XGBoost itself could crash on it. "
            "If an old XGBoost wrote it in its binary format, load it there and save it again as UBJSON or JSON."
        ) from None


def _xgboost_files(model: Model) -> list[Any]:
    """What the native entry names, and what the function entry does where it is loaded by the same flavor."""
    function: Mapping[str, Any] = model.flavors.get(PYTHON_FUNCTION, {})
    entries = [model.flavors["xgboost"]] if "xgboost" in model.flavors else []
    if function.get("loader_module") == "mlflow.xgboost":
        entries.append(function)
    found = [entry.get("data") for entry in entries]
    return [data for position, data in enumerate(found) if data not in found[:position]]
