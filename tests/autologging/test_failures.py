"""A failure of ours is one warning; the training returns what it returns."""

import os
import re
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from small_disk import files_up_to

import registry

generator = np.random.default_rng(1)
X = generator.normal(size=(60, 2))
y = (X[:, 0] > 0).astype(int)


def test_without_a_database_the_training_goes_on_with_one_warning(told: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    registry.set_tracking_uri(f"sqlite:///{tmp_path}/file/runs.db")
    registry.autolog()

    model = LogisticRegression().fit(X, y)

    assert model.predict(X).shape == (60,)
    [message] = told
    assert message.startswith("Autologging of LogisticRegression.fit is incomplete: a run was not started (")


def test_with_a_database_server_that_does_not_answer_there_is_one_warning(told: list[str]) -> None:
    registry.set_tracking_uri("postgresql+psycopg://nobody@127.0.0.1:9/none")
    registry.autolog()

    booster = xgboost.train({}, xgboost.DMatrix(X, label=y), 2)

    assert booster.num_boosted_rounds() == 2
    [message] = told
    assert message.startswith("Autologging of xgboost.train is incomplete: a run was not started (UnavailableError")


def test_when_the_database_goes_away_during_training_there_is_one_warning(told: list[str], tmp_path: Path) -> None:
    registry.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db")
    registry.autolog()

    class Breaking(xgboost.callback.TrainingCallback):  # type: ignore[misc]
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            if epoch == 1:
                with sqlite3.connect(tmp_path / "runs.db") as connection:
                    connection.execute("ALTER TABLE runs RENAME TO gone")
            return False

    matrix = xgboost.DMatrix(X, label=y)
    booster = xgboost.train({}, matrix, 3, evals=[(matrix, "t")], callbacks=[Breaking()], verbose_eval=False)
    registry.disconnect()

    assert booster.num_boosted_rounds() == 3
    assert registry.active_run() is None
    assert len(told) <= 2  # before the upload in the background, and after it
    assert all(message.startswith("Autologging of xgboost.train is incomplete: ") for message in told)
    with sqlite3.connect(tmp_path / "runs.db") as connection:
        connection.execute("ALTER TABLE gone RENAME TO runs")


FITS: dict[str, Callable[[], Any]] = {
    "LogisticRegression.fit": lambda: LogisticRegression().fit(X, y),
    "GridSearchCV.fit": lambda: GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(X, y),
    "xgboost.train": lambda: xgboost.train({}, xgboost.DMatrix(X, label=y), 2),
    "XGBClassifier.fit": lambda: xgboost.XGBClassifier(n_estimators=2).fit(X, y),
    "lightgbm.train": lambda: lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, label=y), 2),
}


@pytest.mark.parametrize("in_a_run", [True, False], ids=["in a run", "without a run"])
@pytest.mark.parametrize("call", FITS)
def test_a_full_disk_is_one_warning_and_the_fit_returns_its_result(
    told: list[str], tmp_path: Path, call: str, in_a_run: bool
) -> None:
    registry.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db")
    expected = predictions(FITS[call]())
    registry.autolog()
    run = registry.start_run()
    if not in_a_run:
        registry.end_run()

    with files_up_to(0):
        model = FITS[call]()
        registry.get_run(run.info.run_id)  # reading waits for what is uploaded in the background

    assert predictions(model) == expected
    [message] = told
    assert message.startswith(f"Autologging of {call} is incomplete: ")
    assert "StorageError" in message
    registry.end_run()
    told.clear()
    with registry.start_run() as again:
        FITS[call]()
    assert told == []
    assert registry.get_run(again.info.run_id).data.params


def predictions(model: Any) -> Any:
    data = xgboost.DMatrix(X) if isinstance(model, xgboost.Booster) else X
    return model.predict(data).tolist()


@pytest.mark.skipif(not hasattr(os, "geteuid") or not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_place_for_models_that_cannot_be_written_is_one_warning(
    told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    registry.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db")
    registry.create_experiment("blocked", artifact_location=f"file://{tmp_path}/file/artifacts")
    registry.set_experiment("blocked")
    registry.sklearn.autolog()

    with registry.start_run() as run:
        LogisticRegression().fit(X, y)

    assert registry.get_run(run.info.run_id).data.params["C"] == "1.0"
    assert registry.get_run(run.info.run_id).data.metrics["training_score"] > 0.8
    [message] = told
    assert re.match(r"Autologging of LogisticRegression\.fit is incomplete: the model 'model' was not logged", message)


def same(data: Any, **_: Any) -> Any:
    return data


class Unspeakable:
    """A value without a text."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")


def test_a_param_without_a_text_is_left_out_and_told(told: list[str]) -> None:
    registry.xgboost.autolog(log_models=False)

    with registry.start_run() as run:
        booster = xgboost.train({"max_depth": 2}, xgboost.DMatrix(X, label=y), 1, xgb_model=None, maximize=None)
        transformer = make_pipeline(FunctionTransformer(same, kw_args={"x": Unspeakable()}))
        registry.sklearn.autolog(log_models=False)
        transformer.fit(X)

    assert booster.num_boosted_rounds() == 1
    params = registry.get_run(run.info.run_id).data.params
    assert (params["max_depth"], params["functiontransformer__validate"]) == ("2", "False")
    assert "functiontransformer__kw_args" not in params
    [message] = told
    assert "the param 'functiontransformer__kw_args' was not logged (RuntimeError: no text)" in message


def test_a_model_that_no_format_can_hold_is_told_and_the_rest_is_logged(told: list[str]) -> None:
    registry.sklearn.autolog()

    with registry.start_run() as run:
        make_pipeline(FunctionTransformer(same, kw_args={"lock": threading.Lock()})).fit(X)

    assert registry.get_run(run.info.run_id).data.params["functiontransformer__validate"] == "False"
    [message] = told
    assert message.startswith("Autologging of Pipeline.fit is incomplete: the model was not logged (")


def test_a_model_that_skops_cannot_hold_is_logged_as_a_pickle(told: list[str]) -> None:
    registry.sklearn.autolog()

    with registry.start_run() as run:
        make_pipeline(FunctionTransformer(lambda data: data * 2)).fit(X)

    loaded = registry.sklearn.load_model(f"runs:/{run.info.run_id}/model", allow_code=True)
    assert loaded.transform(X).tolist() == (X * 2).tolist()
    assert told == []


def test_silent_mode_says_nothing(told: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    registry.set_tracking_uri(f"sqlite:///{tmp_path}/file/runs.db")
    registry.autolog(silent=True)

    LogisticRegression().fit(X, y)

    assert told == []


def test_params_that_contradict_those_of_an_earlier_fit_are_told_and_the_others_logged(told: list[str]) -> None:
    registry.sklearn.autolog(log_models=False)

    with registry.start_run() as run:
        LogisticRegression(C=1.0).fit(X, y)
        LogisticRegression(C=2.0, max_iter=100).fit(X, y)

    assert registry.get_run(run.info.run_id).data.params["C"] == "1.0"
    [message] = told
    assert "params of an earlier call in this run were kept (ParamConflictError: " in message


def test_a_run_that_the_training_code_ends_itself_is_left_so() -> None:
    registry.xgboost.autolog(log_models=False)

    class Ending(xgboost.callback.TrainingCallback):  # type: ignore[misc]
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            registry.end_run()
            return False

    xgboost.train({}, xgboost.DMatrix(X, label=y), 1, callbacks=[Ending()])

    assert registry.active_run() is None
    assert [run.info.status for run in registry.search_runs(output_format="list")] == ["FINISHED"]
