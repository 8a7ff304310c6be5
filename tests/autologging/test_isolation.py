"""Runs do not mix: threads, tasks, joblib's workers, forked processes, nested runs and exclusive mode."""

import asyncio
import os
import sys
import threading
import warnings
from typing import Any

import joblib
import numpy as np
import pytest
import xgboost
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier

import registry
from registry.autologging.rounds import RoundMetrics

generator = np.random.default_rng(1)
X = generator.normal(size=(60, 2))
y = (X[:, 0] > 0).astype(int)


def params(run: Any, key: str) -> str:
    return str(run.data.params[key])


def test_a_round_is_written_once_while_others_are_being_written(sqlite_url: str) -> None:
    client = registry.MlflowClient(sqlite_url)
    run_id = client.create_run("0").info.run_id
    rounds = RoundMetrics(client, run_id)
    is_over = threading.Event()

    def write() -> None:
        while not is_over.is_set():
            rounds.flush()

    writer = threading.Thread(target=write)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        writer.start()
        for step in range(5_000):
            rounds.add(step, {"loss": 0.5})
    finally:
        is_over.set()
        writer.join()
        sys.setswitchinterval(interval)
    rounds.flush()

    assert sorted(point.step for point in client.get_metric_history(run_id, "loss")) == list(range(5_000))


def test_each_thread_logs_to_a_run_of_its_own(runs: Any) -> None:
    registry.sklearn.autolog(log_models=False)
    barrier = threading.Barrier(3)

    def train(c: float) -> None:
        barrier.wait()
        for _ in range(2):
            LogisticRegression(C=c).fit(X, y)

    threads = [threading.Thread(target=train, args=(c,)) for c in (0.1, 0.2, 0.3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(params(run, "C") for run in runs()) == sorted(["0.1", "0.2", "0.3"] * 2)
    assert {run.info.status for run in runs()} == {"FINISHED"}


def test_each_task_logs_to_a_run_of_its_own(runs: Any) -> None:
    registry.sklearn.autolog(log_models=False)

    async def train(c: float) -> str:
        with registry.start_run() as run:
            await asyncio.sleep(0)
            await asyncio.to_thread(LogisticRegression(C=c).fit, X, y)
        return run.info.run_id

    async def train_all() -> list[str]:
        return await asyncio.gather(*(train(c) for c in (0.1, 0.2, 0.3)))

    ids = asyncio.run(train_all())

    assert [params(registry.get_run(run_id), "C") for run_id in ids] == ["0.1", "0.2", "0.3"]


@pytest.mark.parametrize("backend", ["threading", "sequential", "loky"])
def test_what_joblib_fits_inside_of_a_fit_is_not_logged(backend: str, runs: Any) -> None:
    registry.sklearn.autolog(max_tuning_runs=1)

    with joblib.parallel_backend(backend, n_jobs=2):
        GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(X, y)
        VotingClassifier([("a", LogisticRegression()), ("b", RandomForestClassifier(n_estimators=3))]).fit(X, y)

    names = [run.data.tags["estimator_name"] for run in runs()]
    assert sorted(names) == ["GridSearchCV", "LogisticRegression", "VotingClassifier"]  # the second is the child run


def test_fits_in_joblibs_threads_are_logged_if_no_fit_has_started_them(runs: Any) -> None:
    registry.sklearn.autolog(log_models=False)

    joblib.Parallel(n_jobs=2, backend="threading")(
        joblib.delayed(LogisticRegression(C=c).fit)(X, y) for c in (0.1, 0.2, 0.3)
    )

    assert sorted(params(run, "C") for run in runs()) == ["0.1", "0.2", "0.3"]


def test_cross_validation_logs_nothing(runs: Any) -> None:
    registry.sklearn.autolog()

    cross_val_score(LogisticRegression(), X, y, cv=2)

    assert runs() == []


def test_a_halving_search_is_one_run_with_its_best_settings_as_children(runs: Any) -> None:
    registry.sklearn.autolog(max_tuning_runs=2)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        HalvingGridSearchCV(Ridge(), {"alpha": [0.1, 1.0, 3.0]}, cv=2, factor=2, random_state=0).fit(X, y)

    names = sorted(run.data.tags["estimator_name"] for run in runs())
    assert names == ["HalvingGridSearchCV", "Ridge", "Ridge"]


def test_a_fit_in_a_run_of_the_user_is_logged_there_and_leaves_it_active(runs: Any) -> None:
    registry.xgboost.autolog()

    with registry.start_run() as outer:
        with registry.start_run(nested=True) as inner:
            xgboost.XGBClassifier(n_estimators=2).fit(X, y)
        assert registry.active_run().info.run_id == outer.info.run_id

    assert registry.get_run(outer.info.run_id).data.params == {}
    assert registry.get_run(inner.info.run_id).data.params["num_boost_round"] == "2"
    assert len(runs()) == 2


def test_in_exclusive_mode_nothing_is_logged_to_a_run_of_the_user(runs: Any) -> None:
    registry.sklearn.autolog(exclusive=True)

    with registry.start_run() as run:
        LogisticRegression().fit(X, y)
    LogisticRegression().fit(X, y)

    assert registry.get_run(run.info.run_id).data.params == {}
    assert [bool(found.data.params) for found in runs()] == [False, True]


def test_a_classifier_of_several_classifiers_is_logged_once(runs: Any) -> None:
    registry.autolog()

    OneVsRestClassifier(xgboost.XGBClassifier(n_estimators=2)).fit(X, y)

    [run] = runs()
    assert run.data.tags["estimator_name"] == "OneVsRestClassifier"
    assert [output.model_id for output in run.outputs.model_outputs] != []
    assert len(run.outputs.model_outputs) == 1


def test_a_forked_child_logs_to_runs_of_its_own_and_leaves_the_uploads_to_its_parent(runs: Any) -> None:
    registry.sklearn.autolog()
    read, write = os.pipe()
    with registry.start_run() as run:
        LogisticRegression(C=0.5).fit(X, y)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                LogisticRegression(C=0.7).fit(X, y)
                os.write(write, registry.last_active_run().info.run_id.encode())
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0

    other = os.read(read, 100).decode()
    assert [params(registry.get_run(run_id), "C") for run_id in (run.info.run_id, other)] == ["0.5", "0.7"]
    for run_id in (run.info.run_id, other):
        assert registry.sklearn.load_model(f"runs:/{run_id}/model").predict(X[:2]).shape == (2,)


def test_a_model_may_be_changed_as_soon_as_the_fit_has_returned() -> None:
    registry.sklearn.autolog()

    with registry.start_run() as run:
        model = LogisticRegression().fit(X, y)
        before = model.predict(X).tolist()
        model.coef_[:] = 0.0
        model.intercept_[:] = -1.0

    loaded = registry.sklearn.load_model(f"runs:/{run.info.run_id}/model")
    assert loaded.predict(X).tolist() == before


def test_a_model_can_be_read_right_after_the_fit() -> None:
    registry.xgboost.autolog(registered_model_name="churn")

    with registry.start_run() as run:
        xgboost.XGBClassifier(n_estimators=2).fit(X, y)
        assert registry.last_logged_model().source_run_id == run.info.run_id
        assert registry.xgboost.load_model("models:/churn/1").n_estimators == 2
        files = [file.path for file in registry.MlflowClient().list_artifacts(run.info.run_id)]

    assert files == ["feature_importance_weight.json", "feature_importance_weight.png"]
