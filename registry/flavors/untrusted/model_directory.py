"""Model directories from elsewhere, judged once on the way in.

A sealed model is guarded by its digest; what comes from a directory, an import or another store is read here before a
native parser or model sees it. Invariant: nothing of the directory is executed, and a file that could crash the parser
of its format, or the model that it becomes, is an `InvalidModelError`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from registry.exceptions import ArtifactNotFoundError, InvalidModelError
from registry.flavors.mlmodel import PYTHON_FUNCTION, Model, inside
from registry.flavors.untrusted.skops import check_skops_file
from registry.flavors.untrusted.xgboost import check_model_bytes

# Where an entry of each flavor says which file is the model.
_KEYS: Final = {"xgboost": ("data",), "sklearn": ("pickled_model", "model_path")}


def needs_safety_check(model: Model) -> bool:
    """Whether `check_directory` reads any file that this MLmodel file names."""
    return any(_named(model, flavor, keys) for flavor, keys in _KEYS.items())


def check_directory(directory: str | Path) -> None:
    """Pass if every XGBoost and skops file that the MLmodel file names is whole; other files are not looked into.

    Raises:
        InvalidModelError: the MLmodel file or a model file is damaged, or not what its flavor says.
        ArtifactNotFoundError: there is no MLmodel file, or it names an XGBoost file that is missing.
    """
    root = Path(directory)
    model = Model.load(root)
    for data in _named(model, "xgboost", _KEYS["xgboost"]):
        check_xgboost_file(inside(root, data, "flavors.xgboost.data"))
    for data in _named(model, "sklearn", _KEYS["sklearn"]):
        try:
            file = inside(root, data, "flavors.sklearn.pickled_model")
        except (ArtifactNotFoundError, InvalidModelError):
            continue  # whoever loads the model is told
        check_skops_file(file)


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


def _named(model: Model, flavor: str, keys: tuple[str, ...]) -> list[Any]:
    """The files that the native entry names, and that the function entry does where the same flavor loads it."""
    function: Mapping[str, Any] = model.flavors.get(PYTHON_FUNCTION, {})
    entries = [model.flavors[flavor]] if flavor in model.flavors else []
    if function.get("loader_module") == f"mlflow.{flavor}":
        entries.append(function)
    found = [next((entry[key] for key in keys if key in entry), None) for entry in entries]
    return [data for position, data in enumerate(found) if data not in found[:position]]
