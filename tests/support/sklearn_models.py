"""Fitted scikit-learn models of every kind, with data that each can predict."""

import inspect
import operator
import string
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage, signal, sparse, special, stats
from sklearn import metrics
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import (
    RFE,
    SelectFpr,
    SelectFromModel,
    SelectKBest,
    SelectPercentile,
    chi2,
    f_classif,
    mutual_info_classif,
)
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import ElasticNet, LogisticRegression, LogisticRegressionCV, Ridge, SGDClassifier
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    GroupKFold,
    PredefinedSplit,
    RandomizedSearchCV,
    RepeatedStratifiedKFold,
    StratifiedKFold,
    TimeSeriesSplit,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputRegressor
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier

VALUES = np.abs(np.random.default_rng(0).normal(size=(40, 4))) + 0.1
LABELS = (VALUES[:, 0] > VALUES[:, 0].mean()).astype(int)
THREE = np.arange(40) % 3
NUMBERS = VALUES @ [1.0, -2.0, 0.5, 3.0]
TABLE = pd.DataFrame(VALUES, columns=["a", "b", "c", "d"]).assign(
    city=pd.Categorical(list("xyzx") * 10), text=["one two", "Two three", "three", "one four"] * 10
)
TEXTS = TABLE["text"].tolist()
GAPS = pd.DataFrame(np.where(VALUES < 0.3, np.nan, VALUES), columns=["a", "b", "c", "d"])
CATEGORIES = TABLE[["a", "b", "city"]]
# Training data, tried in this order for an unknown estimator.
_DATA: tuple[tuple[Any, ...], ...] = (
    (VALUES, LABELS),
    (VALUES, np.abs(NUMBERS) + 1),
    (VALUES, np.c_[LABELS, 1 - LABELS]),
    (VALUES, np.c_[NUMBERS, -NUMBERS]),
    (TEXTS,),
    ([{"a": 1.0, "b": 2.0}] * 10,),
    (LABELS,),
    ([{1, 2}, {3}],),
    (VALUES[:, 0], NUMBERS),
    (VALUES,),
)

# Training data of estimators that accept other data too, but with meaningless results.
_OWN_DATA: dict[str, tuple[Any, ...]] = {
    "CountVectorizer": (TEXTS,),
    "FeatureHasher": ([{"a": 1.0}, {"b": 2.0}],),
    "HashingVectorizer": (TEXTS,),
    "KernelCenterer": (VALUES @ VALUES.T,),
    "PatchExtractor": (np.resize(VALUES, (2, 20, 20)),),
    "TfidfVectorizer": (TEXTS,),
}

Model = tuple[Any, Any]
"""A fitted model and what to ask it about."""


def fitted(name: str, kind: type) -> Model:
    """Return an estimator of scikit-learn, fitted on the first data that it accepts."""
    if name == "FrozenEstimator":
        return FrozenEstimator(LogisticRegression().fit(VALUES, LABELS)), VALUES
    model = kind(**_arguments(name, kind))
    if "random_state" in model.get_params(deep=False):
        model.set_params(random_state=0)
    for data in [_OWN_DATA[name]] if name in _OWN_DATA else _DATA:
        try:
            return model.fit(*data), data[0]
        except Exception:  # try other data
            continue
    raise AssertionError(f"no data fit {name}")


def _arguments(name: str, kind: type) -> dict[str, Any]:
    regressor = "Regressor" in name
    inner = Ridge() if regressor else LogisticRegression()
    known: dict[str, Any] = {
        "estimator": inner,
        "estimators": [("a", inner)],
        "param_grid": {"C": [0.1, 1.0]},
        "param_distributions": {"C": [0.1, 1.0, 2.0, 3.0]},
        "transformers": [("a", "passthrough", [0, 1])],
        "transformer_list": [("a", "passthrough")],
        "steps": [("a", LogisticRegression())],
        "dictionary": np.eye(4),
        "cv": 3,
    }
    parameters = inspect.signature(kind).parameters.values()
    if name in ("GaussianRandomProjection", "SparseRandomProjection"):
        return {"n_components": 2}
    if name == "SelfTrainingClassifier":
        return {"estimator": LogisticRegression()}
    required = [item.name for item in parameters if item.default is item.empty and item.kind is not item.VAR_KEYWORD]
    return {parameter: known[parameter] for parameter in required if parameter in known}


def answers(model: Any, data: Any) -> list[Any]:
    """Return a model's answers about data, by each of its methods that gives one."""
    found = []
    for method in ("predict", "predict_proba", "decision_function", "score_samples", "transform"):
        function = getattr(model, method, None)
        if function is None:
            continue
        answer = function(data)
        for part in answer if isinstance(answer, list) and method == "predict_proba" else [answer]:
            found.append(part.toarray() if sparse.issparse(part) else np.asarray(part))
    return found


def _on(data: Any, target: Any, *steps: Any) -> Callable[[], Model]:
    return lambda: (make_pipeline(*steps).fit(data, target), data)


def _search(search: Any, data: Any = VALUES, target: Any = LABELS) -> Callable[[], Model]:
    return lambda: (search.fit(data, target), data)


_SPLITS = [(np.arange(20), np.arange(20, 40)), (np.arange(20, 40), np.arange(20))]
_LOGISTIC = LogisticRegression()

PIPELINES: dict[str, Callable[[], Model]] = {
    "columns by a selector": _on(
        TABLE,
        LABELS,
        ColumnTransformer(
            [
                ("numbers", StandardScaler(), make_column_selector(dtype_include=np.number)),
                ("categories", OneHotEncoder(), make_column_selector(dtype_include="category")),
            ]
        ),
        _LOGISTIC,
    ),
    "columns by a pattern": _on(
        TABLE, LABELS, ColumnTransformer([("x", "passthrough", make_column_selector("[ab]"))]), _LOGISTIC
    ),
    "columns by dtype without object": _on(
        TABLE,
        LABELS,
        ColumnTransformer([("x", MinMaxScaler(), make_column_selector(dtype_exclude=[object, "category", "string"]))]),
        _LOGISTIC,
    ),
    "columns by a slice": _on(
        VALUES, LABELS, ColumnTransformer([("x", RobustScaler(), slice(0, 2))], remainder="passthrough"), _LOGISTIC
    ),
    "text beside numbers": _on(
        TABLE,
        LABELS,
        ColumnTransformer([("words", TfidfVectorizer(), "text"), ("numbers", "passthrough", ["a", "b"])]),
        _LOGISTIC,
    ),
    "random search, loguniform": _search(
        RandomizedSearchCV(_LOGISTIC, {"C": stats.loguniform(0.01, 10)}, n_iter=2, cv=2, random_state=0)
    ),
    "random search, several distributions": _search(
        RandomizedSearchCV(
            RandomForestClassifier(3, random_state=0),
            {"max_depth": stats.randint(1, 4), "min_samples_split": stats.uniform(0.1, scale=0.5)},
            n_iter=2,
            cv=2,
            random_state=0,
        )
    ),
    "random search, an unfrozen distribution": _search(
        RandomizedSearchCV(Ridge(), {"alpha": stats.expon}, n_iter=2, cv=2, random_state=0), target=NUMBERS
    ),
    "a scorer of fbeta": _search(
        GridSearchCV(_LOGISTIC, {"C": [1]}, cv=2, scoring=metrics.make_scorer(metrics.fbeta_score, beta=2))
    ),
    "scorers by name": _search(GridSearchCV(_LOGISTIC, {"C": [1]}, cv=2, scoring=["roc_auc", "f1"], refit="f1")),
    "a scorer that is no scorer yet": _search(
        GridSearchCV(
            Ridge(), {"alpha": [1]}, cv=2, scoring=metrics.make_scorer(metrics.max_error, greater_is_better=False)
        ),
        target=NUMBERS,
    ),
    "a list of splits": _search(GridSearchCV(_LOGISTIC, {"C": [1]}, cv=_SPLITS)),
    "repeated splits": _search(
        GridSearchCV(_LOGISTIC, {"C": [1]}, cv=RepeatedStratifiedKFold(n_splits=2, n_repeats=2))
    ),
    "splits by time": _search(GridSearchCV(Ridge(), {"alpha": [1]}, cv=TimeSeriesSplit(2)), target=NUMBERS),
    "predefined splits": _search(GridSearchCV(_LOGISTIC, {"C": [1]}, cv=PredefinedSplit(np.arange(40) % 2))),
    "splits by group, not fitted": lambda: (
        make_pipeline(StandardScaler(), GridSearchCV(_LOGISTIC, {"C": [1]}, cv=GroupKFold(2)))[:1].fit(VALUES),
        VALUES,
    ),
    "a search over steps": _search(
        GridSearchCV(
            Pipeline([("scale", StandardScaler()), ("model", LogisticRegression())]),
            {"scale": ["passthrough", MinMaxScaler()], "model__C": [0.1, 1]},
            cv=2,
        )
    ),
    "a search inside a pipeline": _on(
        VALUES, LABELS, PCA(n_components=2), GridSearchCV(SVC(), {"C": [1, 2], "kernel": ["rbf", "linear"]}, cv=2)
    ),
    "histograms, categories from the dtype": lambda: (
        HistGradientBoostingClassifier(max_iter=3, categorical_features="from_dtype").fit(CATEGORIES, LABELS),
        CATEGORIES,
    ),
    "histograms, categories by number": lambda: (
        HistGradientBoostingRegressor(max_iter=3, categorical_features=[0]).fit(np.c_[THREE, VALUES], NUMBERS),
        np.c_[THREE, VALUES],
    ),
    "histograms, gaps and early stopping": lambda: (
        HistGradientBoostingClassifier(max_iter=5, early_stopping=True, scoring="roc_auc").fit(GAPS, LABELS),
        GAPS,
    ),
    "histograms, quantiles": lambda: (
        HistGradientBoostingRegressor(loss="quantile", quantile=0.9, max_iter=3, monotonic_cst=[1, 0, 0, -1]).fit(
            VALUES, NUMBERS
        ),
        VALUES,
    ),
    "histograms, poisson": lambda: (
        HistGradientBoostingRegressor(loss="poisson", max_iter=3).fit(VALUES, np.abs(NUMBERS)),
        VALUES,
    ),
    "log1p and its inverse": _on(
        VALUES, LABELS, FunctionTransformer(np.log1p, inverse_func=np.expm1, check_inverse=False), _LOGISTIC
    ),
    "a ufunc of scipy": _on(VALUES, LABELS, FunctionTransformer(special.expit), _LOGISTIC),
    "a numpy array function": _on(VALUES, LABELS, FunctionTransformer(np.nan_to_num, kw_args={"nan": 0.0}), _LOGISTIC),
    "numpy clip": _on(VALUES, LABELS, FunctionTransformer(np.clip, kw_args={"a_min": 0.0, "a_max": 1.0}), _LOGISTIC),
    "numpy ravel and reshape": _on(
        VALUES, LABELS, FunctionTransformer(np.reshape, kw_args={"shape": (40, 4)}), _LOGISTIC
    ),
    "a filter of scipy.signal": _on(
        VALUES,
        LABELS,
        FunctionTransformer(signal.savgol_filter, kw_args={"window_length": 3, "polyorder": 1}),
        _LOGISTIC,
    ),
    "a filter of scipy.ndimage": _on(
        VALUES, LABELS, FunctionTransformer(ndimage.gaussian_filter1d, kw_args={"sigma": 1.0}), _LOGISTIC
    ),
    "zscore of scipy.stats": _on(VALUES, LABELS, FunctionTransformer(stats.zscore), _LOGISTIC),
    "get_dummies of pandas": _on(TABLE[["city", "a"]], LABELS, FunctionTransformer(pd.get_dummies), _LOGISTIC),
    "isna of pandas": _on(GAPS, LABELS, FunctionTransformer(pd.isna), _LOGISTIC),
    "to_numeric of pandas": lambda: (FunctionTransformer(pd.to_numeric).fit(TABLE["a"]), TABLE["a"]),
    "to_datetime of pandas": lambda: (
        FunctionTransformer(pd.to_datetime, kw_args={"unit": "s"}).fit(TABLE["a"]),
        TABLE["a"],
    ),
    "a partial function": _on(VALUES, LABELS, FunctionTransformer(partial(np.round, decimals=1)), _LOGISTIC),
    "an item getter": _on(
        TABLE, LABELS, FunctionTransformer(operator.itemgetter(["a", "b"])), StandardScaler(), _LOGISTIC
    ),
    "str.split as tokenizer": _on(
        TEXTS, LABELS, CountVectorizer(tokenizer=str.split, token_pattern=None), MultinomialNB()
    ),
    "str.lower as preprocessor": _on(TEXTS, LABELS, TfidfVectorizer(preprocessor=str.lower), MultinomialNB()),
    "str.splitlines as analyzer": _on(TEXTS, LABELS, CountVectorizer(analyzer=str.splitlines), MultinomialNB()),
    "hashed words": _on(
        TEXTS, LABELS, HashingVectorizer(n_features=16, ngram_range=(1, 2)), SGDClassifier(loss="log_loss")
    ),
    "characters": _on(
        TEXTS, LABELS, TfidfVectorizer(analyzer="char_wb", stop_words=None), TruncatedSVD(n_components=2), _LOGISTIC
    ),
    "a vocabulary": _on(
        TEXTS, LABELS, CountVectorizer(vocabulary=list(string.ascii_lowercase), analyzer="char"), _LOGISTIC
    ),
    "dicts": _on([{"a": 1.0, "b": "x"}, {"a": 2.0}] * 20, LABELS, DictVectorizer(), _LOGISTIC),
    "hashed dicts": _on([{"a": 1.0, "b": 3}, {"a": 2.0}] * 20, LABELS, FeatureHasher(8), _LOGISTIC),
    "ordinal and target encoders": _on(
        TABLE,
        LABELS,
        ColumnTransformer(
            [
                ("o", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["city"]),
                ("t", TargetEncoder(cv=2, random_state=0), ["text"]),
            ]
        ),
        _LOGISTIC,
    ),
    "gaps filled": _on(GAPS, LABELS, SimpleImputer(add_indicator=True), KNNImputer(), _LOGISTIC),
    "bins and splines": _on(
        VALUES,
        NUMBERS,
        make_union(
            KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), SplineTransformer(), PolynomialFeatures(2)
        ),
        Ridge(),
    ),
    "power and quantiles": _on(VALUES, NUMBERS, PowerTransformer(), QuantileTransformer(n_quantiles=10), ElasticNet()),
    "a union": _on(
        VALUES,
        LABELS,
        FeatureUnion([("pca", PCA(n_components=2)), ("best", SelectKBest(f_classif, k=2))]),
        KNeighborsClassifier(),
    ),
    "selected features": _on(
        VALUES, LABELS, SelectPercentile(chi2, percentile=75), SelectFpr(f_classif, alpha=0.9), _LOGISTIC
    ),
    "selected by mutual information": _on(
        VALUES, LABELS, SelectKBest(partial(mutual_info_classif, random_state=0), k=2), _LOGISTIC
    ),
    "selected by a model": _on(
        VALUES,
        LABELS,
        SelectFromModel(DecisionTreeClassifier(random_state=0), threshold=-1.0),
        RFE(_LOGISTIC),
        NearestCentroid(),
    ),
    "a target that is transformed": lambda: (
        TransformedTargetRegressor(
            make_pipeline(StandardScaler(), Ridge()), func=np.log1p, inverse_func=np.expm1, check_inverse=False
        ).fit(VALUES, np.abs(NUMBERS)),
        VALUES,
    ),
    "a target that is scaled": lambda: (
        TransformedTargetRegressor(Ridge(), transformer=StandardScaler()).fit(VALUES, NUMBERS),
        VALUES,
    ),
    "stacked": lambda: (
        StackingClassifier(
            [("tree", DecisionTreeClassifier(random_state=0)), ("svm", make_pipeline(StandardScaler(), LinearSVC()))],
            cv=StratifiedKFold(2),
        ).fit(VALUES, LABELS),
        VALUES,
    ),
    "voting": lambda: (
        VotingClassifier([("a", _LOGISTIC), ("b", GradientBoostingClassifier(n_estimators=3))], voting="soft").fit(
            VALUES, THREE
        ),
        VALUES,
    ),
    "bagged and boosted": _on(
        VALUES, LABELS, BaggingClassifier(AdaBoostClassifier(n_estimators=2), n_estimators=2, random_state=0)
    ),
    "calibrated": _on(VALUES, LABELS, CalibratedClassifierCV(LinearSVC(), method="isotonic", cv=2)),
    "thresholds": lambda: (
        TunedThresholdClassifierCV(_LOGISTIC, scoring=metrics.make_scorer(metrics.f1_score), cv=2).fit(VALUES, LABELS),
        VALUES,
    ),
    "a fixed threshold": lambda: (FixedThresholdClassifier(_LOGISTIC, threshold=0.4).fit(VALUES, LABELS), VALUES),
    "one against all": lambda: (OneVsRestClassifier(SVC(probability=False)).fit(VALUES, THREE), VALUES),
    "one against one": lambda: (OneVsOneClassifier(LinearSVC()).fit(VALUES, THREE), VALUES),
    "a chain": lambda: (ClassifierChain(_LOGISTIC).fit(VALUES, np.c_[LABELS, 1 - LABELS]), VALUES),
    "several outputs": lambda: (
        MultiOutputRegressor(ExtraTreesRegressor(3, random_state=0)).fit(VALUES, np.c_[NUMBERS, -NUMBERS]),
        VALUES,
    ),
    "half labelled": lambda: (
        SelfTrainingClassifier(LogisticRegression()).fit(VALUES, np.where(np.arange(40) % 4, LABELS, -1)),
        VALUES,
    ),
    "gaussian processes": lambda: (
        GaussianProcessRegressor(ConstantKernel() * RBF() + WhiteKernel(), normalize_y=True).fit(VALUES, NUMBERS),
        VALUES,
    ),
    "a gaussian process that classifies": lambda: (
        GaussianProcessClassifier(Matern(nu=1.5)).fit(VALUES, THREE),
        VALUES,
    ),
    "neighbours by distance": lambda: (
        KNeighborsRegressor(3, algorithm="kd_tree", metric="minkowski", p=3, weights="distance").fit(VALUES, NUMBERS),
        VALUES,
    ),
    "neighbours in a ball tree": lambda: (
        KNeighborsClassifier(3, algorithm="ball_tree", metric="haversine").fit(VALUES[:, :2], LABELS),
        VALUES[:, :2],
    ),
    "neighbours of sparse rows": lambda: (
        KNeighborsClassifier(3).fit(sparse.csr_matrix(VALUES), LABELS),
        sparse.csr_matrix(VALUES),
    ),
    "kernels by name": lambda: (KernelRidge(kernel="laplacian").fit(VALUES, NUMBERS), VALUES),
    "a kernel function of a machine": lambda: (SVR(kernel=metrics.pairwise.linear_kernel).fit(VALUES, NUMBERS), VALUES),
    "approximated kernels": _on(VALUES, LABELS, Nystroem(n_components=5, random_state=0), SGDClassifier()),
    "clusters as features": _on(VALUES, LABELS, KMeans(3, n_init=1, random_state=0), _LOGISTIC),
    "outliers": _on(VALUES, None, StandardScaler(), IsolationForest(n_estimators=5, random_state=0)),
    "isotonic": lambda: (IsotonicRegression().fit(VALUES[:, 0], NUMBERS), VALUES[:, 0]),
    "logistic with its own search": lambda: (
        LogisticRegressionCV(Cs=2, cv=2, l1_ratios=(0.0,), use_legacy_attributes=False, scoring="accuracy").fit(
            VALUES, THREE
        ),
        VALUES,
    ),
    "a network": _on(VALUES, LABELS, StandardScaler(), MLPClassifier((4,), max_iter=5, early_stopping=True)),
    "discriminants": _on(VALUES, THREE, LinearDiscriminantAnalysis(n_components=2)),
    "a dummy": lambda: (DummyClassifier(strategy="constant", constant="b").fit(VALUES, list("ab") * 20), VALUES),
    "outputs as pandas": lambda: (
        make_pipeline(StandardScaler().set_output(transform="pandas"), _LOGISTIC).fit(GAPS.fillna(0), LABELS),
        GAPS.fillna(0),
    ),
}
