"""Small requests of quick models are answered at once, large ones in a thread, and both answer the same."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from asgi_client import AsgiClient
from served_models import eventually
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor

import registry
from registry import flavors
from registry.flavors import PyFuncModel
from registry.flavors.sklearn import SklearnPredictor
from registry.serving.answers import Answer
from registry.serving.inputs import InputReader
from registry.serving.metrics import Metrics
from registry.serving.options import ServeOptions
from registry.serving.predictions import Predictions, PreparedModel
from registry.serving.request_errors import RequestError

Serve = Callable[..., AsgiClient]
NAMES = ["a", "b", "c"]
FRAME = pd.DataFrame(np.random.default_rng(3).normal(size=(400, 3)), columns=NAMES)  # more JSON than is small
MODEL = xgboost.XGBRegressor(n_estimators=8, max_depth=3, n_jobs=1).fit(FRAME, FRAME["a"] * FRAME["b"])


class Waits(registry.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """Answers with the thread that it is called in, and waits for a file if its input says so."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        import pathlib
        import threading
        import time

        while model_input["what"].iloc[0] == "wait" and not pathlib.Path("go").exists():
            time.sleep(0.01)
        return [threading.current_thread().name]


@pytest.fixture
def quick(own_place: Path) -> str:
    registry.xgboost.save_model(MODEL, "quick", signature=registry.models.infer_signature(FRAME, MODEL.predict(FRAME)))
    return "quick=quick"


@pytest.fixture
def waiting(own_place: Path) -> str:
    signature = registry.models.infer_signature(pd.DataFrame({"what": ["x"]}))
    registry.pyfunc.save_model("waiting", python_model=Waits(), signature=signature)
    return "waiting=waiting"


def body(frame: pd.DataFrame) -> dict[str, Any]:
    return {"dataframe_split": {"columns": list(frame.columns), "data": frame.to_numpy().tolist()}}


def predictions(client: AsgiClient, frame: pd.DataFrame) -> list[float]:
    answer = client.post("/models/quick/invocations", body(frame))
    assert answer.status == 200, answer.body
    return list(answer.json()["predictions"])


def test_rows_one_by_one_and_all_at_once_are_predicted_the_same(quick: str, waiting: str, serve: Serve) -> None:
    client = serve(quick, waiting, allow_code=True)

    expected = MODEL.predict(FRAME).tolist()
    assert predictions(client, FRAME) == expected
    assert [predictions(client, FRAME.iloc[[row]])[0] for row in range(20)] == expected[:20]
    assert predictions(client, FRAME[["c", "a", "b"]]) == expected
    csv = client.post("/models/quick/invocations", FRAME.to_csv(index=False).encode(), "text/csv")
    assert csv.json()["predictions"] == pytest.approx(expected)


def test_a_small_request_waits_for_no_other_and_a_large_one_for_its_turn(
    quick: str, waiting: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.serving.predictions._QUICK_SECONDS", 600)  # however busy this machine is
    client = serve(quick, waiting, allow_code=True, concurrency=1, queue=8)
    small = FRAME.head(1)
    predictions(client, small)  # shows that the model is quick

    slow = client.start("/models/waiting/invocations", {"inputs": {"what": "wait"}})
    eventually(lambda: client._app._predictions.inside == 1)
    assert predictions(client, small) == MODEL.predict(small).tolist()
    tensor = {"name": "x", "datatype": "FP64", "shape": [1, 3], "data": small.to_numpy().tolist()}
    infer = client.post("/v2/models/quick/infer", {"inputs": [tensor]})
    assert infer.json()["outputs"][0]["data"] == MODEL.predict(small).tolist()
    large = client.start("/models/quick/invocations", body(FRAME))
    eventually(lambda: client._app._predictions.inside == 2)
    assert client.get("/health").status == 200
    assert (slow.done(), large.done()) == (False, False)

    Path("go").touch()
    assert large.result(60).json()["predictions"] == MODEL.predict(FRAME).tolist()
    assert slow.result(60).status == 200


def test_a_small_request_is_refused_too_when_the_queue_is_full(quick: str, waiting: str, serve: Serve) -> None:
    client = serve(quick, waiting, allow_code=True, concurrency=1, queue=0)
    predictions(client, FRAME.head(1))
    slow = client.start("/models/waiting/invocations", {"inputs": {"what": "wait"}})
    eventually(lambda: client._app._predictions.inside == 1)

    assert client.post("/models/quick/invocations", body(FRAME.head(1))).status == 429
    Path("go").touch()
    assert slow.result(60).status == 200
    assert len(predictions(client, FRAME.head(1))) == 1


def test_code_of_somebodys_own_never_runs_in_the_event_loop(
    waiting: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.serving.predictions._QUICK_SECONDS", 600)
    client = serve(waiting, allow_code=True)
    for _ in range(20):
        thread = client.post("/invocations", {"inputs": {"what": "x"}}).json()["predictions"][0]
        assert thread.startswith("registry-predict")


def test_a_model_is_quick_once_it_was_and_not_for_some_time_after_it_was_slow(
    quick: str, waiting: str, own_place: Path
) -> None:
    with registry.serving.follow("quick") as followed, followed.lease() as served:
        prepared = PreparedModel(served, 10)
        states = []
        for seconds in (0.0001, 0.01, *[0.0001] * 20):
            states.append(prepared.is_quick(100))
            prepared.note(100, seconds)
    assert (states[:3], states[-1]) == ([False, True, False], True)
    assert states.count(True) < 8
    with registry.serving.follow("waiting", allow_code=True) as followed, followed.lease() as served:
        prepared = PreparedModel(served, 10)
        prepared.note(100, 0.0001)
        assert not prepared.is_quick(100)


def test_a_body_may_be_twice_as_large_as_those_that_were_quick(quick: str) -> None:
    with registry.serving.follow("quick") as followed, followed.lease() as served:
        prepared = PreparedModel(served, 10)
        prepared.note(100, 0.0001)
        prepared.note(60, 0.0001)
        assert (prepared.is_quick(200), prepared.is_quick(201)) == (True, False)
        prepared.note(180, 0.003)
        for _ in range(10):  # until the model is quick again
            prepared.note(10, 0.0001)
        assert (prepared.is_quick(90), prepared.is_quick(91)) == (True, False)


def burn() -> None:
    until = time.thread_time() + 0.01
    while time.thread_time() < until:
        pass


def test_a_request_that_fails_slowly_is_remembered_and_one_that_fails_at_once_shows_nothing(quick: str) -> None:
    def refuse(body: bytes, _served: Any, _prepared: Any) -> Answer:
        if body == b"slow":
            burn()
        raise RequestError(400, "The input does not fit.")

    options = ServeOptions([("quick", "quick")])
    with registry.serving.follow("quick") as followed, followed.lease() as served:
        answering = Predictions(options, Metrics(None), lambda _scope: ("quick", followed))
        prepared = PreparedModel(served, 10)
        states = []
        for body, seconds in ((b"fast", 0.0001), (b"slow", None)):
            with pytest.raises(RequestError, match="does not fit"):
                answering._answer(served, prepared, refuse, body)
            states.append(prepared.is_quick(4))
            if seconds:
                prepared.note(4, seconds)
                states.append(prepared.is_quick(4))
        answering.close()
    assert states == [False, True, False]


def test_an_estimator_only_computes_if_all_in_it_are_of_a_library() -> None:
    class Mine(LinearRegression):
        pass

    plain = make_pipeline(StandardScaler(), LinearRegression())
    with_function = make_pipeline(FunctionTransformer(np.log1p), LinearRegression())
    answers = [SklearnPredictor(model).only_computes for model in (plain, with_function, make_pipeline(Mine()))]
    assert answers == [True, False, False]
    # What a fitted tree predicts with is no estimator, and of the library all the same.
    encoded = make_pipeline(OneHotEncoder(), DecisionTreeRegressor()).fit([["x"], ["y"]], [1, 2])
    assert SklearnPredictor(encoded).only_computes is True

    class Lookup:
        table: list[Any]

        def fit(self, data: Any, labels: Any = None) -> "Lookup":
            return self

        def transform(self, data: Any) -> Any:
            return data

    own = make_pipeline(Lookup(), LinearRegression())
    deeper = make_pipeline(ColumnTransformer([("own", Lookup(), [0])]), LinearRegression())
    assert [SklearnPredictor(model).only_computes for model in (own, deeper)] == [False, False]
    own[0].table = [RandomForestRegressor()]
    own[0].table.append(own[0].table)
    SklearnPredictor(own).limit_threads(3)
    assert own[0].table[0].n_jobs == 3

    old = LinearRegression().fit([[1], [2]], [1, 2])
    del old.copy_X  # as if a release without this parameter had pickled it
    assert SklearnPredictor(old).only_computes is False

    class Unknown:
        def predict(self, data: Any) -> Any:
            return data

    assert SklearnPredictor(Unknown()).only_computes is False


def test_what_a_server_asks_of_a_model_is_known_once_it_is_loaded(quick: str) -> None:
    """Nothing is computed in the event loop, nor under a lock that a fork would copy."""
    asked: list[list[Any]] = []

    class Doubles:
        def takes_rows(self, names: list[Any]) -> bool:
            asked.append(names)
            return True

        def predict(self, data: Any, params: Any = None) -> Any:
            return data

    model = PyFuncModel(registry.pyfunc.load_model("quick").metadata, Doubles())
    assert (asked, model.takes_rows, model.takes_rows) == ([NAMES], True, True)
    assert len(asked) == 1
    assert vars(SklearnPredictor(LinearRegression()))["only_computes"] is True


ROW = [0.5, -1, 2]


@pytest.mark.parametrize(
    "split",
    [
        {"columns": NAMES, "data": [ROW, ROW]},
        {"columns": ["c", "a", "b"], "data": [ROW]},
        {"columns": NAMES, "data": [[None, 1.5, 2]]},
        {"columns": NAMES, "data": [ROW], "index": [7]},
        {"columns": NAMES, "data": [ROW], "index": [7, 8]},
        {"columns": [*NAMES, "d"], "data": [[*ROW, 1]]},
        {"columns": ["a", "b"], "data": [[1, 2]]},
        {"columns": ["a", "a", "b"], "data": [ROW]},
        {"data": [ROW]},
        {"columns": NAMES, "data": []},
        {"columns": NAMES, "data": [ROW, [1, 2]]},
        {"columns": NAMES, "data": [[1, 2, 2**53 + 1]]},
        {"columns": NAMES, "data": [[1, 2, 2**53]]},
        {"columns": NAMES, "data": [[1, 2, 1e300]]},
        {"columns": NAMES, "data": [[1, 2, 10**400]]},
        {"columns": NAMES, "data": [[1, 2, "3"]]},
        {"columns": NAMES, "data": [[1, 2, True]]},
        {"columns": NAMES, "data": [ROW] * 11},
        {"columns": NAMES, "data": ROW},
        {"columns": NAMES},
        [ROW],
    ],
)
@pytest.mark.parametrize("takes_rows", [True, False])
def test_numbers_that_are_read_in_one_step_are_what_they_are_otherwise(
    split: Any, takes_rows: bool, own_place: Path
) -> None:
    model = flavors.save_model(MODEL, own_place / "m", "xgboost", signature=flavors.infer_signature(FRAME))
    reader = InputReader(model, 10, takes_rows=takes_rows)

    def read(text: bytes, function: Callable[[bytes], Any]) -> Any:
        try:
            data, params = function(text)
        except RequestError as error:
            return error.status, error.message
        frame = reader.as_frame(data)
        assert reader.holds_rows(data) == (takes_rows and not isinstance(data, pd.DataFrame))
        assert (list(frame.columns), {str(dtype) for dtype in frame.dtypes}) == (NAMES, {"float64"})
        return np.asarray(frame).tobytes(), params

    for extra in ({}, {"params": {"p": 1}}, {"more": 1}, {"instances": [[1]]}):
        text = json.dumps({"dataframe_split": split, **extra}).encode()
        assert read(text, reader.from_json) == read(text, reader._from_any_json)
