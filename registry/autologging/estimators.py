"""Autologging of scikit-learn's estimators: params, metrics on the training data, the model, searches."""

import copy
import functools
import inspect
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from registry.autologging import charts, classification, parameter_search, post_training
from registry.autologging.boosting import example_and_signature, reference_files
from registry.autologging.options import Options
from registry.autologging.patching import Handler, Patches, is_patched, wrapt
from registry.autologging.training import Training, points
from registry.autologging.training_data import describe_data, first_rows, signature_of
from registry.exceptions import InvalidParameterError, RegistryError
from registry.flavors.optional_imports import optional_import

NAME: Final = "sklearn"
_PREFIX: Final = "training_"
_FIT_METHODS: Final = ("fit", "fit_transform", "fit_predict")
# Packages whose estimators prepare data; a fit of one of them alone is no training. MLflow's list.
_PREPARING: Final = ("preprocessing", "impute", "feature_extraction", "feature_selection")
# Parameters of estimators that let them overwrite their input.
_OVERWRITING: Final = ("copy", "copy_X", "copy_x")
_logger = logging.getLogger("registry.autologging")
_PAGE: Final = '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="UTF-8"></head>\n<body>\n{}\n</body>\n</html>\n'


def patch(patches: Patches, options: Options) -> None:
    """Patch the imported packages of scikit-learn now, and each other one when it is imported."""
    for name in modules():
        wrapt().register_post_import_hook(functools.partial(_patch_later, patches, options), name)


def _patch_later(patches: Patches, options: Options, module: Any) -> None:
    try:
        patch_module(patches, options, module)
    except Exception as error:  # noqa: BLE001 - importing a package must not fail because of us
        _logger.warning("Autologging of %s could not be switched on: %r", module.__name__, error)


def patch_module(patches: Patches, options: Options, module: Any) -> None:
    """Patch the estimators of an imported module of scikit-learn."""
    base = optional_import("sklearn.base", "sklearn").BaseEstimator
    for name, kind in list(vars(module).items()):
        if _is_estimator(name, kind, base) and not is_patched(kind, "fit"):
            patch_methods(patches, kind, functools.partial(_fit, options))
            post_training.patch_estimator(patches, kind, options)


def _is_estimator(name: str, kind: Any, base: type) -> bool:
    if name.startswith("_") or not isinstance(kind, type) or not issubclass(kind, base) or kind is base:
        return False
    package, _, rest = kind.__module__.partition(".")
    prepares = rest.partition(".")[0] in _PREPARING or kind.__name__ == "ColumnTransformer"
    return package == "sklearn" and not prepares and not inspect.isabstract(kind)


def patch_methods(patches: Patches, kind: type, handler: Handler) -> None:
    """Patch the methods of a class that train."""
    for name in _FIT_METHODS:
        patches.wrap(kind, name, handler)


def _fit(
    options: Options, wrapped: Callable[..., Any], estimator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    name = getattr(wrapped, "__name__", "fit")
    training = Training.begin(NAME, options, f"{type(estimator).__name__}.{name}", estimator)
    if training is None:
        return wrapped(*args, **kwargs)
    with training:
        if not training.has_run:
            return wrapped(*args, **kwargs)
        record = training.attempt("nothing of it was logged", FitRecord, training, estimator, args, kwargs)
        if record is not None:
            record.log_settings()
        result = wrapped(*args, **kwargs)
        if record is not None:
            record.log_results()
            post_training.remember_estimator(estimator, training)
    return result


class FitRecord:
    """What is logged of one fit of an estimator."""

    def __init__(self, training: Training, estimator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._training = training
        self._estimator = estimator
        self._is_search = parameter_search.is_search(estimator)
        self._params = parameter_search.logged_params(estimator)
        self._features, self._targets, self._weights = _training_data(estimator, args, kwargs)
        self._example = training.attempt("", _first_rows_or_none, self._features)
        if _may_overwrite(estimator, self._params):
            self._features, self._targets = copy.deepcopy((self._features, self._targets))

    def log_settings(self) -> None:
        """Log what is known before the fit."""
        training = self._training
        training.attempt("params were not logged", self._log_params)
        if training.options.log_datasets:
            training.attempt("the data set was not logged", self._log_dataset)

    def _log_params(self) -> None:
        self._training.log(params=self._params, tags=estimator_tags(self._estimator))

    def _log_dataset(self) -> None:
        self._training.log_datasets(describe_data(self._features, self._targets, context="train"))

    def log_results(self) -> None:
        """Log what there is after the fit."""
        training = self._training
        described = {}
        if training.options.log_models:
            described = training.attempt("the model was not logged", self._log_model) or {}
        training.attempt("metrics on the training data were not logged", self._log_metrics)
        training.attempt("estimator.html was not logged", self._log_page)
        if self._is_search:
            training.attempt(
                "the search was not logged", parameter_search.log_search, training, self._estimator, described
            )

    def _log_model(self) -> dict[str, Any]:
        described = self._described()
        described |= reference_files(
            self._training, lambda: (self._features, self._targets), getattr(self._estimator, "predict", None)
        )
        best = getattr(self._estimator, "best_params_", None) if self._is_search else None
        log_estimator(
            self._training, self._estimator, "model", params=parameter_search.best_params(best or {}), **described
        )
        return described

    def _described(self) -> dict[str, Any]:
        estimator = self._estimator
        for name in ("predict", "transform"):
            if hasattr(estimator, name):
                answer = getattr(estimator, name)
                return example_and_signature(
                    self._training, self._find_example, functools.partial(signature_of, predict=answer)
                )
        return {"signature": False}

    def _find_example(self) -> Any:
        return first_rows(self._features) if self._example is None else self._example

    def _log_metrics(self) -> None:
        if self._targets is None:
            return
        base = optional_import("sklearn.base", "sklearn")
        training, estimator = self._training, self._estimator
        metrics: dict[str, Any] = {}
        failures: list[tuple[str, Exception]] = []
        data = (estimator, self._features, self._targets, self._weights)
        if base.is_classifier(estimator):
            measured = classification.Classification.measure(*data, pos_label=training.options.pos_label)
            metrics, failures = measured.metrics, measured.failures
            self._log_charts(measured)
        elif base.is_regressor(estimator):
            metrics = classification.regression_metrics(*data)
        score = metrics.get(classification.plain_score(estimator) or "")
        if score is None:
            score = training.attempt("the training score was not logged", self._score)
        if score is not None:
            metrics["score"] = score
        training.log(metrics=points({f"{_PREFIX}{name}": value for name, value in metrics.items()}, step=0))
        for name, error in failures:
            training.note(f"{_PREFIX}{name} was not logged", error)

    def _score(self) -> Any:
        if not hasattr(self._estimator, "score"):
            return None
        score = self._estimator.score
        if "sample_weight" in inspect.signature(score).parameters:
            return score(self._features, self._targets, self._weights)
        return score(self._features, self._targets)

    def _log_charts(self, measured: classification.Classification) -> None:
        training = self._training
        draw: Callable[[], Any] = functools.partial(charts.confusion_chart, measured.confusion)
        training.log_chart(draw, f"{_PREFIX}confusion_matrix.png")
        binary = measured.binary
        for make in () if binary is None else (binary.roc_curve, binary.precision_recall_curve):
            training.log_chart(functools.partial(_draw_curve, make), f"{_PREFIX}{make.__name__}.png")

    def _log_page(self) -> None:
        shown = copy.copy(self._estimator)
        if hasattr(shown, "cv_results_"):  # showing a masked array changes its fill value
            shown.cv_results_ = copy.deepcopy(shown.cv_results_)
        page = optional_import("sklearn.utils", "sklearn").estimator_html_repr(shown)
        self._training.log_text(_PAGE.format(page), "estimator.html")


def _draw_curve(make: Callable[[], classification.Curve]) -> Any:
    return charts.curve_chart(make())


def log_estimator(training: Training, estimator: Any, name: str, **options: Any) -> str:
    """Log an estimator as a model: with skops, or as a pickle if skops cannot hold it and no format was chosen."""
    chosen = training.options.serialization_format
    if chosen is not None:
        return training.log_model(NAME, estimator, name, serialization_format=chosen, **options)
    try:
        return training.log_model(NAME, estimator, name, serialization_format="skops", **options)
    except InvalidParameterError:
        return training.log_model(NAME, estimator, name, serialization_format="cloudpickle", **options)


def estimator_tags(estimator: Any) -> dict[str, str]:
    """Return MLflow's tags that name the class of an estimator."""
    kind = type(estimator)
    return {"estimator_name": kind.__name__, "estimator_class": f"{kind.__module__}.{kind.__name__}"}


def _training_data(estimator: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return features, targets and sample weights of a call of `fit`, whatever the estimator calls the first two."""
    names = list(inspect.signature(estimator.fit).parameters)
    values = dict(zip(names, args, strict=False)) | kwargs
    features, targets = (values.get(name) for name in [*names, "X", "y"][:2])
    return features, targets, values.get("sample_weight") if "sample_weight" in names else None


def _may_overwrite(estimator: Any, params: dict[str, Any]) -> bool:
    """Tell whether a fit may change its input: an estimator of somebody else, or one that is told not to copy."""
    if not type(estimator).__module__.startswith("sklearn."):
        return True
    return any(value is False and key.rpartition("__")[2] in _OVERWRITING for key, value in params.items())


def _first_rows_or_none(data: Any) -> Any:
    try:
        return first_rows(data)
    except (RegistryError, TypeError, KeyError, IndexError):
        return None


def modules() -> list[str]:
    """Return the names of scikit-learn's public packages, and of those that an experimental switch adds."""
    import pkgutil

    sklearn = sys.modules["sklearn"]
    found = [info.name for info in pkgutil.iter_modules(sklearn.__path__)]
    skipped = {"tests", "experimental", "externals", "conftest", "utils", "base", *_PREPARING}
    public = [f"sklearn.{name}" for name in found if not name.startswith("_") and name not in skipped]
    return [*public, "sklearn.model_selection._search_successive_halving"]
