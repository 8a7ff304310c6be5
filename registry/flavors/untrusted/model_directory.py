"""Check untrusted model directories when they enter the registry.

The digest protects a sealed model. A directory, an import or another store is checked here before a native parser or
model reads it. Guarantees: nothing in the directory is executed; a file that could crash the parser of its format, or
the model made of it, raises `InvalidModelError`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from registry.exceptions import ArtifactNotFoundError, InvalidModelError
from registry.flavors.mlmodel import PYTHON_FUNCTION, Model, inside
from registry.flavors.untrusted.catboost import check_model_blob
from registry.flavors.untrusted.lightgbm import check_model_text
from registry.flavors.untrusted.skops import check_skops_file
from registry.flavors.untrusted.xgboost import check_model_bytes

# Keys of each flavor's entry that name the model file.
_KEYS: Final = {
    "xgboost": ("data",),
    "lightgbm": ("data",),
    "catboost": ("data",),
    "sklearn": ("pickled_model", "model_path"),
}


def needs_safety_check(model: Model) -> bool:
    """Tell whether `check_directory` reads any file that this MLmodel file names."""
    return any(_named(model, flavor, keys) for flavor, keys in _KEYS.items())


def check_directory(directory: str | Path) -> None:
    """Check that every XGBoost, LightGBM, CatBoost and skops file that the MLmodel file names is whole; read no other.

    Raises:
        InvalidModelError: the MLmodel file or a model file is damaged, or its format is not that of its flavor.
        ArtifactNotFoundError: there is no MLmodel file, or it names a file of the first three that is missing.
    """
    root = Path(directory)
    model = Model.load(root)
    for data in _named(model, "xgboost", _KEYS["xgboost"]):
        check_xgboost_file(inside(root, data, "flavors.xgboost.data"))
    for data in _named(model, "catboost", _KEYS["catboost"]):
        if model.flavors.get("catboost", {}).get("save_format", "cbm") == "cbm":
            file = inside(root, data, "flavors.catboost.data")
            check_catboost_bytes(file.read_bytes(), file)
    for data in _named(model, "lightgbm", _KEYS["lightgbm"]):
        file = inside(root, data, "flavors.lightgbm.data")
        if file.suffix == ".lgb":  # MLflow's wrappers are skops files or pickles, which no loader here reads
            check_lightgbm_bytes(file.read_bytes(), file)
    for data in _named(model, "sklearn", _KEYS["sklearn"]):
        try:
            file = inside(root, data, "flavors.sklearn.pickled_model")
        except (ArtifactNotFoundError, InvalidModelError):
            continue  # loading the model reports it
        check_skops_file(file)


def check_xgboost_file(file: Path) -> None:
    """Check that the file is a whole XGBoost model in UBJSON or JSON.

    Raises:
        InvalidModelError: it is not, and XGBoost could crash on it.
    """
    check_xgboost_bytes(file.read_bytes(), file)


def check_xgboost_bytes(data: bytes, file: Path) -> None:
    """Check bytes that were read from `file`, as `check_xgboost_file` does."""
    try:
        check_model_bytes(data)
    except ValueError as error:
        raise InvalidModelError(
            f"{str(file)!r} is no whole XGBoost model in UBJSON or JSON: {error}. XGBoost itself could crash on it. "
            "If an old XGBoost wrote it in its binary format, load it there and save it again as UBJSON or JSON."
        ) from None


def check_catboost_bytes(data: bytes, file: Path) -> None:
    """Check that bytes read from `file` are a whole CatBoost model.

    Raises:
        InvalidModelError: they are not, and CatBoost could crash on them.
    """
    try:
        check_model_blob(data)
    except ValueError as error:
        raise InvalidModelError(
            f"{str(file)!r} is no whole CatBoost model: {error}. CatBoost itself could crash on it."
        ) from None


def check_lightgbm_bytes(data: bytes, file: Path) -> None:
    """Check that bytes read from `file` are a whole LightGBM model.

    Raises:
        InvalidModelError: they are not, and LightGBM could crash on them.
    """
    try:
        check_model_text(data)
    except ValueError as error:
        raise InvalidModelError(
            f"{str(file)!r} is no whole LightGBM model: {error}. LightGBM itself could crash on it."
        ) from None


def _named(model: Model, flavor: str, keys: tuple[str, ...]) -> list[Any]:
    """Return the files that the native entry names, and those of the function entry if the same flavor loads it."""
    function: Mapping[str, Any] = model.flavors.get(PYTHON_FUNCTION, {})
    entries = [model.flavors[flavor]] if flavor in model.flavors else []
    if function.get("loader_module") == f"mlflow.{flavor}":
        entries.append(function)
    names = [next((entry[key] for key in keys if key in entry), None) for entry in entries]
    return [data for position, data in enumerate(names) if data not in names[:position]]
