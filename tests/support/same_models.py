"""XGBoost models of every kind, and the comparison of a saved one with the loaded one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xgboost

_CHANCE = np.random.default_rng(3)
FRAME = pd.DataFrame(_CHANCE.normal(size=(80, 4)), columns=list("abcd")).round(2)
# A value whose predictions `missing=-1` and `missing=0` change.
GAPS = FRAME.mask(_CHANCE.random((80, 4)) < 0.2, -1.0)
CATEGORIES = FRAME.assign(k=pd.Categorical(_CHANCE.choice(["x", "y", "z"], 80)))
BINARY = (FRAME["a"] > FRAME["b"]).astype(int)
CLASSES = pd.Series(np.arange(80) % 3)
NUMBERS = FRAME["a"] * 2 + FRAME["c"]
MANY = np.stack([FRAME["a"], FRAME["b"]], axis=1)
QUERIES = np.repeat(np.arange(8), 10)


@dataclass(frozen=True)
class Case:
    """A wrapper's class, its parameters, and its training data."""

    wrapper: str
    parameters: dict[str, Any] = field(default_factory=dict)
    data: pd.DataFrame = field(default_factory=lambda: FRAME)
    target: Any = None
    fit: dict[str, Any] = field(default_factory=dict)

    def model(self) -> Any:
        """Return the fitted wrapper."""
        # XGBoost warns of a depth if there are no trees.
        sizes = {"n_estimators": 4, "n_jobs": 1} | ({} if "booster" in self.parameters else {"max_depth": 3})
        wrapper = getattr(xgboost, self.wrapper)(**{**sizes, **self.parameters})
        return wrapper.fit(self.data, self.labels, **self.fit)

    @property
    def labels(self) -> Any:
        """Return the target: numbers, or two classes."""
        if self.target is not None:
            return self.target
        return NUMBERS if self.wrapper.endswith("Regressor") else BINARY


def _squared(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    return y_pred - y_true, np.ones_like(y_pred)


_SINGLE = ["XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor"]
CASES: dict[str, Case] = {
    **{f"{name}, defaults": Case(name) for name in _SINGLE},
    **{f"{name}, missing=-1": Case(name, {"missing": -1}, GAPS) for name in _SINGLE},
    **{
        f"{name}, categories": Case(name, {"enable_categorical": True, "max_cat_to_onehot": 1}, CATEGORIES)
        for name in _SINGLE
    },
    **{f"{name}, gblinear": Case(name, {"booster": "gblinear"}) for name in _SINGLE[:2]},
    **{f"{name}, dart": Case(name, {"booster": "dart", "rate_drop": 0.5, "skip_drop": 0.1}) for name in _SINGLE[:2]},
    **{
        f"{name}, early stopping": Case(
            name,
            {"n_estimators": 30, "early_stopping_rounds": 2, "eval_metric": ["logloss", "error"], "learning_rate": 1.0},
            fit={"eval_set": [(FRAME, 1 - BINARY)], "verbose": False},
        )
        for name in ["XGBClassifier"]
    },
    "XGBRegressor, early stopping": Case(
        "XGBRegressor",
        {"n_estimators": 30, "early_stopping_rounds": 2, "learning_rate": 1.0, "eval_metric": "mae"},
        fit={"eval_set": [(FRAME, -NUMBERS)], "verbose": False},
    ),
    "XGBRegressor, missing=0.0 and a gap": Case("XGBRegressor", {"missing": 0.0}, FRAME.mask(FRAME > 1.0, 0.0)),
    "XGBRegressor, missing=inf": Case("XGBRegressor", {"missing": float("inf")}),
    "XGBRegressor, gblinear and missing=-1": Case("XGBRegressor", {"booster": "gblinear", "missing": -1}, GAPS),
    "XGBRegressor, numpy scalars": Case(
        "XGBRegressor", {"max_depth": np.int64(2), "learning_rate": np.float32(0.1), "reg_lambda": np.float64(2.0)}
    ),
    "XGBRegressor, constraints": Case(
        "XGBRegressor", {"monotone_constraints": {"a": 1}, "interaction_constraints": [["a", "b"], ["c", "d"]]}
    ),
    "XGBRegressor, monotone tuple": Case("XGBRegressor", {"monotone_constraints": (1, 0, -1, 0)}),
    "XGBRegressor, feature weights": Case(
        "XGBRegressor", {"feature_weights": np.array([1.0, 2.0, 0.5, 0.0]), "colsample_bynode": 0.5}
    ),
    "XGBRegressor, all text and flags": Case(
        "XGBRegressor",
        {
            "tree_method": "hist",
            "grow_policy": "lossguide",
            "importance_type": "gain",
            "device": "cpu",
            "verbosity": 0,
            "n_jobs": 1,
            "random_state": 3,
            "max_leaves": 5,
            "max_bin": 16,
            "base_score": 0.25,
            "validate_parameters": True,
            "num_parallel_tree": 2,
        },
    ),
    "XGBRegressor, several targets": Case("XGBRegressor", target=MANY),
    "XGBRegressor, vector leaves": Case("XGBRegressor", {"multi_strategy": "multi_output_tree"}, target=MANY),
    "XGBRegressor, quantiles": Case("XGBRegressor", {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.9]}),
    "XGBRegressor, parameters of its own": Case("XGBRegressor", {"seed_per_iteration": True, "max_delta_step": 1}),
    "XGBClassifier, three classes": Case("XGBClassifier", target=CLASSES),
    "XGBClassifier, softmax": Case("XGBClassifier", {"objective": "multi:softmax"}, target=CLASSES),
    "XGBClassifier, vector leaves": Case("XGBClassifier", {"multi_strategy": "multi_output_tree"}, target=CLASSES),
    "XGBClassifier, several labels": Case("XGBClassifier", target=(MANY > 0).astype(int)),
    "XGBRFClassifier, three classes": Case("XGBRFClassifier", target=CLASSES),
    "XGBRanker, pairs": Case("XGBRanker", fit={"qid": QUERIES}),
    "XGBRanker, ndcg and missing=-1": Case(
        "XGBRanker",
        {"missing": -1, "objective": "rank:ndcg", "lambdarank_num_pair_per_sample": 4, "eval_metric": "ndcg@3"},
        GAPS,
        fit={"qid": QUERIES},
    ),
}
# Parameters that are code are not saved; saving warns of them.
CODE: dict[str, tuple[Case, list[str]]] = {
    "objective": (Case("XGBRegressor", {"objective": _squared, "missing": -1}, GAPS), ["objective"]),
    "metric": (Case("XGBRegressor", {"eval_metric": lambda a, b: float(np.mean(a - b))}), ["eval_metric"]),
    "callbacks": (
        Case("XGBClassifier", {"callbacks": [xgboost.callback.EvaluationMonitor()], "n_jobs": 1}),
        ["callbacks"],
    ),
    "generator": (Case("XGBRegressor", {"random_state": np.random.RandomState(1)}), ["random_state"]),
}


def differences(case: Case, saved: Any, loaded: Any, ignore: tuple[str, ...] = ()) -> list[str]:
    """Return the names of everything that differs between a wrapper and the loaded one."""
    found = [] if type(loaded) is type(saved) else ["type"]
    before, after = saved.get_params(), loaded.get_params()
    for name in sorted(before.keys() | after.keys()):
        if name not in ignore and not _equal(before.get(name), after.get(name)):
            found.append(f"get_params()[{name!r}]: {before.get(name)!r} -> {after.get(name)!r}")
    calls: dict[str, Callable[[Any], Any]] = {
        "predict": lambda model: model.predict(case.data),
        "margin": lambda model: model.predict(case.data, output_margin=True),
        "best_iteration": lambda model: model.best_iteration,
        "best_score": lambda model: model.best_score,
        "evals_result": lambda model: model.evals_result(),
        "classes": lambda model: model.classes_,
        "predict_proba": lambda model: model.predict_proba(case.data),
        "feature_importances": lambda model: model.feature_importances_,
        "apply": lambda model: model.apply(case.data),
    }
    if "score" not in ignore and case.wrapper != "XGBRanker":
        calls["score"] = lambda model: model.score(case.data, case.labels)
    return found + [name for name, call in calls.items() if not _equal(_outcome(call, saved), _outcome(call, loaded))]


def _outcome(call: Callable[[Any], Any], model: Any) -> Any:
    try:
        return call(model)
    except (AttributeError, ValueError, xgboost.core.XGBoostError) as error:
        return type(error).__name__


def _equal(before: Any, after: Any) -> bool:
    if isinstance(before, np.ndarray):
        return isinstance(after, np.ndarray) and np.array_equal(before, after)
    if isinstance(before, float) and np.isnan(before):
        return isinstance(after, float) and bool(np.isnan(after))
    return bool(before == after) and (isinstance(before, np.generic) or type(before) is type(after))
