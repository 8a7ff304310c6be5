"""List the types and functions that a skops file may name without further consent.

skops itself trusts scikit-learn's public estimators. The types here are their private parts, found by fitting every
estimator, and XGBoost's models. ``scripts/list_trusted_names.py`` lists public functions, splitters and kernels in
``trusted_names.txt``. Both lists are code and are never read from a model. Guarantees: making one of these types, or
calling one of these functions, with a file's data executes no code from the file.
"""

import functools
import importlib
from pathlib import Path
from typing import Any, Final

_SKLEARN: Final = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.cluster._bisect_k_means._BisectingTree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.impute._iterative._ImputerTriplet",
    "sklearn.metrics._scorer._CurveScorer",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.metrics._scorer._PredictScorer",
    "sklearn.metrics._scorer._ProbaScorer",
    "sklearn.metrics._scorer._Scorer",
    "sklearn.metrics._scorer._ThresholdScorer",
    "sklearn.model_selection._split._CVIterableWrapper",
    "sklearn.model_selection._search_successive_halving.HalvingGridSearchCV",
    "sklearn.model_selection._search_successive_halving.HalvingRandomSearchCV",
    "sklearn.multiclass._ConstantPredictor",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._metadata_requests.MetadataRequest",
    "sklearn.utils._metadata_requests.MethodMetadataRequest",
)
_FAMILIES: Final[dict[str, tuple[str, ...]]] = {
    "sklearn._loss.loss": (
        "AbsoluteError",
        "ExponentialLoss",
        "HalfBinomialLoss",
        "HalfGammaLoss",
        "HalfMultinomialLoss",
        "HalfPoissonLoss",
        "HalfSquaredError",
        "HalfTweedieLoss",
        "HalfTweedieLossIdentity",
        "HuberLoss",
        "PinballLoss",
    ),
    "sklearn.metrics._dist_metrics": tuple(
        f"{name}Distance{bits}"
        for name in ("Chebyshev", "Euclidean", "Hamming", "Haversine", "Manhattan", "Minkowski", "SEuclidean")
        for bits in ("", "32", "64")
    ),
    "xgboost.sklearn": (
        "XGBClassifier",
        "XGBModel",
        "XGBRFClassifier",
        "XGBRFRegressor",
        "XGBRanker",
        "XGBRegressor",
    ),
}
_OTHERS: Final = (
    "numpy.dtype",
    "scipy.interpolate._bsplines.BSpline",
    "scipy.sparse._coo.coo_array",
    "scipy.sparse._coo.coo_matrix",
    "scipy.sparse._csc.csc_array",
    "scipy.sparse._csc.csc_matrix",
    "scipy.sparse._csr.csr_array",
    "scipy.sparse._csr.csr_matrix",
    "scipy.stats._distn_infrastructure.rv_continuous_frozen",
    "scipy.stats._distn_infrastructure.rv_discrete_frozen",
    "xgboost.core.Booster",
)

TRUSTED_TYPES: Final[frozenset[str]] = frozenset(
    (*_SKLEARN, *_OTHERS, *(f"{module}.{name}" for module, names in _FAMILIES.items() for name in names))
)
# Private functions that public estimators hold.
TRUSTED_FUNCTIONS: Final[frozenset[str]] = frozenset(
    {
        "scipy._lib.array_api_compat.numpy._aliases.asarray",
        "sklearn.cluster._kmeans._kmeans_single_elkan",
        "sklearn.cluster._kmeans._kmeans_single_lloyd",
        "sklearn.utils.validation.check_array",
    }
)


def trusted_kind(name: str) -> str | None:
    """Return the kind of a trusted name in a skops file: ``type``, ``function`` or ``class``; None if not trusted.

    A ``type`` may be made; a ``function`` or ``class`` may only be referred to. skops writes the module that defines a
    name, which differs between releases: such a name is trusted if a public name on the list leads to the same object.
    """
    if name in TRUSTED_TYPES:
        return "type"
    if name in TRUSTED_FUNCTIONS:
        return "function"
    for kind, public in _listed().get(name.rpartition(".")[2], ()):
        if kind != "method" and (name == public or name == _defining_name(public)):
            return kind
    return None


@functools.cache
def trusted_str_methods() -> frozenset[str]:
    """Return the methods of ``str`` that a skops file may refer to."""
    return frozenset(name for name, entries in _listed().items() for kind, _ in entries if kind == "method")


def public_value(name: str) -> Any:
    """Return the object that a public name stands for, or None if this release lacks it."""
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute, None)
    except ImportError:
        return None


@functools.cache
def _defining_name(public: str) -> str | None:
    value = public_value(public)
    module, name = getattr(value, "__module__", None), getattr(value, "__name__", None)
    return f"{module}.{name}" if module and name else None


@functools.cache
def _listed() -> dict[str, list[tuple[str, str]]]:
    """Return kind and public name of each entry, by the last part of the name."""
    entries: dict[str, list[tuple[str, str]]] = {}
    for line in Path(__file__).with_name("trusted_names.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            kind, _, name = line.partition(" ")
            entries.setdefault(name.rpartition(".")[2], []).append((kind, name))
    return entries
