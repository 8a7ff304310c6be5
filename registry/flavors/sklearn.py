"""The scikit-learn flavor: saved by skops, which holds only data, or by pickle or cloudpickle on request.

Guarantees: a skops file makes only types that the fixed lists of `untrusted.skops_types` name, or that the caller named
at loading; a pickle is read only if the caller allowed code. Nothing in the file decides either.
"""

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from registry.exceptions import InvalidModelError, InvalidParameterError, RegistryError
from registry.flavors import pickles
from registry.flavors.allow_code import require_consent
from registry.flavors.mlmodel import PYTHON_FUNCTION, inside
from registry.flavors.optional_imports import optional_import
from registry.flavors.protocol import Predictor
from registry.flavors.skops_dump import dump
from registry.flavors.untrusted.sklearn_trees import check_structures
from registry.flavors.untrusted.skops import SKOPS_ERRORS, types_in_file
from registry.flavors.xgboost import limit_xgboost_threads
from registry.validation.arguments import check_list

_PREDICT_FUNCTIONS: Final = ("predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba", "score")
_LIBRARIES: Final = frozenset({"sklearn", "xgboost", "lightgbm", "catboost"})
# A pipeline calls whatever has them, also what is no estimator of scikit-learn's.
_CALLED: Final = ("get_params", "fit", "transform", "predict")


class SklearnFlavor:
    """MLflow's ``sklearn`` flavor."""

    name = "sklearn"
    loader_module = "mlflow.sklearn"

    def save(
        self,
        model: Any,
        directory: Path,
        *,
        serialization_format: str | None = "skops",
        pyfunc_predict_fn: str = "predict",
        skops_trusted_types: Iterable[str] | None = None,
    ) -> dict[str, Any]:
        """Write ``model.skops`` or ``model.pkl``.

        Raises:
            InvalidParameterError: the format or predict function is unknown, or skops cannot hold the model.
        """
        sklearn = optional_import("sklearn", "sklearn")
        chosen = serialization_format or "skops"
        if chosen not in ("skops", *pickles.PICKLE_FORMATS):
            raise InvalidParameterError(
                f"Unrecognized serialization format: {chosen!r}. Use 'skops' (the default), 'cloudpickle' or 'pickle'."
            )
        if pyfunc_predict_fn not in _PREDICT_FUNCTIONS:
            raise InvalidParameterError(
                f"Unknown pyfunc_predict_fn {pyfunc_predict_fn!r}; use one of {', '.join(_PREDICT_FUNCTIONS)}."
            )
        if isinstance(model, type) or not hasattr(model, "get_params"):
            raise InvalidParameterError(f"Expected a scikit-learn estimator, got {type(model).__name__}.")
        named: list[str] | None = None
        if chosen == "skops":
            named = _dump_skops(model, directory / "model.skops", skops_trusted_types)
        else:
            pickles.dump(model, directory / "model.pkl", chosen)
        file_name = "model.skops" if chosen == "skops" else "model.pkl"
        entries: dict[str, Any] = {
            self.name: {
                "pickled_model": file_name,
                "serialization_format": chosen,
                "sklearn_version": sklearn.__version__,
                # MLflow trusts the types listed here; our own loader ignores them.
                "skops_trusted_types": named,
            }
        }
        if hasattr(model, pyfunc_predict_fn):
            entries[PYTHON_FUNCTION] = {
                "loader_module": self.loader_module,
                "model_path": file_name,
                "predict_fn": pyfunc_predict_fn,
            }
        return entries

    def load(
        self,
        directory: Path,
        config: Mapping[str, Any],
        *,
        allow_code: bool,
        skops_trusted_types: Iterable[str] | None = None,
        **options: Any,
    ) -> Any:
        """Load the estimator.

        Raises:
            CodeExecutionRefusedError: it is a pickle, or a skops file with untrusted types.
            InvalidModelError: the file is damaged.
        """
        del options
        optional_import("sklearn", "sklearn")
        name = config.get("pickled_model", config.get("model_path"))
        file = inside(directory, name, "flavors.sklearn.pickled_model")
        # Recognise the format by the bytes, not by the MLmodel file: a skops file is a zip archive.
        if zipfile.is_zipfile(file):
            return _load_skops(file, directory, allow_code=allow_code, trusted=skops_trusted_types)
        require_consent(
            allow_code,
            directory,
            f"{file.name} is a pickle",
            "Saving with the default serialization_format='skops' makes a file without code.",
        )
        return pickles.load(file, needs_cloudpickle=config.get("serialization_format") == "cloudpickle")

    def wrap(self, model: Any, config: Mapping[str, Any]) -> Predictor:
        """Wrap the estimator that is being saved, as `predictor` would."""
        return SklearnPredictor(model, config.get("predict_fn") or "predict")

    def predictor(self, directory: Path, config: Mapping[str, Any], *, allow_code: bool, **options: Any) -> Predictor:
        """Load the model for `pyfunc`.

        Raises:
            InvalidModelError: the MLmodel file names an unknown predict function.
        """
        predict_fn = config.get("predict_fn") or "predict"
        if predict_fn not in _PREDICT_FUNCTIONS:
            raise InvalidModelError(
                f"The MLmodel file in {str(directory)!r} names the predict_fn {predict_fn!r}; it can be one of "
                f"{', '.join(_PREDICT_FUNCTIONS)}."
            )
        return SklearnPredictor(self.load(directory, config, allow_code=allow_code, **options), predict_fn)

    def requirements(self, config: Mapping[str, Any]) -> list[str]:
        """Return scikit-learn, the package that wrote the file, and XGBoost if a pipeline holds one of its models."""
        written_by = {"skops": ["skops"], "cloudpickle": ["cloudpickle"]}.get(
            str(config.get("serialization_format")), []
        )
        types = config.get("skops_trusted_types") or []
        return sorted(
            [*written_by, "scikit-learn", *(["xgboost"] if any("xgboost." in name for name in types) else [])]
        )


class SklearnPredictor:
    """An estimator and the method that `pyfunc` calls on it."""

    def __init__(self, model: Any, predict_fn: str = "predict") -> None:
        self._model = model
        function = getattr(model, predict_fn, None)
        if not callable(function):
            raise InvalidModelError(f"The {type(model).__name__} has no {predict_fn}().")
        self._function = function
        self._threads: int | None = None
        self._libraries: Any = None
        self.only_computes = _only_computes(model)

    def limit_threads(self, count: int) -> None:
        """Let the estimator and those inside it use `count` threads, of joblib, XGBoost and OpenMP."""
        self._threads = count
        # It finds the libraries of OpenMP in this process, which takes longer than many a prediction.
        self._libraries = optional_import("threadpoolctl", "sklearn").ThreadpoolController()
        for part in _parts(self._model):
            if not hasattr(part, "get_params"):
                continue
            if hasattr(part, "get_booster"):
                limit_xgboost_threads(part, count)
            elif "n_jobs" in part.get_params(deep=False):
                part.set_params(n_jobs=count)

    def get_raw_model(self) -> Any:
        """Return the estimator."""
        return self._model

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return the result of the predict function; estimators take no params."""
        del params
        if self._threads is None:
            return self._function(data)
        with self._libraries.limit(limits=self._threads, user_api="openmp"):
            return self._function(data)


def _parts(model: Any) -> Iterator[Any]:
    """Yield a model and every fitted or named part inside it that can be fitted or called, such as a step."""
    seen: set[int] = set()
    left = [model]
    while left:
        part = left.pop()
        if isinstance(part, int | float | str) or id(part) in seen:  # a vocabulary has many numbers
            continue
        if isinstance(part, list | tuple | dict):
            seen.add(id(part))
            left.extend(part.values() if isinstance(part, dict) else part)
        elif not isinstance(part, type) and any(hasattr(part, name) for name in _CALLED):
            seen.add(id(part))
            yield part
            left.extend(getattr(part, "__dict__", {}).values())


def _only_computes(model: Any) -> bool:
    """Tell whether an estimator and the parts inside it are all of a library's classes, and call nobody's function.

    One that says nothing of its parameters, or has parameters that can be called, is taken for somebody's own.
    """
    if not hasattr(model, "get_params"):
        return False
    for part in _parts(model):
        if type(part).__module__.partition(".")[0] not in _LIBRARIES:
            return False
        try:
            parameters = part.get_params(deep=False) if hasattr(part, "get_params") else {}
        except AttributeError:  # a pickle of an older release lacks a parameter that its class has now
            return False
        if any(_is_function(value) for value in parameters.values()):
            return False
    return True


def _is_function(value: Any) -> bool:
    """Tell whether a parameter can be called, other than NumPy's types of numbers, which say what an encoder makes."""
    import numpy as np

    return callable(value) and not (isinstance(value, type) and issubclass(value, np.generic))


def _dump_skops(model: Any, path: Path, trusted: Iterable[str] | None) -> list[str] | None:
    """Write the file. Return its types that skops does not trust; each is on our list or the caller's."""
    trusted_by_caller = check_list(trusted, "skops_trusted_types", str)
    try:
        dump(model, path)
        types = types_in_file(path, trusted_by_caller)
    except SKOPS_ERRORS as error:
        if isinstance(error, OSError) and error.errno:
            raise  # an error of the disk, not of the model
        raise InvalidParameterError(
            f"skops cannot hold this {type(model).__name__}: {_reason(error)}. Use serialization_format='cloudpickle', "
            "which can only be loaded with allow_code=True."
        ) from error
    if types.untrusted:
        raise InvalidParameterError(
            f"The {type(model).__name__} holds types that are not known to be safe: {types.untrusted}. If loading them "
            "is safe, name them in skops_trusted_types when saving and again when loading. If not, or for functions of "
            "your own, use serialization_format='cloudpickle', which can only be loaded with allow_code=True."
        )
    return types.trusted or None


def _load_skops(file: Path, directory: Path, *, allow_code: bool, trusted: Iterable[str] | None) -> Any:
    skops = optional_import("skops.io", "sklearn")
    try:
        types = types_in_file(file, check_list(trusted, "skops_trusted_types", str))
        if types.untrusted:
            require_consent(
                allow_code,
                directory,
                f"{file.name} holds the types {types.untrusted}",
                f"Or trust just these: skops_trusted_types={types.untrusted}.",
            )
        model = skops.load(file, trusted=[*types.trusted, *types.untrusted])
        check_structures(model)
    except RegistryError:
        raise
    except SKOPS_ERRORS as error:
        raise InvalidModelError(f"skops cannot load {str(file)!r}: {type(error).__name__}: {_reason(error)}") from error
    return model


def _reason(error: BaseException) -> str:
    """Return the message of a skops error. A recursion error gets one of ours: its own names no cause."""
    if isinstance(error, RecursionError):
        return "it refers to itself, or is nested too deeply"
    return " ".join(str(error).split())
