"""Training with autologging gives what it gives without: the same bytes, the same errors, the same random numbers."""

import pickle
import random
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import registry

generator = np.random.default_rng(1)
X = pd.DataFrame(generator.normal(size=(120, 3)), columns=["a", "b", "c"])
y = (X["a"] + generator.normal(size=120) > 0).astype(int)
weights = np.linspace(0.5, 2.0, 120)


def booster_bytes() -> bytes:
    matrix = xgboost.DMatrix(X, label=y, weight=weights)
    booster = xgboost.train(
        {"max_depth": 2, "nthread": 1, "subsample": 0.7, "seed": 3, "eval_metric": "auc"},
        matrix,
        12,
        evals=[(matrix, "train")],
        early_stopping_rounds=3,
        verbose_eval=False,
    )
    return bytes(booster.save_raw("ubj"))


def own_objective() -> bytes:
    def squared(predicted: Any, matrix: Any) -> Any:
        return predicted - matrix.get_label(), np.ones_like(predicted)

    def own_metric(predicted: Any, matrix: Any) -> tuple[str, float]:
        return "own", float(np.abs(predicted - matrix.get_label()).mean())

    matrix = xgboost.DMatrix(X, label=y)
    booster = xgboost.train(
        {"nthread": 1}, matrix, 4, evals=[(matrix, "t")], obj=squared, custom_metric=own_metric, verbose_eval=False
    )
    return bytes(booster.save_raw("ubj"))


def xgboost_wrapper() -> bytes:
    model = xgboost.XGBClassifier(n_estimators=5, n_jobs=1, random_state=np.random.RandomState(7), subsample=0.5)
    model.fit(X, y, sample_weight=weights, eval_set=[(X[80:], y[80:])], verbose=False)
    return bytes(model.get_booster().save_raw("ubj"))


def xgboost_in_pipeline() -> bytes:
    # Its `get_params` draws from the random state, which must not change what fit draws.
    model = xgboost.XGBClassifier(n_estimators=5, n_jobs=1, random_state=np.random.RandomState(7), subsample=0.5)
    pipeline = make_pipeline(StandardScaler(), model).fit(X, y)
    return bytes(pipeline[-1].get_booster().save_raw("ubj"))


def lightgbm_booster() -> str:
    data = lightgbm.Dataset(X, label=y, weight=weights)
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "seed": 3, "bagging_fraction": 0.7}
    booster = lightgbm.train(
        settings,
        data,
        12,
        valid_sets=[lightgbm.Dataset(X[80:], label=y[80:], reference=data)],
        callbacks=[lightgbm.early_stopping(3, verbose=False)],
    )
    return str(booster.model_to_string())


def lightgbm_wrapper() -> bytes:
    model = lightgbm.LGBMClassifier(n_estimators=4, verbose=-1, n_jobs=1, random_state=1)
    return pickle.dumps(model.fit(X, y, eval_X=X, eval_y=y))


ESTIMATORS: dict[str, Callable[[], Any]] = {
    "logistic": lambda: LogisticRegression().fit(X, y, sample_weight=weights),
    "linear": lambda: LinearRegression().fit(X.to_numpy(), y.to_numpy()),
    "overwriting": lambda: (data := X.to_numpy(copy=True), Ridge(copy_X=False).fit(data, y), data),
    "forest": lambda: RandomForestClassifier(n_estimators=4, random_state=np.random.RandomState(5)).fit(X, y),
    "global random state": lambda: RandomForestClassifier(n_estimators=4).fit(X, y),
    "pipeline": lambda: make_pipeline(StandardScaler(), SVC()).fit(X, y),
    "voting": lambda: VotingClassifier([("a", LogisticRegression()), ("b", SVC())]).fit(X, y),
    "grid": lambda: _untimed(GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=3).fit(X, y)),
    "random search": lambda: _untimed(
        RandomizedSearchCV(Ridge(), {"alpha": [0.1, 1.0, 3.0]}, n_iter=2, cv=3, random_state=2).fit(X, y)
    ),
    "transformed": lambda: PCA(n_components=2, random_state=0).fit_transform(X),
    "clusters": lambda: KMeans(n_clusters=2, n_init=1, random_state=0).fit_predict(X),
}
TRAININGS: dict[str, Callable[[], Any]] = {
    "booster": booster_bytes,
    "own objective": own_objective,
    "xgboost wrapper": xgboost_wrapper,
    "xgboost in a pipeline": xgboost_in_pipeline,
    "lightgbm": lightgbm_booster,
    "lightgbm wrapper": lightgbm_wrapper,
    **ESTIMATORS,
}


def _untimed(search: Any) -> Any:
    search.cv_results_ = {name: value for name, value in search.cv_results_.items() if "time" not in name}
    del search.refit_time_
    return search


def _outcome(train: Callable[[], Any]) -> tuple[Any, ...]:
    """Return what a training gives, and the next numbers of the global generators after it."""
    np.random.seed(11)
    random.seed(11)
    result = train()
    return pickle.dumps(result), np.random.rand(), random.random()


@pytest.mark.parametrize("name", sorted(TRAININGS))
def test_a_training_gives_the_same_bytes_and_leaves_the_same_random_state(name: str, told: list[str]) -> None:
    without = _outcome(TRAININGS[name])
    registry.autolog(log_input_examples=True)

    with_autologging = _outcome(TRAININGS[name])

    assert with_autologging == without
    assert told == []
    assert len(registry.search_runs(search_all_experiments=True, output_format="list")) == 1 + 2 * (
        name == "grid"
    ) + 2 * (name == "random search")


class OwnError(Exception):
    """An error of the user's code."""


def _raising_objective(_predicted: Any, _matrix: Any) -> Any:
    raise OwnError("objective")


FAILURES: dict[str, Callable[[], Any]] = {
    "wrong shape": lambda: LogisticRegression().fit(X, y[:5]),
    "no data": lambda: LogisticRegression().fit(),  # type: ignore[call-arg]
    "unknown argument": lambda: LogisticRegression().fit(X, y, colour="red"),
    "xgboost without data": lambda: xgboost.train({}, None, 2),
    "xgboost without arguments": lambda: xgboost.train(),
    "own objective": lambda: xgboost.train({}, xgboost.DMatrix(X, label=y), 2, obj=_raising_objective),
    "lightgbm without data": lambda: lightgbm.train({}, None),
    "wrong labels": lambda: xgboost.XGBClassifier(n_estimators=2).fit(X, [5] * 120),
}


@pytest.mark.parametrize("name", sorted(FAILURES))
def test_a_training_raises_the_same_error(name: str) -> None:
    with pytest.raises(Exception) as without:  # noqa: PT011 - whatever it is
        FAILURES[name]()
    registry.autolog(silent=True)

    with pytest.raises(Exception) as with_autologging:  # noqa: PT011
        FAILURES[name]()

    assert type(with_autologging.value) is type(without.value)
    assert _without_addresses(str(with_autologging.value)) == _without_addresses(str(without.value))
    assert registry.active_run() is None
    assert {run.info.status for run in registry.search_runs(output_format="list")} <= {"FAILED"}


def _without_addresses(text: str) -> str:
    return text.partition("\n")[0].partition("] ")[2] or text.partition("\n")[0]


def test_an_interrupted_training_ends_its_run_as_failed() -> None:
    class Interrupting(xgboost.callback.TrainingCallback):  # type: ignore[misc]
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            raise KeyboardInterrupt

    registry.xgboost.autolog()

    with pytest.raises(KeyboardInterrupt):
        xgboost.train({}, xgboost.DMatrix(X, label=y), 2, callbacks=[Interrupting()])

    assert [run.info.status for run in registry.search_runs(output_format="list")] == ["FAILED"]


def test_the_callbacks_of_the_user_are_called_alike_and_their_list_is_not_changed() -> None:
    seen: list[int] = []

    class Stopping(xgboost.callback.TrainingCallback):  # type: ignore[misc]
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            seen.append(epoch)
            return epoch == 2

    registry.xgboost.autolog()
    callbacks = [Stopping()]
    matrix = xgboost.DMatrix(X, label=y)

    xgboost.train({}, matrix, 9, evals=[(matrix, "t")], callbacks=callbacks, verbose_eval=False)

    assert seen == [0, 1, 2]
    assert len(callbacks) == 1
    [run] = registry.search_runs(output_format="list")
    history = registry.MlflowClient().get_metric_history(run.info.run_id, "t-rmse")
    assert [point.step for point in history] == [0, 1, 2]


def test_lightgbm_leaves_the_same_order_on_the_callbacks_of_the_user() -> None:
    def first(_environment: Any) -> None: ...
    def second(_environment: Any) -> None: ...

    registry.lightgbm.autolog()
    callbacks = [first, second]

    lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, label=y), 2, callbacks=callbacks)

    assert callbacks == [first, second]
    assert [callback.order for callback in callbacks] == [-2, -1]  # type: ignore[attr-defined]


def test_what_autologging_has_patched_is_pickled_and_copied_as_before() -> None:
    import copy

    import sklearn.metrics

    registry.autolog()
    model = LogisticRegression().fit(X, y)
    scorer = make_scorer(sklearn.metrics.accuracy_score)

    assert pickle.loads(pickle.dumps(sklearn.metrics.accuracy_score)) is accuracy_score
    assert pickle.loads(pickle.dumps(model.predict))(X).tolist() == model.predict(X).tolist()
    assert copy.deepcopy(scorer)._score_func is scorer._score_func
    assert GridSearchCV(Ridge(), {"alpha": [1.0]}, scoring=None, cv=2, n_jobs=2).fit(X, y).best_params_ == {
        "alpha": 1.0
    }
