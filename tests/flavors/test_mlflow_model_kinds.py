"""CatBoost and ONNX models work both ways: real mlflow loads ours, and we load mlflow's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import pandas as pd
import pytest
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression

from registry import flavors

pytestmark = pytest.mark.slow

_INSTALLED = """
import importlib.util
answer = [name for name in json.loads(sys.argv[1]) if importlib.util.find_spec(name) is not None]
"""
_LOAD = """
import pandas as pd
directory, native = sys.argv[1], sys.argv[2]
frame = pd.read_json(directory + '/frame.json', orient='split')
path = directory + '/model'
loaded = mlflow.pyfunc.load_model(path)
answer = {
    'predictions': pd.DataFrame(loaded.predict(frame)).to_numpy().tolist(),
    'native': type(getattr(mlflow, native).load_model(path)).__name__,
    'signature': loaded.metadata.signature.to_dict(),
}
"""
_SAVE = """
import pandas as pd
directory, native = sys.argv[1], sys.argv[2]
frame = pd.read_json(directory + '/frame.json', orient='split')
if native == 'catboost':
    import catboost
    few = dict(iterations=3, depth=2, thread_count=1, verbose=False, allow_writing_files=False)
    model = catboost.CatBoostRegressor(**few).fit(frame, frame['a'])
else:
    from skl2onnx import to_onnx
    from sklearn.linear_model import LinearRegression
    model = to_onnx(LinearRegression().fit(frame, frame['a']), frame[:1].to_numpy())
path = directory + '/model'
getattr(mlflow, native).save_model(model, path, pip_requirements=[], input_example=frame.head(2))
answer = pd.DataFrame(mlflow.pyfunc.load_model(path).predict(frame)).to_numpy().tolist()
"""
KINDS = {"catboost": ["catboost"], "onnx": ["onnx", "onnxruntime", "skl2onnx"]}


@pytest.fixture(scope="module", params=sorted(KINDS))
def kind(request: pytest.FixtureRequest, run_mlflow: Callable[..., Any]) -> str:
    """Return a flavor whose packages mlflow's environment has."""
    kind: str = request.param
    if missing := set(KINDS[kind]) - set(run_mlflow(_INSTALLED, json.dumps(KINDS[kind]))):
        pytest.skip(f"mlflow's environment lacks {', '.join(sorted(missing))}")
    return kind


@pytest.fixture
def frame(tmp_path: Path) -> pd.DataFrame:
    pd.DataFrame({"a": [0.5, 1.5, 2.5, 3.5], "b": [1.0, 0.0, 1.0, 0.0]}).to_json(
        tmp_path / "frame.json", orient="split"
    )
    return pd.read_json(tmp_path / "frame.json", orient="split")


def predict(directory: Path, frame: pd.DataFrame) -> Any:
    return pd.DataFrame(flavors.load_pyfunc(directory).predict(frame)).to_numpy().tolist()


def test_mlflow_loads_a_model_saved_here(kind: str, run_mlflow: Any, tmp_path: Path, frame: pd.DataFrame) -> None:
    few = {"iterations": 3, "depth": 2, "thread_count": 1, "verbose": False, "allow_writing_files": False}
    model = (
        catboost.CatBoostRegressor(**few).fit(frame, frame["a"])
        if kind == "catboost"
        else to_onnx(LinearRegression().fit(frame, frame["a"]), frame[:1].to_numpy())
    )
    saved = flavors.save_model(model, tmp_path / "model", kind, input_example=frame.head(2))

    there = run_mlflow(_LOAD, tmp_path, kind)

    assert there == {
        "predictions": predict(tmp_path / "model", frame),
        "native": type(model).__name__,
        "signature": saved.signature.to_dict(),
    }


def test_a_model_that_mlflow_saved_loads_here(kind: str, run_mlflow: Any, tmp_path: Path, frame: pd.DataFrame) -> None:
    there = run_mlflow(_SAVE, tmp_path, kind)

    assert predict(tmp_path / "model", frame) == there
    assert flavors.load_model(tmp_path / "model", kind) is not None
