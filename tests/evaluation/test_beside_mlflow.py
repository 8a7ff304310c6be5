"""The same evaluations with real mlflow: metric by metric, artifact by artifact."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import xgboost
from evaluated_models import estimator, games

import registry

pytestmark = pytest.mark.slow

# Run with `mlflow` bound: the same program for both. Each key is an evaluation, each value what it found.
SCRIPT = """
import io, os, warnings
import numpy as np, pandas as pd
models = importlib.import_module(mlflow.__name__ + '.models')
directory = sys.argv[1]
def within(predictions, targets):
    return float((np.abs(predictions - targets) <= 5).mean())
def older(eval_df, builtin_metrics):
    return builtin_metrics['mean_absolute_error'] * 2 + 0 * eval_df['prediction'].sum()
def of_another(within, a, b):
    return list(within.aggregate_results.values())[0] + a.mean()
def per_row(predictions, targets):
    return models_value(scores=[float(abs(p - t)) for p, t in zip(predictions, targets)])
models_value = getattr(models, 'MetricValue', None) or importlib.import_module(mlflow.__name__ + '.metrics').MetricValue
def sample(eval_df, metrics, artifacts_dir):
    path = os.path.join(artifacts_dir, 'notes.txt')
    with open(path, 'w') as file:
        file.write('fine')
    return {'head': eval_df.head(2), 'numbers': np.arange(3), 'plain': {'rows': len(eval_df)}, 'notes': path}
OFF = {'log_model_explainability': False}
WEIGHTS = [1.0, 2.0] * 30
CASES = {
    'binary': dict(model='binary', model_type='classifier'),
    'binary, the other label positive': dict(model='binary', model_type='classifier', config={'pos_label': 0}),
    'binary, weighted': dict(model='binary', model_type='classifier', config={'sample_weights': WEIGHTS}),
    'binary, prefix': dict(model='binary', model_type='classifier', config={'metric_prefix': 'val_'}),
    'xgboost': dict(model='xgb', model_type='classifier', data='binary'),
    'multi': dict(model='multi', model_type='classifier'),
    'multi, macro': dict(model='multi', model_type='classifier', config={'average': 'macro'}),
    'number': dict(model='number', model_type='regressor'),
    'number, weighted': dict(model='number', model_type='regressor', config={'sample_weights': WEIGHTS}),
    'number, own metrics': dict(
        model='number', model_type='regressor', custom_artifacts=[sample],
        extra_metrics=[models.make_metric(eval_fn=f, greater_is_better=True, version='v2' if f is within else None)
                       for f in (of_another, within, older, per_row)]),
    'no type': dict(model='number', data='number', extra_metrics=[models.make_metric(eval_fn=within,
                                                                                    greater_is_better=True)]),
    'static': dict(model=None, data='binary', model_type='classifier', predictions='guess'),
    'a function': dict(model=lambda x: (x['a'] > 0).astype(int), data='binary', model_type='classifier'),
    'arrays': dict(model=lambda x: np.asarray(x)[:, 0] * 9, data='array', model_type='regressor'),
}
answer = {}
for name, case in CASES.items():
    kind = case.pop('data', None) or case['model']
    options = {key: value for key, value in case.items() if key not in ('model', 'config')}
    if kind == 'array':
        frame = pd.read_csv(directory + '/number.csv').tail(60)
        options |= dict(data=frame[['a', 'b']].to_numpy(), targets=frame['y'].to_numpy())
    else:
        frame = pd.read_csv(directory + '/' + kind + '.csv').tail(60)
        if case.get('predictions'):
            frame = frame.assign(guess=(frame['b'] > 0).astype(int))
        options |= dict(data=frame, targets='y')
    model = case['model']
    if isinstance(model, str):
        model = mlflow.pyfunc.load_model(directory + '/' + model)
    with mlflow.start_run() as run:
        result = mlflow.models.evaluate(model, evaluator_config={**OFF, **case.get('config', {})}, **options)
    client = mlflow.MlflowClient()
    stored = client.get_run(run.info.run_id)
    def content(artifact):
        value = artifact.content
        if isinstance(value, pd.DataFrame):
            return json.loads(value.to_json(orient='split'))
        return value if isinstance(value, (dict, str)) else getattr(value, 'tolist', lambda: 'image')()
    answer[name] = {
        'metrics': {key: float(value) for key, value in result.metrics.items()},
        'stored': dict(stored.data.metrics),
        'artifacts': {key: type(value).__name__ if not hasattr(value, '_suffix') else repr(value).split('(')[0]
                      for key, value in result.artifacts.items()},
        'files': sorted(file.path for file in client.list_artifacts(run.info.run_id)),
        'contents': {key: content(value) for key, value in result.artifacts.items()},
        'tables': {key: json.loads(value.to_json(orient='split')) for key, value in result.tables.items()
                   if key == 'eval_results_table'},
        'digests': [used.dataset.digest for used in stored.inputs.dataset_inputs] if kind != 'array' else [],
    }
    result.save(directory + '/' + mlflow.__name__ + ' ' + name.replace(', ', ' '))
thresholds = {}
binary = models.EvaluationResult({'a': 0.8, 'loss': 0.3, 'r2': -0.2}, {})
base = models.EvaluationResult({'a': 0.75, 'loss': 0.4, 'r2': -0.1}, {})
zero = models.EvaluationResult({'a': 0.0}, {})
T = models.MetricThreshold
LIMITS = [
    ({'a': T(threshold=0.8, greater_is_better=True)}, binary, None),
    ({'a': T(threshold=0.81, greater_is_better=True)}, binary, None),
    ({'loss': T(threshold=0.2, greater_is_better=False), 'none': T(threshold=1, greater_is_better=True)}, binary, None),
    ({'a': T(min_absolute_change=0.04, greater_is_better=True)}, binary, base),
    ({'a': T(min_absolute_change=0.06, greater_is_better=True)}, binary, base),
    ({'a': T(min_absolute_change=0.06, greater_is_better=True)}, binary, None),
    ({'loss': T(min_relative_change=0.2, greater_is_better=False)}, binary, base),
    ({'loss': T(min_relative_change=0.3, greater_is_better=False)}, binary, base),
    ({'r2': T(min_relative_change=0.1, greater_is_better=True)}, binary, base),
    ({'a': T(min_relative_change=0.1, greater_is_better=True)}, zero, zero),
    ({'a': T(min_relative_change=0.1, greater_is_better=True)}, binary, zero),
]
for number, limits in enumerate(LIMITS):
    try:
        thresholds[number] = mlflow.validate_evaluation_results(*limits)
    except Exception as error:
        thresholds[number] = [error.error_code, str(error)]
for options in ({}, {'greater_is_better': True}, {'threshold': 'x', 'greater_is_better': True},
                {'min_absolute_change': -1, 'greater_is_better': True}, {'threshold': 1, 'greater_is_better': 'yes'},
                {'min_relative_change': 1, 'greater_is_better': True},
                {'min_relative_change': 2.0, 'greater_is_better': True}):
    try:
        thresholds[str(options)] = str(T(**options))
    except Exception as error:
        thresholds[str(options)] = str(error)
answer['thresholds'] = {str(key): value for key, value in thresholds.items()}
"""


@pytest.fixture(scope="module")
def answers(
    run_mlflow: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Any, Any, Path]:
    """What both found on the same models and data."""
    directory = tmp_path_factory.mktemp("evaluations")
    for kind in ("binary", "multi", "number"):
        games(kind).to_csv(directory / f"{kind}.csv", index=False)
        registry.sklearn.save_model(estimator(kind), directory / kind)
    train = games("binary").head(60)
    model = xgboost.XGBClassifier(n_estimators=3, nthread=1).fit(train[["a", "b"]], train["y"])
    registry.xgboost.save_model(model, directory / "xgb")
    theirs = run_mlflow(f"import importlib\n{SCRIPT}", directory)
    names: dict[str, Any] = {"mlflow": registry}
    program = f"import importlib, json, sys\nsys.argv = ['', {str(directory)!r}]\n{SCRIPT}"
    registry.set_tracking_uri(str(tmp_path_factory.mktemp("ours")))
    try:
        exec(program, names)
        return json.loads(json.dumps(names["answer"])), theirs, directory
    finally:
        registry.set_tracking_uri(None)


CASES = [
    "binary",
    "binary, the other label positive",
    "binary, weighted",
    "binary, prefix",
    "xgboost",
    "multi",
    "multi, macro",
    "number",
    "number, weighted",
    "number, own metrics",
    "no type",
    "static",
    "a function",
    "arrays",
]


@pytest.mark.parametrize("case", CASES)
def test_metrics_are_mlflows_one_by_one(answers: tuple[Any, Any, Path], case: str) -> None:
    ours, theirs, _ = answers
    assert sorted(ours[case]["metrics"]) == sorted(theirs[case]["metrics"])
    for name, value in theirs[case]["metrics"].items():
        assert ours[case]["metrics"][name] == pytest.approx(value, rel=1e-9), name
    assert ours[case]["stored"] == pytest.approx(ours[case]["metrics"])
    assert ours[case]["digests"] == theirs[case]["digests"]


@pytest.mark.parametrize("case", CASES)
def test_artifacts_are_mlflows_one_by_one(answers: tuple[Any, Any, Path], case: str) -> None:
    ours, theirs, _ = answers
    beyond = {"residuals_plot"}  # mlflow draws nothing for regressors
    kinds = {name: kind for name, kind in ours[case]["artifacts"].items() if name not in beyond}
    assert kinds == theirs[case]["artifacts"]
    files = [file for file in ours[case]["files"] if file.removesuffix(".png") not in beyond]
    assert files == theirs[case]["files"]
    for name, content in theirs[case]["contents"].items():
        assert _rounded(ours[case]["contents"][name]) == _rounded(content), name
    assert _rounded(ours[case]["tables"]) == _rounded(theirs[case]["tables"])


def test_thresholds_refuse_what_mlflow_refuses_in_the_same_words(answers: tuple[Any, Any, Path]) -> None:
    ours, theirs, _ = answers
    passed = {key: value for key, value in ours["thresholds"].items() if not key.startswith("{")}
    assert passed == {key: value for key, value in theirs["thresholds"].items() if key in passed}
    for options, message in theirs["thresholds"].items():
        if options.startswith("{"):
            assert ours["thresholds"][options] == message


def test_saved_results_are_read_both_ways(answers: tuple[Any, Any, Path], run_mlflow: Callable[..., Any]) -> None:
    ours, theirs, directory = answers
    for case in CASES:
        name = case.replace(", ", " ")
        found = registry.models.EvaluationResult.load(directory / f"mlflow {name}")
        assert found.metrics == theirs[case]["metrics"]
        assert sorted(found.artifacts) == sorted(theirs[case]["artifacts"])
    read = run_mlflow(
        "from mlflow.models import EvaluationResult\n"
        "answer = {}\n"
        "for case in json.loads(sys.argv[2]):\n"
        "    result = EvaluationResult.load(sys.argv[1] + '/registry ' + case.replace(', ', ' '))\n"
        "    answer[case] = [result.metrics, sorted(result.artifacts)]\n",
        directory,
        json.dumps(CASES),
    )
    assert read == {case: [ours[case]["metrics"], sorted(ours[case]["artifacts"])] for case in CASES}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in sorted(value.items()) if key != "index"}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.9g}") if isinstance(value, float | int) and not isinstance(value, bool) else value


def test_the_data_of_the_tests_has_all_classes_in_both_halves() -> None:
    for kind in ("binary", "multi"):
        frame: pd.DataFrame = games(kind)
        assert set(frame["y"].head(60)) == set(frame["y"].tail(60))
