"""Model directories work both ways: real mlflow loads ours, and we load mlflow's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import signature_cases
import xgboost
from sklearn.pipeline import Pipeline

from registry import flavors
from registry.entities.schema import Schema
from registry.exceptions import CodeExecutionRefusedError, SchemaEnforcementError
from registry.flavors.signatures.enforce import enforce_schema

pytestmark = pytest.mark.slow

_LOAD = """
import pandas as pd
directory = sys.argv[1]
frame = pd.read_json(directory + '/frame.json', orient='split')
answer = {}
for name, native in json.loads(sys.argv[2]).items():
    loaded = mlflow.pyfunc.load_model(directory + '/' + name)
    predictions = loaded.predict(frame)
    signature = loaded.metadata.signature
    answer[name] = {
        'predictions': predictions.tolist(),
        'native': type(getattr(mlflow, native).load_model(directory + '/' + name)).__name__ if native else None,
        'signature': signature and signature.to_dict(),
        'example': None if loaded.input_example is None else loaded.input_example.to_json(orient='split'),
    }
"""

_SAVE = """
import pathlib, pandas as pd, xgboost, sklearn.ensemble
directory = sys.argv[1]
frame = pd.read_json(directory + '/frame.json', orient='split')
labels = (frame['a'] > 0).astype(int)
classifier = xgboost.XGBClassifier(n_estimators=3, max_depth=2).fit(frame, labels)
forest = sklearn.ensemble.RandomForestClassifier(3, random_state=0).fit(frame, labels)
TREE = ['sklearn.tree._tree.Tree']
PROBA = {'pyfunc_predict_fn': 'predict_proba'}
class Double(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.shift = float(pathlib.Path(context.artifacts['shift']).read_text())
    def predict(self, context, model_input, params=None):
        return model_input['a'].to_numpy() * 2 + self.shift
open(directory + '/shift.txt', 'w').write('1.5')
made = {
    'xgb': (mlflow.xgboost, classifier, dict(input_example=frame.head(2))),
    'xgb_json': (mlflow.xgboost, classifier, dict(model_format='json')),
    'xgb_old_extension': (mlflow.xgboost, classifier, dict(model_format='xgb')),
    'booster': (mlflow.xgboost, classifier.get_booster(), dict(signature=mlflow.models.infer_signature(frame))),
    'skops': (mlflow.sklearn, forest, dict(skops_trusted_types=TREE, input_example=frame.head(2))),
    'cloudpickle': (mlflow.sklearn, forest, dict(PROBA, serialization_format='cloudpickle')),
    'pickle': (mlflow.sklearn, forest, dict(serialization_format='pickle')),
}
answer = {}
for name, (module, model, options) in made.items():
    path = directory + '/' + name
    module.save_model(model, path, pip_requirements=[], **options)
    loaded = mlflow.pyfunc.load_model(path)
    answer[name] = {'predictions': loaded.predict(frame).tolist(), 'native': type(model).__name__}
path = directory + '/python'
shift = {'shift': directory + '/shift.txt'}
mlflow.pyfunc.save_model(path, python_model=Double(), artifacts=shift, pip_requirements=[])
answer['python'] = {'predictions': mlflow.pyfunc.load_model(path).predict(frame).tolist(), 'native': None}
"""

_SIGNATURES = """
import signature_cases
from mlflow.models.utils import _enforce_schema
from mlflow.types.schema import Schema
answer = {'inferred': {}, 'params': {}, 'enforced': {}}
for name, data in signature_cases.INFERRED.items():
    answer['inferred'][name] = mlflow.models.infer_signature(data).to_dict()['inputs']
for name, params in signature_cases.PARAMS.items():
    answer['params'][name] = mlflow.models.infer_signature([1.0], params=params).to_dict()['params']
for name, (schema, data) in signature_cases.ENFORCED.items():
    try:
        answer['enforced'][name] = signature_cases.plain(_enforce_schema(data, Schema.from_json(json.dumps(schema))))
    except Exception:
        answer['enforced'][name] = 'refused'
"""


def _doubled() -> flavors.PythonModel:
    # A class made in a function is pickled by value, since this test module does not exist on the other side.
    class Doubled(flavors.PythonModel):
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return model_input["a"].to_numpy() * 2

    return Doubled()


@pytest.fixture(scope="module")
def ours(
    tmp_path_factory: pytest.TempPathFactory,
    run_mlflow: Callable[..., Any],
    frame: pd.DataFrame,
    classifier: xgboost.XGBClassifier,
    pipeline: Pipeline,
) -> dict[str, Any]:
    """Return mlflow's answers about models saved here, with their predictions here."""
    directory = tmp_path_factory.mktemp("ours")
    frame.to_json(directory / "frame.json", orient="split", double_precision=15)
    exact = pd.read_json(directory / "frame.json", orient="split")
    made: dict[str, tuple[str, Any, dict[str, Any]]] = {
        "classifier": ("xgboost", classifier, {"input_example": exact.head(2)}),
        "booster": ("xgboost", classifier.get_booster(), {}),
        "json": ("xgboost", classifier, {"model_format": "json"}),
        "skops": ("sklearn", pipeline, {"input_example": exact.head(2)}),
        "proba": ("sklearn", pipeline, {"pyfunc_predict_fn": "predict_proba"}),
        "cloudpickle": ("sklearn", pipeline, {"serialization_format": "cloudpickle"}),
        "python": ("python_function", _doubled(), {}),
    }
    saved = {name: flavors.save_model(m, directory / name, f, **options) for name, (f, m, options) in made.items()}
    here = {name: flavors.load_pyfunc(directory / name, allow_code=True).predict(exact).tolist() for name in made}
    native = {name: None if flavor == "python_function" else flavor for name, (flavor, _, _) in made.items()}
    there = run_mlflow(_LOAD, directory, json.dumps(native))
    return {"saved": saved, "here": here, "there": there, "frame": exact}


@pytest.mark.parametrize("name", ["classifier", "booster", "json", "skops", "proba", "cloudpickle", "python"])
def test_mlflow_predicts_the_same_with_a_model_saved_here(ours: dict[str, Any], name: str) -> None:
    assert ours["there"][name]["predictions"] == ours["here"][name]


@pytest.mark.parametrize(
    ("name", "native"),
    [("classifier", "XGBClassifier"), ("booster", "Booster"), ("skops", "Pipeline"), ("cloudpickle", "Pipeline")],
)
def test_mlflow_loads_the_native_model_saved_here(ours: dict[str, Any], name: str, native: str) -> None:
    assert ours["there"][name]["native"] == native


def test_mlflow_reads_the_signature_and_the_example_saved_here(ours: dict[str, Any]) -> None:
    assert ours["there"]["classifier"]["signature"] == ours["saved"]["classifier"].signature.to_dict()
    assert ours["there"]["classifier"]["example"] == ours["frame"].head(2).to_json(orient="split")


@pytest.fixture(scope="module")
def theirs(
    tmp_path_factory: pytest.TempPathFactory, run_mlflow: Callable[..., Any], frame: pd.DataFrame
) -> tuple[Path, dict[str, Any], pd.DataFrame]:
    """Return models that mlflow saved, with their predictions there."""
    directory = tmp_path_factory.mktemp("theirs")
    frame.to_json(directory / "frame.json", orient="split", double_precision=15)
    exact = pd.read_json(directory / "frame.json", orient="split")
    return directory, run_mlflow(_SAVE, directory), exact


@pytest.mark.parametrize("name", ["xgb", "xgb_json", "xgb_old_extension", "booster", "skops"])
def test_a_model_that_mlflow_saved_predicts_the_same_here_without_consent(theirs: Any, name: str) -> None:
    directory, answer, data = theirs
    assert flavors.load_pyfunc(directory / name).predict(data).tolist() == answer[name]["predictions"]


@pytest.mark.parametrize("name", ["cloudpickle", "pickle", "python"])
def test_a_pickle_that_mlflow_saved_loads_here_with_consent_only(theirs: Any, name: str) -> None:
    directory, answer, data = theirs
    with pytest.raises(CodeExecutionRefusedError):
        flavors.load_pyfunc(directory / name)
    loaded = flavors.load_pyfunc(directory / name, allow_code=True)
    assert loaded.predict(data).tolist() == answer[name]["predictions"]


@pytest.mark.parametrize(("name", "flavor"), [("xgb", "xgboost"), ("booster", "xgboost"), ("skops", "sklearn")])
def test_the_native_model_that_mlflow_saved_loads_here(theirs: Any, name: str, flavor: str) -> None:
    directory, answer, _ = theirs
    assert type(flavors.load_model(directory / name, flavor)).__name__ == answer[name]["native"]


def test_the_example_that_mlflow_saved_reads_here(theirs: Any) -> None:
    directory, _, data = theirs
    pd.testing.assert_frame_equal(flavors.load_pyfunc(directory / "xgb").input_example, data.head(2))


def test_an_mlmodel_file_of_mlflow_is_the_same_after_reading_and_writing(theirs: Any, tmp_path: Path) -> None:
    directory, _, _ = theirs
    flavors.Model.load(directory / "xgb").save(tmp_path / "MLmodel")
    assert (tmp_path / "MLmodel").read_text() == (directory / "xgb" / "MLmodel").read_text()


@pytest.fixture(scope="module")
def signatures(run_mlflow: Callable[..., Any]) -> dict[str, Any]:
    return run_mlflow(_SIGNATURES)


@pytest.mark.filterwarnings("ignore:Integer columns")
@pytest.mark.parametrize("name", signature_cases.INFERRED)
def test_the_inferred_signature_is_that_of_mlflow(signatures: dict[str, Any], name: str) -> None:
    data = signature_cases.INFERRED[name]
    assert flavors.infer_signature(data).to_dict()["inputs"] == signatures["inferred"][name]


@pytest.mark.parametrize("name", signature_cases.PARAMS)
def test_the_inferred_params_are_those_of_mlflow(signatures: dict[str, Any], name: str) -> None:
    params = signature_cases.PARAMS[name]
    assert flavors.infer_signature(np.zeros(1), params=params).to_dict()["params"] == signatures["params"][name]


@pytest.mark.parametrize("name", signature_cases.ENFORCED)
def test_enforcement_has_the_outcome_of_mlflow(signatures: dict[str, Any], name: str) -> None:
    schema, data = signature_cases.ENFORCED[name]
    try:
        outcome = signature_cases.plain(enforce_schema(data, Schema.from_json(json.dumps(schema))))
    except SchemaEnforcementError:
        outcome = "refused"
    assert outcome == signatures["enforced"][name]
