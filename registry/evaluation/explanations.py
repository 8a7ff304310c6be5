"""Explains models with SHAP: which features moved the predictions. SHAP is imported on first use."""

import importlib.util
import logging
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from registry.evaluation.outcome import Evaluation, Outcome
from registry.exceptions import InvalidParameterError, MissingDependencyError
from registry.flavors.optional_imports import optional_import
from registry.package_name import install_command

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ALGORITHMS: Final = ("exact", "permutation", "partition", "kernel")
_SAMPLE: Final = 2000
_logger = logging.getLogger(__name__)


def explain(evaluation: Evaluation, *, is_required: bool) -> Outcome:
    """Explain the predictions of a model, unless SHAP is missing or the data is not all numbers.

    Raises:
        MissingDependencyError: SHAP is not installed, and the caller named it.
        InvalidParameterError: The algorithm is unknown, or SHAP cannot explain this model and the caller asked not to
            ignore that (``ignore_exceptions`` False).
    """
    algorithm = evaluation.config.get("explainability_algorithm")
    if algorithm is not None and algorithm not in _ALGORITHMS:
        raise InvalidParameterError(
            f"Unknown explainability_algorithm {algorithm!r}; use one of {', '.join(_ALGORITHMS)}."
        )
    if importlib.util.find_spec("shap") is None:
        if is_required:
            raise MissingDependencyError(f"The package 'shap' is not installed. {install_command('shap')}")
        return Outcome()
    reason = _obstacle(evaluation)
    if reason is not None:
        _logger.warning("The model is not explained: %s.", reason)
        return Outcome()
    try:
        values = _shap_values(evaluation, algorithm)
    except Exception as error:
        # SHAP calls the model, and guesses what it is: anything may be raised.
        if not evaluation.config.get("ignore_exceptions", True):
            raise InvalidParameterError(f"SHAP could not explain the model: {error!r}") from error
        _logger.warning("SHAP could not explain the model: %r", error)
        return Outcome()
    return Outcome(
        figures={
            "shap_beeswarm_plot": partial(_draw, "beeswarm", values),
            "shap_summary_plot": partial(_draw, "summary", values),
            "shap_feature_importance_plot": partial(_draw, "bar", values),
        }
    )


def _obstacle(evaluation: Evaluation) -> str | None:
    if evaluation.model is None:
        return "static predictions have no model to explain"
    if not (np.issubdtype(evaluation.truth.dtype, np.number) or evaluation.truth.dtype == np.bool_):
        return "targets must be numbers or booleans"
    columns = evaluation.data.features.dtypes
    texts = [str(name) for name, kind in columns.items() if not pd.api.types.is_numeric_dtype(kind)]
    return f"the features {texts} are not numbers" if texts else None


def _shap_values(evaluation: Evaluation, algorithm: str | None) -> Any:
    model = evaluation.model
    assert model is not None  # noqa: S101 - see `_obstacle`
    features = evaluation.data.features
    names = [str(name) for name in features.columns]
    sample = features.sample(
        min(len(features), evaluation.config.get("explainability_nsamples", _SAMPLE)), random_state=0
    )
    sample = sample.fillna(sample.mean())

    def predict(rows: Any) -> Any:
        return model.predictions(pd.DataFrame(rows, columns=features.columns).astype(features.dtypes))

    is_binary = len(np.unique(evaluation.predicted)) <= 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of SHAP and what it imports, about their own code
        shap: Any = optional_import("shap", "shap")
        if algorithm == "kernel":
            link = evaluation.config.get("explainability_kernel_link", "identity")
            return shap.KernelExplainer(predict, sample, link=link)(sample)
        if algorithm is not None:
            return shap.Explainer(predict, sample, algorithm=algorithm, feature_names=names)(sample)
        if is_binary and model.native is not None and not hasattr(model.native, "steps"):
            try:
                return shap.Explainer(model.native, sample, feature_names=names)(sample)
            except Exception as error:  # noqa: BLE001 - SHAP does not know this estimator, and says so in many ways
                _logger.debug("SHAP explains the predictions, as it does not know the model: %r", error)
        return shap.Explainer(predict, sample, feature_names=names)(sample)


def _draw(kind: str, values: Any) -> "Figure":
    shap: Any = optional_import("shap", "shap")
    pyplot: Any = optional_import("matplotlib.pyplot", "plots")
    one = values[:, :, -1] if len(values.shape) == 3 else values  # of several outputs, the last: the positive class
    draw: dict[str, Callable[[], Any]] = {
        "beeswarm": lambda: shap.plots.beeswarm(one, show=False),
        "summary": lambda: shap.summary_plot(one.values, one.data, feature_names=one.feature_names, show=False),
        "bar": lambda: shap.plots.bar(one, show=False),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure: Any = pyplot.figure(figsize=(6.0, 4.0))
        try:
            draw[kind]()
            return pyplot.gcf()  # type: ignore[no-any-return]
        finally:
            pyplot.close(pyplot.gcf())
            pyplot.close(figure)
